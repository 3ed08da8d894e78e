"""Students of correlated teachers: k unit vectors with one cosine c between any two, under erf.

In y = w / sqrt(1 + |w|^2) the averaging theorem holds as for orthonormal teachers: copy-average is
a critical point, in closed form. Perturbed copies are continued from c = 0 in the four numbers of
lib.students.symmetric. Where a student stops being a minimum is decided by two blocks of the
Hessian, written in y: at a critical point a change of coordinates keeps the signs of eigenvalues.
"""

import functools
import math

import numpy as np
from scipy.optimize import brentq

from lib import kernels
from lib.arguments import integer, neurons, real
from lib.networks import Network
from lib.students.spectrum import PhaseBoundaries, phase_boundaries
from lib.students.symmetric import Classes, symmetric_network, symmetric_root, symmetric_student


def equiangular(k, c, d=None):
    """The teacher of k unit incoming vectors with v_i . v_j = c, outgoing weights 1.

    Parameters
    ----------
    k : int
    c : float
        ``0 <= c < 1``.
    d : int
        Input dimension, at least k; d = k if None.

    Returns
    -------
    Network (k, d)
        Its vectors are the rows of the symmetric root of their Gram matrix.

    Examples
    --------
    >>> V = equiangular(3, 0.25).W
    >>> (V @ V.T).round(12)
    array([[1.  , 0.25, 0.25],
           [0.25, 1.  , 0.25],
           [0.25, 0.25, 1.  ]])
    """
    k = integer("k", k, least=1)
    c = _cosine(c)
    d = k if d is None else integer("d", d, least=k)
    x, y = symmetric_root(k, c)
    return Network(np.pad(x * np.eye(k) + y, ((0, 0), (0, d - k))), np.ones(k))


def correlated_copy_average(k, n, c, d=None):
    """Optimal copy-average: n - 1 copies and one average of the m = k - n + 1 others.

    Parameters
    ----------
    k, n : int
        ``1 <= n <= k``.
    c : float
        Cosine of any two teacher neurons, ``0 <= c < 1``.
    d : int
        Input dimension, at least k; d = k if None.

    Returns
    -------
    Network (n, d)
        A critical point of the erf loss for `equiangular` (k, c).

    Examples
    --------
    >>> student = correlated_copy_average(6, 3, 0.3)
    >>> L = PopulationLoss(equiangular(6, 0.3), kernels.erf)
    >>> bool(np.abs(L.gradient(student).ravel()).max() < 1e-14), f"{L(student):.7f}"
    (True, '0.0410951')
    """
    k, n, d, c = _sizes(k, n, d, c, least=1)
    V = equiangular(k, c, d).W
    y = np.vstack((V[: n - 1], V[n - 1 :].mean(axis=0))) / math.sqrt(2)
    W = y / np.sqrt(1 - (y**2).sum(axis=1, keepdims=True))
    return Network(W, [1.0] * (n - 1) + [k - n + 1])


def correlated_copy_average_loss(m, c):
    """The loss of `correlated_copy_average`: that of averaging m teacher neurons.

    Parameters
    ----------
    m : float
        The teacher neurons that one neuron averages, m >= 1.
    c : float
        Cosine of any two teacher neurons, ``0 <= c < 1``.

    Returns
    -------
    float

    Examples
    --------
    >>> f"{correlated_copy_average_loss(4, 0.3):.7f}"
    '0.0410951'
    """
    m, c = real("m", m, least=1.0, most=1e15), _cosine(c)
    average = m * m * np.arcsin((1 + (m - 1) * c) / (2 * m))
    return float(2 / np.pi * (m * np.pi / 6 + m * (m - 1) * np.arcsin(c / 2) - average))


def correlated_copies(k, n, c, d=None):
    """Perturbed copies of `equiangular` (k, c) under erf, continued from c = 0.

    Parameters
    ----------
    k, n : int
        ``2 <= n < k``.
    c : float
        ``0 <= c < 1``.
    d : int
        Input dimension, at least k; d = k if None.

    Returns
    -------
    Network (n, d)

    Raises
    ------
    ValueError
        Where the branch is lost.

    Examples
    --------
    >>> student = correlated_copies(8, 6, 0.1)
    >>> L = PopulationLoss(equiangular(8, 0.1), kernels.erf)
    >>> bool(np.abs(L.gradient(student).ravel()).max() < 1e-11)
    True
    """
    k, n, d, c = _sizes(k, n, d, c, least=2)
    n = integer("n", n, least=2, most=k - 1)
    groups = np.split(np.arange(k), [n, n])
    return symmetric_network(_copies_at(k, n, c), d, *groups)


def copies_advantage(k, n, c):
    """Loss of the copy-average less that of the perturbed copies.

    Parameters
    ----------
    k, n : float
        ``2 <= n < k``.
    c : float
        Cosine of any two teacher neurons, ``0 <= c < 1``.

    Returns
    -------
    float
        Above 0 where perturbed copies are better.

    Raises
    ------
    ValueError
        Where the branch of perturbed copies is lost.

    Examples
    --------
    >>> [copies_advantage(10, n, 0.1) > 0 for n in (7, 8)]
    [False, True]
    """
    k, c = real("k", k, least=2.0, most=1e15), _cosine(c)
    n = real("n", n, least=2.0, most=k)
    return correlated_copy_average_loss(k - n + 1, c) - _copies_at(k, n, c).loss


def correlated_boundaries(k, c):
    """The real n at which the two minima of an erf student of `equiangular` (k, c) change.

    Parameters
    ----------
    k : int
        At least 7.
    c : float
        ``0 <= c < 1``.

    Returns
    -------
    PhaseBoundaries
        As `phase_boundaries`, which it is at c = 0; nan where there is no change between 2 and
        k - 1 or the branch is lost there.

    Notes
    -----
    Roots of the least eigenvalue of `unequal_copies`, of `copies_advantage`, and of
    ``k - m = leaning_threshold(m, c)``, next to those for c = 0. That nothing else changes is not
    proven.

    Examples
    --------
    >>> [f"{n:.3f}" for n in correlated_boundaries(10, 0.1)]
    ['5.752', '7.699', '8.417']
    """
    k, c = integer("k", k, least=7), _cosine(c)
    near = phase_boundaries(k)
    return PhaseBoundaries(
        _crossing(lambda n: np.linalg.eigvalsh(unequal_copies(k, n, c))[0], near[0], k),
        _crossing(lambda n: copies_advantage(k, n, c), near[1], k),
        _crossing(lambda n: n - 1 - leaning_threshold(k - n + 1, c), near[2], k),
    )


def leaning_threshold(m, c):
    """N_c(m, c): with more copies, the average of m leans to one side and copy-average is a saddle.

    Parameters
    ----------
    m : float
        The teacher neurons that one neuron averages, above 1.
    c : float
        Cosine of any two teacher neurons, ``0 <= c < 1``.

    Returns
    -------
    float
        inf where no number of copies is enough. At c = 0 the closed formula of `phase_boundaries`.

    Examples
    --------
    >>> f"{leaning_threshold(2, 0.1):.4f}"
    '4.1220'
    """
    m, c = real("m", m, least=1.0, most=1e15), _cosine(c)
    slope, bend = _arcsine_slopes(c / 2)
    slope_average, bend_average = _arcsine_slopes((1 + (m - 1) * c) / (2 * m))
    average = slope_average - (1 - c) * bend_average / (2 * m)
    copy = _arcsine_slopes(0.5)[0] - slope - (1 - c) * bend / 2
    return copy * average / (slope * (slope - average)) if slope > average else math.inf


def unequal_copies(k, n, c):
    """The 5 x 5 block of (pi/2) L at perturbed copies in which neurons become unequal; n is real.

    With factors xi_i of sum 0 and square sum 1, y_i changes by xi_i (t_0 v_i + t_1 sum of copied v
    + t_2 sum of uncopied v) + t_3 sum_j xi_j v_j, and a_i by xi_i t_4; half the second variation is
    t . block . t. Not normalized: only signs are those of the Hessian.
    """
    found, u, e = _copies_at(k, n, c), k - n, 1 - c
    own, other, uncopied, a = found.own[0], *found.across[0, [0, 2]], found.a[0]
    x, y = symmetric_root(k, c, -0.5)
    total = own + (n - 1) * other + u * uncopied
    norm = math.sqrt(1 + own**2 + (n - 1) * other**2 + u * uncopied**2)
    # y_i = A v_i + B (copied) + G (uncopied): products of v_i, v_i', both sums
    z = np.array([x * (own - other), x * other + y * total, x * uncopied + y * total]) / norm
    S, U = n * (1 + (n - 1) * c), u * (1 + (u - 1) * c)
    same = np.array([[1, S / n, u * c], [S / n, S, n * u * c], [u * c, n * u * c, U]])
    apart = same.copy()
    apart[0, 0] = c

    def form(matrix):  # in t, of one in its first three entries
        return np.pad(matrix, ((0, 2), (0, 2)))

    def vector(first, fourth):
        return np.array([*first, fourth, 0.0])

    steps = np.eye(5)
    mixed = e * (np.outer(steps[0], steps[3]) + np.outer(steps[3], steps[0]))
    turned, da = e * np.outer(steps[3], steps[3]), steps[4]

    def both(v, w):
        return (np.outer(v, w) + np.outer(w, v)) / 2

    C0, C = z @ same @ z, z @ apart @ z
    d0, d = 2 * vector(z @ same, z[0] * e), vector(z @ apart, z[0] * e)
    s0, b0 = _arcsine_slopes(C0)
    s, b = _arcsine_slopes(C)
    block = a * a * (s0 * (form(same) + mixed + n * turned) + b0 * np.outer(d0, d0) / 2)
    block += 2 * a * s0 * both(da, d0) + np.arcsin(C0) * np.outer(da, da)
    second = (n - 1) * (mixed + n * turned) - form(apart)
    block += a * a * (s * second + b * (n - 2) * np.outer(d, d))
    block += 2 * a * (n - 2) * s * both(da, d) - np.arcsin(C) * np.outer(da, da)
    # with the teachers: own, other copied, uncopied; rows of g . v_j for g = v_i, both sums
    rows = np.array([[1, S / n, u * c], [c, S / n, u * c], [c, n * c, U / u]]) / math.sqrt(2)
    for row, lean, others, cross in zip(rows, (e, e, 0), (1, n - 1, u), (1, -1, 0), strict=True):
        slope, bend = _arcsine_slopes(row @ z)
        g, h = vector(row, 0.0), lean / math.sqrt(2) * steps[3]
        squared = others * (np.outer(g, g) + np.outer(h, h)) + 2 * cross * both(g, h)
        block -= a * bend * squared + 2 * slope * both(da, others * g + cross * h)
    return block


def _arcsine_slopes(t):
    """The first two derivatives of arcsin."""
    rest = 1 - t * t
    return rest**-0.5, t * rest**-1.5


def _copies_at(k, n, c):
    found = symmetric_student(kernels.erf, Classes(float(n), 0.0, float(k - n), 0, float(c)))
    if found is None:
        raise ValueError(
            f"c must be where perturbed copies exist: lost for k={k}, n={n:g}, c={c:g}"
        )
    return found


def _crossing(function, near, k):
    """The root of a function that rises with n, next to `near`; nan if none is found."""
    function = functools.cache(function)  # brentq asks again at both sides
    try:
        for n in sorted(np.linspace(2.0, k - 1.0, 4 * k - 11), key=lambda n: abs(n - near)):
            low, high = max(n - 0.25, 2.0), min(n + 0.25, k - 0.01)
            if function(low) < 0 < function(high):
                return brentq(function, low, high, xtol=1e-9)
    except ValueError:  # the branch of perturbed copies is lost
        pass
    return math.nan


def _cosine(c):
    c = real("c", c, least=0.0)
    if c >= 1:
        raise ValueError(f"c must be below 1, got {c}")
    return c


def _sizes(k, n, d, c, least):
    k, n = neurons(k, n, least)
    return k, n, k if d is None else integer("d", d, least=k), _cosine(c)
