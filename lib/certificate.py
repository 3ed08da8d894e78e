"""What a critical point is: strict minimum, saddle or flat. A small gradient alone says nothing.

A duplicated neuron sits on a saddle with |grad L| = 4e-8, and a valley that falls to infinity passes
every tolerance without a minimum. So the point is first polished by Newton's method, which converges
at isolated critical points only, and then judged by the smallest eigenvalue of the Hessian.
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
_NEAR = 0.05  # how far Newton's method may move a point that is to be called critical, relative to 1 + |theta|


class Certificate(NamedTuple):
    """What `certify` found.

    kind: 'strict minimum', 'saddle', 'flat' (the smallest eigenvalue is zero within rounding: an
    affine family, or a higher-order point) or 'not critical'. smallest_eigenvalue: of the Hessian
    at student. newton_step: |H^-1 grad L| at the student that was given, an estimate of its distance
    to the critical point. student: the polished one.
    """

    kind: str
    smallest_eigenvalue: float
    newton_step: float
    student: Network


def certify(L, student):
    """Polish a student to a critical point of the PopulationLoss L and judge it -> Certificate.

    The smallest eigenvalue is LAPACK's for N = n (d + 1) <= 300, else by inverse iteration with exact
    Hessian-vector products (see `_smallest_by_products`). Raises ValueError as L.gradient does.
    """
    instance("L", L, PopulationLoss)._smooth_weights(student)
    polished, hessian, first_step, critical = _polish(L, student)
    smallest, largest = _extreme_eigenvalues(L, polished, hessian)
    if not critical:
        kind = "not critical"
    elif abs(smallest) <= _ROUNDING * largest:
        kind = "flat"
    else:
        kind = "strict minimum" if smallest > 0.0 else "saddle"
    return Certificate(kind, float(smallest), float(first_step), polished)


def newton_step(hessian, gradient=None):
    """-H^-1 gradient, of the point of the Hessian operator if None; MINRES where H is not positive definite."""
    b = -(hessian.gradient if gradient is None else gradient)
    step, _ = hessian.solve(0.0, b, 1e-6 * np.linalg.norm(b))
    return minres(hessian, b)[0] if step is None else step


def settles(hessian, step, gradient):
    """True if the Newton step from the Hessian's point leads towards a critical point near by.

    gradient: after the step. The same Hessian turns it into the next step, shorter by far if Newton's
    method converges. Down a valley to infinity, exp(-x) or any power of 1/x, a third or more remains.
    Lengths of steps are compared, not gradients, because one stiff direction can rule those
    (the natural monotonicity test, Deuflhard 2004).
    """
    return bool(np.linalg.norm(newton_step(hessian, gradient)) <= 0.1 * np.linalg.norm(step))


def _polish(L, student):
    """(polished student, Hessian operator there, length of the first Newton step, whether it converged)."""
    start, hessian = student, L._operator(student.W, student.a)
    first_length, critical = None, False
    for _ in range(_POLISHING_STEPS):
        theta, step = student.ravel(), newton_step(hessian)
        length, reach = np.linalg.norm(step), 1.0 + np.linalg.norm(theta)
        first_length = length if first_length is None else first_length
        if np.linalg.norm(hessian.gradient) <= 1e-14 * reach or not np.isfinite(length):
            critical = bool(np.isfinite(length))
            break
        moved = Network.unravel(theta + step, student.n, student.d)
        moved_hessian = L._operator(moved.W, moved.a)
        if not settles(hessian, step, moved_hessian.gradient):
            critical = length <= 1e-6 * reach  # rounding stops Newton's method too
            break
        student, hessian = moved, moved_hessian
    distance = np.linalg.norm(student.ravel() - start.ravel())
    near = distance <= _NEAR * (1.0 + np.linalg.norm(start.ravel()))
    return student, hessian, first_length, critical and near


def _extreme_eigenvalues(L, student, hessian):
    N = hessian.shape[0]
    if N > _DENSE:
        largest = eigsh(hessian, k=1, which="LA", v0=_random_start(N), tol=1e-3, return_eigenvectors=False)[0]
        smallest = _smallest_by_products(hessian)
        if smallest is not None:
            return smallest, largest
        if N > _LARGEST_DENSE:
            return eigsh(hessian, k=1, which="SA", v0=_random_start(N), tol=1e-4, return_eigenvectors=False)[0], largest
    eigenvalues = eigh(L.hessian(student), eigvals_only=True)
    return eigenvalues[0], eigenvalues[-1]


def _smallest_by_products(hessian):
    """The smallest eigenvalue of a positive definite Hessian by inverse Lanczos iteration, else None.

    The first solve is the certificate. Conjugate gradients that meet positive curvature only have
    residual polynomials p with p(0) = 1 and positive roots, so p >= 1 at every eigenvalue <= 0: once
    the residual of a random right-hand side is 1e-7 of it, a non-positive eigenvalue can only be
    overlooked if that random vector has less than 1e-7 of its length along the eigenvector.
    """
    N = hessian.shape[0]

    def solve(v):
        x, _ = hessian.solve(0.0, np.ravel(v), 1e-7 * np.linalg.norm(v))
        if x is None:
            raise _NotPositiveDefinite
        return x

    inverse = LinearOperator((N, N), matvec=solve, dtype=np.float64)
    try:
        return 1.0 / eigsh(inverse, k=1, which="LA", v0=_random_start(N), ncv=6, tol=1e-5, return_eigenvectors=False)[0]
    except _NotPositiveDefinite:
        return None


class _NotPositiveDefinite(Exception):
    pass


def _random_start(N):
    return np.random.default_rng(0).standard_normal(N)
