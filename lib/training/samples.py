"""The mean squared error on finitely many inputs: what training on a data set minimises."""

from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import finite_array, instance
from lib.loss import PopulationLoss
from lib.networks import Network, split
from lib.records import record

_NEWTON_STEPS = 100


def slopes(kernel, z):
    """The derivative of the activation at z, elementwise; for relu 0 at its kink.

    Raises ValueError for another kernel than erf and relu.

    Examples
    --------
    >>> from lib.training.samples import slopes
    >>> slopes(kernels.relu, np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    if kernel is kernels.erf:
        return np.sqrt(2.0 / np.pi) * np.exp(-0.5 * z**2)
    if kernel is kernels.relu:
        return (z > 0.0).astype(float)
    raise ValueError(f"kernel must be erf or relu to train on samples, got {kernel!r}")


class EmpiricalLoss:
    """The mean of (f_student - f_teacher)^2 over given inputs, for the activation erf.

    Parameters
    ----------
    teacher : Network (k, d)
    x : array (N, d)
        The inputs; the teacher gives the outputs, without noise.

    Examples
    --------
    >>> from lib.training import EmpiricalLoss
    >>> teacher = Network.orthonormal(2)
    >>> data = EmpiricalLoss(teacher, np.random.default_rng(0).standard_normal((50, 2)))
    >>> data(teacher)
    0.0
    """

    def __init__(self, teacher, x):
        self.teacher = instance("teacher", teacher, Network)
        self.x = finite_array("x", x, ndim=2)
        if len(self.x) == 0 or self.x.shape[1] != teacher.d:
            raise ValueError(
                f"x must have rows of the teacher's {teacher.d} inputs, got shape {self.x.shape}"
            )
        self.kernel = kernels.erf
        self.y = teacher(self.x, self.kernel)
        self._exact = PopulationLoss(teacher, self.kernel)

    def __call__(self, student):
        """The mean squared error of a student on the inputs.

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        float

        Examples
        --------
        >>> from lib.training import EmpiricalLoss
        >>> data = EmpiricalLoss(Network([[1.0]], [1.0]), [[1.0], [-1.0]])
        >>> f"{data(Network([[0.0]], [1.0])):.4f}"  # erf(1 / sqrt(2))^2
        '0.4661'
        """
        self.weights(student)
        return float(np.mean((student(self.x, self.kernel) - self.y) ** 2))

    def weights(self, student):
        """The student's W and a; raises ValueError as a `PopulationLoss` does."""
        return self._exact.weights(student)

    def derivatives(self, student):
        """Value, gradient and Hessian at a student, in the order of `Network.ravel`.

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        value, gradient, hessian : float, array (M,), array (M, M), M = n (d + 1)

        Examples
        --------
        >>> from lib.training import EmpiricalLoss
        >>> data = EmpiricalLoss(Network([[1.0]], [1.0]), [[1.0], [-1.0]])
        >>> value, gradient, hessian = data.derivatives(Network([[1.0]], [1.0]))
        >>> value, gradient, hessian.shape
        (0.0, array([0., 0.]), (2, 2))
        """
        (W, a), x, N = self.weights(student), self.x, len(self.x)
        n, d = W.shape
        z = x @ W.T
        activity, slope = self.kernel.sigma(z), slopes(self.kernel, z)
        error = activity @ a - self.y
        by_weight = (a * slope)[:, :, None] * x[:, None, :]  # df/dW
        J = np.concatenate((by_weight.reshape(N, n * d), activity), axis=1)
        hessian = J.T @ J
        bend = error[:, None] * -z * slope  # error times the second derivative of the activation
        for i in range(n):
            rows = slice(i * d, (i + 1) * d)
            hessian[rows, rows] += a[i] * (x.T * bend[:, i]) @ x
            mixed = (error * slope[:, i]) @ x
            hessian[rows, n * d + i] += mixed
            hessian[n * d + i, rows] += mixed
        return float(error @ error / N), 2.0 / N * (error @ J), 2.0 / N * hessian


@record
class NearestMinimum(NamedTuple):
    """What Newton's method on an empirical loss found from a student.

    Attributes
    ----------
    student : Network
        Where it ended.
    distance : float
        How far it moved, relative to the largest weight of the first student.
    gradient : float
        Largest component of the gradient there.
    smallest_eigenvalue : float
        Of the Hessian there.

    Examples
    --------
    Fewer inputs than weights can be fitted in more than one way:

    >>> from lib.training import EmpiricalLoss, nearest_minimum
    >>> x = np.random.default_rng(0).standard_normal((8, 3))
    >>> data = EmpiricalLoss(Network.orthonormal(3), x)
    >>> found = nearest_minimum(data, copy_average([1, 1, 1]) * 0.9)
    >>> data(found.student) < 1e-20, found.strict
    (True, False)
    """

    student: Network
    distance: float
    gradient: float
    smallest_eigenvalue: float

    @property
    def strict(self):
        """Whether it is a strict minimum of the empirical loss."""
        return self.gradient < 1e-9 and self.smallest_eigenvalue > 1e-9


def nearest_minimum(loss, student):
    """The minimum of an empirical loss that Newton's method with a trust region finds.

    The method goes downhill always, so that it leaves a student that is no longer near a minimum.

    Parameters
    ----------
    loss : EmpiricalLoss
    student : Network

    Returns
    -------
    NearestMinimum

    Notes
    -----
    Steps are damped as Levenberg and Marquardt do it, with the whole Hessian.

    Examples
    --------
    >>> from lib.training import EmpiricalLoss, nearest_minimum
    >>> x = np.random.default_rng(0).standard_normal((400, 3))
    >>> nearest_minimum(EmpiricalLoss(Network.orthonormal(3), x), copy_average([1, 2])).strict
    True
    """
    instance("loss", loss, EmpiricalLoss).weights(student)
    theta, n, d = student.ravel(), student.n, student.d
    first, damping = theta, 1e-6
    value, gradient, hessian = loss.derivatives(student)
    for _ in range(_NEWTON_STEPS):
        if np.abs(gradient).max() < 1e-13:
            break
        eigenvalues, vectors = np.linalg.eigh(hessian)
        shift = max(0.0, -1.01 * eigenvalues[0]) + (damping if damping > 1e-9 else 0.0)
        with np.errstate(divide="ignore"):
            step = -vectors @ ((vectors.T @ gradient) / (eigenvalues + shift))
        new = loss.derivatives(Network(*split(theta + step, n, d)))
        if new[0] <= value * (1.0 + 1e-14) and np.isfinite(step).all():
            theta, (value, gradient, hessian), damping = theta + step, new, damping / 10.0
        else:
            damping = 10.0 * max(damping, 1e-9)
    moved = np.abs(theta - first).max() / np.abs(first).max()
    smallest = np.linalg.eigvalsh(hessian)[0]
    end = Network(*split(theta, n, d))
    return NearestMinimum(end, float(moved), float(np.abs(gradient).max()), float(smallest))
