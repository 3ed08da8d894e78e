"""Who copies and who averages, for any teacher: by the shares of the teacher's linear part.

The linear part of a network under Gaussian inputs is ``x . sum_i a_i E[sigma'(w_i . x)] w_i``. With
``w_i = sum_j c_ij v_j`` plus what is orthogonal to all v_j, which must be linearly independent,
student neuron i gives teacher neuron j's linear part the share

    S_ij = a_i E[sigma'(w_i . x)] c_ij / (b_j E[sigma'(v_j . x)]).

A teacher neuron belongs to the student neuron whose share is more than half, and more than twice
the share of any other. Neurons that copy or average have some that belong to them, and where all
neurons are perturbed copies, some teacher neurons belong to none of them.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, minres

from lib.arguments import OutOfRange
from lib.networks import Network
from lib.pairs import Pairs, squared_norms
from lib.students.continuation import Settling, newton

# far: half the weights, after which the structure of the start says nothing of the end.
_SETTLING = Settling(near=1e-7, most=12, far=0.5)
_LARGEST_DENSE = 4000  # parameters up to which a complete Hessian is affordable
_OWN_ALONE = 1e-6  # the part of a w_i that may be rounding
_DEPENDENT = 1e-6  # of singular values, the smallest in units of the largest


def likeness(L, student):
    """(kind, sizes, reference): the named critical point next to a student; None if there is none.

    Parameters
    ----------
    L : PopulationLoss
    student : Network (n, d)
        Without neurons that do nothing; under a homogeneous kernel its a_i are kept.

    Returns
    -------
    kind : str
        ``'copy-average'``, where every w_i is a combination of the v_j that belong to it,
        ``'copy-average-like'``, where it has weights on others, or ``'perturbed-copies'``.
    sizes : tuple of int
        How many teacher neurons belong to each, ascending.
    reference : Network (n, d)

    Examples
    --------
    >>> from lib.students.shares import likeness
    >>> L = PopulationLoss(Network(np.eye(3), [1.0, 2.0, 2.0]), kernels.erf)
    >>> likeness(L, Network(copy_average([1, 2]).W, [1.0, 4.0]))[:2]
    ('copy-average', (1, 2))
    """
    if _named(L, student) is None:
        return None
    reference = critical_student(L, student)
    named = None if reference is None else _named(L, reference)
    return None if named is None else (*named, reference)


def shares(L, student):
    """The shares S (n, k), of a teacher of linearly independent v_j, in which a student gives it.

    Not finite where the activation is even, and so has no linear part.

    Examples
    --------
    >>> from lib.students.shares import shares
    >>> L = PopulationLoss(Network([[1.0, 0.0], [1.0, 1.0]], [1.0, 2.0]), kernels.relu)
    >>> shares(L, Network([[3.0, 2.0]], [1.0])).round(12)  # 1 v_1 + 2 v_2
    array([[1., 1.]])
    """
    V, b = L.teacher.W, L.teacher.a
    with np.errstate(divide="ignore", invalid="ignore"):
        given = (student.a * _mean_slope(L.kernel, student.W))[:, None]
        return given * (student.W @ np.linalg.pinv(V)) / (b * _mean_slope(L.kernel, V))


def _named(L, student):
    """(kind, sizes) of a student by its shares, or None."""
    V = L.teacher.W
    singular_values = np.linalg.svd(V, compute_uv=False)
    if len(V) > V.shape[1] or singular_values[-1] <= _DEPENDENT * singular_values[0]:
        return None
    given, teachers = shares(L, student), np.arange(len(V))
    owner, largest = given.argmax(axis=0), given.max(axis=0)
    others = np.abs(given)
    others[owner, teachers] = 0.0
    belongs = (largest > 0.5) & (largest > 2.0 * others.max(axis=0))
    sizes = np.bincount(owner[belongs], minlength=student.n)
    if sizes.min() == 0:
        return None
    if not belongs.all():
        return ("perturbed-copies", (1,) * student.n) if sizes.max() == 1 else None
    c = student.W @ np.linalg.pinv(V)
    own = np.zeros_like(c)
    own[owner, teachers] = c[owner, teachers]
    beside = np.linalg.norm(student.W - own @ V, axis=1) / np.linalg.norm(student.W, axis=1)
    kind = "copy-average" if beside.max() <= _OWN_ALONE else "copy-average-like"
    return kind, tuple(sorted(sizes.tolist()))


def _mean_slope(kernel, W):
    """E[sigma'(w.x)] for the rows of W, up to a factor: g_s at a zero second vector."""
    p = squared_norms(W)
    zero = np.zeros_like(p)
    return kernel.jet_at(Pairs(zero, p, zero, zero))[1]


def critical_student(L, student):
    """The critical point that Newton's method reaches from a student; None if it does not settle.

    Parameters
    ----------
    L : PopulationLoss
    student : Network (n, d)
        Under a homogeneous kernel its a_i, the gauge, are kept.

    Returns
    -------
    Network (n, d) or None
    """
    size, start = student.W.size, student.ravel()
    free = size if L.kernel.homogeneous else len(start)

    def network(x):
        return Network.unravel(np.append(x, start[free:]), student.n, student.d)

    def derivatives(x):
        at = network(x)
        gradient = L.gradient(at).ravel()[:free]
        if free <= _LARGEST_DENSE:
            return gradient, L.hessian(at)[:free, :free]
        rest, operator = np.zeros(len(start) - free), L.hessian_operator(at)
        part = LinearOperator((free, free), lambda v: (operator @ np.append(v, rest))[:free])
        return gradient, part

    def length(step, x):
        return np.abs(step).max() / (1.0 + np.abs(x).max())

    solve = np.linalg.solve if free <= _LARGEST_DENSE else _minimal_residual
    try:
        found = newton(derivatives, start[:free], length, _SETTLING, solve)
    except OutOfRange:
        return None
    return None if found is None else network(found)


def _minimal_residual(hessian, gradient):
    return minres(hessian, gradient, rtol=1e-10, maxiter=4000)[0]
