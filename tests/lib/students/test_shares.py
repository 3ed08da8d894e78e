"""lib.students.shares, and lib.students.recognition for teachers that are not e_1, ..., e_k of equal weights."""

import numpy as np
import pytest
from scipy.integrate import quad

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average,
    copy_average_like,
    glorot,
    gradient_flow,
    identify,
    kernels,
    perturbed_copies,
)
from lib.kernels import Kernel
from lib.students import shares as module
from lib.students.averaging import averaging_weight
from lib.students.shares import critical_student, likeness, shares

UNEQUAL = np.array([1.0, 2.0, 3.0, 0.5, 1.5, 0.7, 1.2, 0.9])


def ended(L, n, seed=0):
    """The end of a gradient flow."""
    flow = gradient_flow(L, glorot(np.random.default_rng([n, seed]), n, L.teacher.d))
    assert flow.status == "converged"
    return flow.student


def skew(k, d, seed=0):
    return np.random.default_rng(seed).standard_normal((k, d)) / np.sqrt(d)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.tanh, kernels.softplus, kernels.relu], ids=repr)
def test_shares_are_those_of_the_linear_part(kernel):
    """Witness: E[x f(x)] for both networks by quadrature, E[x sigma(w.x)] = w / |w| E[z sigma(|w| z)]."""
    teacher, student = Network(skew(4, 6), [1.0, -2.0, 0.5, 3.0]), Network(skew(3, 6, 1), [1.0, 2.0, -1.0])

    def slope(norm):
        def density(z):
            return z * kernel.activation(norm * z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

        return quad(density, -12, 0, epsabs=1e-13)[0] + quad(density, 0, 12, epsabs=1e-13)[0]

    def linear_parts(net):
        norm = np.linalg.norm(net.W, axis=1)
        return (net.a * [slope(length) for length in norm] / norm)[:, None] * net.W

    found = shares(PopulationLoss(teacher, kernel), student) @ linear_parts(teacher)
    inside = linear_parts(student) @ np.linalg.pinv(teacher.W) @ teacher.W
    np.testing.assert_allclose(found, inside, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.tanh], ids=repr)
def test_flows_for_unequal_weights_copy_the_strong_and_average_the_rest(kernel):
    """What is copied is read off the weights: four neurons within 4 degrees of a strong teacher neuron."""
    L = PopulationLoss(Network(np.eye(8, 9), UNEQUAL), kernel)
    for seed in range(2):
        student = ended(L, 5, seed)
        cosines = np.abs(student.W[:, :8]) / np.linalg.norm(student.W, axis=1, keepdims=True)
        assert set(cosines.argmax(axis=1)[cosines.max(axis=1) > np.cos(np.radians(4))]) == {1, 2, 4, 6}
        found = identify(L, student)
        assert found[:2] == ("copy-average-like", (1, 1, 1, 1, 4)) and found.deviation < 1e-4
        assert certify(L, student).kind == "strict minimum"
    student = ended(L, 7)
    assert identify(L, student)[:2] == ("perturbed-copies", (1,) * 7)
    assert identify(L, ended(L, 8))[:2] == ("copy-average", (1,) * 8)


def test_groups_of_equal_weights_are_averaged_exactly():
    """A closed form: the erf average of each group times its weight, critical; a mixed group is only like it."""
    b = np.array([2.0, 2.0, 2.0, -0.5, 0.5, 1.0])
    L = PopulationLoss(Network(np.eye(6, 7), b), kernels.erf)
    W = np.zeros((3, 7))
    W[0, :3], W[1, 3:5], W[2, 5] = averaging_weight(3.0), averaging_weight(2.0), 1.0
    W[1, 3] *= -1.0
    student = Network(W, [6.0, 1.0, 1.0])
    assert np.abs(L.gradient(student).ravel()).max() < 1e-14
    assert identify(L, student)[:2] == ("copy-average", (1, 2, 3))
    assert identify(L, Network(-student.W, -student.a))[:2] == ("copy-average", (1, 2, 3))
    mixed = PopulationLoss(Network(np.eye(6), [3.0, 1.0, 1.0, 1.0, 1.0, 0.6]), kernels.erf)
    assert identify(mixed, ended(mixed, 2))[:2] == ("copy-average-like", (1, 5))


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.tanh, kernels.relu, kernels.softplus], ids=repr)
def test_neither_orientation_nor_scale_nor_signs_change_a_name(kernel):
    """Rotated inputs and a factor; signs of odd neurons; lengths of relu ones."""
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    V, b = np.eye(6, 7), np.full(6, -3.0)
    if kernel is kernels.relu:
        V, b = np.arange(1.0, 7.0)[:, None] * V, b / np.arange(1.0, 7.0)
    if kernel in (kernels.erf, kernels.tanh):
        V, b = np.array([1, -1, 1, 1, -1, 1])[:, None] * V, np.array([3, -3, 3, 3, -3, 3])
    turned = PopulationLoss(Network(V @ rotation, b), kernel)
    plain = PopulationLoss(Network.orthonormal(6, 7), kernel)
    for student in (
        copy_average_like(kernel, 6, 4, 7),
        perturbed_copies(kernel, 6, 5, 7),
        Network(skew(3, 7), [1.0] * 3),
    ):
        order = rng.permutation(student.n)
        factor = 3.0 if kernel in (kernels.erf, kernels.tanh) else -3.0
        other = Network((student.W @ rotation)[order], factor * student.a[order])
        assert turned(other) == pytest.approx(9.0 * plain(student), rel=1e-9)
        found, expected = identify(turned, other), identify(plain, student)
        assert found[:2] == expected[:2] and found.neurons == expected.neurons
        assert found.deviation == pytest.approx(expected.deviation, rel=1e-6, abs=1e-9)


def test_correlated_teachers():
    """Of equal correlation: flows copy three and average the others, as for orthonormal ones."""
    V = np.linalg.cholesky(np.full((6, 6), 0.2) + 0.8 * np.eye(6)) @ np.eye(6, 7)
    L = PopulationLoss(Network(V, np.ones(6)), kernels.erf)
    student = ended(L, 4)
    found = identify(L, student)
    assert found[:2] == ("copy-average", (1, 1, 1, 3)) and found.deviation < 1e-4
    near = np.linalg.norm(student.W[:, None] * np.sign(student.a)[:, None, None] - V, axis=2).min(axis=1)
    assert (near < 1e-4).sum() == 3


def test_relu_teachers_of_both_signs():
    """No neuron has the wrong sign where teacher neurons have both."""
    teacher = Network(np.eye(4, 5), [1.0, -2.0, 3.0, -0.5])
    L = PopulationLoss(teacher, kernels.relu)
    assert identify(L, teacher) == ("copy-average", (1,) * 4, 0.0, 4)
    split = Network(np.vstack((2.0 * teacher.W, teacher.W[:1])), [0.45, -1.0, 1.5, -0.25, 0.1])
    assert identify(L, split)[:2] == ("copy-average", (1,) * 4) and identify(L, split).neurons == 4
    assert identify(L, Network(np.ones((1, 5)), [0.0])).kind == "dead"
    positive = PopulationLoss(Network(np.eye(4, 5), [1.0, 2.0, 3.0, 0.5]), kernels.relu)
    assert identify(positive, teacher).kind == "wrong-sign"
    assert identify(positive, ended(positive, 3))[:2] == ("perturbed-copies", (1,) * 3)


@pytest.mark.parametrize(
    ("mine", "yours", "kind"), [(0.6, 0.25, "copy-average-like"), (0.6, 0.35, None), (0.4, 0.1, None)]
)
def test_more_than_half_and_twice_as_much_as_any_other_is_whose_it_is(mine, yours, kind):
    """Under relu the shares of w_ij on orthonormal teacher neurons are the w_ij themselves."""
    L = PopulationLoss(Network.orthonormal(2), kernels.relu)
    student = Network([[mine, 0.0], [yours, 1.0]], [1.0, 1.0])
    np.testing.assert_allclose(shares(L, student), student.W, atol=1e-15)
    assert module._named(L, student) == (None if kind is None else (kind, (1, 1)))


def test_where_teacher_neurons_are_dependent_only_the_teacher_has_a_name():
    teacher = Network(skew(5, 3), [1.0, 2.0, 1.0, -1.0, 1.0])
    for kernel in (kernels.erf, kernels.softplus, kernels.relu):
        L = PopulationLoss(teacher, kernel)
        found = identify(L, Network(1.02 * teacher.W[::-1], teacher.a[::-1]))
        # relu knows products alone, and erf may exchange signs
        assert found[:2] == ("copy-average", (1,) * 5) and found.deviation == pytest.approx(0.02)
        assert identify(L, Network(teacher.W[:4], teacher.a[:4])).kind == "other"
        assert identify(L, Network(skew(5, 3, 1), np.ones(5))).kind == "other"


def test_on_its_way_a_student_has_no_name():
    L = PopulationLoss(Network(np.eye(8, 9), UNEQUAL), kernels.erf)
    start = glorot(np.random.default_rng([5, 0]), 5, 9)
    for end_time in (0.0, 1.0):
        assert identify(L, gradient_flow(L, start, end_time=end_time).student).kind == "other"


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.tanh, kernels.softplus, kernels.sigmoid], ids=repr)
def test_channels_of_every_smooth_kernel(kernel):
    for b in (np.ones(5), UNEQUAL[:5]):
        L = PopulationLoss(Network(np.eye(5), b), kernel)
        step = np.array([0.2, -0.1, 1.3, 0.4, 0.7])
        W = np.array([np.eye(5)[0] + step / 200, np.eye(5)[0] - step / 200, np.full(5, 0.2)])
        assert identify(L, Network(W, [101.0, -100.0, 2.0]))[:2] == ("channel", ())
        assert identify(L, Network(W, [2.0, 3.0, 2.0])).kind == "other"
        flipped = Network(W * [[-1.0], [1.0], [1.0]], [-101.0, -100.0, 2.0])
        odd = kernel in (kernels.erf, kernels.tanh)
        assert identify(L, flipped).kind == ("channel" if odd else "other")


class Squared(Kernel):
    """The kernel of x^2, an even activation: p q + 2 s^2."""

    def value_at(self, pairs):
        return pairs.p * pairs.q + 2 * pairs.s**2

    def jet_at(self, pairs):
        return self.value_at(pairs), 4 * pairs.s, pairs.q + 0 * pairs.s


def test_an_even_activation_has_no_shares():
    L = PopulationLoss(Network(np.eye(4), [1.0, 2.0, 3.0, 4.0]), Squared("squared", np.square, 1.0))
    assert identify(L, Network(np.eye(4)[:2], [3.0, 4.0])).kind == "other"
    assert identify(L, L.teacher).kind == "copy-average"


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu], ids=repr)
def test_many_parameters_are_solved_for_without_their_hessian(kernel, monkeypatch):
    L = PopulationLoss(Network(np.eye(8, 9), UNEQUAL), kernel)
    student = ended(L, 7)
    if kernel is kernels.relu:
        student = Network(student.a[:, None] * student.W, np.ones(7))
    dense = critical_student(L, student)
    monkeypatch.setattr(module, "_LARGEST_DENSE", 0)
    sparse = critical_student(L, student)
    np.testing.assert_allclose(sparse.ravel(), dense.ravel(), rtol=0, atol=1e-8)
    assert np.abs(L.gradient(dense).ravel()).max() < 1e-12
    assert likeness(L, student)[0] == "perturbed-copies"


def test_the_standard_teacher_is_named_alike():
    """By its shares as by the closed forms."""
    L = PopulationLoss(Network.orthonormal(7), kernels.erf)
    for sizes in ((1, 1, 5), (2, 2, 3), (7,)):
        assert likeness(L, copy_average(sizes))[:2] == ("copy-average", sizes)
    assert likeness(L, perturbed_copies(kernels.erf, 7, 5))[0] == "perturbed-copies"
    for kernel in (kernels.relu, kernels.softplus):
        L = PopulationLoss(Network.orthonormal(7), kernel)
        assert likeness(L, copy_average_like(kernel, 7, 4))[:2] == ("copy-average-like", (1, 1, 1, 4))
        assert likeness(L, perturbed_copies(kernel, 7, 4))[0] == "perturbed-copies"
