"""Which of the students of lib/symmetric.py a student is, for any kernel; and the network that it amounts to.

Under relu a neuron counts by the product of its weights only, neurons with one direction add up to one
neuron, and neurons without strength, or without incoming weights, do nothing. What is left is compared.
"""

import math

import numpy as np

from lib import kernels
from lib.gram import Gram
from lib.networks import Network
from lib.symmetric import Classes, class_means, newton, solution, symmetric_network

_SAME_DIRECTION = 5e-5  # 1 - cosine: an angle of 0.01
_NO_STRENGTH = 1e-3  # |a| |w|, where a teacher has 1


def effective_network(student):
    """The relu network with the least neurons that computes what the student does: all |a_i| = 1, none collinear.

    Neurons within an angle of 0.01 count as collinear and add up to one, with the sign of the sum; those
    of strength |a| |w| below 1e-3 are left out. Strongest first. If none is left, one zero neuron is.
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


def represented(student, kernel):
    """The coordinates of whose linear part the student has more than half of what a teacher neuron has."""
    W, a = student.W, student.a
    mean_slope = _mean_slope(kernel, (W * W).sum(axis=1)) / _mean_slope(kernel, np.ones(1))
    return np.flatnonzero((a * mean_slope) @ W > 0.5)


def nearest_symmetric(student, kernel, teachers, tolerance):
    """(kind, sizes, deviation) of the symmetric student that is nearest; 'other' if none is within the tolerance.

    kind: 'copy-average' (every teacher copied: the teacher itself), 'copy-average-like' with an averager,
    'perturbed-copies' without. sizes: one number for each neuron, 1 for a copy, -1 for a flipped copy,
    for the averager the number of teachers without a copy.
    """
    W, a = student.W, student.a
    if kernel is kernels.tanh:
        W, a = np.where(a < 0.0, -1.0, 1.0)[:, None] * W, np.abs(a)
    found = [_compare(W, a, kernel, teachers, averager, tolerance) for averager in _possible_averagers(W, a, teachers)]
    return min(found, key=lambda configuration: configuration[2], default=("other", (), math.inf))


def _possible_averagers(W, a, teachers):
    """None, and the neuron whose largest weights differ least; neither where there are too many or wrong neurons."""
    if len(a) > len(teachers) or (a <= 0.0).any() or not W.any(axis=1).all():
        return []
    if len(teachers) == 1:
        return [None]
    largest = np.sort(np.abs(W[:, teachers]), axis=1)
    flattest = int(np.argmax(largest[:, -2] / np.maximum(largest[:, -1], 1e-300)))
    return [flattest] if len(a) == 1 else [None, flattest]


def _compare(W, a, kernel, teachers, averager, tolerance):
    far = ("other", (), math.inf)
    copies = np.array([i for i in range(len(a)) if i != averager], dtype=int)
    own = teachers[np.abs(W[np.ix_(copies, teachers)]).argmax(axis=1)] if len(copies) else copies
    others = np.setdiff1d(teachers, own)
    if len(set(own)) < len(own) or (averager is not None and len(others) < 2):
        return far
    flipped = W[copies, own] < 0.0
    order = np.concatenate((copies[~flipped], copies[flipped], [] if averager is None else [averager])).astype(int)
    groups = own[~flipped], own[flipped], others
    W, a = W[order], a[order]
    theta, classes = class_means(W, a, *groups)
    spread = _deviation(W, a, symmetric_network(solution(kernel, classes, theta), W.shape[1], *groups))
    if spread > 2 * tolerance:  # then no symmetric student is within the tolerance
        return *far[:2], spread
    theta = newton(kernel, classes, theta)
    if theta is None:
        return far
    deviation = _deviation(W, a, symmetric_network(solution(kernel, classes, theta), W.shape[1], *groups))
    return (_kind(classes), _sizes(classes), deviation) if deviation <= tolerance else (*far[:2], deviation)


def _deviation(W, a, reference):
    away = np.linalg.norm(W - reference.W, axis=1) / np.linalg.norm(reference.W, axis=1)
    return float(max(away.max(), np.abs(a / reference.a - 1.0).max()))


def _kind(classes):
    if classes.averagers:
        return "copy-average-like"
    return "perturbed-copies" if classes.flipped or classes.others else "copy-average"


def _sizes(classes: Classes):
    copies, flipped, others = (int(count) for count in classes.teachers)
    return (-1,) * flipped + (1,) * copies + (others,) * classes.averagers


def _mean_slope(kernel, p):
    """E[sigma'(w.x)] for |w|^2 = p, up to a factor: g_s at a zero second vector."""
    zero = np.zeros_like(p)
    return kernel._jet(Gram(zero, p, zero, zero))[1]
