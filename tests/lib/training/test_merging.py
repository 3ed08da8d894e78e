"""Ways to make a network smaller: against the theorem, finite differences, and by brute force."""

import itertools

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, kernels
from lib.training.merging import (
    averaged,
    best_outgoing,
    cluster_groups,
    copies_and_rest,
    eliminated,
    greedy_groups,
    kept,
    strongest,
)

KERNELS = pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu], ids=["erf", "relu"])


def random_loss(kernel, k=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return PopulationLoss(Network(rng.standard_normal((k, d)), rng.standard_normal(k)), kernel)


@pytest.mark.parametrize("sizes", [[1, 1, 3], [2, 3], [1, 4]])
def test_averages_of_orthonormal_neurons_are_those_of_the_theorem(sizes):
    L = PopulationLoss(Network.orthonormal(sum(sizes)), kernels.erf)
    ends = np.cumsum([0, *sizes])
    student = averaged(L, [list(range(*pair)) for pair in itertools.pairwise(ends)])
    expected = copy_average(sizes)
    assert np.allclose(student.W, expected.W, atol=1e-14)
    assert np.allclose(student.a, expected.a)


@KERNELS
def test_groups_of_one_are_the_teacher(kernel):
    L = random_loss(kernel)
    assert L(averaged(L, [[j] for j in range(6)])) == pytest.approx(0.0, abs=1e-13)
    assert L(kept(L, range(6))) == pytest.approx(0.0, abs=1e-13)


@KERNELS
def test_equal_functions_are_averaged_without_loss(kernel):
    """Under erf also those with both signs flipped, under relu those of another length."""
    other = -2.0 * np.ones(3) if kernel is kernels.erf else 2.0 * np.ones(3)
    b = [1.5, -0.5] if kernel is kernels.erf else [1.5, 0.5]
    L = PopulationLoss(Network([2.0 * np.ones(3), other * 1.0], b), kernel)
    assert L(averaged(L, [[0, 1]])) == pytest.approx(0.0, abs=1e-13)


@KERNELS
def test_best_outgoing_weights_are_a_minimum(kernel):
    """L is quadratic in them: central differences vanish, second ones are positive."""
    L = random_loss(kernel, seed=1)
    student = best_outgoing(L, Network(np.random.default_rng(2).standard_normal((3, 4)), [1] * 3))
    h = 1e-3
    for e in h * np.eye(3):
        more, less = (L(Network(student.W, student.a + s * e)) for s in (1.0, -1.0))
        assert abs(more - less) / (2 * h) < 1e-10
        assert more + less - 2 * L(student) > 1e-8


@KERNELS
@pytest.mark.parametrize("ways", [greedy_groups, cluster_groups, copies_and_rest])
def test_groups_are_partitions(kernel, ways):
    for n, seed in itertools.product((2, 3, 5), range(5)):
        L = random_loss(kernel, k=7, d=2, seed=seed)
        groups, signs = ways(L, n), np.sign(L.teacher.a)
        assert len(groups) == n and sorted(sum(groups, [])) == list(range(7))
        assert kernel is kernels.erf or all(len(set(signs[group])) == 1 for group in groups)


def test_strongest_by_monte_carlo():
    L = random_loss(kernels.erf, seed=4)
    x = np.random.default_rng(5).standard_normal((100_000, 4))
    own = [np.mean(kept(L, [j])(x, kernels.erf) ** 2) for j in range(6)]
    assert strongest(L, 3) == sorted(np.argsort(own)[3:].tolist())


def test_one_elimination_and_one_merge_by_brute_force():
    L = random_loss(kernels.erf, k=5, seed=6)
    left = min(
        itertools.combinations(range(5), 4),
        key=lambda neurons: L(best_outgoing(L, kept(L, list(neurons)))),
    )
    assert eliminated(L, 4) == list(left)
    pair = min(
        itertools.combinations(range(5), 2),
        key=lambda two: L(averaged(L, [list(two), *([j] for j in range(5) if j not in two)])),
    )
    assert list(pair) in greedy_groups(L, 4)
    assert greedy_groups(L, 5) == [[j] for j in range(5)]


def test_signs_are_not_mixed_under_relu_even_where_it_would_cost_less():
    L = PopulationLoss(Network(np.eye(3)[[0, 1, 0]], [1.0, 1.0, -0.001]), kernels.relu)
    assert sorted(greedy_groups(L, 2)) == [[0, 1], [2]]


def test_clusters_are_those_of_close_vectors():
    V = np.repeat(np.eye(3), 2, axis=0)
    V[1::2] += 0.05
    groups = cluster_groups(PopulationLoss(Network(V, np.ones(6)), kernels.erf), 3)
    assert sorted(groups) == [[0, 1], [2, 3], [4, 5]]


def test_bad_input_is_named():
    L = random_loss(kernels.erf)
    with pytest.raises(ValueError, match="n must be"):
        greedy_groups(L, 7)
    with pytest.raises(ValueError, match="n must be"):
        eliminated(L, 0)
    with pytest.raises(ValueError, match="erf or relu"):
        averaged(random_loss(kernels.gelu), [[0, 1]])
