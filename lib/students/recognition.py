"""Which of the named configurations a student is, for the teacher and the kernel of a loss.

Copy-average and perturbed copies have modules of their own, and so have teachers that are not
orthonormal vectors with equal weights: lib.students.shares. Channel: two neurons with one incoming
vector whose outgoing weights have opposite signs. Under relu a neuron counts by the product of its
weights only, neurons with one direction add up to one neuron, and neurons without strength, or
without incoming weights, do nothing: what is left is compared.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from lib import kernels
from lib.arguments import LARGEST_WEIGHT, finite_array, first_argument, shown
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.pairs import squared_norms
from lib.records import record
from lib.students.averaging import averaging_weight
from lib.students.perturbed import erf_perturbed_copies, perturbed_network
from lib.students.shares import likeness
from lib.students.symmetric import class_means, critical_point, solution, symmetric_network

_SAME_DIRECTION = 5e-5  # 1 - cosine: an angle of 0.01
_NO_STRENGTH = 1e-3  # |a| |w|, in units of the weakest teacher neuron
_ROUNDING = 1e-9  # of what a teacher is told by


@record
class Configuration(NamedTuple):
    """What `identify` found.

    Attributes
    ----------
    kind : str
        ``'copy-average'``, ``'copy-average-like'``, ``'perturbed-copies'``, ``'channel'``,
        ``'wrong-sign'``, ``'dead'`` or ``'other'``.
    sizes : tuple of int
        For ``'copy-average'`` under erf, the ascending group sizes. Under other kernels and for
        other teachers an entry for each neuron: 1 for a copy, -1 for a flipped one, for an average
        the number of teacher neurons that it averages. Else ().
    deviation : float
        The largest relative distance of a w_i or a_i from the configuration named; for ``'other'``
        from the nearest one, inf if none applies.
    neurons : int
        How many the student amounts to: under relu fewer than n if some are collinear or dead.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(5), kernels.erf)
    >>> identify(L, copy_average([1, 2, 2])).sizes
    (1, 2, 2)
    """

    kind: str
    sizes: tuple
    deviation: float
    neurons: int = 0


_FAR = Configuration("other", (), math.inf)


@first_argument("L", PopulationLoss, "identify(PopulationLoss(teacher, kernel), student)")
def identify(L, student, tolerance=0.05):
    """Name the configuration of a student, up to the order of neurons, for the teacher of a loss.

    The name is geometry alone: `certify` tells whether the student is a minimum.

    Parameters
    ----------
    L : PopulationLoss
    student : Network (n, d)
    tolerance : float
        The largest relative deviation of a weight from the configuration that is named.

    Returns
    -------
    Configuration
        ``'copy-average'``: n groups, optimal or not, among them the teacher itself.
        ``'copy-average-like'`` and ``'perturbed-copies'``: those of the functions of these names,
        and what is like them for other teachers. ``'channel'`` (smooth kernels): two neurons of the
        same w whose outgoing weights pull in opposite directions. ``'dead'`` (relu): no neuron is
        left. ``'wrong-sign'`` (relu): one has a_i < 0, and no teacher neuron has. ``'other'``: the
        rest, among it copy-averages with dead, zero or equal neurons, which have fewer groups than
        neurons.

    Raises
    ------
    ValueError
        As ``L(student)`` does; and where the loss does not come first.

    Notes
    -----
    For odd kernels, erf and tanh, (w, a) and (-w, -a) are one neuron. Under relu the network is
    named that is left when collinear neurons are merged and those without strength dropped. A flow
    stopped at ``|gradient| <= 1e-8`` leaves up to ``1e-7 (k - n + 1)^2`` in an averager's a, below
    0.05 for groups up to 700, and far less elsewhere. Deviations of this size confuse no names: an
    averager is an order away from every perturbed copy, and of two partitions the nearer is taken.

    That holds for orthonormal v_j with equal b_j, in any orientation, and up to what changes no
    function: signs under odd kernels, ``(v, b) -> (c v, b / c)`` under relu. For other linearly
    independent v_j a student is compared with the critical point that Newton's method reaches from
    it, and the name is that of ``lib.students.shares``: a neuron copies or averages the teacher
    neurons whose linear part it gives most of. Only near a critical point, so, and not while it is
    still on its way, does a student have a name. Where the v_j are dependent, the teacher itself is
    the one student that has.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(8), kernels.erf)
    >>> identify(L, perturbed_copies(kernels.erf, k=8, n=6)).kind
    'perturbed-copies'
    >>> identify(L, Network(np.eye(2, 8), [1.0, 3.0])).kind
    'other'

    A teacher of unequal weights, of which the strong neurons are copied:

    >>> L = PopulationLoss(Network(np.eye(6), [3.0, 2.0, 1.0, 1.0, 0.8, 0.5]), kernels.erf)
    >>> flow = gradient_flow(L, glorot(np.random.default_rng(0), 3, 6))
    >>> identify(L, flow.student)[:2]
    ('copy-average-like', (1, 1, 4))
    """
    L.weights(student)
    if not finite_array("tolerance", tolerance, ndim=0) > 0.0:
        raise ValueError(f"tolerance must be positive, got {shown(tolerance)}")
    with np.errstate(over="ignore"):  # infinitely far is far
        standard = _standard(L)
        if standard is None:
            return _identify_other(L, student, tolerance)
        rotation, weight = standard
        student = Network(student.W @ rotation.T, student.a / weight)
        if L.kernel is kernels.erf:
            return _identify_erf(student, L.teacher.n, tolerance)
        return _identify_symmetric(student, L.teacher.n, tolerance, L.kernel)


def _standard(L):
    """(rotation, weight) with which the teacher is e_1, ..., e_k of outgoing weights 1, or None."""
    V, b = L.teacher.W, L.teacher.a
    if L.kernel.homogeneous:
        length = np.linalg.norm(V, axis=1)
        V, b = V / np.maximum(length, 1e-300)[:, None], b * length
    if _is_odd(L.kernel):
        V, b = _with_positive_weights(V, b)
    orthonormal = np.abs(V @ V.T - np.eye(len(V))).max() <= _ROUNDING
    if not orthonormal or b[0] == 0.0 or np.abs(b / b[0] - 1.0).max() > _ROUNDING:
        return None
    complement = np.linalg.qr(V.T, mode="complete")[0][:, len(V) :]
    return np.vstack((V, complement.T)), b[0]


def _is_odd(kernel):
    """Whether sigma(-y) = -sigma(y), so that (w, a) and (-w, -a) are one neuron."""
    y = np.linspace(0.1, 4.0, 40)
    value = kernel.sigma(y)
    return bool(np.abs(kernel.sigma(-y) + value).max() <= 1e-12 * np.abs(value).max())


def _with_positive_weights(W, a):
    return np.where(a < 0.0, -1.0, 1.0)[:, None] * W, np.abs(a)


def _nearest(found, tolerance, neurons):
    nearest = min(found, key=lambda configuration: configuration.deviation)
    if nearest.deviation > tolerance:
        nearest = Configuration("other", (), nearest.deviation)
    return nearest._replace(neurons=neurons)


def _deviation(W, a, reference):
    length = np.linalg.norm(reference.W, axis=1)
    away = np.linalg.norm(W - reference.W, axis=1) / length
    return float(max(away.max(), np.abs(a / reference.a - 1.0).max()))


def _identify_erf(student, k, tolerance):
    W, a = _with_positive_weights(student.W, student.a)
    share = math.sqrt(2) * a[:, None] * W[:, :k] / np.sqrt(1.0 + squared_norms(W))[:, None]
    found = [_as_copy_average(W, a, share)]
    if found[0].deviation > tolerance:
        found += [_as_perturbed_copies(W, a, share, tolerance), _as_channel(W, a, odd=True)]
    return _nearest(found, tolerance, student.n)


def _as_copy_average(W, a, share):
    """Every teacher belongs to the neuron that represents most of its linear part."""
    n, k = share.shape
    group = share.argmax(axis=0)
    sizes = np.bincount(group, minlength=n)
    if sizes.min() == 0:
        return _FAR
    reference = np.zeros_like(W)
    reference[group, np.arange(k)] = averaging_weight(sizes.astype(float))[group]
    ascending = tuple(sorted(sizes.tolist()))
    return Configuration("copy-average", ascending, _deviation(W, a, Network(reference, sizes)))


def _as_perturbed_copies(W, a, share, tolerance):
    """Neurons are matched to teachers by their linear parts, all at once."""
    n, k = share.shape
    if not 2 <= n < k or (1 - tolerance) * a.max() > (1 + tolerance) * a.min():
        return _FAR
    _, copied = linear_sum_assignment(share, maximize=True)
    try:
        numbers = erf_perturbed_copies(k, n)
    except ValueError:
        return _FAR
    reference = perturbed_network(numbers, W.shape[1], np.arange(k), copied)
    return Configuration("perturbed-copies", (), _deviation(W, a, reference))


def _as_channel(W, a, odd):
    """The two neurons, signs moved into w, that come closest to w_1 = -w_2.

    Unless the activation is odd, their outgoing weights must have had opposite signs.
    """
    largest = np.abs(W).max(axis=1)
    active = (a != 0.0) & (largest > 0.0)
    if active.sum() < 2:
        return _FAR
    sign, largest = np.where(a < 0.0, -1.0, 1.0)[active], largest[active]
    W = sign[:, None] * W[active]
    U = W / largest[:, None]
    norms = np.linalg.norm(U, axis=1)
    U /= norms[:, None]
    log_norm = np.log(largest) + np.log(norms)
    # 2 w.v / (|w|^2 + |v|^2), least for the pair that is closest to opposite.
    likeness = (U @ U.T) / np.cosh(log_norm[:, None] - log_norm)
    if not odd:
        likeness[np.equal.outer(sign, sign)] = 1.0
    i, j = np.unravel_index(np.argmin(likeness), likeness.shape)
    pair = W[[i, j]] / max(largest[i], largest[j])
    opposite, common = pair[0] + pair[1], pair[0] - pair[1]
    norm = np.linalg.norm(common)
    return Configuration(
        "channel", (), float(np.linalg.norm(opposite) / norm) if norm > 0.0 else math.inf
    )


# Other kernels: the students of lib.students.symmetric.


def _identify_symmetric(student, k, tolerance, kernel):
    if kernel.homogeneous:
        student = reduced_network(student)
        if not student.a.all() or (student.a < 0.0).any():
            return _without_use(student)
    odd, W, a = _is_odd(kernel), student.W, student.a
    if odd:
        W, a = _with_positive_weights(W, a)
    teachers = np.arange(k)
    averagers = _possible_averagers(W, a, teachers)
    found = [_as_symmetric(W, a, kernel, teachers, averager, tolerance) for averager in averagers]
    if not kernel.homogeneous:
        found.append(_as_channel(W, a, odd))
    return _nearest([*found, _FAR], tolerance, student.n)


def _without_use(student):
    """The name of a reduced network of which a neuron is zero, so the only one, or counteracts."""
    dead = not student.a.any()
    return Configuration("dead" if dead else "wrong-sign", (), 0.0, 0 if dead else student.n)


def reduced_network(student):
    """The relu network of fewest neurons that computes what the student does, with all |a_i| = 1.

    Neurons within an angle of 0.01 count as collinear and add up to one, with the sign of the sum;
    those of strength |a| |w| below 1e-3 are left out. The strongest come first; if none is left,
    there is one zero neuron.
    """
    merged = []
    strength = np.abs(student.a) * np.linalg.norm(student.W, axis=1)
    for i in np.argsort(-strength, kind="stable"):
        if strength[i] <= _NO_STRENGTH**2:
            break
        w = student.a[i] * student.W[i]
        u = np.sign(student.a[i]) * w / strength[i]
        for neuron in merged:
            if neuron["direction"] @ u > 1.0 - _SAME_DIRECTION:
                neuron["sum"] = neuron["sum"] + w
                break
        else:
            merged.append({"direction": u, "sum": w})
    kept = [m for m in merged if np.linalg.norm(m["sum"]) > _NO_STRENGTH]
    if not kept:
        return Network(np.zeros((1, student.d)), [0.0])
    sign = np.array([np.sign(m["sum"] @ m["direction"]) for m in kept])
    return Network(sign[:, None] * np.array([m["sum"] for m in kept]), sign)


def _possible_averagers(W, a, teachers):
    """None, and the neuron whose largest weights differ least; neither if no such name can fit."""
    if len(a) > len(teachers) or (a <= 0.0).any() or not W.any(axis=1).all():
        return []
    if len(teachers) == 1:
        return [None]
    largest = np.sort(np.abs(W[:, teachers]), axis=1)
    flattest = int(np.argmax(largest[:, -2] / np.maximum(largest[:, -1], 1e-300)))
    return [flattest] if len(a) == 1 else [None, flattest]


def _as_symmetric(W, a, kernel, teachers, averager, tolerance):
    """The nearest student of lib.students.symmetric with this averager, None or a neuron."""
    copies = np.array([i for i in range(len(a)) if i != averager], dtype=int)
    own = teachers[np.abs(W[np.ix_(copies, teachers)]).argmax(axis=1)] if len(copies) else copies
    others = np.setdiff1d(teachers, own)
    if len(set(own)) < len(own) or (averager is not None and len(others) < 2):
        return _FAR
    flipped = W[copies, own] < 0.0
    order = [*copies[~flipped], *copies[flipped]] + ([] if averager is None else [averager])
    groups = own[~flipped], own[flipped], others
    W, a = W[order], a[order]

    def deviation(theta):
        nearest = symmetric_network(solution(kernel, classes, theta), W.shape[1], *groups)
        return _deviation(W, a, nearest)

    theta, classes = class_means(W, a, *groups)
    spread = deviation(theta)
    if spread > 2 * tolerance:  # then no symmetric student is within the tolerance
        return _FAR._replace(deviation=spread)
    theta = critical_point(kernel, classes, theta)
    if theta is None:
        return _FAR
    return Configuration(_kind(classes), _sizes(classes), deviation(theta))


def _kind(classes):
    if classes.averagers:
        return "copy-average-like"
    return "perturbed-copies" if classes.flipped or classes.others else "copy-average"


def _sizes(classes):
    copies, flipped, others = (int(count) for count in classes.teachers)
    return (-1,) * flipped + (1,) * copies + (others,) * classes.averagers


# Other teachers.


def _identify_other(L, student, tolerance):
    teacher = L.teacher
    if L.kernel.homogeneous:
        strength = np.abs(teacher.a) * np.linalg.norm(teacher.W, axis=1)
        unit = strength[strength > 1.0 / LARGEST_WEIGHT].min(initial=LARGEST_WEIGHT)
        student, teacher = (
            _scaled(reduced_network(_scaled(net, 1.0 / unit)), unit) for net in (student, teacher)
        )
        signs = np.unique(np.sign(teacher.a))
        if not student.a.any() or len(signs) == 1 and (student.a * signs < 0.0).any():
            return _without_use(student)
    odd = _is_odd(L.kernel)
    found = [_as_teacher(teacher, student, odd)]
    if found[0].deviation > tolerance:
        like = likeness(L, student)
        if like is not None:
            kind, sizes, reference = like
            found.append(Configuration(kind, sizes, _deviation(student.W, student.a, reference)))
        if not L.kernel.homogeneous:
            found.append(_as_channel(student.W, student.a, odd))
    return _nearest(found, tolerance, student.n)


def _scaled(network, factor):
    return Network(factor * network.W, network.a)


def _as_teacher(teacher, student, odd):
    """The teacher itself, neurons in the order that is nearest."""
    lengths = np.linalg.norm(teacher.W, axis=1)
    if student.n != teacher.n or not (teacher.a.all() and lengths.all()):
        return _FAR
    networks = [(net.W, net.a) for net in (teacher, student)]
    if odd:
        networks = [_with_positive_weights(*net) for net in networks]
    (V, b), (W, a) = networks
    away = cdist(W, V) / lengths + np.abs(a[:, None] / b - 1.0)
    _, copied = linear_sum_assignment(np.minimum(away, 1e300))
    sizes = (1,) * student.n
    return Configuration("copy-average", sizes, _deviation(W, a, Network(V[copied], b[copied])))
