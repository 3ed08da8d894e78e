"""Fewer neurons from many: keep some, or average groups in the coordinates of the theorem.

A network under erf or relu is a sum of masses m_j > 0 at points: under erf m_j = |b_j|, at
``sign(b_j) v_j / sqrt(1 + |v_j|^2)`` in the ball, for erf is odd; under relu m_j = |b_j| |v_j|, at
the direction of v_j, and only neurons of one sign of b_j are averaged. A group is averaged to its
mass, at its centre of mass: as in the theorem where neurons are orthonormal and equal.
"""

import itertools

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from lib import kernels
from lib.arguments import instance, integer, shown
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.pairs import among, between, squared_norms


def averaged(L, groups):
    """The student of one neuron for each group of teacher neurons: their average.

    Parameters
    ----------
    L : PopulationLoss
        Of erf or relu.
    groups : list of lists of int
        Indices of teacher neurons, each once; under relu those of a group have one sign of b_j.

    Returns
    -------
    Network (n, d)

    Examples
    --------
    >>> from lib.training import averaged
    >>> L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    >>> student = averaged(L, [[0], [1, 2]])
    >>> np.allclose(student.W, copy_average([1, 2]).W), student.a
    (True, array([1., 2.]))
    """
    mass, points, sign = _masses(L)
    if isinstance(groups, str) or not np.iterable(groups) or len(groups) == 0:
        raise ValueError(f"groups must be lists of teacher neurons, got {shown(groups)}")
    groups = [_neurons("groups", group, L) for group in groups]
    total = np.array([mass[group].sum() for group in groups])
    centres = np.array([mass[group] @ points[group] for group in groups]) / total[:, None]
    if L.kernel is kernels.erf:
        return Network(centres / np.sqrt(1.0 - squared_norms(centres))[:, None], total)
    return Network(total[:, None] * centres, [sign[group[0]] for group in groups])


def kept(L, neurons):
    """The student of some of the teacher neurons.

    Parameters
    ----------
    L : PopulationLoss
    neurons : list of int

    Returns
    -------
    Network (n, d)

    Examples
    --------
    >>> from lib.training import kept
    >>> kept(PopulationLoss(Network.orthonormal(3), kernels.erf), [0, 2]).W
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    neurons = _neurons("neurons", neurons, instance("L", L, PopulationLoss))
    return Network(L.teacher.W[neurons], L.teacher.a[neurons])


def best_outgoing(L, student):
    """The student with the outgoing weights of least loss, for its incoming vectors.

    Parameters
    ----------
    L : PopulationLoss
    student : Network (n, d)

    Returns
    -------
    Network (n, d)

    Examples
    --------
    >>> from lib.training import best_outgoing
    >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
    >>> best_outgoing(L, Network(np.eye(2), [0.3, 0.7])).a.round(12)
    array([1., 1.])
    """
    instance("L", L, PopulationLoss).weights(student)
    G = L.kernel.value_at(among(student.W, L.kernel.noise))
    T = L.kernel.value_at(between(student.W, L.teacher.W, L.kernel.noise)) @ L.teacher.a
    return Network(student.W, np.linalg.lstsq(G, T, rcond=1e-10)[0])


def strongest(L, n):
    """The n teacher neurons of the largest ``E[(b_j sigma(v_j.x))^2]``."""
    own = L.kernel.value_at(among(L.teacher.W, L.kernel.noise)).diagonal()
    return np.sort(np.argsort(-(L.teacher.a**2) * own, kind="stable")[:n]).tolist()


def eliminated(L, n):
    """n teacher neurons, left when again and again the one is cut that costs the least loss.

    Outgoing weights are the best ones each time.

    Parameters
    ----------
    L : PopulationLoss
    n : int

    Returns
    -------
    list of int
        Their indices, ascending.

    Examples
    --------
    >>> from lib.training import eliminated
    >>> teacher = Network(np.eye(3), [2.0, 0.1, 1.0])
    >>> eliminated(PopulationLoss(teacher, kernels.erf), 2)
    [0, 2]
    """
    n = integer("n", n, least=1, most=instance("L", L, PopulationLoss).teacher.n)
    left = list(range(L.teacher.n))
    while len(left) > n:
        smaller = [[j for j in left if j != cut] for cut in left]
        left = min(smaller, key=lambda neurons: L(best_outgoing(L, kept(L, neurons))))
    return left


def copies_and_rest(L, n):
    """n groups: the strongest alone, the others in one, or in one for each sign under relu."""
    _, _, sign = _masses(L)
    for alone in (n - 1, max(0, n - 2)):
        others = np.setdiff1d(np.arange(L.teacher.n), strongest(L, alone))
        rest = [others[sign[others] == s].tolist() for s in (1.0, -1.0)]
        groups = [[j] for j in strongest(L, alone)] + [group for group in rest if group]
        if len(groups) == n:
            break
    return groups


def cluster_groups(L, n):
    """n groups by hierarchical clustering of the points, by their mean distances."""
    _, points, sign = _masses(L)
    distances = squareform(pdist(points)) + 10.0 * (sign[:, None] != sign)
    labels = fcluster(linkage(squareform(distances), "average"), n, "maxclust")
    return [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]


def greedy_groups(L, n):
    """n groups: again and again the two are merged whose average leaves the least loss.

    Parameters
    ----------
    L : PopulationLoss
        Of erf or relu.
    n : int
        1 to k under erf; under relu at least the number of signs among the outgoing weights.

    Returns
    -------
    list of lists of int
        Indices of teacher neurons, each once.

    Raises
    ------
    ValueError
        If n is out of range, or the kernel is neither erf nor relu.

    Examples
    --------
    >>> from lib.training import greedy_groups
    >>> teacher = Network([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 1.0, 0.0]], [1.0, 1.0, 1.0])
    >>> greedy_groups(PopulationLoss(teacher, kernels.erf), 2)
    [[0], [1, 2]]
    """
    _, _, sign = _masses(L)
    n = integer("n", n, least=len(set(sign.tolist())), most=L.teacher.n)
    groups = [[j] for j in range(L.teacher.n)]
    while len(groups) > n:
        joined = [
            [g for g in groups if g is not one and g is not other] + [one + other]
            for one, other in itertools.combinations(groups, 2)
            if sign[one[0]] == sign[other[0]]
        ]
        groups = min(joined, key=lambda candidate: L(averaged(L, candidate)))
    return groups


def _neurons(name, indices, L):
    """Indices of teacher neurons as a list of ints, one at least and each once."""
    if isinstance(indices, str) or not np.iterable(indices):
        raise ValueError(f"{name} must hold indices of teacher neurons, got {shown(indices)}")
    found = [integer(name, index, least=0, most=L.teacher.n - 1) for index in indices]
    if len(set(found)) < len(found) or not found:
        raise ValueError(f"{name} must hold indices, each once, got {shown(indices)}")
    return found


def _masses(L):
    """Masses (k,), points (k, d), and signs that may not be mixed (k,)."""
    teacher = instance("L", L, PopulationLoss).teacher
    V, b = teacher.W, teacher.a
    sign, lengths = np.where(b < 0.0, -1.0, 1.0), np.sqrt(squared_norms(V))
    if L.kernel is kernels.erf:
        return np.abs(b), sign[:, None] * V / np.sqrt(1.0 + lengths**2)[:, None], np.ones(len(b))
    if L.kernel is kernels.relu:
        return np.abs(b) * lengths, V / lengths[:, None], sign
    raise ValueError(f"L must be of erf or relu, got {L.kernel!r}")
