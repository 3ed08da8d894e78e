"""What a critical point is: strict minimum, flat minimum, saddle or flat.

A small gradient alone says nothing. A student with a duplicated neuron may be a saddle with
|grad L| = 4e-8, and a valley that falls to infinity passes every tolerance without a minimum. So
the point is first polished by Newton's method, which converges at isolated critical points only;
then the smallest eigenvalue of the Hessian tells what it is. Directions in which the loss is known
not to change, `zero_modes`, are left out of both.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.lapack import dpotrf
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from lib.arguments import first_argument
from lib.descent.dead_neurons import directions, steepest
from lib.descent.polishing import (
    UNIT_ROUNDOFF,
    largest_eigenvalue,
    polish,
    random_start,
    zero_modes,
)
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.pairs import Pairs, squared_norms
from lib.records import record

ENTRY_ERROR = 2.0**-40  # of a Hessian's h_ij in units of sqrt(h_ii h_jj), assumed
# N from which conjugate gradients are faster; N up to which a complete Hessian is affordable.
_DENSE, _LARGEST_DENSE = 300, 4000
_RESOLVED = 1e-13  # the part of the largest curvature that is told from zero, in outputs of neurons
_CERTAIN = 0.9  # the part of the smallest eigenvalue that is certified
_DESCENT = 1e-10  # a rate of the loss at a dead neuron, in units of E[f_teacher^2]^(1/2)


@record
class Certificate(NamedTuple):
    """What `certify` found.

    Attributes
    ----------
    kind : str
        'strict minimum'; 'flat minimum', where the loss is constant along the exchanges, or what
        dead neurons allow, and rises in every other direction; 'saddle'; 'flat', where the smallest
        eigenvalue is zero within rounding: a line of equal losses, or a point that only higher
        derivatives decide; or 'not critical'.
    smallest_eigenvalue : float
        Of the Hessian at `student`; see the accuracy at `certify`.
    newton_step : float
        ``|H^-1 grad L|`` at the student that was given, an estimate of its distance to the critical
        point.
    student : Network
        The polished one. At a critical point ``|grad L|`` is at its rounding level, at most 20
        times what rounding makes of it.
    scalings, exchanges : int
        Under relu some eigenvalues are zero for a known reason. They are counted, and
        smallest_eigenvalue is the smallest of the others. Scalings are one for each neuron,
        ``(w, a) -> (c w, a / c)``; a 'strict minimum' may have them. Exchanges of strength are
        between neurons of one direction.
    dead : int
        Neurons with w_i = 0 under relu. At a minimum the loss depends on none of their a_i, and it
        stays the same where one takes the direction of a living neuron and some of its strength.
    bounded : bool
        Whether a Cholesky factorisation has shown that no eigenvalue is below 0.9
        smallest_eigenvalue. Where it has not, a 'strict minimum' is one with the probability that
        `certify` states.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> found = certify(L, copy_average([1, 2], 4))
    >>> found.kind, found.bounded, round(found.smallest_eigenvalue, 6)
    ('strict minimum', True, 0.007535)
    """

    kind: str
    smallest_eigenvalue: float
    newton_step: float
    student: Network
    scalings: int = 0
    exchanges: int = 0
    dead: int = 0
    bounded: bool = False


@first_argument("L", PopulationLoss, "certify(PopulationLoss(teacher, kernel), student)")
def certify(L, student):
    """Polish a student to a critical point of the loss and judge it.

    Parameters
    ----------
    L : PopulationLoss
    student : Network
        Of n neurons and d inputs; N = n (d + 1).

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        As ``L(student)`` does.

    Notes
    -----
    smallest_eigenvalue agrees with the exact blocks of the two erf minima to 1e-6 of itself for
    k <= 100, and to 1e-4 at k = 1000, where it is 2e15 times smaller than the largest.

    For N <= 4000 a minimum is one by a bound: H - s, with s = 0.9 of the smallest eigenvalue that
    was found, has a Cholesky factorisation in floating point even after all that rounding can do in
    it (Rump, BIT 46 (2006), 433-452) is taken from its diagonal. So is what rounding may have done
    to the entries of H itself, assumed to be at most 1e-12 of ``sqrt(h_ii h_jj)``.
    For larger N positivity is probabilistic. Conjugate gradients for a random b that meet positive
    curvature only until their residual is ``1e-10 |b|`` overlook an eigenvalue <= 0 only if b has
    less than 1e-10 of its length along the eigenvector: a probability of about ``1e-10 sqrt(N)``.

    Under relu a neuron with w_i = 0 is dead. The certificate is that of the others, and no minimum
    unless ``2 a_i E[(f - f_teacher) relu(u.x)] >= 0`` for all unit vectors u, within rounding. That
    is as good as the search for the smallest, downhill from the directions of all neurons.

    Examples
    --------
    >>> from lib import Network, PopulationLoss, certify, copy_average, kernels
    >>> L = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
    >>> certify(L, copy_average([1, 1, 3], 6)).kind
    'strict minimum'
    >>> certify(L, copy_average([1, 2, 2], 6)).kind
    'saddle'
    """
    W, a = L.weights(student)
    living = W.any(axis=1) | (not L.kernel.homogeneous)
    if not living.any():
        kind = _beside_the_dead(L, W, a, living)
        return Certificate(kind, 0.0, 0.0, student, dead=student.n)
    found = _polished(L, Network(W[living], a[living]))
    null_directions, exchanges = zero_modes(L, found.student)
    smallest, resolution, bounded = _smallest_eigenvalue(L, found, null_directions)
    large = found.hessian.shape[0] > _LARGEST_DENSE
    if not found.critical:
        kind = "not critical"
    elif smallest < -resolution:
        kind = "saddle"
    elif smallest > resolution and found.isolated and (bounded or large):
        kind = "flat minimum" if exchanges else "strict minimum"
    else:
        kind = "flat"
    W, a = W.copy(), a.copy()
    W[living], a[living] = found.student.W, found.student.a
    if kind.endswith("minimum") and not living.all():
        kind = _beside_the_dead(L, W, a, living)
    counts = null_directions.shape[1] - exchanges, exchanges, student.n - int(living.sum())
    first = float(np.linalg.norm(found.first_step))
    return Certificate(kind, smallest, first, Network(W, a), *counts, bounded)


def _polished(L, student):
    """`polish`, with outgoing weights in units of the teacher's: units decide nothing.

    Otherwise the curvatures along w_i and a_i, in the ratio of a_i^2 and 1, would be so far apart
    for a teacher of small or of large weights that the step of least squares spares one of them.
    The unit is a power of two, so that nothing is rounded.
    """
    size = np.sqrt(np.mean(L.teacher.a**2))
    unit = 2.0 ** np.round(np.log2(size)) if size > 0.0 else 1.0
    if unit == 1.0:
        return polish(L, student)
    measured = PopulationLoss(Network(L.teacher.W, L.teacher.a / unit), L.kernel)
    found = polish(measured, Network(student.W, student.a / unit))
    end = Network(found.student.W, unit * found.student.a)
    first = np.append(found.first_step[: end.W.size], unit * found.first_step[end.W.size :])
    return found._replace(student=end, hessian=L.operator(end.W, end.a), first_step=first)


def _beside_the_dead(L, W, a, living):
    """The kind of a student whose living neurons alone are at a minimum, or are none."""
    starts = directions(L, W[living])
    for sign in (-1.0, 1.0):
        of_sign = a[~living] * sign > 0.0
        if of_sign.any() or not a[~living].all():
            rate, _ = steepest(L, W[living], a[living], sign, starts)
            if rate < -_DESCENT * np.sqrt(L.teacher_energy):
                return "not critical" if of_sign.any() else "saddle"
    return "flat minimum"


def _smallest_eigenvalue(L, found, null_directions):
    """The smallest eigenvalue orthogonal to the null directions (N, m), what it must exceed to be
    told from zero, and whether it is bounded.

    Whatever found the eigenvector v, the eigenvalue is v . H v: an error of v enters squared, and
    that of a matrix of large entries not at all. Rounding leaves an error of each neuron's output,
    which weighs a_i dw_i and s_i da_i, s_i^2 = E sigma(w_i . x)^2.
    """
    student, hessian, N = found.student, found.hessian, found.hessian.shape[0]
    v = _softest_by_products(hessian, null_directions) if N > _DENSE else None
    lifted = None
    if N <= _LARGEST_DENSE:
        lifted = L.hessian(student)
        if null_directions.size:
            lifted += lifted.diagonal().max() * (null_directions @ null_directions.T)
        if v is None:
            v = eigh(lifted, subset_by_index=[0, 0])[1][:, 0]
    elif v is None:
        largest = largest_eigenvalue(hessian)

        def lift(v):  # the null directions, from eigenvalue 0 to the largest
            return hessian @ v + largest * (null_directions @ (null_directions.T @ v))

        operator = LinearOperator((N, N), matvec=lift, dtype=np.float64)
        v = eigsh(operator, 1, which="SA", v0=random_start(N), tol=1e-6)[1][:, 0]
    v -= null_directions @ (null_directions.T @ v)
    v /= np.linalg.norm(v)
    smallest = float(v @ (hessian @ v))
    dW, da = v[: student.W.size].reshape(student.W.shape), v[student.W.size :]
    p = squared_norms(student.W)
    s_squared = L.kernel.value_at(Pairs(p, p, p, np.zeros_like(p)))
    weighed = student.a**2 @ squared_norms(dW) + s_squared @ da**2
    bounded = smallest > 0.0 and lifted is not None and exceeds(lifted, _CERTAIN * smallest)
    return smallest, float(_RESOLVED * student.n * weighed), bool(bounded)


def exceeds(A, s):
    """True if a floating-point Cholesky factorisation shows that all eigenvalues of A exceed s.

    The factors R found of a matrix B have R^T R = B + E with |e_ij| <= g sqrt(b_ii b_jj), g =
    u (N + 1) / (1 - 2 u (N + 1)), in whatever order the sums are taken (Demmel 1989). So |E|_2 is
    at most g times the trace of B, and if B = A - s - g trace has factors, A - s is positive
    (Rump 2006). Errors of the entries of A that are at most 2^-40 sqrt(a_ii a_jj) are allowed for
    likewise. Powers of two first make all a_ii nearly one, which rounds nothing.
    """
    N = len(A)
    diagonal = A.diagonal() - s
    if not (diagonal > 0.0).all():
        return False
    scale = 2.0 ** -np.round(0.5 * np.log2(diagonal))
    B = A * scale
    B *= scale[:, None]
    diagonal *= scale**2
    g = UNIT_ROUNDOFF * (N + 1) / (1.0 - 2.0 * UNIT_ROUNDOFF * (N + 1))
    B[np.diag_indices(N)] = diagonal - (g + ENTRY_ERROR) * diagonal.sum()
    _, failed = dpotrf(B.T, clean=False, overwrite_a=True)  # B is symmetric, B.T in LAPACK's order
    return failed == 0


def _softest_by_products(hessian, null_directions):
    """The eigenvector of the smallest eigenvalue of the Hessian, by inverse Lanczos iteration; None
    if one is not positive, or where the iteration does not settle, as rounding may have it.
    What the first solve shows is said at `certify`.

    Vectors orthogonal to the null directions stay so, up to rounding.
    """
    N = hessian.shape[0]

    def orthogonal(v):
        return v - null_directions @ (null_directions.T @ v)

    def solve(v):
        v = orthogonal(np.ravel(v))
        x, _ = hessian.solve(0.0, v, 1e-10 * np.linalg.norm(v))
        if x is None:
            raise _NotPositiveDefinite
        return orthogonal(x)

    inverse = LinearOperator((N, N), matvec=solve, dtype=np.float64)
    try:
        options = {"v0": random_start(N), "ncv": 8, "maxiter": 50, "tol": 1e-8}
        return eigsh(inverse, 1, which="LA", **options)[1][:, 0]
    except (_NotPositiveDefinite, ArpackNoConvergence):
        return None


class _NotPositiveDefinite(Exception):
    pass
