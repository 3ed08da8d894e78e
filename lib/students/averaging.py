"""Copy-average: every neuron has a group of teachers of its own, which it copies or averages.

For erf a neuron copies a group of one and averages a larger one, and the losses of groups add up.
Under another kernel the optimal copy-average has a relative of less symmetry, `copy_average_like`.
"""

import math

import numpy as np

from lib import kernels
from lib.arguments import instance, integer, neurons, shown
from lib.kernels import Kernel
from lib.networks import Network
from lib.students.arcsine import AT_HALF, LOST, ORDERS
from lib.students.symmetric import Classes, checked_flipped, symmetric_copies


def copy_average(sizes, d=None):
    """The erf student that copies and averages: one neuron for each group of teacher neurons.

    Groups are consecutive. The teacher neurons are e_1, ..., e_k with k = sum(sizes). The student
    neuron of a group of size l has ``w = sum_j e_j / sqrt(l (2 l - 1))`` and ``a = l``: a copy if l
    = 1. A critical point of the erf loss for all sizes; the loss is least for (1, ..., 1, k - n +
    1) (arXiv:2311.01644).

    Parameters
    ----------
    sizes : list of int
        The n group sizes, at least 1.
    d : int
        Input dimension; d = k if None.

    Returns
    -------
    Network (n, d)

    Examples
    --------
    >>> copy_average([1, 2]).W.round(4)
    array([[1.    , 0.    , 0.    ],
           [0.    , 0.4082, 0.4082]])
    """
    sizes = _group_sizes(sizes)
    if sizes.ndim != 1:
        raise ValueError(f"sizes must have 1 dimension(s), got shape {sizes.shape}")
    k = integer("sizes", sum(sizes.tolist()), least=1)  # a sum of NumPy's integers may overflow
    d = k if d is None else integer("d", d, least=k)
    W = np.zeros((len(sizes), d))
    group = np.repeat(np.arange(len(sizes)), sizes.astype(np.int64))
    W[group, np.arange(k)] = averaging_weight(sizes.astype(np.float64))[group]
    return Network(W, sizes.astype(np.float64))


def copy_average_like(kernel, k, n, d=None, flipped=0):
    """The optimal copy-average's relative under any kernel: n - 1 near copies and a near average.

    Copy i copies teacher neuron i of e_1, ..., e_k and has weights on the others; the last neuron
    averages the others and has weights on the copied ones. A critical point up to rounding, as
    `perturbed_copies` is. Under erf it is `copy_average` of (1, ..., 1, k - n + 1), at n = 1 the
    optimum of `one_neuron`, at n = k the teacher.

    Parameters
    ----------
    kernel : kernels.Kernel
    k, n : int
        Teacher and student neurons, ``1 <= n <= k``.
    d : int
        Input dimension, at least k; d = k if None.
    flipped : int
        How many of the copies, the last ones, are flipped, as in `perturbed_copies`; 0 for erf.

    Returns
    -------
    Network (n, d)
        With a = 1 for relu.

    Raises
    ------
    ValueError
        Where no such point is found.

    Examples
    --------
    >>> student = copy_average_like(kernels.relu, k=6, n=3)
    >>> L = PopulationLoss(Network.orthonormal(6), kernels.relu)
    >>> bool(np.abs(L.gradient(student).ravel()).max() < 1e-10)
    True
    """
    instance("kernel", kernel, Kernel)
    k, n = neurons(k, n)
    d = k if d is None else integer("d", d, least=k)
    flipped = checked_flipped(flipped, n - 1, kernel)
    if n == k and not flipped:
        return Network.orthonormal(k, d)
    if kernel is kernels.erf:
        return copy_average([1] * (n - 1) + [k - n + 1], d)
    return symmetric_copies(kernel, d, Classes(n - 1 - flipped, flipped, k - n + 1, 1))


def copy_average_loss(sizes):
    """The loss of `copy_average`, to 14 digits for every size.

    The sum over groups of ``(2/pi) (l arcsin(1/2) - l^2 arcsin(1 / (2 l)))``, evaluated without
    cancellation.

    Parameters
    ----------
    sizes : list of int, or integer array (..., n)
        Group sizes >= 1.

    Returns
    -------
    float or array (...)
        Summed over the last axis.

    Examples
    --------
    >>> copy_average_loss(np.array([[1, 1, 4], [1, 2, 3], [2, 2, 2]])).round(6)
    array([0.056755, 0.063815, 0.069665])
    """
    sizes = _group_sizes(sizes)
    try:
        with np.errstate(over="raise"):
            return group_loss(sizes.astype(np.float64)).sum(axis=-1)[()]
    except (OverflowError, FloatingPointError) as error:
        raise ValueError(
            f"sizes must be below 1e308, the largest float64, got {shown(sizes)}"
        ) from error


def partitions(k, n):
    """All partitions of k into exactly n parts >= 1, each once.

    Parameters
    ----------
    k, n : int
        ``1 <= n <= k``.

    Returns
    -------
    iterator of tuples
        Ascending parts, in lexicographic order, so that the optimal (1, ..., 1, k - n + 1) comes
        first. Memory does not grow with their number.

    Raises
    ------
    ValueError
        At the call, unless k and n are such integers.

    Examples
    --------
    >>> list(partitions(6, 3))
    [(1, 1, 4), (1, 2, 3), (2, 2, 2)]
    """
    return _ascending_partitions(*neurons(k, n, most=math.inf))


def group_loss(l):
    """The loss (2/pi) (l arcsin(1/2) - l^2 arcsin(1/(2 l))) of an averaged group of size l >= 1.

    l is real. Every term of the sum is positive and vanishes at l = 1: nothing cancels. Broadcasts.
    """
    return (l - 1.0) * LOST + group_excess(l)


def group_excess(l):
    """The part of `group_loss` that stays bounded: (2/pi) sum_q c_q 2^-q (1 - l^(2 - q))."""
    log_l = np.log(l)
    return (
        -2
        / np.pi
        * sum(c * np.expm1((2 - q) * log_l) for q, c in zip(ORDERS, AT_HALF, strict=True))
    )


def averaging_weight(l):
    """The weight of an averager on each teacher of its group of real size l >= 1; 1 for a copy.
    Broadcasts.
    """
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
        raise ValueError(
            f"sizes must hold at least one group size, got {shown(sizes)}: a list, tuple or plain "
            "array"
        )
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
