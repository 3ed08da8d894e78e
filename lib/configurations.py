"""The named configurations of a student: what it may end up as beside k orthonormal teachers. For erf:

Copy-average: every neuron represents a group of teachers of its own, a copy for a group of one and
an average for more. Perturbed copies (lib/perturbed.py): n copies that share the other teachers.
Channel: two neurons with one incoming vector whose outgoing weights have opposite signs.

Other kernels: copy-average has a relative of less symmetry (`copy_average_like`), perturbed copies exist too
(lib/symmetric.py), and relu's students may amount to networks of fewer neurons (lib/effective.py).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lib import kernels
from lib.arguments import LARGEST_WEIGHT, finite_array, instance, integer, shown
from lib.effective import effective_network, nearest_symmetric, represented
from lib.kernels import Kernel
from lib.networks import Network
from lib.perturbed import (
    AT_HALF,
    LOST,
    ORDERS,
    checked_flipped,
    erf_perturbed_copies,
    perturbed_network,
    symmetric_copies,
)
from lib.symmetric import Classes


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
    k = integer("sizes", sum(sizes.tolist()), least=1)  # no sum of NumPy's integers, which may overflow
    d = k if d is None else integer("d", d, least=k)
    W = np.zeros((len(sizes), d))
    group = np.repeat(np.arange(len(sizes)), sizes.astype(np.int64))
    W[group, np.arange(k)] = _averaging_weight(sizes.astype(np.float64))[group]
    return Network(W, sizes.astype(np.float64))


def copy_average_like(kernel, k, n, d=None, flipped=0):
    """What is left of the optimal copy-average under another kernel: n - 1 near copies and a near average.

    Copy i copies teacher i of e_1, ..., e_k and has weights on the others; the last neuron averages the others
    and has weights on the copied ones: see `lib.symmetric`. The last `flipped` copies are flipped, as in
    `perturbed_copies`. Returns a Network (n, d), d = k if None, with a = 1 for relu; the teacher itself
    at n = k, the optimum of `one_neuron` at n = 1; for erf `copy_average` of (1, ..., 1, k - n + 1).
    A critical point up to rounding, as `perturbed_copies` is.
    Raises ValueError for another kernel, unless 1 <= n <= k <= d and 0 <= flipped < n, for erf unless flipped = 0,
    and where no such point is found.
    """
    instance("kernel", kernel, Kernel)
    n = integer("n", n, least=1)
    k = integer("k", k, least=n)
    d = k if d is None else integer("d", d, least=k)
    flipped = checked_flipped(flipped, n - 1, kernel)
    if n == k and not flipped:
        return Network.orthonormal(k, d)
    if kernel is kernels.erf:
        return copy_average([1] * (n - 1) + [k - n + 1], d)
    return symmetric_copies(kernel, d, Classes(n - 1 - flipped, flipped, k - n + 1, 1))


def copy_average_loss(sizes):
    """Loss of `copy_average(sizes)`, to 14 digits for every group size: sum of `group_loss` over groups.

    sizes: n integers -> float, or an integer array (..., n) -> array (...), summed over the last
    axis. Raises ValueError unless sizes are integers >= 1.
    """
    sizes = _group_sizes(sizes)
    try:
        with np.errstate(over="raise"):
            return group_loss(sizes.astype(np.float64)).sum(axis=-1)[()]
    except (OverflowError, FloatingPointError) as error:
        raise ValueError(f"sizes must be below 1e308, the largest float64, got {shown(sizes)}") from error


def partitions(k, n):
    """Iterator over all partitions of k into exactly n parts >= 1, each once, as tuples.

    The parts of a tuple ascend and the tuples come in lexicographic order, so that the first is the
    optimal (1, ..., 1, k - n + 1). Constant memory. Raises ValueError, at the call, unless n and k
    are integers with 1 <= n <= k.
    """
    n = integer("n", n, least=1)
    return _ascending_partitions(integer("k", k, least=n, most=math.inf), n)


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
    if isinstance(sizes, (range, list, tuple)):
        try:
            array = np.array(sizes, dtype=object)
        except Exception as error:  # an array of another package may raise anything
            raise ValueError(f"sizes must hold integers, got {shown(sizes)}") from error
    else:
        array = sizes if type(sizes) is np.ndarray else np.array(None)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"sizes must hold at least one group size, got {shown(sizes)}: a list, tuple or plain array")
    # Of an integer array the least entry tells; of anything else every entry is asked for its type.
    if array.dtype.kind in "iu":
        integer("sizes", array.min(initial=1), least=1)
        return array
    exact = [integer("sizes", size, least=1, most=math.inf) for size in array.flat]
    return np.array(exact, dtype=object).reshape(array.shape)


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
    """What `identify` found. kind: 'copy-average', 'copy-average-like', 'perturbed-copies', 'channel',
    'wrong-sign', 'dead' or 'other'; sizes and deviation: see `identify`; neurons: how many the student amounts to.
    """

    kind: str
    sizes: tuple
    deviation: float
    neurons: int = 0


def identify(student, k=None, tolerance=0.05, kernel=kernels.erf):
    """Name the configuration of a student, up to order of neurons and inputs; for erf also (w, a) -> (-w, -a).

    student: Network (n, d); the teachers are e_1, ..., e_k, or, if k is None, the coordinates that
    the student represents: those where its linear part sqrt(2) sum_i a_i y_i is above 1/2 (it is 1 at
    teachers and 0 elsewhere, within a few percent for perturbed copies).

    'copy-average': n groups, optimal or not; the teacher itself included. 'perturbed-copies': those of
    `perturbed_copies`. 'channel': two neurons with the same w, up to sign, whose outgoing weights pull in
    opposite directions; w may be a teacher, the mean of a group, or a difference of teachers, and the
    weights may diverge. 'other': the rest, among it copy-averages with dead, zero or equal neurons,
    which have fewer groups than neurons. sizes: the ascending group sizes of a copy-average, else ().

    Other kernels: 'copy-average' (the teacher itself), 'copy-average-like', 'perturbed-copies' or 'other'; sizes
    has one entry for each neuron, 1 for a copy, -1 for a flipped one, for an average the number of
    teachers that have no copy. Under relu it is the `lib.effective.effective_network` that is named, collinear
    neurons merged and dead ones dropped, and neurons says how many are left: 'dead' if there are none,
    'wrong-sign' if one of them has a_i < 0.

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
        raise ValueError(f"tolerance must be positive, got {shown(tolerance)}")
    if instance("kernel", kernel, Kernel) is not kernels.erf:
        if max(np.abs(student.W).max(), np.abs(student.a).max()) > LARGEST_WEIGHT:  # infinitely far is far
            return Configuration("other", (), math.inf, student.n)
        effective = effective_network(student) if kernel is kernels.relu else student
        if kernel is kernels.relu and not effective.a.any():
            return Configuration("dead", (), 0.0, 0)
        if kernel is kernels.relu and (effective.a < 0.0).any():
            return Configuration("wrong-sign", (), 0.0, effective.n)
        teachers = represented(effective, kernel) if k is None else np.arange(k)
        found = [Configuration(*nearest_symmetric(effective, kernel, teachers, tolerance))]
        return _nearest(found, tolerance, effective.n)
    sign = np.where(student.a < 0.0, -1.0, 1.0)
    W, a = sign[:, None] * student.W, np.abs(student.a)
    with np.errstate(over="ignore"):  # infinitely far is far
        share = _linear_shares(W, a)
        teachers = np.flatnonzero(share.sum(axis=0) > 0.5) if k is None else np.arange(k)
        found = [_as_copy_average(W, a, share, teachers)]
        if found[0].deviation > tolerance:
            found += [_as_perturbed_copies(W, a, share, teachers, tolerance), _as_channel(W, a)]
    return _nearest(found, tolerance, student.n)


def _nearest(found, tolerance, neurons):
    nearest = min(found, key=lambda configuration: configuration.deviation)
    if nearest.deviation > tolerance:
        nearest = Configuration("other", (), nearest.deviation)
    return nearest._replace(neurons=neurons)


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
