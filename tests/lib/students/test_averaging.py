"""lib.students.averaging against PopulationLoss, mpmath and enumeration."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_like,
    copy_average_loss,
    kernels,
    one_neuron,
    partitions,
)
from lib.students.averaging import group_excess, group_loss

ALL_SMALL = [(k, n) for k in range(1, 9) for n in range(1, k + 1)]


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


# Its relative under other kernels


@pytest.mark.parametrize(("k", "n"), [(5, 2), (5, 4)])
def test_copies_and_an_average_under_relu_are_critical(k, n):
    """Witness: PopulationLoss, its gradient; copies come first, in the order of their teachers."""
    student = copy_average_like(kernels.relu, k, n, k + 2)
    gradient = PopulationLoss(Network.orthonormal(k, k + 2), kernels.relu).gradient(student)
    assert np.abs(gradient.ravel()).max() < 1e-12 and (student.a == 1.0).all()
    assert student.W[: n - 1].argmax(axis=1).tolist() == list(range(n - 1))
    averager = student.W[n - 1]
    np.testing.assert_allclose(averager[n - 1 : k], averager[k - 1], rtol=1e-13)
    assert averager[k - 1] > np.abs(averager[: n - 1]).max() and not student.W[:, k:].any()


def test_relatives_that_have_names_of_their_own():
    """The teacher itself, one neuron, erf, and where copies are flipped even n = k is none of them."""
    for kernel in (kernels.relu, kernels.erf, kernels.tanh):
        np.testing.assert_array_equal(copy_average_like(kernel, 3, 3, 5).ravel(), Network.orthonormal(3, 5).ravel())
    alone = copy_average_like(kernels.tanh, 4, 1)
    best = one_neuron(kernels.tanh, 4)
    np.testing.assert_allclose(alone.ravel(), [best.r / 2] * 4 + [best.a], rtol=1e-9)
    erf = copy_average_like(kernels.erf, 6, 3)
    np.testing.assert_array_equal(erf.ravel(), copy_average([1, 1, 4], 6).ravel())
    flipped = copy_average_like(kernels.relu, 8, 8, flipped=2)
    assert np.sign(flipped.W[range(7), range(7)]).tolist() == [1] * 5 + [-1] * 2
    gradient = PopulationLoss(Network.orthonormal(8), kernels.relu).gradient(flipped)
    assert np.abs(gradient.ravel()).max() < 1e-11


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: copy_average_like("relu", 5, 2), "kernel must be a Kernel, got 'relu'"),
        (lambda: copy_average_like(kernels.relu, 5, 0), "n must be at least 1, got 0"),
        (lambda: copy_average_like(kernels.relu, 5, 6), "n must be at most k = 5, got 6"),
        (lambda: copy_average_like(kernels.relu, 5, 2, 4), "d must be at least 5, got 4"),
        (lambda: copy_average_like(kernels.relu, 5, 2, flipped=-1), "flipped must be at least 0, got -1"),
        (lambda: copy_average_like(kernels.relu, 5, 2, flipped=2), "flipped must be at most 1, got 2"),
        (lambda: copy_average_like(kernels.erf, 5, 2, flipped=1), "flipped must be 0 for erf"),
    ],
)
def test_bad_arguments_of_relatives_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
        (lambda: partitions(3, 4), "n must be at most k = 3, got 4"),
        (lambda: partitions(3, 0), "n must be at least 1, got 0"),
        (lambda: partitions(3.0, 2), "k must be an integer, got 3.0"),
        (lambda: partitions(3, True), "n must be an integer, got True"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
