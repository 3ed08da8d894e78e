"""One step of stochastic gradient descent on average: the order parameters at a finite step.

With Q = W W^T, R = W V^T and the squared error e^2 of one input, a step of rate eta changes R and
a by -eta times the gradient on average, and Q by a term of order eta^2 too, the mean of
``g_i . g_j`` with ``g_i = 2 e a_i sigma'(w_i.x) x``. That is a sum of the integrals I4 of Saad and
Solla, for erf in closed form.
"""

from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import instance, real, whole_number
from lib.loss import PopulationLoss
from lib.records import record

_IMAGINARY = 1e-30  # of a complex step, whose derivative has no cancellation


@record
class MeanStep(NamedTuple):
    """Mean changes of the order parameters in one step.

    Attributes
    ----------
    Q : ndarray (n, n)
        Of the inner products of student neurons.
    R : ndarray (n, k)
        Of those with the teacher neurons.
    a : ndarray (n,)
        Of the outgoing weights.

    Examples
    --------
    >>> from lib.training import mean_step
    >>> L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    >>> step = mean_step(L, Network.orthonormal(3), rate=0.1)  # no error, no noise
    >>> max(float(np.abs(change).max()) for change in step) < 1e-12
    True
    """

    Q: np.ndarray
    R: np.ndarray
    a: np.ndarray


def mean_step(L, student, rate, batch=1):
    """The mean changes of a student's order parameters in one step of SGD, exact in d dimensions.

    Parameters
    ----------
    L : PopulationLoss
        Of erf.
    student : Network (n, d)
    rate : float
    batch : int
        Fresh inputs in the step.

    Returns
    -------
    MeanStep

    Notes
    -----
    Saad and Solla, On-line learning in soft committee machines, Phys. Rev. E 52 (1995), 4225-4243,
    take ``|x|^2 = d``, the limit of many dimensions; here its correlation with the error is kept,
    as ``E[|x|^2 F] = d E[F] + 2 dE_c[F]/dc`` at c = 1, E_c being the mean over inputs of variance
    c.

    Examples
    --------
    >>> from lib.training import mean_step
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> step = mean_step(L, copy_average([1, 2], 4), rate=0.1)
    >>> bool(np.abs(step.R).max() < 1e-15), bool(np.diag(step.Q).min() > 0)  # noise lengthens w_i
    (True, True)
    """
    if instance("L", L, PopulationLoss).kernel is not kernels.erf:
        raise ValueError(f"L must be of kernels.erf, got {L.kernel!r}")
    W, a = L.weights(student)
    rate, batch = real("rate", rate, 0.0, 1e3), whole_number("batch", batch, 1)
    gradient = L.gradient(student)
    V, b = L.teacher.W, L.teacher.a
    U, c = np.vstack((W, V)), np.concatenate((a, -b))
    squares = _mean_squares(U @ U.T, c, student.n, student.d)
    squares *= 4.0 * np.outer(a, a) / batch
    squares += (1.0 - 1.0 / batch) * gradient.W @ gradient.W.T
    cross = gradient.W @ W.T
    return MeanStep(
        -rate * (cross + cross.T) + rate**2 * squares, -rate * gradient.W @ V.T, -rate * gradient.a
    )


def _mean_squares(C, c, n, d):
    """E[e^2 sigma'(u_i) sigma'(u_j) |x|^2] for i, j < n; e = sum of c_m sigma(u_m), cov(u) = C."""

    def without_norm(scale):
        values = four_point(scale * C, n)
        return np.einsum("ijlm,l,m->ij", values, c, c)

    varied = without_norm(1.0 + 1j * _IMAGINARY)
    return d * varied.real + 2.0 * varied.imag / _IMAGINARY


def four_point(C, n):
    """I4 = E[sigma'(u_i) sigma'(u_j) sigma(u_l) sigma(u_m)] for erf, i, j < n, as (n, n, N, N).

    C (N, N) is the covariance of u, and may be complex. sigma' sigma' is a Gaussian factor, under
    which u_l and u_m have another covariance; what is left is the kernel of erf with it.
    """
    N = len(C)
    own = C[:n, :n]
    p = 1.0 + np.diag(own)
    determinant = p[:, None] * p[None, :] - own**2
    D = determinant[:, :, None, None]
    left, right = C[:n, None, :], C[None, :n, :]  # cov(u_i, u_l), cov(u_j, u_l)
    i_l, i_m = left[:, :, :, None], left[:, :, None, :]
    j_l, j_m = right[:, :, :, None], right[:, :, None, :]
    P, Q, S = p[:, None, None, None], p[None, :, None, None], own[:, :, None, None]
    covariance = C[None, None] - (Q * i_l * i_m + P * j_l * j_m - S * (i_l * j_m + i_m * j_l)) / D
    variance = np.einsum("ijll->ijl", covariance)
    scale = np.sqrt((1.0 + variance)[:, :, :, None] * (1.0 + variance)[:, :, None, :])
    values = arcsine(covariance / scale) / np.sqrt(D)
    return (4.0 / np.pi**2) * values.reshape(n, n, N, N)


def arcsine(x):
    """arcsin of reals, and of complex numbers whose imaginary part is that of a complex step."""
    if not np.iscomplexobj(x):
        return np.arcsin(x)
    return np.arcsin(x.real) + 1j * x.imag / np.sqrt(1.0 - x.real**2)
