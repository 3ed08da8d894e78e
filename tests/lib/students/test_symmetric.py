"""lib.students.symmetric and the students built on it, against PopulationLoss, which knows nothing of classes."""

import math

import numpy as np
import pytest
from cases import ALL_KERNELS
from scipy.optimize import minimize

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average_like,
    copy_average_loss,
    kernels,
    one_neuron,
    perturbed_copies,
)
from lib.students import symmetric
from lib.students.perturbed import erf_perturbed_copies
from lib.students.symmetric import Classes, restricted_loss, symmetric_network, symmetric_student

# Some with one or no neuron of a class: there some of the fourteen numbers do not exist.
CLASSES = [(3, 2, 4, 1), (1, 2, 3, 1), (4, 1, 0, 0), (5, 0, 3, 0), (2, 0, 2, 1), (0, 0, 4, 1), (0, 2, 3, 1)]


def random_theta(rng):
    theta = 0.3 * rng.standard_normal(14)
    theta[:2] += [1.0, -1.0]
    theta[11:] += 1.0
    return theta


@pytest.mark.parametrize(
    ("place", "flipped"), [(None, True), (2, True), (5, False), (6, False), (7, False), (9, False)]
)
def test_flipped_copies_are_largest_on_their_own_teachers(place, flipped):
    """Weight 2 in one place of w_across, by rows: copies', flipped copies', averagers'; columns: whose."""
    theta = np.array([1.0, -1.0, *[0.1] * 9, 1.0, 1.0, 1.0])
    if place is not None:
        theta[place] = 2.0
    assert symmetric._is_flipped(theta) == flipped
    theta[1] = 1.0  # not negative there
    assert not symmetric._is_flipped(theta)


def network(theta, classes):
    student = symmetric.solution(kernels.erf, classes, theta)
    teachers = np.split(np.arange(int(classes.k)), np.cumsum(classes.teachers[:2]).astype(int))
    return symmetric_network(student, int(classes.k), *teachers)


@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("counts", CLASSES, ids=str)
def test_restricted_loss_and_derivatives(kernel, counts):
    """Witness: the loss of the whole student and its gradient, by the chain rule along each of the fourteen numbers."""
    rng, classes = np.random.default_rng(0), Classes(*counts)
    theta = random_theta(rng)
    L = PopulationLoss(Network.orthonormal(int(classes.k)), kernel)
    value, gradient, hessian = restricted_loss(kernel, classes, theta)
    assert abs(value - L(network(theta, classes))) < 1e-12 * classes.k**2
    step = 1e-5
    for i, unit in enumerate(np.eye(14)):
        ahead, behind = (network(theta + sign * step * unit, classes) for sign in (1, -1))
        moved = (ahead.ravel() - behind.ravel()) / (2 * step)
        slope = L.gradient(network(theta, classes)).ravel() @ moved if np.any(moved) else 0.0
        assert abs(gradient[i] - slope) < 1e-9
        difference = np.subtract(*(restricted_loss(kernel, classes, theta + s * step * unit)[1] for s in (1, -1)))
        np.testing.assert_allclose(hessian[i], difference / (2 * step), atol=1e-7)


def test_counts_may_be_real():
    """Derivatives between integers too. Witness: finite differences; and the loss is smooth in the counts."""
    theta = random_theta(np.random.default_rng(1))
    counts = Classes(3.2, 2.4, 4.1, 1)
    _, gradient, _ = restricted_loss(kernels.relu, counts, theta)
    for i, unit in enumerate(1e-5 * np.eye(14)):
        ahead, behind = (restricted_loss(kernels.relu, counts, theta + sign * unit)[0] for sign in (1, -1))
        assert abs((ahead - behind) / 2e-5 - gradient[i]) < 1e-8
    losses = [restricted_loss(kernels.relu, Classes(3.0 + x, 2.0, 4.0, 1), theta)[0] for x in (0.0, 0.5, 1.0)]
    assert min(losses[::2]) - 1.0 < losses[1] < max(losses[::2]) + 1.0


@pytest.mark.parametrize("k", [6, 12, 50, pytest.param(100, marks=pytest.mark.long)])
def test_gradient_of_the_whole_relu_loss_is_zero_at_every_n(k):
    L, limit = PopulationLoss(Network.orthonormal(k), kernels.relu), 1e-12 if k <= 50 else 1e-11
    for n in range(1, k, 1 + k // 25):
        for make in [copy_average_like, perturbed_copies][: min(n, 2)]:
            student = make(kernels.relu, k, n)
            assert (student.a == 1.0).all()
            assert np.linalg.norm(L.gradient(student).ravel()) <= limit * math.sqrt(n), (n, make)


def test_gradient_of_the_whole_relu_loss_is_zero_at_k_1000():
    L = PopulationLoss(Network.orthonormal(1000), kernels.relu)
    for n in (2, 30, 999):
        for make in (copy_average_like, perturbed_copies):
            assert np.linalg.norm(L.gradient(make(kernels.relu, 1000, n)).ravel()) <= 3e-9 * math.sqrt(n)


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.sigmoid, kernels.softplus], ids=lambda kernel: kernel.name)
def test_gradient_of_the_whole_loss_is_zero_under_smooth_kernels(kernel):
    L = PopulationLoss(Network.orthonormal(9), kernel)
    for n in (2, 5, 8):
        for make in (copy_average_like, perturbed_copies):
            assert np.linalg.norm(L.gradient(make(kernel, 9, n)).ravel()) < 1e-11


@pytest.mark.parametrize(("k", "n", "flipped"), [(10, 10, 1), (10, 10, 3), (20, 18, 2), (50, 40, 12)])
@pytest.mark.parametrize("make", [copy_average_like, perturbed_copies])
def test_flipped_copies_are_critical(make, k, n, flipped):
    """Witness of the name: the largest weight of each copy is that on its own teacher, of the right sign."""
    if make is copy_average_like and n == k:
        return
    student = make(kernels.relu, k, n, k + 1, flipped=flipped)
    gradient = PopulationLoss(Network.orthonormal(k, k + 1), kernels.relu).gradient(student)
    assert np.linalg.norm(gradient.ravel()) < 1e-12 * math.sqrt(n)
    copies = n - (make is copy_average_like)
    np.testing.assert_array_equal(np.abs(student.W[:copies]).argmax(axis=1), np.arange(copies))
    assert list(np.sign(student.W.diagonal()[:copies])) == [1.0] * (copies - flipped) + [-1.0] * flipped


def test_of_two_ways_to_repair_slopes_the_better_is_returned():
    """Witness: flows for k = n = 50 ended at these losses; with 25 flips the flipped copies repair among themselves."""
    L = PopulationLoss(Network.orthonormal(50, 51), kernels.relu)
    for flipped, loss in ((12, 0.1150518942), (25, 0.2019416641)):
        student = perturbed_copies(kernels.relu, 50, 50, 51, flipped=flipped)
        assert abs(L(student) - loss) < 1e-9
        alike = student.W[0, 49] / student.W[48, 49]  # what a copy and a flipped one give to a flipped one's teacher
        assert (alike > 0.5) == (flipped == 12)


def test_published_numbers():
    """Witness: an independent solution, quoted to three and six digits (arXiv:2311.01644 has the setting)."""
    average, perturbed = (make(kernels.relu, 12, 6) for make in (copy_average_like, perturbed_copies))
    np.testing.assert_allclose(average.W[0, [0, 1, 11]], [1.869, -0.093, 0.084], atol=5e-4)
    np.testing.assert_allclose(average.W[5, [0, 11]], [-0.433, 0.619], atol=5e-4)
    np.testing.assert_allclose(perturbed.W[0, [0, 1, 11]], [1.815, -0.149, 0.172], atol=5e-4)
    L = PopulationLoss(Network.orthonormal(12), kernels.relu)
    np.testing.assert_allclose([L(average), L(perturbed)], [1.161288, 1.163840], atol=5e-7)


def test_minimising_the_whole_loss_ends_there():
    """Witness: BFGS over all weights from a start a tenth away."""
    k, n = 8, 4
    L = PopulationLoss(Network.orthonormal(k), kernels.relu)
    reference = copy_average_like(kernels.relu, k, n)
    start = reference.ravel() + 0.1 * np.random.default_rng(0).standard_normal(n * (k + 1)) / np.sqrt(k)

    def value_and_slope(theta):
        at = Network.unravel(theta, n, k)
        return L(at), L.gradient(at).ravel()

    assert abs(minimize(value_and_slope, start, jac=True, options={"gtol": 1e-9}).fun - L(reference)) < 1e-12


def test_the_ends_of_the_families():
    """The teacher at n = k, the optimum of one neuron at n = 1, the solutions for erf that are known otherwise."""
    for kernel in (kernels.relu, kernels.tanh, kernels.softplus):
        np.testing.assert_array_equal(copy_average_like(kernel, 4, 4, 6).W, np.eye(4, 6))
        best, student = one_neuron(kernel, 7), copy_average_like(kernel, 7, 1)
        L = PopulationLoss(Network.orthonormal(7), kernel)
        np.testing.assert_allclose(np.linalg.norm(student.W) * student.a[0], best.a * best.r, rtol=1e-9)
        assert abs(L(student) - best.loss) < 1e-10
    perturbed = symmetric_student(kernels.erf, Classes(25, 0, 25, 0))
    np.testing.assert_allclose(
        [perturbed.own[0], perturbed.across[0, 0], perturbed.across[0, 2], perturbed.a[0], perturbed.loss],
        erf_perturbed_copies(50, 25)[:5],
        rtol=1e-10,
    )
    average = symmetric_student(kernels.erf, Classes(24, 0, 25, 1))
    assert abs(average.loss - copy_average_loss([1] * 24 + [25])) < 1e-11 and abs(average.a[2] - 25.0) < 1e-8


# k, perturbed copies are a minimum from n, are better from n, copy-average-like is unstable from n; by an
# independent search for k <= 10.
CROSSINGS = [(6, 4, 4, 5), (8, 4, 5, 6), (10, 5, 6, 8), (12, 5, 7, 9)]


@pytest.mark.parametrize(("k", "minimum", "better", "unstable"), CROSSINGS)
def test_the_crossing_table(k, minimum, better, unstable):
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.relu)
    kinds = {n: [certify(L, make(kernels.relu, k, n, k + 1)).kind for make in (copy_average_like, perturbed_copies)]
             for n in range(2, k)}  # fmt: skip
    assert min(n for n in kinds if kinds[n][1] == "strict minimum") == minimum
    assert min(n for n in kinds if kinds[n][0] == "saddle") == unstable
    gaps = {n: L(perturbed_copies(kernels.relu, k, n, k + 1)) - L(copy_average_like(kernels.relu, k, n, k + 1))
            for n in range(2, k)}  # fmt: skip
    assert min(n for n in gaps if gaps[n] < 0.0) == better


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: copy_average_like("relu", 5, 3), "kernel must be a Kernel, got 'relu'"),
        (lambda: copy_average_like(kernels.relu, 5, 0), "n must be at least 1, got 0"),
        (lambda: copy_average_like(kernels.relu, 5, 6), "n must be at most k = 5, got 6"),
        (lambda: copy_average_like(kernels.relu, 5, 3, d=4), "d must be at least 5, got 4"),
        (lambda: copy_average_like(kernels.relu, 5, 3, flipped=3), "flipped must be at most 2, got 3"),
        (lambda: copy_average_like(kernels.erf, 5, 3, flipped=1), "flipped must be 0 for erf, .* got 1"),
        (lambda: copy_average_like(kernels.gelu, 6, 2), "k, n and flipped must be where such a student exists"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
