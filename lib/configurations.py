"""The named configurations of an erf student: what it may end up as beside k orthonormal teachers.

Copy-average: every neuron represents a group of teachers of its own, a copy for a group of one and
an average for more. Perturbed copies (lib/perturbed.py): n copies that share the other teachers.
Channel: two neurons with one incoming vector whose outgoing weights have opposite signs.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lib.arguments import finite_array, instance, integer
from lib.networks import Network
from lib.perturbed import AT_HALF, LOST, ORDERS, erf_perturbed_copies, perturbed_network


def copy_average(sizes, d=None):
    """The student that copies and averages: one neuron for each group of consecutive teachers.

    sizes: the n group sizes; teachers are e_1, ..., e_k with k = sum(sizes). Group of size l:
    w = sum_j e_j / sqrt(l (2 l - 1)), a = l. Returns a Network (n, d), d = k if None.
    A critical point of the erf loss for every sizes (arXiv:2311.01644); least for (1, ..., 1, k - n + 1).
    Raises ValueError unless sizes are integers >= 1 and d is an integer >= k.
    """
    sizes = _group_sizes(sizes)
    if sizes.ndim != 1:
        raise ValueError(f"sizes must have 1 dimension(s), got shape {sizes.shape}")
    k = int(sizes.sum())
    d = k if d is None else integer("d", d, least=k)
    W = np.zeros((len(sizes), d))
    group = np.repeat(np.arange(len(sizes)), sizes.astype(np.int64))
    W[group, np.arange(k)] = _averaging_weight(sizes.astype(np.float64))[group]
    return Network(W, sizes.astype(np.float64))


def copy_average_loss(sizes):
    """Loss of `copy_average(sizes)`, to 14 digits for every group size: sum of `group_loss` over groups.

    sizes: n integers -> float, or an integer array (..., n) -> array (...), summed over the last
    axis. Raises ValueError unless sizes are integers >= 1.
    """
    sizes = _group_sizes(sizes)
    try:
        sizes = sizes.astype(np.float64)
    except OverflowError as error:
        raise ValueError("sizes must be below 1e308, the largest float64") from error
    return group_loss(sizes).sum(axis=-1)[()]


def partitions(k, n):
    """Iterator over all partitions of k into exactly n parts >= 1, each once, as tuples.

    The parts of a tuple ascend and the tuples come in lexicographic order, so that the first is the
    optimal (1, ..., 1, k - n + 1). Constant memory. Raises ValueError, at the call, unless n and k
    are integers with 1 <= n <= k.
    """
    n = integer("n", n, least=1)
    return _ascending_partitions(integer("k", k, least=n), n)


def group_loss(l):
    """Loss of an averaged group of real size l >= 1: (2/pi) (l arcsin(1/2) - l^2 arcsin(1/(2 l))).

    Every term of the sum is positive and vanishes at l = 1: nothing cancels. Broadcasts.
    """
    return (l - 1.0) * LOST + group_excess(l)


def group_excess(l):
    """The part of `group_loss` that stays bounded: (2/pi) sum_q c_q 2^-q (1 - l^(2 - q))."""
    log_l = np.log(l)
    return -2 / np.pi * sum(c * np.expm1((2 - q) * log_l) for q, c in zip(ORDERS, AT_HALF, strict=True))


def _averaging_weight(l):
    return 1.0 / np.sqrt(l * (2.0 * l - 1.0))


def _group_sizes(sizes):
    """sizes as an array of integers >= 1 with at least one group; Python integers stay exact."""
    if not (isinstance(sizes, np.ndarray) and sizes.dtype.kind in "iu"):
        sizes = np.array(sizes, dtype=object)
    if sizes.ndim == 0 or sizes.shape[-1] == 0:
        raise ValueError(f"sizes must hold at least one group size, got {sizes.tolist()!r}")
    # Of an integer array the least entry tells; of anything else every entry is asked for its type.
    for size in sizes.flat if sizes.dtype == object else [sizes.min(initial=1)]:
        integer("sizes", size, least=1)
    return sizes


def _ascending_partitions(k, n):
    parts = [1] * (n - 1) + [k - n + 1]
    while True:
        yield tuple(parts)
        # Raise the last part that can be raised, and make what follows as small as possible.
        rest = parts[-1]
        for i in range(n - 2, -1, -1):
            rest += parts[i]
            raised = parts[i] + 1
            if raised * (n - i) <= rest:
                break
        else:
            return
        parts[i:] = [raised] * (n - 1 - i) + [rest - raised * (n - 1 - i)]


# Recognition


class Configuration(NamedTuple):
    """What `identify` found. kind: 'copy-average', 'perturbed-copies', 'channel' or 'other'; sizes: the
    ascending group sizes of a copy-average, else (); deviation: see `identify`.
    """

    kind: str
    sizes: tuple
    deviation: float


def identify(student, k=None, tolerance=0.05):
    """Name the configuration of an erf student, up to order of neurons and inputs and (w, a) -> (-w, -a).

    student: Network (n, d); the teachers are e_1, ..., e_k, or, if k is None, the coordinates that
    the student represents: those where its linear part sqrt(2) sum_i a_i y_i is above 1/2 (it is 1 at
    teachers and 0 elsewhere, within a few percent for perturbed copies).

    'copy-average': n groups, optimal or not; the teacher itself included. 'perturbed-copies': those of
    `perturbed_copies`. 'channel': two neurons with the same w, up to sign, whose outgoing weights pull in
    opposite directions; w may be a teacher, the mean of a group, or a difference of teachers, and the
    weights may diverge. 'other': the rest, among it copy-averages with dead, zero or equal neurons,
    which have fewer groups than neurons.

    deviation: the largest |w_i - reference| / |reference| and |a_i - reference| / reference; for a
    channel the two w_i against their mean; for 'other' that of the nearest name, inf if none applies.
    Up to `tolerance` a name is given. A flow stopped at |gradient| <= 1e-8 leaves up to
    1e-7 (k - n + 1)^2 in an averager's a, below 0.05 for groups up to 700, and far less elsewhere.
    Noise of this size confuses no names: an averager is an order away from every perturbed copy, and of
    two partitions the nearer is taken. The name is geometry alone: certify tells whether it is a minimum.
    Raises ValueError for another type, unless 1 <= k <= d, and unless tolerance is positive.
    """
    instance("student", student, Network)
    k = None if k is None else integer("k", k, least=1)
    if k is not None and k > student.d:
        raise ValueError(f"k must be at most the student's input dimension {student.d}, got {k}")
    if not finite_array("tolerance", tolerance, ndim=0) > 0.0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    sign = np.where(student.a < 0.0, -1.0, 1.0)
    W, a = sign[:, None] * student.W, np.abs(student.a)
    with np.errstate(over="ignore"):  # infinitely far is far
        share = _linear_shares(W, a)
        teachers = np.flatnonzero(share.sum(axis=0) > 0.5) if k is None else np.arange(k)
        found = [_as_copy_average(W, a, share, teachers)]
        if found[0].deviation > tolerance:
            found += [_as_perturbed_copies(W, a, share, teachers, tolerance), _as_channel(W, a)]
    nearest = min(found, key=lambda configuration: configuration.deviation)
    return nearest if nearest.deviation <= tolerance else Configuration("other", (), nearest.deviation)


def _linear_shares(W, a):
    """sqrt(2) a_i y_ij (n, d): the part of teacher j's linear part that neuron i represents."""
    scale = np.maximum(1.0, np.abs(W).max(axis=1, keepdims=True))
    scaled = W / scale
    y = scaled / np.sqrt(scale**-2.0 + (scaled**2).sum(axis=1, keepdims=True))
    return math.sqrt(2) * np.minimum(a, 1e150)[:, None] * y


def _deviation(W, a, reference):
    away = np.linalg.norm(W - reference.W, axis=1) / np.linalg.norm(reference.W, axis=1)
    return float(max(away.max(), (np.abs(a - reference.a) / reference.a).max()))


def _as_copy_average(W, a, share, teachers):
    """Every teacher belongs to the neuron that represents most of its linear part."""
    n, d = W.shape
    group = share[:, teachers].argmax(axis=0)
    sizes = np.bincount(group, minlength=n)
    if sizes.min() == 0:
        return Configuration("copy-average", (), math.inf)
    reference = np.zeros((n, d))
    reference[group, teachers] = _averaging_weight(sizes.astype(float))[group]
    ascending = tuple(sorted(sizes.tolist()))
    return Configuration("copy-average", ascending, _deviation(W, a, Network(reference, sizes)))


def _as_perturbed_copies(W, a, share, teachers, tolerance):
    """Neurons are matched to teachers by their linear parts, all at once."""
    n, k = len(a), len(teachers)
    far = Configuration("perturbed-copies", (), math.inf)
    if not 2 <= n < k or (1 - tolerance) * a.max() > (1 + tolerance) * a.min():
        return far
    _, copied = linear_sum_assignment(share[:, teachers], maximize=True)
    try:
        numbers = erf_perturbed_copies(k, n)
    except ValueError:
        return far
    reference = perturbed_network(numbers, W.shape[1], teachers, teachers[copied])
    return Configuration("perturbed-copies", (), _deviation(W, a, reference))


def _as_channel(W, a):
    """The two neurons, signs moved into w, that come closest to w_1 = -w_2."""
    largest = np.abs(W).max(axis=1)
    active = (a > 0.0) & (largest > 0.0)
    if active.sum() < 2:
        return Configuration("channel", (), math.inf)
    W, largest = W[active], largest[active]
    U = W / largest[:, None]
    norms = np.linalg.norm(U, axis=1)
    U /= norms[:, None]
    log_norm = np.log(largest) + np.log(norms)
    # 2 w.v / (|w|^2 + |v|^2), least for the pair that is closest to opposite.
    likeness = (U @ U.T) / np.cosh(log_norm[:, None] - log_norm)
    i, j = np.unravel_index(np.argmin(likeness), likeness.shape)
    pair = W[[i, j]] / max(largest[i], largest[j])
    opposite, common = pair[0] + pair[1], pair[0] - pair[1]
    norm = np.linalg.norm(common)
    return Configuration("channel", (), float(np.linalg.norm(opposite) / norm) if norm > 0.0 else math.inf)
