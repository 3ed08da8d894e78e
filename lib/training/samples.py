"""The mean squared error on finitely many inputs: what training on a data set minimises."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lib import kernels
from lib.arguments import finite_array, instance
from lib.loss import PopulationLoss
from lib.networks import Network, split
from lib.records import record

_NEWTON_STEPS = 100
_SHORTEST = 2.0**-10  # part of the way from the exact loss to data that is worth a step


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


@record
class ContinuedMinimum(NamedTuple):
    """A strict minimum of the exact loss, followed to the loss on data.

    Attributes
    ----------
    student : Network
        The last strict minimum on the way.
    reached : float
        How much of the way it was followed: 1 if it is a strict minimum of the loss on the data.
    distance : float
        How far it moved, relative to the largest weight of the first student.

    Examples
    --------
    >>> from lib.training import EmpiricalLoss, continued_minimum
    >>> teacher = Network.orthonormal(3)
    >>> for N in (40, 400):
    ...     data = EmpiricalLoss(teacher, np.random.default_rng(1).standard_normal((N, 3)))
    ...     print(continued_minimum(data, copy_average([1, 2])).persists)
    False
    True
    """

    student: Network
    reached: float
    distance: float

    @property
    def persists(self):
        """Whether it was followed all the way."""
        return self.reached == 1.0


def continued_minimum(loss, student):
    """Follow a strict minimum of the exact loss L along (1 - t) L + t Lhat, Lhat on the data.

    A minimum persists on the data if its branch reaches t = 1 and is a strict minimum all the way.

    Parameters
    ----------
    loss : EmpiricalLoss
        Lhat.
    student : Network
        A strict minimum of L.

    Returns
    -------
    ContinuedMinimum

    Raises
    ------
    ValueError
        If the student is no strict minimum of the exact loss.

    Notes
    -----
    Each step solves for the new minimum by Newton's method from the old one, and is halved unless
    every step of Newton is at most half as long as the one before, with a positive Hessian. The
    branch ends where that takes steps of t below 1/1024.

    Examples
    --------
    >>> from lib.training import EmpiricalLoss, continued_minimum
    >>> x = np.random.default_rng(0).standard_normal((400, 3))
    >>> data = EmpiricalLoss(Network.orthonormal(3), x)
    >>> found = continued_minimum(data, copy_average([1, 2]))
    >>> found.persists, bool(np.abs(data.derivatives(found.student)[1]).max() < 1e-12)
    (True, True)
    """
    instance("loss", loss, EmpiricalLoss).weights(student)
    exact, n, d = loss._exact, student.n, student.d

    def mixed(theta, t):
        at = Network(*split(theta, n, d))
        gradient, hessian = (1.0 - t) * exact.gradient(at).ravel(), (1.0 - t) * exact.hessian(at)
        if t > 0.0:
            _, on_data, bend = loss.derivatives(at)
            gradient, hessian = gradient + t * on_data, hessian + t * bend
        return gradient, hessian

    first = student.ravel()
    size = np.abs(first).max()
    theta = _strict_newton(mixed, first, 0.0, np.inf, 1e-11)
    if theta is None or np.abs(theta - first).max() > 1e-3 * size:
        raise ValueError("student must be a strict minimum of the exact loss, got another")
    t, step, slope = 0.0, 1.0, np.zeros_like(theta)
    while t < 1.0 and step >= _SHORTEST:
        there = min(1.0, t + step)
        settled = 1e-11 if there == 1.0 else 1e-4
        found = _strict_newton(mixed, theta + (there - t) * slope, there, 0.25 * size, settled)
        if found is None:
            step /= 2.0
        else:
            slope, theta, t = (found - theta) / (there - t), found, there
            step *= 2.0
    moved = np.abs(theta - first).max() / size
    return ContinuedMinimum(Network(*split(theta, n, d)), t, float(moved))


def _strict_newton(derivatives, theta, t, longest, settled):
    """The strict minimum that Newton's method contracts to, or None."""
    last = longest
    for _ in range(50):
        gradient, hessian = derivatives(theta, t)
        try:
            step = cho_solve(cho_factor(hessian), gradient)
        except np.linalg.LinAlgError:
            return None
        size = np.abs(step).max()
        if size < settled:
            return theta - step
        if not size <= last:
            return None
        theta, last = theta - step, 0.5 * size + settled
    return None
