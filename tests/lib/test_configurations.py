"""lib.students.averaging and recognition against PopulationLoss, mpmath, enumeration and hidden students."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_loss,
    identify,
    kernels,
    partitions,
    perturbed_copies,
)
from lib.students.averaging import group_excess, group_loss

ALL_SMALL = [(k, n) for k in range(1, 9) for n in range(1, k + 1)]


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


# Copy-average


@pytest.mark.parametrize(("k", "n"), ALL_SMALL)
def test_every_partition_is_a_critical_point_with_the_loss_in_closed_form(k, n):
    """Witness: PopulationLoss, its gradient and its value."""
    loss = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)
    for sizes in partitions(k, n):
        student = copy_average(sizes, k + 1)
        assert np.linalg.norm(loss.gradient(student).ravel()) < 1e-13, sizes
        assert abs(loss(student) - copy_average_loss(sizes)) < 1e-13, sizes


def test_leaving_a_teacher_out_is_not_critical():
    """The gradient test can fail: the same students, one teacher more."""
    loss = PopulationLoss(Network.orthonormal(5), kernels.erf)
    assert np.linalg.norm(loss.gradient(copy_average([1, 3], d=5)).ravel()) > 0.1


def test_groups_take_consecutive_teachers():
    student = copy_average([1, 3, 2], d=7)
    support = [[0], [1, 2, 3], [4, 5]]
    assert [list(np.flatnonzero(w)) for w in student.W] == support
    np.testing.assert_array_equal(student.a, [1.0, 3.0, 2.0])
    np.testing.assert_allclose(np.linalg.norm(student.W, axis=1) ** -2, [1.0, 5.0, 3.0])
    assert copy_average(np.array([2, 2], dtype=np.uint8)).d == 4


def mp_group_loss(l):
    """Witness: the closed form as it is written down, in 60 digits."""
    with mpmath.workdps(60):
        l = mpmath.mpf(l)
        return float(2 / mpmath.pi * (l * mpmath.pi / 6 - l * l * mpmath.asin(1 / (2 * l))))


@pytest.mark.parametrize("l", [1, 2, 3, 5, 10, 49, 10**3, 10**5, 10**7, 123456789, 10**9, 10**15])
def test_loss_of_a_group_to_fourteen_digits(l):
    np.testing.assert_allclose(copy_average_loss([l]), mp_group_loss(l), rtol=1e-14, atol=1e-60)


def test_loss_of_a_group_of_real_size():
    sizes = [1.0, 1 + 1e-15, 1 + 1e-9, 1.001, 1.5, np.pi, 44.4, 1e18]
    np.testing.assert_allclose(group_loss(np.array(sizes)), [mp_group_loss(l) for l in sizes], rtol=1e-14, atol=1e-60)
    lost = 2 / math.pi * (math.pi / 6 - 0.5)
    np.testing.assert_allclose(group_excess(7.5), mp_group_loss(7.5) - 6.5 * lost, rtol=1e-13)


def test_loss_is_vectorised_over_leading_axes():
    table = np.array(list(partitions(12, 4)))
    expected = [copy_average_loss(sizes) for sizes in table.tolist()]
    np.testing.assert_array_equal(copy_average_loss(table), expected)
    np.testing.assert_array_equal(copy_average_loss(table[:14].reshape(2, 7, 4)), np.reshape(expected[:14], (2, 7)))
    assert copy_average_loss([[1, 2], [2, 3]]).shape == (2,)
    assert copy_average_loss(np.empty((0, 3), dtype=int)).shape == (0,)
    assert isinstance(copy_average_loss((1, 2)), float) and copy_average_loss([1, 1]) == 0.0
    assert copy_average_loss([10**30, 1]) == copy_average_loss([10**30])


@pytest.mark.parametrize(("k", "n"), [(8, 3), (12, 4), (20, 4), (13, 13)])
def test_the_first_partition_is_the_optimum(k, n):
    """Witness: all of them."""
    first, *others = partitions(k, n)
    assert first == (1,) * (n - 1) + (k - n + 1,)
    assert all(copy_average_loss(first) < copy_average_loss(other) for other in others)


# Partitions


@pytest.mark.parametrize(("k", "n"), [*ALL_SMALL, (11, 4), (12, 5)])
def test_partitions_against_brute_force(k, n):
    """Witness: every ascending tuple of 1..k that sums to k, in the order of itertools."""
    expected = [c for c in itertools.combinations_with_replacement(range(1, k + 1), n) if sum(c) == k]
    assert list(partitions(k, n)) == expected


def test_partitions_against_the_recurrence():
    """p(k, n) = p(k - 1, n - 1) + p(k - n, n): remove a part 1, or 1 from every part."""

    known = {(0, 0): 1}

    def count(k, n):
        if k < 0 or n < 0:
            return 0
        if (k, n) not in known:
            known[k, n] = count(k - 1, n - 1) + count(k - n, n) if n else 0
        return known[k, n]

    for k, n in ((60, 10), (50, 25), (30, 1), (40, 2)):
        streamed = 0
        previous = (0,)
        for parts in partitions(k, n):
            assert parts > previous
            previous, streamed = parts, streamed + 1
        assert streamed == count(k, n)
    assert count(60, 10) == 62740


def test_partitions_stream():
    assert iter(first := partitions(10**30, 3)) is first
    assert next(first) == (1, 1, 10**30 - 2)
    assert list(itertools.islice(partitions(5000, 4000), 2))[1][-2:] == (2, 1000)


# Recognition


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
        (lambda: copy_average([]), r"sizes must hold at least one group size, got \[\]"),
        (lambda: copy_average(5), "sizes must hold at least one group size, got 5"),
        (lambda: copy_average(None), "sizes must hold at least one group size, got None"),
        (lambda: copy_average([1, 0]), "sizes must be at least 1, got 0"),
        (lambda: copy_average([2.0, 1]), "sizes must be an integer, got 2.0"),
        (lambda: copy_average([True, 1]), "sizes must be an integer, got True"),
        (lambda: copy_average(np.array([1.0, 2.0])), "sizes must be an integer, got 1.0"),
        (lambda: copy_average(["1"]), "sizes must be an integer, got '1'"),
        (lambda: copy_average([[1, 2]]), r"sizes must have 1 dimension\(s\), got shape \(1, 2\)"),
        (lambda: copy_average([1, 2], d=2), "d must be at least 3, got 2"),
        (lambda: copy_average([1, 2], d=4.0), "d must be an integer, got 4.0"),
        (lambda: copy_average_loss([1, -3]), "sizes must be at least 1, got -3"),
        (lambda: copy_average_loss(np.array([[1, 2], [0, 3]])), "sizes must be at least 1, got 0"),
        (lambda: copy_average_loss([1.5]), "sizes must be an integer, got 1.5"),
        (lambda: copy_average_loss([math.nan]), "sizes must be an integer, got nan"),
        (lambda: copy_average_loss([[1, 2], [3]]), r"sizes must be an integer, got \[1, 2\]"),
        (lambda: copy_average_loss([10**400]), "sizes must be below 1e308"),
        (lambda: partitions(3, 4), "k must be at least 4, got 3"),
        (lambda: partitions(3, 0), "n must be at least 1, got 0"),
        (lambda: partitions(3.0, 2), "k must be an integer, got 3.0"),
        (lambda: partitions(3, True), "n must be an integer, got True"),
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
