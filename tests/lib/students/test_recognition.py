"""lib.students.recognition on students that were hidden by symmetries, disguised or moved."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_like,
    glorot,
    identify,
    kernels,
    partitions,
    perturbed_copies,
)
from lib.students.recognition import reduced_network

ALL_SMALL = [(k, n) for k in range(1, 9) for n in range(1, k + 1)]


K = 8
L = PopulationLoss(Network.orthonormal(K, K + 1), kernels.relu)


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


def hidden(student, rng, noise=0.0):
    """The same function after a random order of neurons and inputs, random signs and relative noise."""
    sign = rng.choice([-1.0, 1.0], student.n)
    order, inputs = rng.permutation(student.n), rng.permutation(student.d)
    W, a = student.W[order], student.a[order]
    if noise > 0.0:
        direction = rng.standard_normal(W.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        W = W + noise * np.linalg.norm(W, axis=1, keepdims=True) * direction
        a = a * (1 + noise * rng.choice([-1.0, 1.0], student.n))
    return Network((sign[:, None] * W)[:, inputs], sign * a)


@pytest.mark.parametrize(("k", "n"), ALL_SMALL)
def test_every_partition_is_recognised(k, n):
    rng = np.random.default_rng(k * 10 + n)
    for sizes, extra, noise in itertools.product(partitions(k, n), (0, 2), (0.0, 0.04)):
        found = identify(hidden(copy_average(sizes, k + extra), rng, noise))
        assert (found.kind, found.sizes) == ("copy-average", sizes)
        # Noise along w and across it, and in a: its size is what is reported.
        assert abs(found.deviation - noise) < 1e-12


@pytest.mark.parametrize("k", [3, 6, 10, 30])
def test_perturbed_copies_are_recognised(k):
    rng = np.random.default_rng(k)
    for n, noise in itertools.product(range(2, k), (0.0, 0.04)):
        found = identify(hidden(perturbed_copies(kernels.erf, k, n, k + 1), rng, noise))
        assert found[:2] == ("perturbed-copies", ()), (n, noise)
        assert abs(found.deviation - noise) < 1e-11


def test_large_configurations_are_recognised():
    rng = np.random.default_rng(0)
    for sizes in ([1] * 200 + [800], [500, 500], [499, 501], [1000], [1] * 1000):
        found = identify(hidden(copy_average(sizes, 1001), rng, 0.02))
        assert found[:2] == ("copy-average", tuple(sorted(sizes)))
    assert identify(hidden(perturbed_copies(kernels.erf, 1000, 999), rng, 0.02)).kind == "perturbed-copies"


def test_noise_well_above_the_tolerance_is_not_recognised():
    rng = np.random.default_rng(1)
    students = [copy_average(sizes, 9) for k, n in ALL_SMALL for sizes in partitions(k, n)]
    students += [perturbed_copies(kernels.erf, 9, n) for n in range(2, 9)]
    for student in students:
        found = identify(hidden(student, rng, 0.1))
        assert found[:2] == ("other", ()) and found.deviation > 0.05
        assert identify(hidden(student, rng, 0.1), tolerance=0.15).kind != "other"


def test_the_names_keep_their_distance():
    """At no n does one kind come near the other's reference: a tolerance of 0.3 confuses nothing."""
    for k in range(3, 21):
        for n in range(2, k):
            assert identify(perturbed_copies(kernels.erf, k, n), tolerance=0.3).kind == "perturbed-copies"
            assert identify(copy_average([1] * (n - 1) + [k - n + 1]), tolerance=0.3).kind == "copy-average"


def test_the_soft_direction_of_a_flow_is_forgiven():
    """A flow stopped at |gradient| = 1e-8 sits about 1e-8 / eigenvalue off along the softest eigenvector."""
    sizes = [1, 49]
    loss = PopulationLoss(Network.orthonormal(50), kernels.erf)
    student = copy_average(sizes)
    eigenvalues, vectors = np.linalg.eigh(loss.hessian(student))
    assert 8e-7 < eigenvalues[0] < 1e-6
    moved = Network.unravel(student.ravel() + 1e-8 / eigenvalues[0] * vectors[:, 0], 2, 50)
    assert np.linalg.norm(moved.ravel() - student.ravel()) > 0.01
    found = identify(moved)
    assert found[:2] == ("copy-average", (1, 49)) and 1e-5 < found.deviation < 1e-3


def test_channels():
    """Two neurons with one w and opposite outgoing weights, exact or diverging, in every disguise."""
    rng = np.random.default_rng(2)
    average = copy_average([5]).W
    step = np.array([0.2, -0.1, 1.3, 0.4, 0.7])
    students = {
        "shared average": Network(np.repeat(average, 2, axis=0), [6.46, -1.46]),
        "shared copy": Network(np.vstack((copy_average([1, 4]).W, np.eye(1, 5))), [3.0, 4.0, -2.0]),
        "diverging": Network([np.eye(5)[0] + step / 200, np.eye(5)[0] - step / 200, average[0]], [101.0, -100.0, 2.0]),
        "zero sum": Network([average[0], step, step], [5.0, 1e6, -1e6]),
    }
    for name, student in students.items():
        for _ in range(5):
            found = identify(hidden(student, rng))
            assert found[:2] == ("channel", ()) and found.deviation < 0.02, name
    loss = PopulationLoss(Network.orthonormal(5), kernels.erf)
    assert np.linalg.norm(loss.gradient(students["shared average"]).ravel()) < 1e-13


def test_degenerate_critical_points_are_other():
    """Critical points with fewer groups than neurons (checked), and not a channel."""
    base = copy_average([1, 4])
    loss = PopulationLoss(Network.orthonormal(5), kernels.erf)
    average = base.W[1]
    students = {
        "equal neurons": Network([base.W[0], average, average], [1.0, 1.5, 2.5]),
        "zero neuron": Network([*base.W, np.zeros(5)], [1.0, 4.0, -3.0]),
        "dead neuron": Network([*base.W, average * 0 + [0, 1, -1, 0, 0]], [1.0, 4.0, 0.0]),
        "all zero": Network(np.zeros((3, 5)), np.zeros(3)),
    }
    for name, student in students.items():
        assert np.linalg.norm(loss.gradient(student).ravel()) < 1e-13, name
        assert identify(student).kind == "other", name


def test_given_teachers():
    """With k the teachers are known: a student that leaves one out is no copy-average of the rest."""
    student = copy_average([1, 3], d=6)
    assert identify(student).sizes == (1, 3)
    assert identify(student, k=4).sizes == (1, 3)
    assert identify(student, k=np.int64(5)).kind == "other"
    assert identify(student, k=3).kind == "other"
    assert identify(perturbed_copies(kernels.erf, 8, 6, 9), k=8).kind == "perturbed-copies"


def test_more_neurons_than_teachers():
    assert identify(Network(np.eye(4)[[0, 1, 1]], [1.0, 0.5, 0.5])).kind == "other"
    assert identify(Network([[1.0]], [1.0])) == ("copy-average", (1,), 0.0, 1)
    assert identify(Network([[-1.0]], [-1.0])) == ("copy-average", (1,), 0.0, 1)


WEIGHTS = st.one_of(
    st.floats(-2, 2), st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, 1.7e308, 5e-324, 1e8, -1e-8])
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), n=st.integers(1, 5), d=st.integers(1, 5))
def test_any_finite_student_has_a_name(data, n, d):
    """And the name does not depend on the disguise."""
    W = data.draw(st.lists(st.lists(WEIGHTS, min_size=d, max_size=d), min_size=n, max_size=n))
    a = data.draw(st.lists(WEIGHTS, min_size=n, max_size=n))
    student = Network(W, a)
    found = identify(student)
    assert found.kind in ("copy-average", "perturbed-copies", "channel", "other")
    assert found.deviation >= 0 and (found.kind == "other") == (found.deviation > 0.05)
    if n > 1 and not 0.049 < found.deviation < 0.051:
        assert identify(hidden(student, np.random.default_rng(n + d))).kind == found.kind


@settings(max_examples=100, deadline=None)
@given(n=st.integers(2, 8), d=st.integers(6, 12), seed=st.integers(0, 2**32 - 1))
def test_random_students_are_other(n, d, seed):
    rng = np.random.default_rng(seed)
    assert identify(Network(rng.standard_normal((n, d)), rng.standard_normal(n))).kind == "other"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: identify(np.eye(2)), "student must be a Network, got array"),
        (lambda: identify(copy_average([1, 2]), k=4), "k must be at most the student's input dimension 3, got 4"),
        (lambda: identify(copy_average([1, 2]), k=0), "k must be at least 1, got 0"),
        (lambda: identify(copy_average([1, 2]), k=2.0), "k must be an integer, got 2.0"),
        (lambda: identify(copy_average([1, 2]), tolerance=0), "tolerance must be positive, got 0"),
        (lambda: identify(copy_average([1, 2]), tolerance=math.nan), "tolerance must be finite, got nan"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Under relu, and other kernels


def disguised(student, rng):
    """The same relu function: other lengths, another order, the last neuron split in three, a silent one added."""
    W = np.vstack((student.W, [student.W[-1]] * 2, np.zeros((1, student.d))))
    a = np.append(student.a, [0.5, -0.8, -3.0])
    a[student.n - 1] += 0.3
    c = np.exp(rng.standard_normal(len(a)))
    order = rng.permutation(len(a))
    return Network((W / c[:, None])[order], (a * c)[order])


@pytest.mark.parametrize("make", [copy_average_like, perturbed_copies])
@pytest.mark.parametrize("n", [3, 5, 7])
def test_disguises_are_seen_through(make, n):
    rng = np.random.default_rng(n)
    student = make(kernels.relu, K, n, K + 1)
    other = disguised(student, rng)
    x = rng.standard_normal((50, K + 1))
    np.testing.assert_allclose(other(x, kernels.relu), student(x, kernels.relu), atol=1e-12)
    effective = reduced_network(other)
    assert effective.n == n and (effective.a == 1.0).all()
    np.testing.assert_allclose(effective(x, kernels.relu), student(x, kernels.relu), atol=1e-12)
    found, permuted = identify(other, K, kernel=kernels.relu), Network(other.W[:, rng.permutation(K + 1)], other.a)
    assert found.kind == {copy_average_like: "copy-average-like", perturbed_copies: "perturbed-copies"}[make]
    assert found.sizes == (1,) * (n - 1) + ((K - n + 1,) if make is copy_average_like else (1,))
    assert found.deviation < 1e-7 and found.neurons == n
    assert identify(permuted, kernel=kernels.relu)[:2] == found[:2]


@pytest.mark.parametrize(("strength", "neurons"), [(0.01, 4), (-0.01, 4), (1e-4, 3)])
def test_weak_neurons_count_down_to_a_thousandth(strength, neurons):
    student = copy_average_like(kernels.relu, K, 3)
    W = np.vstack((student.W, np.random.default_rng(0).standard_normal((1, K))))
    a = np.append(student.a, strength / np.linalg.norm(W[-1]))
    assert reduced_network(Network(W, a)).n == neurons


def test_other_names():
    def name(W, a, k=K):
        return identify(Network(W, a), k, kernel=kernels.relu)[:2]

    assert name(2.0 * np.eye(K), np.full(K, 0.5)) == ("copy-average", (1,) * K)
    assert name(np.eye(K)[:5], np.ones(5))[0] == "other"  # copies that leave three out are not critical
    assert name(-np.eye(K), np.ones(K))[0] == "other"
    assert identify(Network(np.zeros((2, K)), [-1.0, -2.0]), K, kernel=kernels.relu) == ("dead", (), 0.0, 0)
    against = Network(np.vstack((np.eye(K), -np.ones((1, K)))), np.append(np.ones(K), -1.0))
    assert identify(against, K, kernel=kernels.relu) == ("wrong-sign", (), 0.0, K + 1)
    flipped = perturbed_copies(kernels.relu, K, K, flipped=2)
    assert name(flipped.W, flipped.a) == ("perturbed-copies", (-1,) * 2 + (1,) * (K - 2))
    assert identify(copy_average_like(kernels.relu, K, 1), K, kernel=kernels.relu)[:2] == ("copy-average-like", (K,))
    with pytest.raises(ValueError, match="kernel must be a Kernel, got 'relu'"):
        identify(flipped, K, kernel="relu")


def test_neurons_that_differ_by_twice_the_tolerance_are_each_within_it():
    """One copy 4.5 % longer and the others as much shorter: none is farther from its reference."""
    student = perturbed_copies(kernels.relu, K, 7)
    length = np.full((7, 1), 0.955)
    length[0] = 1.045
    found = identify(Network(length * student.W, student.a), K, kernel=kernels.relu)
    assert found.kind == "perturbed-copies" and found.deviation == pytest.approx(0.045, abs=1e-6)


def test_nothing_is_solved_for_where_no_symmetric_student_is_near(monkeypatch):
    def solved(*arguments):
        raise RuntimeError

    monkeypatch.setattr("lib.students.recognition.critical_point", solved)
    student = perturbed_copies(kernels.relu, K, 5)
    length = np.linspace(0.8, 1.3, 5)[:, None]
    found = identify(Network(length * student.W, student.a), K, kernel=kernels.relu)
    assert found.kind == "other" and 0.1 < found.deviation < 1.0
    with pytest.raises(RuntimeError):
        identify(student, K, kernel=kernels.relu)


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softplus], ids=lambda kernel: kernel.name)
def test_smooth_kernels(kernel):
    for make, kind in ((copy_average_like, "copy-average-like"), (perturbed_copies, "perturbed-copies")):
        student = make(kernel, 6, 5)
        assert identify(student, 6, kernel=kernel)[0] == identify(student, kernel=kernel)[0] == kind
    if kernel is kernels.tanh:
        assert identify(Network(-student.W, -student.a), 6, kernel=kernel)[0] == kind
