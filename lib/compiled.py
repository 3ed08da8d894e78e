"""The erf loss and its derivatives compiled by numba: the same numbers, several times faster.

    L = compiled.CompiledLoss(teacher)

is a PopulationLoss and behaves like one to 1e-12 (tests/test_compiled.py). What makes it fast: no
temporary arrays, symmetric pairs are computed once, and teachers that are unit vectors cost no
matrix product. This is the only module that needs numba (`pip install -e ".[fast]"`); the compiler
takes half a minute the first time and keeps its work on disk.

With P = 1 + |w|^2, Q = 1 + |v|^2 and D = P Q - s^2 the erf kernel has the derivatives
g_s = X, g_p = -s X / 2P, g_ss = s Y, g_sp = -Q Y / 2, g_pq = s Y / 4, g_pp = s Y (2 D + P Q) / 4P^2,
where X = (2/pi) / sqrt(D) and Y = X / D.
"""

import math

import numpy as np
from numba import njit
from scipy.sparse.linalg import LinearOperator

from lib import gram, kernels
from lib.loss import PopulationLoss
from lib.networks import Network

# Above this |w|^2 the plain difference P Q - s^2 loses digits (see gram.py): NumPy takes over.
_LARGEST_SQUARED_NORM = 1000.0

_TWO_OVER_PI = 2.0 / math.pi

# (arcsin(x) - x) / x^3 as a polynomial of x^2 in [0, 1/4]: minimax, 1e-16.
_C0, _C1, _C2, _C3 = 0.1666666666666695, 0.07499999999726302, 0.044642857578717755, 0.030381917485400308
_C4, _C5, _C6, _C7 = 0.022373010066676288, 0.017337192543712077, 0.014140941807431192, 0.0102896411236249
_C8, _C9, _C10 = 0.015445133336819308, -0.006822043980671263, 0.027871289137110143

# Loops run on vector registers if sums may be reordered and a division by zero gives inf; NaN and inf stay.
_OPTIONS = dict(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
_compiled, _inlined = njit(cache=True, **_OPTIONS), njit(inline="always", **_OPTIONS)


def prepare():
    """Compile now, unless it is on disk already."""
    L, student = CompiledLoss(Network.orthonormal(1)), Network([[0.5]], [1.0])
    hessian = L.hessian_operator(student)
    gradient = L.gradient(student).ravel()
    hessian.solve(1.0, gradient + hessian @ np.ones(2), 1e-3)
    L._scaled_size(gradient, gradient, 1.0, 1.0)


class CompiledLoss(PopulationLoss):
    """PopulationLoss of the erf kernel with compiled derivatives."""

    def __init__(self, teacher, kernel=kernels.erf):
        if kernel is not kernels.erf:
            raise ValueError(f"kernel must be kernels.erf, the only compiled one, got {kernel!r}")
        super().__init__(teacher, kernel)
        V, Q = teacher.W, 1.0 + gram.squared_norms(teacher.W)
        self._compiled_teacher = (*_writable(V, teacher.a), Q, np.array_equal(V, np.eye(*V.shape)))
        self._short_teacher = Q.max() <= _LARGEST_SQUARED_NORM

    def _value_and_gradient(self, W, a):
        if not self._is_short(W):
            return super()._value_and_gradient(W, a)
        value, gradient = _value_and_gradient(*_writable(W, a), *self._compiled_teacher)
        return value + self._teacher_energy, gradient

    def _operator(self, W, a):
        if not self._is_short(W):
            return super()._operator(W, a)
        return _CompiledOperator(self, W, a)

    def _scaled_size(self, vector, theta, absolute, relative):
        return _scaled_size(vector, theta, absolute, relative)

    def _is_short(self, W):
        # The sum of all squared norms bounds the largest, and is known sooner.
        short = np.vdot(W, W) <= _LARGEST_SQUARED_NORM or gram.squared_norms(W).max() <= _LARGEST_SQUARED_NORM
        return self._short_teacher and short

    def __reduce__(self):
        return CompiledLoss, (self.teacher, self.kernel)


class _CompiledOperator(LinearOperator):
    """The Hessian at a fixed student, with the loss and the gradient there."""

    def __init__(self, loss, W, a):
        size = W.size + a.size
        super().__init__(np.dtype(np.float64), (size, size))
        V, _, _, unit = loss._compiled_teacher
        value, self.gradient, state = _linearise(*_writable(W, a), *loss._compiled_teacher)
        self.value = value + loss._teacher_energy
        self._at_student = state, V, unit

    def _matvec(self, direction):
        (direction,) = _writable(np.ravel(direction))
        return _product(*self._at_student, direction)

    def _adjoint(self):
        return self

    def solve(self, shift, b, tolerance, most=2000):
        """As the operator of `PopulationLoss.hessian_operator` does it."""
        solved, x, products = _solve(*self._at_student, float(shift), *_writable(b), float(tolerance), most)
        return (x if solved else None), products


def _writable(*arrays):
    """Contiguous arrays, copied if read-only: for those, numba would compile everything once more."""
    return tuple([x if x.flags.carray else np.require(x, requirements="CW") for x in arrays])


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
def _own_tables(W):
    """s, g, X of all pairs of rows of W, and P with its inverse root."""
    n = W.shape[0]
    S = np.dot(W, W.T)
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
    inverse_q = 1.0 / np.sqrt(Q)
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
    """W V^T; unit vectors only select columns."""
    return W[:, : V.shape[0]].copy() if unit else np.dot(W, V.T)


@_compiled
def _subtract_teacher(out, M, V, unit):
    """out -= M V."""
    if unit:
        for i in range(M.shape[0]):
            for j in range(M.shape[1]):
                out[i, j] -= M[i, j]
    else:
        out -= np.dot(M, V)


@_compiled
def _pulls(W, a, S, X, P, T, bX, V, unit):
    """(pull, weighted own X with the change of norm on its diagonal, norm_pull): see loss._pull."""
    n, k = T.shape
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
    pull = np.dot(weights, W)
    _subtract_teacher(pull, bX, V, unit)
    return pull, weights, norm_pull


@_compiled
def _summary(a, pull, own, cross):
    n, d = pull.shape
    gradient = np.empty(n * d + n)
    value = 0.0
    for i in range(n):
        for x in range(d):
            gradient[i * d + x] = 2.0 * a[i] * pull[i, x]
        gradient[n * d + i] = 2.0 * (own[i] - cross[i])
        value += a[i] * (own[i] - 2.0 * cross[i])
    return value, gradient


@_compiled
def _value_and_gradient(W, a, V, b, Q, unit):
    S, G, X, P, inverse = _own_tables(W)
    T, bX, g = _cross_tables(W, P, inverse, V, b, Q, unit)
    pull, _, _ = _pulls(W, a, S, X, P, T, bX, V, unit)
    return _summary(a, pull, np.dot(G, a), g)


@_compiled
def _linearise(W, a, V, b, Q, unit):
    """(loss, gradient, everything that a Hessian-vector product needs)."""
    n, d = W.shape
    S, G, X, P, inverse = _own_tables(W)
    T, bX, g = _cross_tables(W, P, inverse, V, b, Q, unit)
    pull, weights, norm_pull = _pulls(W, a, S, X, P, T, bX, V, unit)
    value, gradient = _summary(a, pull, np.dot(G, a), g)
    p, ss, sp, second = _own_second(a, S, X, P)
    cross_ss, cross_sp, cross_second = _cross_second(P, T, bX, Q)
    pull_per_dp = np.dot(sp, W)
    _subtract_teacher(pull_per_dp, cross_sp, V, unit)
    for i in range(n):
        pull_per_dp[i] += (0.5 * (second[i] - cross_second[i]) / P[i] ** 2) * W[i]
    # Packed, because every array that Python gets to hold costs a microsecond or two.
    own, cross = np.empty((6, n, n)), np.empty((3, n, T.shape[1]))
    own[0], own[1], own[2], own[3], own[4], own[5] = G, X, p, ss, sp, weights
    cross[0], cross[1], cross[2] = bX, cross_ss, cross_sp
    rows, vectors = np.empty((3, n, d)), np.empty((3, n))
    rows[0], rows[1], rows[2] = W, pull, pull_per_dp
    vectors[0], vectors[1], vectors[2] = a, P, norm_pull
    return value, gradient, (own, cross, rows, vectors)


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
    n, k = T.shape
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
def _product(state, V, unit, direction):
    own, cross, rows, vectors = state
    G, X, p, ss, sp, weights = own[0], own[1], own[2], own[3], own[4], own[5]
    bX, cross_ss, cross_sp = cross[0], cross[1], cross[2]
    W, pull, pull_per_dp = rows[0], rows[1], rows[2]
    a, P, norm_pull = vectors[0], vectors[1], vectors[2]
    n, d = W.shape
    k = V.shape[0]
    U, c = direction[: n * d].reshape(n, d), direction[n * d :]
    ds = np.dot(U, W.T)
    for i in range(n):
        for j in range(i + 1):
            ds[i, j] += ds[j, i]
            ds[j, i] = ds[i, j]
    dp = np.diag(ds).copy()
    dp_over_P = dp / P
    a_dp_over_P = a * dp_over_P
    dt = _onto(U, V, unit)
    M, cross_M = np.empty((n, n)), np.empty((n, k))
    out = np.empty(n * d + n)
    # Loops that write and read few arrays at a time: only then does the compiler use vector registers.
    for i in range(n):
        norm_change, outgoing = 0.0, 0.0
        for j in range(n):
            norm_change += p[i, j] * c[j] + 0.25 * ss[i, j] * dp[j] + sp[i, j] * ds[i, j]
            outgoing += G[i, j] * c[j] + P[i] * p[i, j] * a_dp_over_P[j] + weights[i, j] * ds[i, j]
        for j in range(n):
            M[i, j] = ss[i, j] * ds[i, j] + P[i] * sp[i, j] * dp_over_P[j] + X[i, j] * c[j]
        for j in range(k):
            norm_change -= cross_sp[i, j] * dt[i, j]
            outgoing -= bX[i, j] * dt[i, j]
        for j in range(k):
            cross_M[i, j] = cross_ss[i, j] * dt[i, j]
        M[i, i] += 2.0 * norm_change
        # The diagonal of the weights holds 2 norm_pull; one of it belongs here.
        out[n * d + i] = 2.0 * (outgoing - dp[i] * norm_pull[i])
    change = np.dot(M, W) + np.dot(weights, U)
    _subtract_teacher(change, cross_M, V, unit)
    for i in range(n):
        for x in range(d):
            value = c[i] * pull[i, x] + a[i] * (change[i, x] + dp[i] * pull_per_dp[i, x])
            out[i * d + x] = 2.0 * value
    return out


@_compiled
def _solve(state, V, unit, shift, b, tolerance, most):
    """Conjugate gradients, as lib.loss._HessianOperator.solve."""
    x, r = np.zeros_like(b), b.copy()
    p, square = b.copy(), np.dot(b, b)
    for products in range(most):
        if square <= tolerance**2:
            return True, x, products
        Ap = _product(state, V, unit, p) + shift * p
        curvature = np.dot(p, Ap)
        if not curvature > 0.0:
            return False, x, products + 1
        step = square / curvature
        previous, square = square, 0.0
        for i in range(b.size):
            x[i] += step * p[i]
            r[i] -= step * Ap[i]
            square += r[i] * r[i]
        for i in range(b.size):
            p[i] = r[i] + (square / previous) * p[i]
    return False, x, most


@_compiled
def _scaled_size(vector, theta, absolute, relative):
    total = 0.0
    for i in range(vector.size):
        scaled = vector[i] / (absolute + relative * abs(theta[i]))
        total += scaled * scaled
    return math.sqrt(total / vector.size)
