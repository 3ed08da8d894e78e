"""What numba compiles: the erf loss, its derivatives, and the Newton iteration of a flow.

One file, because numba compiles again what stands in a file that has changed, but not its callers
in other files. Arguments: a student W (n, d), a (n,) and `teacher`, the four V (k, d), b (k,),
Q = 1 + |v|^2 (k,) and unit, true if V holds the first k unit vectors: they cost no matrix product.

With P = 1 + |w|^2 and D = P Q - s^2 the erf kernel has the derivatives
g_s = X, g_p = -s X / 2P, g_ss = s Y, g_sp = -Q Y / 2, g_pq = s Y / 4 and
g_pp = s Y (2 D + P Q) / 4P^2, where X = (2/pi) / sqrt(D) and Y = X / D.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from numba import config, njit

# Above this |w|^2 the plain difference P Q - s^2 loses digits (see lib.pairs): NumPy takes over.
LARGEST_SQUARED_NORM = 1000.0
# How a Newton iteration ends.
SOLVED, FAILED, LONG = 0, 1, 2

_TWO_OVER_PI = 2.0 / math.pi

# (arcsin(x) - x) / x^3 as a polynomial of z = x^2 in [0, 1/4]: mpmath's chebyfit, off by 4e-15, so
# that arcsin(x) is off by z times that; tests/lib/fast/test_compiled.py computes it again.
_C0 = 0.1666666666666695
_C1 = 0.07499999999726302
_C2 = 0.044642857578717755
_C3 = 0.030381917485400308
_C4 = 0.022373010066676288
_C5 = 0.017337192543712077
_C6 = 0.014140941807431192
_C7 = 0.0102896411236249
_C8 = 0.015445133336819308
_C9 = -0.006822043980671263
_C10 = 0.027871289137110143

# Loops run on vector registers if sums may be reordered and a division by zero gives inf; NaN and
# inf stay.
_OPTIONS = dict(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
_inlined = njit(inline="always", **_OPTIONS)

if config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set: not compiled, these loops are slower than NumPy")


def _compiled(function):
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        warnings.warn(
            "numba finds no folder for what it compiles, and every process compiles it again; "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=1,
        )
        return njit(**_OPTIONS)(function)


class Linearisation(NamedTuple):
    """What a Hessian-vector product needs at a student W (n, d), a (n,): arrays, made once.

    Of pairs of students, (n, n): g, X, g_p, a g_ss, a g_sp, and a X with twice norm_pull on its
    diagonal. Of students and teachers, (n, k): b X, b t_ss, b t_sp. pull and norm_pull: see
    `_pulls`. P = 1 + |w|^2 (n,).
    """

    G: np.ndarray
    X: np.ndarray
    p: np.ndarray
    ss: np.ndarray
    sp: np.ndarray
    weights: np.ndarray
    bX: np.ndarray
    cross_ss: np.ndarray
    cross_sp: np.ndarray
    W: np.ndarray
    W_transposed: np.ndarray
    pull: np.ndarray
    pull_per_dp: np.ndarray
    a: np.ndarray
    P: np.ndarray
    norm_pull: np.ndarray


class Workspace(NamedTuple):
    """Space of one product.

    W and the direction (U, c) below it, so that one matrix product serves both, as a vector and as
    rows (2 n, d) of the same memory; its factors (n, 2 n); changes of s (n, n) and of the pull
    (n, d).
    """

    both: np.ndarray
    rows: np.ndarray
    factors: np.ndarray
    ds: np.ndarray
    change: np.ndarray


class Weights(NamedTuple):
    """theta in the order of `Network.ravel()`, its parts W (n, d) and a (n,) in the same memory."""

    theta: np.ndarray
    W: np.ndarray
    a: np.ndarray


@_inlined
def _arcsine(x):
    size = abs(x)
    small = size <= 0.5
    # arcsin(x) = pi/2 - 2 arcsin(sqrt((1 - x) / 2)) brings every argument below 1/2.
    z = x * x if small else 0.5 - 0.5 * size
    y = size if small else math.sqrt(z)
    high = (((((_C10 * z + _C9) * z + _C8) * z + _C7) * z + _C6) * z + _C5) * z + _C4
    y += y * z * ((((high * z + _C3) * z + _C2) * z + _C1) * z + _C0)
    return math.copysign(y if small else 0.5 * math.pi - 2.0 * y, x)


@_compiled
def _times(A, B):
    """A B. np.dot always gets the array it writes to: numba compiles each way of calling it."""
    out = np.empty((A.shape[0], B.shape[1]))
    np.dot(A, B, out)
    return out


@_compiled
def _inner_products(A, B):
    """A B^T: the products of all rows of A with all of B."""
    out = np.empty((A.shape[0], B.shape[0]))
    np.dot(A, B.T, out)
    return out


@_compiled
def _own_tables(W):
    """s, g, X of all pairs of rows of W, and P with its inverse root."""
    n = W.shape[0]
    S = _inner_products(W, W)
    G, X = np.empty((n, n)), np.empty((n, n))
    P, inverse = np.empty(n), np.empty(n)
    for i in range(n):
        P[i] = 1.0 + S[i, i]
        inverse[i] = 1.0 / math.sqrt(P[i])
    for i in range(n):
        for j in range(i):
            s = S[i, j]
            X[i, j] = _TWO_OVER_PI / math.sqrt(P[i] * P[j] - s * s)
            G[i, j] = _TWO_OVER_PI * _arcsine(s * inverse[i] * inverse[j])
        X[i, i] = _TWO_OVER_PI / math.sqrt(2.0 * P[i] - 1.0)
        G[i, i] = _TWO_OVER_PI * math.atan((P[i] - 1.0) / math.sqrt(2.0 * P[i] - 1.0))
    for i in range(n):
        for j in range(i):
            X[j, i] = X[i, j]
            G[j, i] = G[i, j]
    return S, G, X, P, inverse


@_compiled
def _cross_tables(W, P, inverse, V, b, Q, unit):
    """s, b X of all pairs of a row of W with one of V, and the sums over teachers of b g."""
    n, k = W.shape[0], V.shape[0]
    T = _onto(W, V, unit)
    X, g = np.empty((n, k)), np.empty(n)
    inverse_q = np.empty(k)
    for j in range(k):
        inverse_q[j] = 1.0 / math.sqrt(Q[j])
    for i in range(n):
        total = 0.0
        for j in range(k):
            t = T[i, j]
            X[i, j] = _TWO_OVER_PI * b[j] / math.sqrt(P[i] * Q[j] - t * t)
            total += b[j] * _arcsine(t * inverse[i] * inverse_q[j])
        g[i] = _TWO_OVER_PI * total
    return T, X, g


@_compiled
def _onto(W, V, unit):
    """W V^T; unit vectors only select columns, and whoever uses it reads no others."""
    return W if unit else _inner_products(W, V)


@_compiled
def _subtract_teacher(out, M, V, unit):
    """out -= M V."""
    if unit:
        for i in range(M.shape[0]):
            for j in range(M.shape[1]):
                out[i, j] -= M[i, j]
    else:
        product = _times(M, V)
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] -= product[i, j]


@_compiled
def _pulls(W, a, S, X, P, T, bX, V, unit):
    """(pull, weighted own X with the change of norm on its diagonal, norm_pull): see loss._pull."""
    n, k = bX.shape
    weights, norm_pull = np.empty((n, n)), np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            weights[i, j] = a[j] * X[i, j]
            total += weights[i, j] * S[i, j]
        for j in range(k):
            total -= bX[i, j] * T[i, j]
        norm_pull[i] = -0.5 * total / P[i]
        weights[i, i] += 2.0 * norm_pull[i]
    pull = _times(weights, W)
    _subtract_teacher(pull, bX, V, unit)
    return pull, weights, norm_pull


@_compiled
def _summary(a, pull, G, cross):
    n, d = pull.shape
    gradient = np.empty(n * d + n)
    value = 0.0
    for i in range(n):
        own = 0.0
        for j in range(n):
            own += G[i, j] * a[j]
        for x in range(d):
            gradient[i * d + x] = 2.0 * a[i] * pull[i, x]
        gradient[n * d + i] = 2.0 * (own - cross[i])
        value += a[i] * (own - 2.0 * cross[i])
    return value, gradient


@_compiled
def value_and_gradient(W, a, V, b, Q, unit):
    """The loss but for the teacher's own part, and its gradient as `Network.ravel()` orders it."""
    S, G, X, P, inverse = _own_tables(W)
    T, bX, g = _cross_tables(W, P, inverse, V, b, Q, unit)
    pull, _, _ = _pulls(W, a, S, X, P, T, bX, V, unit)
    return _summary(a, pull, G, g)


@_compiled
def linearise(W, a, V, b, Q, unit):
    """(loss but for the teacher's own part, gradient, `Linearisation`)."""
    S, G, X, P, inverse = _own_tables(W)
    T, bX, g = _cross_tables(W, P, inverse, V, b, Q, unit)
    pull, weights, norm_pull = _pulls(W, a, S, X, P, T, bX, V, unit)
    value, gradient = _summary(a, pull, G, g)
    p, ss, sp, second = _own_second(a, S, X, P)
    cross_ss, cross_sp, cross_second = _cross_second(P, T, bX, Q)
    pull_per_dp = _times(sp, W)
    _subtract_teacher(pull_per_dp, cross_sp, V, unit)
    for i in range(W.shape[0]):
        factor = 0.5 * (second[i] - cross_second[i]) / P[i] ** 2
        for x in range(W.shape[1]):
            pull_per_dp[i, x] += factor * W[i, x]
    # A copy: products of small matrices take longer with W.T.
    W_transposed = np.empty((W.shape[1], W.shape[0]))
    for i in range(W.shape[0]):
        for x in range(W.shape[1]):
            W_transposed[x, i] = W[i, x]
    at = Linearisation(
        G, X, p, ss, sp, weights, bX, cross_ss, cross_sp,
        W, W_transposed, pull, pull_per_dp, a, P, norm_pull,
    )  # fmt: skip
    return value, gradient, at


@_compiled
def _own_second(a, S, X, P):
    """g_p, a g_ss, a g_sp and the sums of a g_pp times 2P^2, over pairs of students."""
    n = len(a)
    p, ss, sp, second = np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            s, product = S[i, j], P[i] * P[j]
            # On the diagonal D = 2P - 1: there the difference would lose digits.
            determinant = product - s * s if i != j else 2.0 * P[i] - 1.0
            aY = a[j] * X[i, j] / determinant
            ss[i, j] = s * aY
            total += s * aY * (determinant + 0.5 * product)
            sp[i, j] = aY
        second[i] = total * 2.0
        for j in range(n):
            sp[i, j] *= -0.5 * P[j]
        for j in range(n):
            p[i, j] = S[i, j] * X[i, j] * (-0.5 / P[i])
    return p, ss, sp, second


@_compiled
def _cross_second(P, T, bX, Q):
    """b t_ss, b t_sp and the sums of b t_pp times 2P^2, over pairs of a student and a teacher."""
    n, k = bX.shape
    ss, sp, second = np.empty((n, k)), np.empty((n, k)), np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(k):
            t, product = T[i, j], P[i] * Q[j]
            determinant = product - t * t
            bY = bX[i, j] / determinant
            ss[i, j] = t * bY
            total += t * bY * (determinant + 0.5 * product)
            sp[i, j] = -0.5 * Q[j] * bY
        second[i] = total * 2.0
    return ss, sp, second


@_compiled
def enter(at, work):
    """Write the student into the workspace, as `multiply` and `solve` expect it there."""
    n, d = at.W.shape
    for i in range(n):
        for x in range(d):
            work.rows[i, x] = at.W[i, x]
        for j in range(n):
            work.factors[i, n + j] = at.weights[i, j]


@_compiled
def multiply(at, V, unit, work, out):
    """out = Hessian times the direction in the workspace."""
    (
        G, X, p, ss, sp, weights, bX, cross_ss, cross_sp,
        W, W_transposed, pull, pull_per_dp, a, P, norm_pull,
    ) = at  # fmt: skip
    both, rows, factors, ds, change = work
    n, d = W.shape
    k = V.shape[0]
    U, c = rows[n:], both[2 * n * d :]
    np.dot(U, W_transposed, ds)
    for i in range(n):
        for j in range(i + 1):
            ds[i, j] += ds[j, i]
            ds[j, i] = ds[i, j]
    dt = _onto(U, V, unit)
    dp, dp_over_P, a_dp_over_P = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        dp[i] = ds[i, i]
        dp_over_P[i] = dp[i] / P[i]
        a_dp_over_P[i] = a[i] * dp_over_P[i]
    # Loops that write and read few arrays at a time: only these does the compiler vectorise.
    for i in range(n):
        norm_change, outgoing = 0.0, 0.0
        for j in range(n):
            norm_change += p[i, j] * c[j] + 0.25 * ss[i, j] * dp[j] + sp[i, j] * ds[i, j]
            outgoing += G[i, j] * c[j] + P[i] * p[i, j] * a_dp_over_P[j] + weights[i, j] * ds[i, j]
        for j in range(k):
            norm_change -= cross_sp[i, j] * dt[i, j]
            outgoing -= bX[i, j] * dt[i, j]
        for j in range(n):
            factors[i, j] = ss[i, j] * ds[i, j] + P[i] * sp[i, j] * dp_over_P[j] + X[i, j] * c[j]
        factors[i, i] += 2.0 * norm_change
        # The diagonal of the weights holds 2 norm_pull; one of it belongs here.
        out[n * d + i] = 2.0 * (outgoing - dp[i] * norm_pull[i])
    np.dot(factors, rows, change)
    if unit:
        for i in range(n):
            for j in range(k):
                change[i, j] -= cross_ss[i, j] * dt[i, j]
    else:
        for i in range(n):
            for j in range(k):
                dt[i, j] *= cross_ss[i, j]
        _subtract_teacher(change, dt, V, unit)
    for i in range(n):
        for x in range(d):
            value = c[i] * pull[i, x] + a[i] * (change[i, x] + dp[i] * pull_per_dp[i, x])
            out[i * d + x] = 2.0 * value


@_compiled
def solve(at, V, unit, work, shift, b, tolerance, most):
    """Conjugate gradients, as the operator of a PopulationLoss: (whether solved, x, products)."""
    N = b.size
    p = work.both[work.both.size - N :]
    x, r, Ap = np.empty(N), np.empty(N), np.empty(N)
    square = 0.0
    for i in range(N):
        x[i] = 0.0
        r[i] = p[i] = b[i]
        square += b[i] * b[i]
    smallest = square
    for products in range(most):
        if smallest <= tolerance**2:
            return True, x, products
        multiply(at, V, unit, work, Ap)
        curvature = 0.0
        for i in range(N):
            Ap[i] += shift * p[i]
            curvature += p[i] * Ap[i]
        if not curvature > 0.0:
            return False, x, products + 1
        step = square / curvature
        previous, square = square, 0.0
        for i in range(N):
            x[i] += step * p[i]
            r[i] -= step * Ap[i]
            square += r[i] * r[i]
        smallest *= square / (square + smallest)
        for i in range(N):
            p[i] = r[i] + (square / previous) * p[i]
    return False, x, most


@_compiled
def correct(
    differences, history_weights, c, absolute, relative, left_over, last_correction, iterations,
    most, predicted, corrected, work, V, b, Q, unit,
):  # fmt: skip
    """As `lib.descent.ndf.NDF._correct`; first of what is returned is how it ended.

    predicted, corrected: Weights that are written, the second with the new ones. LONG: a weight
    vector is too long for the formulas of this file.
    """
    theta = corrected.theta
    N = theta.size
    history, change = np.empty(N), np.empty(N)
    for i in range(N):
        predicted.theta[i] = history[i] = change[i] = 0.0
    for j in range(len(history_weights)):
        for i in range(N):
            predicted.theta[i] += differences[j, i]
            history[i] += history_weights[j] * differences[j, i]
    for i in range(N):
        theta[i] = predicted.theta[i]
    total = 0
    if not _is_short(predicted.W):
        return LONG, change, 0.0, history, 0, total
    value, gradient, at = linearise(predicted.W, predicted.a, V, b, Q, unit)
    enter(at, work)
    small = left_over * absolute * math.sqrt(N)
    previous = np.inf
    for iteration in range(iterations):
        residual = np.empty(N)
        square = 0.0
        for i in range(N):
            residual[i] = -gradient[i] - (history[i] + change[i]) / c
            square += residual[i] * residual[i]
        tolerance = small / c if iteration else min(small / c, 0.1 * math.sqrt(square))
        solved, correction, products = solve(at, V, unit, work, 1.0 / c, residual, tolerance, most)
        total += products
        if not solved:
            return FAILED, change, value, gradient, iteration, total
        if iteration and products == 0:
            return SOLVED, change, value, gradient, iteration, total
        size = scaled_size(correction, predicted.theta, absolute, relative)
        if not size < 0.9 * previous:
            return FAILED, change, value, gradient, iteration, total
        for i in range(N):
            change[i] += correction[i]
            theta[i] = predicted.theta[i] + change[i]
        if not _is_short(corrected.W):
            return LONG, change, value, gradient, iteration, total
        value, gradient = value_and_gradient(corrected.W, corrected.a, V, b, Q, unit)
        if iteration and size <= last_correction:
            return SOLVED, change, value, gradient, iteration + 1, total
        previous = size
    return FAILED, change, value, gradient, iterations, total


@_compiled
def _is_short(W):
    for i in range(W.shape[0]):
        square = 0.0
        for x in range(W.shape[1]):
            square += W[i, x] * W[i, x]
        if not square <= LARGEST_SQUARED_NORM:
            return False
    return True


@_compiled
def extend_differences(differences, order, change):
    """As `lib.descent.ndf.NDF._extend_differences`, in place."""
    for i in range(change.size):
        differences[order + 2, i] = change[i] - differences[order + 1, i]
        differences[order + 1, i] = change[i]
    for j in range(order, -1, -1):
        for i in range(change.size):
            differences[j, i] += differences[j + 1, i]


@_compiled
def scaled_size(vector, theta, absolute, relative):
    """As `lib.descent.ndf.NDF._size`."""
    total = 0.0
    for i in range(vector.size):
        scaled = vector[i] / (absolute + relative * abs(theta[i]))
        total += scaled * scaled
    return math.sqrt(total / vector.size)
