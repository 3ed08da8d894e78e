"""Which of the named configurations a student is, up to the order of its neurons and inputs.

Copy-average and perturbed copies have modules of their own. Channel: two neurons with one incoming
vector whose outgoing weights have opposite signs. Under relu a neuron counts by the product of its
weights only, neurons with one direction add up to one neuron, and neurons without strength, or
without incoming weights, do nothing: what is left is compared.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lib import kernels
from lib.arguments import LARGEST_WEIGHT, finite_array, instance, integer, shown
from lib.kernels import Kernel
from lib.networks import Network
from lib.pairs import Pairs
from lib.students.averaging import averaging_weight
from lib.students.perturbed import erf_perturbed_copies, perturbed_network
from lib.students.symmetric import class_means, critical_point, solution, symmetric_network

_SAME_DIRECTION = 5e-5  # 1 - cosine: an angle of 0.01
_NO_STRENGTH = 1e-3  # |a| |w|, where a teacher has 1


class Configuration(NamedTuple):
    """What `identify` found.

    Attributes
    ----------
    kind : str
        ``'copy-average'``, ``'copy-average-like'``, ``'perturbed-copies'``, ``'channel'``,
        ``'wrong-sign'``, ``'dead'`` or ``'other'``.
    sizes : tuple of int
        For ``'copy-average'`` under erf, the ascending group sizes. Under other kernels an entry
        for each neuron: 1 for a copy, -1 for a flipped one, for an average the number of teacher
        neurons that have no copy. Else ().
    deviation : float
        The largest relative distance of a w_i or a_i from the configuration named; for ``'other'``
        from the nearest one, inf if none applies.
    neurons : int
        How many the student amounts to: under relu fewer than n if some are collinear or dead.

    Examples
    --------
    >>> identify(copy_average([1, 2, 2])).sizes
    (1, 2, 2)
    """

    kind: str
    sizes: tuple
    deviation: float
    neurons: int = 0


_FAR = Configuration("other", (), math.inf)


def identify(student, k=None, tolerance=0.05, kernel=kernels.erf):
    """Name the configuration of a student, up to the order of neurons and inputs.

    The name is geometry alone: `certify` tells whether the student is a minimum.

    Parameters
    ----------
    student : Network (n, d)
    k : int
        The teacher neurons are e_1, ..., e_k. If None, they are the coordinates in which the
        student's linear part is more than half of a teacher neuron's.
    tolerance : float
        The largest relative deviation of a weight from the configuration that is named.
    kernel : kernels.Kernel

    Returns
    -------
    Configuration
        ``'copy-average'``: n groups, optimal or not, among them the teacher itself.
        ``'copy-average-like'`` and ``'perturbed-copies'``: those of the functions of these names.
        ``'channel'`` (erf): two neurons of the same w, up to sign, whose outgoing weights pull in
        opposite directions. ``'dead'`` (relu): no neuron is left. ``'wrong-sign'`` (relu): one has
        a_i < 0. ``'other'``: the rest, among it copy-averages with dead, zero or equal neurons,
        which have fewer groups than neurons.

    Notes
    -----
    For erf and tanh (w, a) and (-w, -a) are one neuron. Under relu the network is named that is
    left when collinear neurons are merged and those without strength dropped. A flow stopped at
    ``|gradient| <= 1e-8`` leaves up to ``1e-7 (k - n + 1)^2`` in an averager's a, below 0.05 for
    groups up to 700, and far less elsewhere. Deviations of this size confuse no names: an averager
    is an order away from every perturbed copy, and of two partitions the nearer is taken.

    Examples
    --------
    >>> identify(perturbed_copies(kernels.erf, k=8, n=6)).kind
    'perturbed-copies'
    >>> identify(Network(np.eye(2), [1.0, 3.0])).kind
    'other'
    """
    instance("student", student, Network)
    k = None if k is None else integer("k", k, least=1)
    if k is not None and k > student.d:
        raise ValueError(f"k must be at most the student's input dimension {student.d}, got {k}")
    if not finite_array("tolerance", tolerance, ndim=0) > 0.0:
        raise ValueError(f"tolerance must be positive, got {shown(tolerance)}")
    if instance("kernel", kernel, Kernel) is kernels.erf:
        return _identify_erf(student, k, tolerance)
    return _identify_symmetric(student, k, tolerance, kernel)


def _nearest(found, tolerance, neurons):
    nearest = min(found, key=lambda configuration: configuration.deviation)
    if nearest.deviation > tolerance:
        nearest = Configuration("other", (), nearest.deviation)
    return nearest._replace(neurons=neurons)


def _deviation(W, a, reference):
    away = np.linalg.norm(W - reference.W, axis=1) / np.linalg.norm(reference.W, axis=1)
    return float(max(away.max(), (np.abs(a - reference.a) / reference.a).max()))


def _identify_erf(student, k, tolerance):
    sign = np.where(student.a < 0.0, -1.0, 1.0)
    W, a = sign[:, None] * student.W, np.abs(student.a)
    with np.errstate(over="ignore"):  # infinitely far is far
        share = _linear_shares(W, a)
        teachers = np.flatnonzero(share.sum(axis=0) > 0.5) if k is None else np.arange(k)
        found = [_as_copy_average(W, a, share, teachers)]
        if found[0].deviation > tolerance:
            found += [_as_perturbed_copies(W, a, share, teachers, tolerance), _as_channel(W, a)]
    return _nearest(found, tolerance, student.n)


def _linear_shares(W, a):
    """sqrt(2) a_i y_ij (n, d): the part of teacher j's linear part that neuron i represents."""
    scale = np.maximum(1.0, np.abs(W).max(axis=1, keepdims=True))
    scaled = W / scale
    y = scaled / np.sqrt(scale**-2.0 + (scaled**2).sum(axis=1, keepdims=True))
    return math.sqrt(2) * np.minimum(a, 1e150)[:, None] * y


def _as_copy_average(W, a, share, teachers):
    """Every teacher belongs to the neuron that represents most of its linear part."""
    n, d = W.shape
    group = share[:, teachers].argmax(axis=0)
    sizes = np.bincount(group, minlength=n)
    if sizes.min() == 0:
        return _FAR
    reference = np.zeros((n, d))
    reference[group, teachers] = averaging_weight(sizes.astype(float))[group]
    ascending = tuple(sorted(sizes.tolist()))
    return Configuration("copy-average", ascending, _deviation(W, a, Network(reference, sizes)))


def _as_perturbed_copies(W, a, share, teachers, tolerance):
    """Neurons are matched to teachers by their linear parts, all at once."""
    n, k = len(a), len(teachers)
    if not 2 <= n < k or (1 - tolerance) * a.max() > (1 + tolerance) * a.min():
        return _FAR
    _, copied = linear_sum_assignment(share[:, teachers], maximize=True)
    try:
        numbers = erf_perturbed_copies(k, n)
    except ValueError:
        return _FAR
    reference = perturbed_network(numbers, W.shape[1], teachers, teachers[copied])
    return Configuration("perturbed-copies", (), _deviation(W, a, reference))


def _as_channel(W, a):
    """The two neurons, signs moved into w, that come closest to w_1 = -w_2."""
    largest = np.abs(W).max(axis=1)
    active = (a > 0.0) & (largest > 0.0)
    if active.sum() < 2:
        return _FAR
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
    return Configuration(
        "channel", (), float(np.linalg.norm(opposite) / norm) if norm > 0.0 else math.inf
    )


# Other kernels: the students of lib.students.symmetric.


def _identify_symmetric(student, k, tolerance, kernel):
    if (
        max(np.abs(student.W).max(), np.abs(student.a).max()) > LARGEST_WEIGHT
    ):  # as good as infinite
        return Configuration("other", (), math.inf, student.n)
    if kernel is kernels.relu:
        student = reduced_network(student)
        if not student.a.any():
            return Configuration("dead", (), 0.0, 0)
        if (student.a < 0.0).any():
            return Configuration("wrong-sign", (), 0.0, student.n)
    teachers = represented_teachers(student, kernel) if k is None else np.arange(k)
    W, a = student.W, student.a
    if kernel is kernels.tanh:
        W, a = np.where(a < 0.0, -1.0, 1.0)[:, None] * W, np.abs(a)
    averagers = _possible_averagers(W, a, teachers)
    found = [_as_symmetric(W, a, kernel, teachers, averager, tolerance) for averager in averagers]
    return _nearest([*found, _FAR], tolerance, student.n)


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


def represented_teachers(student, kernel):
    """The coordinates (m,) in which the student's linear part is more than half of a teacher's.

    The linear part of f under Gaussian inputs x is ``x . sum_i a_i E[sigma'(w_i . x)] w_i``.
    """
    W, a = student.W, student.a
    mean_slope = _mean_slope(kernel, (W * W).sum(axis=1)) / _mean_slope(kernel, np.ones(1))
    return np.flatnonzero((a * mean_slope) @ W > 0.5)


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


def _mean_slope(kernel, p):
    """E[sigma'(w.x)] for |w|^2 = p, up to a factor: g_s at a zero second vector."""
    zero = np.zeros_like(p)
    return kernel.jet_at(Pairs(zero, p, zero, zero))[1]
