"""Perturbed copies: the other minimum of a student, for erf solved in its 4 numbers.

n neurons each copy one of k orthonormal teachers and share the k - n others evenly. By symmetric
criticality a critical point of the loss restricted to such students is one of the whole loss.

For erf the loss is the sum over odd orders of lib.students.arcsine, in y = w / sqrt(1 + |w|^2) and
p_j = e_j / sqrt 2. For other kernels see lib.students.symmetric.
"""

import decimal
import math
from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import instance, integer, neurons
from lib.kernels import Kernel
from lib.networks import Network
from lib.students.arcsine import COEFFICIENTS, LARGEST_ARGUMENT, LOST, ORDERS, decimal_slopes, jets
from lib.students.continuation import Chart, Pace, Settling, follow, newton
from lib.students.symmetric import Classes, checked_flipped, symmetric_copies

_S = math.sqrt(0.5)  # |p_j|
# near: the root of float64's 1e-16. most: on the way to n = 3 at k = 1000, and to n = 100 at
# k = 10^6, no point takes more than 9.
_SETTLING = Settling(near=1e-8, most=10)
_PACE = Pace(first=0.2, growth=1.5, longest=1.0, shortest=1e-4)  # in log n


class PerturbedCopies(NamedTuple):
    """The 4 numbers of perturbed copies under erf, and their loss.

    ``w_i = alpha e_i + beta sum_{j <= n, j != i} e_j + gamma sum_{j > n} e_j``, with outgoing
    weight a. excess: what the loss exceeds ``(k - n) (2/pi) (pi/6 - 1/2)`` by, as ``group_excess(k
    - n + 1)`` is for copy-average. The two losses are of order k and agree but for their excess, of
    order 1.
    """

    alpha: float
    beta: float
    gamma: float
    a: float
    loss: float
    excess: float


def perturbed_copies(kernel, k, n, d=None, flipped=0):
    """The student of n perturbed copies: each copies a teacher neuron, all share the k - n others.

    Student neuron i copies teacher neuron i of e_1, ..., e_k. A critical point, and a minimum only
    where n is large enough: for erf from `phase_boundaries` on, n >= 22 at k = 50.

    Parameters
    ----------
    kernel : kernels.Kernel
    k, n : int
        Teacher and student neurons, ``2 <= n <= k``.
    d : int
        Input dimension, at least k; d = k if None.
    flipped : int
        How many student neurons, the last ones, copy with the opposite sign, w_i near -e_i. Such
        points exist for some n only, and where ``sigma(-y) = sigma(y) - y``: relu, softplus, gelu;
        0 for erf.

    Returns
    -------
    Network (n, d)
        With a = 1 for relu; the teacher at n = k.

    Raises
    ------
    ValueError
        Where no such point is found.

    Notes
    -----
    For erf solved in four numbers, for others in those of ``lib.students.symmetric``, by
    continuation from n = k. The gradient is zero to rounding of the weights: for erf ``|gradient|
    <= sqrt(n) max(1e-12, 5e-15 a sqrt(k))``, where a is huge if n is small, 5884 at k = 1000, n =
    3; for relu ``1e-12 sqrt(n)`` up to k = 50, ``1e-11 sqrt(n)`` at k = 100 and ``3e-9 sqrt(n)`` at
    k = 1000, n = 2, where the neurons are nearly parallel.

    Examples
    --------
    >>> student = perturbed_copies(kernels.erf, k=8, n=6)
    >>> L = PopulationLoss(Network.orthonormal(8), kernels.erf)
    >>> bool(np.abs(L.gradient(student).ravel()).max() < 1e-11)
    True
    >>> f"{L(student):.4f} {copy_average_loss([1, 1, 1, 1, 1, 3]):.4f}"
    '0.0414 0.0406'
    """
    instance("kernel", kernel, Kernel)
    k, n = neurons(k, n, least=2)
    d = k if d is None else integer("d", d, least=k)
    flipped = checked_flipped(flipped, n, kernel)
    if n == k and not flipped:
        return Network.orthonormal(k, d)
    if kernel is kernels.erf:
        return perturbed_network(erf_perturbed_copies(k, n), d, np.arange(k), np.arange(n))
    return symmetric_copies(kernel, d, Classes(n - flipped, flipped, k - n, 0))


@np.errstate(over="ignore", invalid="ignore")  # a guess far off overflows, and is refused
def erf_perturbed_copies(k, n):
    """The `PerturbedCopies` for real 2 <= n < k, by continuation in n from the teacher at n = k.

    For k >= 22 the branch folds below n = 2.18 (n = 2.034 at k = 50) and returns to n = 2, where an
    asymptotic guess replaces the continuation; between 2 and the fold, ValueError. The cost does
    not depend on k and n; accurate up to k = 1e18.
    """
    k, n = float(k), float(n)
    if not 2.0 <= n < k < math.inf:
        raise ValueError(f"n must be at least 2 and below k = {k}, got {n}")
    if n == 2.0:
        # At large k: a = k / 2, y_1 - y_2 = (e_1 - e_2) / sqrt(k), and the linear part matched.
        theta = _newton([(math.sqrt(k) + 2 * _S) / 4, 0.0, 0.0, k / 2], k, n)
    else:
        theta = _continue_from_teacher(k, n)
    if theta is None or not _is_perturbed_copies(theta, n):
        where = f"k = {k:g}, n = {n:g}"
        raise ValueError(f"n must be where perturbed copies exist: none were found for {where}")
    return _numbers(*_polished(theta, k, n), k, n)


def perturbed_network(numbers, d, teachers, copied):
    """The Network (n, d) whose neuron i copies coordinate copied[i], (n,); all share the others."""
    n = len(copied)
    W = np.zeros((n, d))
    W[:, teachers] = numbers.gamma
    W[:, copied] = numbers.beta
    W[np.arange(n), copied] = numbers.alpha
    return Network(W, np.full(n, numbers.a))


# The reduced problem. theta = (A, rho, sigma, a), where (A, B, G) = a y are the weights of neuron i
# on its own, another copied and an uncopied teacher, and the linear part of the student misses that
# of the teachers by rho = A + (n - 1) B - 1/sqrt 2 on each copied and sigma = n G - 1/sqrt 2 on
# each uncopied one. With m = k - n,
#   (pi/2) (L / n) = rho^2 + (m/n) sigma^2 + a^2 [h(C_0) + (n - 1) h(C)]
#                    - 2 a [h(D_A) + (n - 1) h(D_B) + m h(D_G)] + constant,    h(t) = arcsin t - t,
# C_0 = |y|^2, C = y_i . y_j, D = y . p_j. All terms are of order 1 or smaller: k / n may be 1e7.


def _weights(theta, n, p=_S):
    """(A, B, G) = a y."""
    A, rho, sigma, _ = theta
    return np.array([A, (p + rho - A) / (n - 1), (p + sigma) / n])


def _slopes_of_weights(n):
    """d(A, B, G) / dtheta (3, 4)."""
    return np.array([[1, 0, 0, 0], [-1 / (n - 1), 1 / (n - 1), 0, 0], [0, 0, 1 / n, 0]])


def _products(z, k, n):
    """The matrices of |z|^2 and z_i . z_j, forms in z = (A, B, G), applied to z: (2, 3)."""
    A, B, G = z
    return np.array([[A, (n - 1) * B, (k - n) * G], [B, A + (n - 2) * B, (k - n) * G]])


def _terms(theta, k, n, p=_S):
    """Each term is weight a^e h(T / a^e) with T quadratic (e = 2) or linear (e = 1) in (A, B, G).

    e, weight and t = T / a^e (5,), dT / dtheta (5, 4), and the weights stiff (4,) of theta^2 / 2.
    Numbers may be floats or Decimals, with p = 1 / sqrt 2.
    """
    z = _weights(theta, n, p)
    Mz = _products(z, k, n)
    e = np.array([2, 2, 1, 1, 1])
    weight = np.array([1, n - 1, -2, -2 * (n - 1), -2 * (k - n)])
    J = _slopes_of_weights(n)
    t = np.concatenate((Mz @ z, p * z)) / theta[3] ** e
    return e, weight, t, np.concatenate((2 * Mz @ J, p * J)), np.array([0, 2, 2 * (k - n) / n, 0])


def _gradient(theta, e, weight, dT, stiff, slope, rest):
    """Of (pi/2) (L / n) in theta (4,), with h' and h - t h' at the arguments t."""
    gradient = (weight * slope) @ dT + stiff * theta
    gradient[3] += (weight * e * theta[3] ** (e - 1)) @ rest
    return gradient


def _derivatives(theta, k, n):
    """Gradient (4,), Hessian (4, 4) of (pi/2) (L / n) in theta, and the largest argument of h."""
    e, weight, t, dT, stiff = _terms(theta, k, n)
    _, slope, curvature, rest = jets(t)
    gradient = _gradient(theta, e, weight, dT, stiff, slope, rest)

    a = theta[3]
    dT[:, 3] = -e * t * a ** (e - 1)  # now a^e dt / dtheta
    hessian = dT.T @ ((weight * curvature / a**e)[:, None] * dT) + np.diag(stiff)
    J = _slopes_of_weights(n)
    for share, column in zip(weight[:2] * slope[:2], _products(np.eye(3), k, n), strict=True):
        hessian += 2 * share * J.T @ column @ J
    hessian[3, 3] += 2 * (weight[:2] @ rest[:2])
    return gradient, hessian, np.abs(t).max()


def _polished(theta, k, n):
    """theta and (A, B, G) as Decimals, by two Newton steps with a gradient of 30 digits.

    Where a is large the gradient is a small difference of large terms: floats leave 9 digits at
    k = 10^6, n = 3.
    """
    inverse = np.linalg.inv(_derivatives(theta, k, n)[1])
    with decimal.localcontext(decimal.Context(prec=30)):
        k, n = decimal.Decimal(k), decimal.Decimal(n)
        p = decimal.Decimal("0.5").sqrt()
        theta = np.array([decimal.Decimal(entry) for entry in theta])
        for _ in range(2):
            e, weight, t, dT, stiff = _terms(theta, k, n, p)
            gradient = _gradient(theta, e, weight, dT, stiff, *decimal_slopes(t))
            steps = inverse @ gradient.astype(float)
            theta = theta - [decimal.Decimal(step) for step in steps.tolist()]
        return theta, _weights(theta, n, p)


def _newton(theta, k, n):
    """The critical point that Newton's method reaches from theta, or None if it does not settle."""

    def derivatives(theta):
        if not (theta[3] > 0.0 and np.isfinite(theta).all()):
            return None
        *found, argument = _derivatives(theta, k, n)
        return found if argument < LARGEST_ARGUMENT else None

    return newton(derivatives, np.array(theta), _relative_size, _SETTLING)


def _relative_size(step, theta):
    return np.abs(step / np.maximum(1.0, np.abs(theta))).max()


def _continue_from_teacher(k, n):
    """theta at n, by secant steps in log n from (1/sqrt 2, 0, 0, 1), the limit n -> k; or None."""
    target = math.log1p((k - n) / n)

    def solve(there, guess):
        theta = _newton(guess, k, n if there == target else k * math.exp(-there))
        return None if theta is None or theta[0] <= 0.0 or theta[3] <= 0.0 else theta

    def close(found, guess):
        return np.abs(found - guess).max() < 0.15

    start = np.array([_S, 0.0, 0.0, 1.0])
    return follow(solve, start, 0.0, target, _PACE, close, Chart(_log, _exp))


def _log(theta):
    """A and a vary by powers of n / k: they are continued by their logarithms."""
    return np.array([math.log(theta[0]), theta[1], theta[2], math.log(theta[3])])


def _exp(logs):
    return np.array([np.exp(logs[0]), logs[1], logs[2], np.exp(logs[3])])


def _is_perturbed_copies(theta, n):
    """A > G > 0 >= B and a >= 1, up to the rounding that is left of B and a - 1 at k > 1e12.

    No other symmetric critical point passes: equal neurons (the average of all) have A = B.
    """
    A, B, G = _weights(theta, n)
    return A > G > 0.0 and (n - 1) * B < 1e-12 and theta[3] > 1 - 1e-12


def _numbers(theta, weights, k, n):
    """PerturbedCopies of theta and (A, B, G); the excess is a sum of terms that are small."""
    rho, sigma, a = (float(entry) for entry in theta[1:])
    y = (weights / theta[3]).astype(float)
    squared_norm, C = _products(y, k, n) @ y
    other = (n - 1) * y[1] ** 2 + (k - n) * y[2] ** 2
    # c_q (a^2 |y|^2q - 2 a (A/a)^q 2^-q/2 + 2^-q), first with |y| for A / a, then the correction.
    power, teachers = math.sqrt(squared_norm) ** ORDERS, _S**ORDERS
    change = np.expm1(0.5 * ORDERS * math.log1p(-other / squared_norm))
    own = COEFFICIENTS @ ((a * power - teachers) ** 2 - 2 * a * teachers * power * change)
    h_C, h_B, h_G = jets(np.array([C, _S * y[1], _S * y[2]]))[0]
    cross = (n - 1) * a * (a * h_C - 2 * h_B) - 2 * a * (k - n) * h_G
    excess = float(2 / np.pi * (n * rho**2 + (k - n) * sigma**2 + n * own + n * cross))
    w = (float(entry) for entry in y / math.sqrt(1.0 - squared_norm))
    return PerturbedCopies(*w, a, (k - n) * LOST + excess, excess)
