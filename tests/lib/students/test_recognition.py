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
    identify,
    kernels,
    partitions,
    perturbed_copies,
)
from lib.students.recognition import reduced_network

ALL_SMALL = [(k, n) for k in range(1, 9) for n in range(1, k + 1)]


K = 8


def orthonormal(student, k=None, kernel=kernels.erf):
    """A loss for this student: its teacher has neurons e_1, ..., e_k, k = d if None."""
    return PopulationLoss(Network.orthonormal(k or student.d, student.d), kernel)


def named(student, k=None, kernel=kernels.erf, **options):
    return identify(orthonormal(student, k, kernel), student, **options)


def hidden(student, rng, noise=0.0, k=None):
    """(L, student): the same functions after a random order of neurons and inputs, random signs and relative noise."""
    sign = rng.choice([-1.0, 1.0], student.n)
    order, inputs = rng.permutation(student.n), rng.permutation(student.d)
    W, a = student.W[order], student.a[order]
    if noise > 0.0:
        direction = rng.standard_normal(W.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        W = W + noise * np.linalg.norm(W, axis=1, keepdims=True) * direction
        a = a * (1 + noise * rng.choice([-1.0, 1.0], student.n))
    teacher = Network(np.eye(k or student.d, student.d)[:, inputs], np.ones(k or student.d))
    return PopulationLoss(teacher, kernels.erf), Network((sign[:, None] * W)[:, inputs], sign * a)


@pytest.mark.parametrize(("k", "n"), ALL_SMALL)
def test_every_partition_is_recognised(k, n):
    rng = np.random.default_rng(k * 10 + n)
    for sizes, extra, noise in itertools.product(partitions(k, n), (0, 2), (0.0, 0.04)):
        found = identify(*hidden(copy_average(sizes, k + extra), rng, noise, k))
        assert (found.kind, found.sizes) == ("copy-average", sizes)
        # Noise along w and across it, and in a: its size is what is reported.
        assert abs(found.deviation - noise) < 1e-12


@pytest.mark.parametrize("k", [3, 6, 10, 30])
def test_perturbed_copies_are_recognised(k):
    rng = np.random.default_rng(k)
    for n, noise in itertools.product(range(2, k), (0.0, 0.04)):
        found = identify(*hidden(perturbed_copies(kernels.erf, k, n, k + 1), rng, noise, k))
        assert found[:2] == ("perturbed-copies", ()), (n, noise)
        assert abs(found.deviation - noise) < 1e-11


def test_large_configurations_are_recognised():
    rng = np.random.default_rng(0)
    for sizes in ([1] * 200 + [800], [500, 500], [499, 501], [1000], [1] * 1000):
        found = identify(*hidden(copy_average(sizes, 1001), rng, 0.02, 1000))
        assert found[:2] == ("copy-average", tuple(sorted(sizes)))
    student = perturbed_copies(kernels.erf, 1000, 999)
    assert identify(*hidden(student, rng, 0.02)).kind == "perturbed-copies"


def test_noise_well_above_the_tolerance_is_not_recognised():
    rng = np.random.default_rng(1)
    students = [(copy_average(sizes, 9), k) for k, n in ALL_SMALL for sizes in partitions(k, n)]
    students += [(perturbed_copies(kernels.erf, 9, n), 9) for n in range(2, 9)]
    for student, k in students:
        found = identify(*hidden(student, rng, 0.1, k))
        assert found[:2] == ("other", ()) and found.deviation > 0.05
        assert identify(*hidden(student, rng, 0.1, k), tolerance=0.15).kind != "other"


def test_the_names_keep_their_distance():
    """At no n does one kind come near the other's reference: a tolerance of 0.3 confuses nothing."""
    for k in range(3, 21):
        for n in range(2, k):
            assert named(perturbed_copies(kernels.erf, k, n), tolerance=0.3).kind == "perturbed-copies"
            assert named(copy_average([1] * (n - 1) + [k - n + 1]), tolerance=0.3).kind == "copy-average"


def test_the_soft_direction_of_a_flow_is_forgiven():
    """A flow stopped at |gradient| = 1e-8 sits about 1e-8 / eigenvalue off along the softest eigenvector."""
    sizes = [1, 49]
    loss = PopulationLoss(Network.orthonormal(50), kernels.erf)
    student = copy_average(sizes)
    eigenvalues, vectors = np.linalg.eigh(loss.hessian(student))
    assert 8e-7 < eigenvalues[0] < 1e-6
    moved = Network.unravel(student.ravel() + 1e-8 / eigenvalues[0] * vectors[:, 0], 2, 50)
    assert np.linalg.norm(moved.ravel() - student.ravel()) > 0.01
    found = identify(loss, moved)
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
            found = identify(*hidden(student, rng))
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
        assert identify(loss, student).kind == "other", name


def test_teachers_that_are_left_out_count():
    """A student that leaves one out is no copy-average of the rest."""
    student = copy_average([1, 3], d=6)
    assert named(student, 4).sizes == (1, 3)
    assert named(student, 5).kind == named(student, 3).kind == named(student).kind == "other"
    assert named(perturbed_copies(kernels.erf, 8, 6, 9), 8).kind == "perturbed-copies"


def test_more_neurons_than_teachers():
    assert named(Network(np.eye(4)[[0, 1, 1]], [1.0, 0.5, 0.5]), 2).kind == "other"
    assert named(Network([[1.0]], [1.0])) == ("copy-average", (1,), 0.0, 1)
    assert named(Network([[-1.0]], [-1.0])) == ("copy-average", (1,), 0.0, 1)


WEIGHTS = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, -1e29, 1e30, 5e-324, 1e8, -1e-8]))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), n=st.integers(1, 5), d=st.integers(1, 5))
def test_any_finite_student_has_a_name(data, n, d):
    """And the name does not depend on the disguise."""
    W = data.draw(st.lists(st.lists(WEIGHTS, min_size=d, max_size=d), min_size=n, max_size=n))
    a = data.draw(st.lists(WEIGHTS, min_size=n, max_size=n))
    student = Network(W, a)
    found = named(student)
    assert found.kind in ("copy-average", "perturbed-copies", "channel", "other")
    assert found.deviation >= 0 and (found.kind == "other") == (found.deviation > 0.05)
    if n > 1 and not 0.049 < found.deviation < 0.051:
        assert identify(*hidden(student, np.random.default_rng(n + d))).kind == found.kind


@settings(max_examples=100, deadline=None)
@given(n=st.integers(2, 8), d=st.integers(6, 12), seed=st.integers(0, 2**32 - 1))
def test_random_students_are_other(n, d, seed):
    rng = np.random.default_rng(seed)
    assert named(Network(rng.standard_normal((n, d)), rng.standard_normal(n))).kind == "other"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: named(copy_average([1, 2]), tolerance=0), "tolerance must be positive, got 0"),
        (lambda: named(copy_average([1, 2]), tolerance=math.nan), "tolerance must be finite, got nan"),
        (lambda: identify(orthonormal(copy_average([3])), np.eye(3)), "student must be a Network, got array"),
        (lambda: identify(orthonormal(copy_average([3])), copy_average([4])), "input dimension 3, got 4"),
        (lambda: named(Network([[1e31]], [1.0])), "student must have weights of at most 1e\\+30, got 1e\\+31"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda student: identify(student),
        lambda student: identify(student, 12),
        lambda student: identify(student, k=12),
        lambda student: identify(student, 12, kernel=kernels.relu),
        lambda student: identify(student=student),
    ],
)
def test_calls_of_earlier_versions_are_told_the_new_one(call):
    with pytest.raises(ValueError, match="come first, as in identify.PopulationLoss.teacher, kernel., student., got"):
        call(copy_average([1, 2]))


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
    found, inputs = named(other, K, kernels.relu), rng.permutation(K + 1)
    assert found.kind == {copy_average_like: "copy-average-like", perturbed_copies: "perturbed-copies"}[make]
    assert found.sizes == (1,) * (n - 1) + ((K - n + 1,) if make is copy_average_like else (1,))
    assert found.deviation < 1e-7 and found.neurons == n
    teacher = Network(3.0 * np.eye(K, K + 1)[:, inputs], np.full(K, 1 / 3))
    permuted = PopulationLoss(teacher, kernels.relu), Network(other.W[:, inputs], other.a)
    assert identify(*permuted)[:2] == found[:2]


@pytest.mark.parametrize(("strength", "neurons"), [(0.01, 4), (-0.01, 4), (1e-4, 3)])
def test_weak_neurons_count_down_to_a_thousandth(strength, neurons):
    student = copy_average_like(kernels.relu, K, 3)
    W = np.vstack((student.W, np.random.default_rng(0).standard_normal((1, K))))
    a = np.append(student.a, strength / np.linalg.norm(W[-1]))
    assert reduced_network(Network(W, a)).n == neurons


def test_other_names():
    def name(W, a, k=K):
        return named(Network(W, a), k, kernels.relu)[:2]

    assert name(2.0 * np.eye(K), np.full(K, 0.5)) == ("copy-average", (1,) * K)
    assert name(np.eye(K)[:5], np.ones(5))[0] == "other"  # copies that leave three out are not critical
    assert name(-np.eye(K), np.ones(K))[0] == "other"
    assert named(Network(np.zeros((2, K)), [-1.0, -2.0]), K, kernels.relu) == ("dead", (), 0.0, 0)
    against = Network(np.vstack((np.eye(K), -np.ones((1, K)))), np.append(np.ones(K), -1.0))
    assert named(against, K, kernels.relu) == ("wrong-sign", (), 0.0, K + 1)
    flipped = perturbed_copies(kernels.relu, K, K, flipped=2)
    assert name(flipped.W, flipped.a) == ("perturbed-copies", (-1,) * 2 + (1,) * (K - 2))
    assert named(copy_average_like(kernels.relu, K, 1), K, kernels.relu)[:2] == ("copy-average-like", (K,))


def test_a_teacher_in_other_units_is_the_same_teacher():
    """Weights -2.5 of an odd activation, vectors of length 3 under relu: the names stay what they were."""
    average = copy_average([1, 1, 6], 9)
    L = PopulationLoss(Network(np.eye(8, 9), np.full(8, -2.5)), kernels.erf)
    found = identify(L, Network(average.W, -2.5 * average.a))
    assert found[:2] == ("copy-average", (1, 1, 6)) and found.deviation < 1e-12
    L = PopulationLoss(Network(3.0 * np.eye(K), np.full(K, 0.5)), kernels.relu)
    flipped = perturbed_copies(kernels.relu, K, K, flipped=2)
    moved = Network(flipped.W * np.linspace(0.98, 1.02, K)[:, None], flipped.a)
    expected, found = named(moved, K, kernels.relu), identify(L, Network(moved.W, 1.5 * moved.a))
    assert found[:2] == expected[:2] == ("perturbed-copies", (-1,) * 2 + (1,) * (K - 2))
    assert found.deviation == pytest.approx(expected.deviation, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_a_neuron_is_weak_beside_the_weakest_teacher_neuron(unit):
    """Of a teacher with unequal weights: a thousandth of it is left out, in whatever units."""
    teacher = Network(np.eye(3, 4), unit * np.array([3.0, 2.0, 1.0]))
    L, weak = PopulationLoss(teacher, kernels.relu), np.eye(4)[3:]
    for strength, name in ((1e-4, ("copy-average", (1, 1, 1), 3)), (0.1, ("other", (), 4))):
        student = Network(np.vstack((teacher.W, weak)), np.append(teacher.a, strength * unit))
        found = identify(L, student)
        assert (found.kind, found.sizes, found.neurons) == name


def test_neurons_that_differ_by_twice_the_tolerance_are_each_within_it():
    """One copy 4.5 % longer and the others as much shorter: none is farther from its reference."""
    student = perturbed_copies(kernels.relu, K, 7)
    length = np.full((7, 1), 0.955)
    length[0] = 1.045
    found = named(Network(length * student.W, student.a), K, kernels.relu)
    assert found.kind == "perturbed-copies" and found.deviation == pytest.approx(0.045, abs=1e-6)


def test_nothing_is_solved_for_where_no_symmetric_student_is_near(monkeypatch):
    def solved(*arguments):
        raise RuntimeError

    monkeypatch.setattr("lib.students.recognition.critical_point", solved)
    student = perturbed_copies(kernels.relu, K, 5)
    length = np.linspace(0.8, 1.3, 5)[:, None]
    found = named(Network(length * student.W, student.a), K, kernels.relu)
    assert found.kind == "other" and 0.1 < found.deviation < 1.0
    with pytest.raises(RuntimeError):
        named(student, K, kernels.relu)


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softplus], ids=lambda kernel: kernel.name)
def test_smooth_kernels(kernel):
    for make, kind in ((copy_average_like, "copy-average-like"), (perturbed_copies, "perturbed-copies")):
        student = make(kernel, 6, 5)
        assert named(student, kernel=kernel)[0] == kind
    if kernel is kernels.tanh:
        assert named(Network(-student.W, -student.a), kernel=kernel)[0] == kind
