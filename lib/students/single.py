"""The best single neuron (n = 1) for an orthonormal teacher of k neurons.

The loss depends on the student only through a, r = |w| and the cosines u_j = w.v_j / r with
sum u_j^2 <= 1. At equal cosines u_j = 1 / sqrt(k), where the optimum lies (see the chapter
one_neuron), two numbers are left:

    L(a, r) = a^2 G(r) - 2 a k T(r) + E[f_teacher^2],
    G(r) = g(r^2, r^2, r^2),   T(r) = g(r / sqrt(k), r^2, 1).

For given r the best a is k T / G. What is left is one equation in r,
d log T / dr = (1/2) d log G / dr.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from lib import kernels
from lib.arguments import instance, integer
from lib.kernels import Kernel, arctan_remainder
from lib.records import record
from lib.students.averaging import copy_average_loss

# r sqrt(k) is 1 at k = 1 and tends to a constant between 0.5 and 0.9 as k grows (chapter
# one_neuron).
_BRACKET = 0.1, 3.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


@record
class OneNeuron(NamedTuple):
    """The optimum over one neuron, ``w = r / sqrt(k) sum_j v_j``; see `one_neuron`.

    Attributes
    ----------
    a, r, loss : float
        Outgoing weight, length of the incoming vector, and the loss there.

    Examples
    --------
    >>> one_neuron(kernels.erf, 5).a
    5.0
    """

    a: float
    r: float
    loss: float


def one_neuron(kernel, k):
    """The optimum over one neuron, for k orthonormal teacher neurons with outgoing weights 1.

    Closed form for erf, ``a = k``, ``r = 1 / sqrt(2 k - 1)``, and relu, where only a r is
    determined and r = 1 is returned; for tanh, sigmoid and softplus one bracketed scalar equation,
    solved to 1e-10 relative or better for k up to 1e6. For other kernels the same equation gives
    the best neuron of equal cosines, and that no small turn of it is better is checked.

    Parameters
    ----------
    kernel : kernels.Kernel
    k : int
        Teacher neurons, at least 1.

    Returns
    -------
    OneNeuron

    Raises
    ------
    ValueError
        For gelu with k >= 2: its loss keeps falling as r grows, towards that of relu, and has no
        minimum. For other kernels where no neuron of equal cosines is a minimum.

    Notes
    -----
    That the optimum lies at equal cosines is shown for erf, relu, tanh, sigmoid and softplus in
    the chapter on one neuron and the page on other activations; for any other kernel a neuron far
    from this one may be better. The scalar equation is ``d log T / dr = (1/2) d log G / dr`` with
    ``G = g(r^2, r^2, r^2)`` and ``T = g(r / sqrt(k), r^2, 1)``.

    Examples
    --------
    >>> best = one_neuron(kernels.erf, 5)
    >>> f"{best.r:.6f} {best.loss:.6f}"
    '0.333333 0.072453'
    """
    instance("kernel", kernel, Kernel)
    k = integer("k", k, least=1)
    if k == 1:
        return OneNeuron(1.0, 1.0, 0.0)
    if kernel is kernels.erf:
        return OneNeuron(float(k), float(1.0 / np.sqrt(2.0 * k - 1.0)), copy_average_loss([k]))
    if kernel.homogeneous:
        return _checked(kernel, k, _homogeneous_optimum(kernel, k))
    if kernel is kernels.gelu:
        raise ValueError(
            f"k must be 1 for gelu, got {k}: for k >= 2 the loss decreases for ever as |w| grows "
            "and the student tends to a relu neuron; there is no optimum"
        )
    balance = _odd_balance if kernel is kernels.tanh else _balance
    low, high = (edge / np.sqrt(k) for edge in _BRACKET)
    ends = np.array([balance(kernel, k, r) for r in (low, high)])
    if not ends[0] > 0.0 > ends[1]:
        raise ValueError(_NO_OPTIMUM.format(kernel, k))
    r = brentq(lambda r: balance(kernel, k, r), low, high, xtol=1e-300, rtol=1e-15)
    return _checked(kernel, k, _with_best_outgoing_weight(kernel, k, r))


_NO_OPTIMUM = (
    "kernel must have a best neuron of equal cosines, got {}, for which none is found at k = {}: "
    "flows of one neuron, gradient_flow(L, glorot(rng, 1, d)), tell what there is"
)


def _checked(kernel, k, best):
    """The best of equal cosines, if the overlap falls, to second order, when two are made unequal:
    sum_j T(u_j) is at a maximum among u with sum_j u_j^2 = 1 where T'' < T' / u.
    """
    at = best.r / np.sqrt(k), best.r**2, 1.0
    slope, bend = kernel.gradient(*at)[0] * np.sqrt(k), kernel.hessian(*at)[0] * best.r
    if not bend < slope * (1.0 - 1e-9):
        raise ValueError(_NO_OPTIMUM.format(kernel, k))
    return best


def _homogeneous_optimum(kernel, k):
    """a r = k T / G at r = 1 from dL/da = 0; L = E[f_teacher^2] - (a r)^2 G."""
    G, across = float(kernel(1.0, 1.0, 1.0)), float(kernel(0.0, 1.0, 1.0))
    strength = k * float(kernel(1 / np.sqrt(k), 1.0, 1.0)) / G
    return OneNeuron(strength, 1.0, k * G + k * (k - 1) * across - strength**2 * G)


def _balance(kernel, k, r):
    """G T' - T G' / 2: positive below the optimal r, negative above."""
    p = r * r
    G, T = kernel(p, p, p), kernel(r / np.sqrt(k), p, 1.0)
    G_s, G_p, _ = kernel.gradient(p, p, p)
    T_s, T_p, _ = kernel.gradient(r / np.sqrt(k), p, 1.0)
    return G * (T_s / np.sqrt(k) + 2 * r * T_p) - T * r * (G_s + 2 * G_p)


def _odd_balance(kernel, k, r):
    """The same for an odd sigma.

    There G and T are r^2 and r to leading order and their terms cancel in the balance, so it is
    summed from what they leave, over the noise variances t, t' of the kernel. One term of T is
    arctan x = arcsin X with X = s / sqrt((p + t)(q + t')), and one of T - r T' is x p / (p + t) -
    (x - arctan x). Both sums are split into the part linear in X and the rest. The linear parts
    T_0, G_0 have one and the same ratio (T_0 - r T_0') / T_0 = (G_0 - r G_0' / 2) / G_0.
    """
    p = r * r
    t, weight = kernel.variances, kernel.weights
    shrink = p / (p + t)
    ratio = (weight * np.sqrt(shrink)) @ shrink / (weight @ np.sqrt(shrink))

    def linear_rest_and_defect(s, q, shrink):
        sine = s / np.sqrt(np.multiply.outer(p + t, q + t))
        noise = p * t[None, :] + q * t[:, None] + np.multiply.outer(t, t)
        tangent = s / np.sqrt(p * q - s * s + noise)
        tangent_excess = tangent * sine * sine / (1.0 + sine / tangent)
        remainder = arctan_remainder(tangent)
        sums = sine, tangent_excess - remainder, tangent_excess * shrink - remainder
        return (weight @ part @ weight for part in sums)

    T_0, T_1, T_defect = linear_rest_and_defect(r / np.sqrt(k), 1.0, shrink[:, None])
    G_0, G_1, G_defect = linear_rest_and_defect(p, p, (shrink[:, None] + shrink) / 2)
    return ratio * (T_1 * G_0 - G_1 * T_0) + (T_0 + T_1) * G_defect - (G_0 + G_1) * T_defect


def _with_best_outgoing_weight(kernel, k, r):
    """a = k T / G, and L as squared mean difference plus variance: no cancellation at large k."""
    p = r * r
    mean_square, teacher_square = kernel(0.0, p, p), kernel(0.0, 1.0, 1.0)
    G = _covariance(kernel, p, p, p)
    T = _covariance(kernel, r / np.sqrt(k), p, 1.0)
    V = _covariance(kernel, 1.0, 1.0, 1.0)
    a = k * (kernel(0.0, p, 1.0) + T) / (mean_square + G)
    mean_difference = a * np.sqrt(mean_square) - k * np.sqrt(teacher_square)
    loss = mean_difference**2 + a * a * G - 2 * a * k * T + k * V
    return OneNeuron(float(a), float(r), float(loss))


def _covariance(kernel, s, p, q):
    """g(s, p, q) - g(0, p, q) as the integral of g_s, by 60 Gauss-Legendre nodes."""
    g_s, _, _ = kernel.gradient(s * (1 + _NODES) / 2, p, q)
    return s / 2 * (_WEIGHTS @ g_s)
