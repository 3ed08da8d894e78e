"""lib.students.correlated against dense Hessians, flows and Monte Carlo, at points drawn at random."""

import math
from fractions import Fraction

import numpy as np
import pytest

from lib import Network, PopulationLoss, certify, gradient_flow, kernels, phase_boundaries
from lib.students.correlated import (
    copies_advantage,
    correlated_boundaries,
    correlated_copies,
    correlated_copy_average,
    correlated_copy_average_loss,
    equiangular,
    leaning_threshold,
    unequal_copies,
)


def points(seed, number):
    """(k, n, c) drawn at random, 3 <= n < k <= 12 and c < 0.8."""
    rng = np.random.default_rng(seed)
    ks = rng.integers(5, 13, number).tolist()
    return [(k, int(rng.integers(3, k)), float(rng.uniform(0, 0.8))) for k in ks]


def loss(k, c):
    return PopulationLoss(equiangular(k, c, k + 1), kernels.erf)


@pytest.mark.parametrize("c", [0.0, 0.3, 0.95])
def test_teacher_neurons_have_the_cosine(c):
    V = equiangular(6, c, 8).W
    assert np.allclose(V @ V.T, c + (1 - c) * np.eye(6), atol=1e-14, rtol=0)


@pytest.mark.parametrize("point", points(0, 12))
def test_both_students_are_critical_points_of_the_whole_loss(point):
    k, n, c = point
    average, copies = (f(k, n, c, k + 1) for f in (correlated_copy_average, correlated_copies))
    for student in (average, copies):
        assert np.abs(loss(k, c).gradient(student).ravel()).max() < 1e-12
    assert abs(loss(k, c)(average) - correlated_copy_average_loss(k - n + 1, c)) < 1e-13
    difference = loss(k, c)(average) - loss(k, c)(copies)
    assert abs(copies_advantage(k, n, c) - difference) < 1e-12


@pytest.mark.parametrize("student", [correlated_copies, correlated_copy_average])
def test_their_losses_by_monte_carlo(student):
    L, found = loss(8, 0.3), student(8, 5, 0.3, 9)
    mean, error = L.monte_carlo(found, np.random.default_rng(1), 400_000)
    assert abs(L(found) - mean) < 4 * error < 1e-3


@pytest.mark.parametrize("point", points(1, 12))
def test_block_of_unequal_copies_is_a_form_of_the_dense_hessian(point):
    k, n, c = point
    rng, student, V = np.random.default_rng(2), correlated_copies(k, n, c, k + 1), equiangular(k, c, k + 1).W
    t, xi = rng.standard_normal(5), rng.standard_normal(n)
    xi -= xi.mean()
    xi /= np.linalg.norm(xi)
    step = np.outer(xi, t[1] * V[:n].sum(0) + t[2] * V[n:].sum(0))
    step += t[0] * xi[:, None] * V[:n] + t[3] * (xi @ V[:n])
    squared = 1 + (student.W**2).sum(axis=1, keepdims=True)
    y = student.W / np.sqrt(squared)
    inward = (y * step).sum(axis=1, keepdims=True)
    moved = Network(np.sqrt(squared) * step + squared**1.5 * y * inward, t[4] * xi).ravel()
    form = moved @ loss(k, c).hessian(student) @ moved / 2
    assert math.isclose(form, 2 / np.pi * (t @ unequal_copies(k, n, c) @ t), rel_tol=1e-9)


@pytest.mark.parametrize("point", points(3, 30))
def test_signs_of_the_dense_hessians_are_those_of_the_two_blocks(point):
    k, n, c = point
    L = loss(k, c)
    copies = np.linalg.eigvalsh(L.hessian(correlated_copies(k, n, c, k + 1)))
    assert (copies < 0).sum() == (n - 1) * (np.linalg.eigvalsh(unequal_copies(k, n, c)) < 0).sum()
    average = np.linalg.eigvalsh(L.hessian(correlated_copy_average(k, n, c, k + 1)))
    assert (average < 0).sum() == (k - n) * (n - 1 > leaning_threshold(k - n + 1, c))


@pytest.mark.parametrize("k", [7, 10, 20])
def test_orthonormal_teachers_have_the_boundaries_that_are_known(k):
    assert np.allclose(correlated_boundaries(k, 0.0), phase_boundaries(k), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    "k, c, first",
    [(10, 0.0, (6, 8, 9)), (10, 0.1, (6, 8, 9)), (20, 0.0, (10, 15, 18)), (20, 0.05, (10, 16, 18))],
)
def test_first_widths(k, c, first):
    assert tuple(math.ceil(n) for n in correlated_boundaries(k, c)) == first


@pytest.mark.parametrize("seed", range(6))
def test_flows_from_beside_perturbed_copies_stay_only_where_they_are_a_minimum(seed):
    rng = np.random.default_rng([4, seed])
    c = float(rng.uniform(0, 0.5))
    stable = correlated_boundaries(8, c).perturbed_stable
    for n, stays in ((math.floor(stable), False), (math.ceil(stable), True)):
        L, student = loss(8, c), correlated_copies(8, n, c, 9)
        theta = student.ravel() + 1e-3 * rng.standard_normal(student.ravel().size)
        end = certify(L, gradient_flow(L, Network.unravel(theta, n, 9), rtol=1e-4).student)
        assert end.kind == "strict minimum"
        assert (abs(L(end.student) - L(student)) < 1e-10) == stays


@pytest.mark.parametrize("k, p", [(5, 3), (5, 4), (10, 3), (10, 4)])
def test_order_p_average_turns_at_the_known_cosine(k, p):
    """Second derivatives of sum_j (w . v_j)^p on the sphere, at cosines on both sides of (p - 2) / (k + p - 2)."""
    threshold = Fraction(p - 2, k + p - 2)
    for c, minimum in ((threshold - Fraction(1, 1000), False), (threshold + Fraction(1, 1000), True)):
        V = equiangular(k, float(c)).W
        w = V.sum(axis=0) / np.linalg.norm(V.sum(axis=0))
        u = V @ w
        hessian = -p * (p - 1) * (V.T * u ** (p - 2)) @ V + p * (u**p).sum() * np.eye(k)
        across = np.eye(k) - np.outer(w, w)
        assert (np.linalg.eigvalsh(across @ hessian @ across).min() > -1e-9) == minimum


def test_a_neuron_for_itself_costs_nothing():
    for c in (0.0, 0.3, 0.9):
        assert abs(correlated_copy_average_loss(1, c)) < 1e-15


def test_an_average_of_less_than_two_leans_where_the_boundary_is():
    """Witness: the boundary of three orthonormal teacher neurons, at a width n that is no integer."""
    n = phase_boundaries(3)[2]
    assert 1.0 < 3 - n + 1 < 2.0
    assert leaning_threshold(3 - n + 1, 0.0) == pytest.approx(n - 1, rel=1e-9)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: equiangular(3, 1.0), "c must be below 1"),
        (lambda: equiangular(3, -0.1), "c must be a number between 0"),
        (lambda: correlated_copies(4, 4, 0.1), "n must be at most 3"),
        (lambda: correlated_copy_average(3, 4, 0.1), "n must be at most k = 3, got 4"),
        (lambda: correlated_copy_average(3, 0, 0.1), "n must be at least 1, got 0"),
        (lambda: correlated_copy_average_loss(0.9, 0.1), "m must be a number between 1"),
        (lambda: leaning_threshold(0.9, 0.1), "m must be a number between 1"),
        (lambda: correlated_boundaries(6, 0.1), "k must be at least 7"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
