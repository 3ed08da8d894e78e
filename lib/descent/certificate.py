"""What a critical point is: strict minimum, saddle or flat. A small gradient alone says nothing.

A student with a duplicated neuron may be a saddle with |grad L| = 4e-8, and a valley that falls to
infinity passes every tolerance without a minimum. So the point is first polished by Newton's method, which
converges at isolated critical points only; then the smallest eigenvalue of the Hessian tells what it is.
Directions in which the loss is known not to change, `zero_modes`, are left out of both.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh, minres

from lib.arguments import instance
from lib.loss import PopulationLoss
from lib.networks import Network

# Eigenvalues of a float64 Hessian below this part of the largest cannot be told from zero.
_ROUNDING = 1e-13
_DENSE, _LARGEST_DENSE = 300, 4000  # N from which conjugate gradients are faster; N up to which there is a way out
_POLISHING_STEPS = 10
_ONE_DIRECTION = 1e-12  # 1 - cosine of neurons that have one direction, after the polishing: an angle of 1e-6
_NEAR = 0.05  # how far Newton's method may move a point that is to be called critical, relative to 1 + |theta|


class Certificate(NamedTuple):
    """What `certify` found.

    kind: 'strict minimum', 'saddle', 'flat' (the smallest eigenvalue is zero within rounding: a line of
    equal losses, or a point that only higher derivatives decide) or 'not critical'.
    smallest_eigenvalue: of the Hessian at `student`, the polished one. newton_step: |H^-1 grad L| at
    the student that was given, an estimate of its distance to the critical point.

    Under relu some eigenvalues are zero for a known reason. They are counted instead, and
    smallest_eigenvalue is the smallest of the others:
    scalings, one for each neuron, (w, a) -> (c w, a / c). The student may still be a 'strict minimum'.
    exchanges of strength between neurons of one direction. With any of these the student is 'flat' at
    best; if smallest_eigenvalue is positive then, the loss rises in every direction but these.
    """

    kind: str
    smallest_eigenvalue: float
    newton_step: float
    student: Network
    scalings: int = 0
    exchanges: int = 0


def certify(L, student):
    """Polish a student to a critical point of the PopulationLoss L and judge it -> Certificate.

    The smallest eigenvalue is LAPACK's for N = n (d + 1) <= 300, else by inverse iteration with exact
    Hessian-vector products (see `_smallest_by_products`). Under relu the loss has no Hessian where some
    w_i = 0: the certificate is then that of the other neurons alone, and if there are none it is 'flat'
    with smallest_eigenvalue 0. Raises ValueError as L(student) does.
    """
    W, a = instance("L", L, PopulationLoss).weights(student)
    living = W.any(axis=1) | (not L.kernel.homogeneous)
    if not living.any():
        return Certificate("flat", 0.0, 0.0, student)
    polished, hessian, first_step, critical = _polish(L, Network(W[living], a[living]))
    null_directions, exchanges = zero_modes(L, polished)
    smallest, largest = _extreme_eigenvalues(L, polished, hessian, null_directions)
    if not critical:
        kind = "not critical"
    elif abs(smallest) <= _ROUNDING * largest or (smallest > 0.0 and exchanges):
        kind = "flat"
    else:
        kind = "strict minimum" if smallest > 0.0 else "saddle"
    W, a = W.copy(), a.copy()
    W[living], a[living] = polished.W, polished.a
    scalings = null_directions.shape[1] - exchanges
    return Certificate(kind, float(smallest), float(first_step), Network(W, a), scalings, exchanges)


def newton_step(hessian, null_directions, gradient=None):
    """The step -H^-1 gradient of an operator H of the loss; by MINRES where H is not positive definite.

    gradient (N,): that at the point of H if None. null_directions (N, m), of `zero_modes`: no step is
    made along them.
    """
    b = -(hessian.gradient if gradient is None else gradient)
    b -= null_directions @ (null_directions.T @ b)  # it is rounding only, and H^-1 would make a long step of it
    step, _ = hessian.solve(0.0, b, 1e-6 * np.linalg.norm(b))
    step = minres(hessian, b)[0] if step is None else step
    return step - null_directions @ (null_directions.T @ step)


def settles(hessian, null_directions, step, gradient):
    """True if Newton's method converges: if the step after this one is at most a tenth of it.

    step: from the point of `hessian`; gradient: the one after the step, from which the same Hessian
    makes the next. In a valley that falls to infinity, like exp(-x) or any power of 1/x, the next step
    is a third of this one or more. Steps are compared and not gradients, because a single stiff
    direction can make up all of a gradient (the natural monotonicity test, Deuflhard 2004).
    """
    return bool(np.linalg.norm(newton_step(hessian, null_directions, gradient)) <= 0.1 * np.linalg.norm(step))


def _polish(L, student):
    """(polished student, Hessian operator there, length of the first Newton step, whether it converged)."""
    start, hessian = student, L.operator(student.W, student.a)
    first_length, critical = None, False
    for _ in range(_POLISHING_STEPS):
        null_directions, _ = zero_modes(L, student)
        theta, step = student.ravel(), newton_step(hessian, null_directions)
        length, reach = np.linalg.norm(step), 1.0 + np.linalg.norm(theta)
        first_length = length if first_length is None else first_length
        if np.linalg.norm(hessian.gradient) <= 1e-14 * reach or not np.isfinite(length):
            critical = bool(np.isfinite(length))
            break
        moved = Network.unravel(theta + step, student.n, student.d)
        moved_hessian = L.operator(moved.W, moved.a)
        if not settles(hessian, null_directions, step, moved_hessian.gradient):
            critical = length <= 1e-6 * reach  # rounding stops Newton's method too
            break
        student, hessian = moved, moved_hessian
    distance = np.linalg.norm(student.ravel() - start.ravel())
    near = distance <= _NEAR * (1.0 + np.linalg.norm(start.ravel()))
    return student, hessian, first_length, critical and near


def zero_modes(L, student):
    """(null directions (N, m), orthonormal; how many of them are exchanges), of a homogeneous kernel.

    Along them a critical student stays critical and its loss the same: the scalings (w_i, -a_i) of its
    neurons, and the exchanges of strength between neurons of one direction. m = 0 for other kernels.
    """
    n, W, a = student.n, student.W, student.a
    living = np.flatnonzero(W.any(axis=1)) if L.kernel.homogeneous else np.empty(0, dtype=int)
    if not living.size:
        return np.empty((W.size + n, 0)), 0
    lengths = np.linalg.norm(W[living], axis=1)
    unit, each = W[living] / lengths[:, None], np.arange(living.size)
    first = (unit @ unit.T > 1.0 - _ONE_DIRECTION).argmax(axis=0)  # of each neuron's direction
    scalings = np.zeros((n, student.d + 1, living.size))
    scalings[living, :-1, each], scalings[living, -1, each] = W[living], -a[living]
    exchanges = np.zeros_like(scalings)
    exchanges[living, -1, each] = 1.0 / lengths
    exchanges[living[first], -1, each] -= 1.0 / lengths[first]
    modes = np.concatenate((scalings, exchanges[:, :, first != each]), axis=2)
    in_order = np.concatenate((modes[:, :-1].reshape(W.size, -1), modes[:, -1]))
    return np.linalg.qr(in_order)[0], int((first != each).sum())


def _extreme_eigenvalues(L, student, hessian, null_directions):
    """The smallest eigenvalue orthogonal to the null directions (N, m), and the largest."""
    N = hessian.shape[0]
    if N > _DENSE:
        largest = eigsh(hessian, k=1, which="LA", v0=_random_start(N), tol=1e-3, return_eigenvectors=False)[0]
        smallest = _smallest_by_products(hessian, null_directions)
        if smallest is not None:
            return smallest, largest
        if N > _LARGEST_DENSE:

            def lift(v):  # the null directions, from eigenvalue 0 to the largest
                return hessian @ v + largest * (null_directions @ (null_directions.T @ v))

            lifted = LinearOperator((N, N), matvec=lift)
            return eigsh(lifted, k=1, which="SA", v0=_random_start(N), tol=1e-4, return_eigenvectors=False)[0], largest
    dense = L.hessian(student)
    largest = eigh(dense, eigvals_only=True, subset_by_index=[N - 1, N - 1])[0] if null_directions.size else 0.0
    eigenvalues = eigh(dense + largest * (null_directions @ null_directions.T), eigvals_only=True)
    return eigenvalues[0], eigenvalues[-1]


def _smallest_by_products(hessian, null_directions):
    """The smallest eigenvalue of the Hessian by inverse Lanczos iteration; None if one is not positive.

    The first solve is what certifies that all are positive. As long as conjugate gradients meet positive
    curvature only, the residual is p(H) b with a polynomial p, p(0) = 1, whose roots are positive, so
    that p >= 1 at every eigenvalue <= 0. Once the residual is 1e-7 of a random b, such an eigenvalue is
    overlooked only if b has less than 1e-7 of its length along the eigenvector.
    Vectors orthogonal to the null directions stay so, up to rounding.
    """
    N = hessian.shape[0]

    def orthogonal(v):
        return v - null_directions @ (null_directions.T @ v)

    def solve(v):
        v = orthogonal(np.ravel(v))
        x, _ = hessian.solve(0.0, v, 1e-7 * np.linalg.norm(v))
        if x is None:
            raise _NotPositiveDefinite
        return orthogonal(x)

    inverse = LinearOperator((N, N), matvec=solve, dtype=np.float64)
    try:
        return 1.0 / eigsh(inverse, k=1, which="LA", v0=_random_start(N), ncv=6, tol=1e-5, return_eigenvectors=False)[0]
    except _NotPositiveDefinite:
        return None


class _NotPositiveDefinite(Exception):
    pass


def _random_start(N):
    return np.random.default_rng(0).standard_normal(N)
