"""What a relu student amounts to, and its name; neurons that die; certificates that know the symmetries."""

import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average_like,
    glorot,
    gradient_flow,
    identify,
    kernels,
    perturbed_copies,
)
from lib.descent.dead_neurons import LivingLoss
from lib.students.recognition import reduced_network

K = 8
L = PopulationLoss(Network.orthonormal(K, K + 1), kernels.relu)


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


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
    assert name(np.vstack((np.eye(K), -np.ones((1, K)))), np.append(np.ones(K), -1.0)) == ("wrong-sign", ())
    flipped = perturbed_copies(kernels.relu, K, K, flipped=2)
    assert name(flipped.W, flipped.a) == ("perturbed-copies", (-1,) * 2 + (1,) * (K - 2))
    assert identify(copy_average_like(kernels.relu, K, 1), K, kernel=kernels.relu)[:2] == ("copy-average-like", (K,))
    with pytest.raises(ValueError, match="kernel must be a Kernel, got 'relu'"):
        identify(flipped, K, kernel="relu")


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softplus], ids=lambda kernel: kernel.name)
def test_smooth_kernels(kernel):
    for make, kind in ((copy_average_like, "copy-average-like"), (perturbed_copies, "perturbed-copies")):
        student = make(kernel, 6, 5)
        assert identify(student, 6, kernel=kernel)[0] == identify(student, kernel=kernel)[0] == kind
    if kernel is kernels.tanh:
        assert identify(Network(-student.W, -student.a), 6, kernel=kernel)[0] == kind


def test_a_flow_conserves_a_square_minus_w_square():
    """Witness of the law, and of the flow: the conserved number of each neuron, until it dies."""
    student = start(6, 5, 4)
    conserved = student.a**2 - (student.W**2).sum(axis=1)
    times = [0.01, 0.1, 0.2, 10.0, 100.0]
    flow = gradient_flow(PopulationLoss(Network.orthonormal(6, 7), kernels.relu), student, 1e-8, 1e-7,
                         snapshot_times=times)  # fmt: skip
    for W, a in zip(flow.snapshots.W, flow.snapshots.a, strict=True):
        np.testing.assert_allclose(a**2 - (W**2).sum(axis=1), conserved, atol=1e-5)
    assert (np.sign(flow.student.a)[conserved > 0] == np.sign(student.a)[conserved > 0]).all()


@pytest.mark.parametrize(("n", "seed", "dead"), [(1, 0, 1), (2, 0, 0), (5, 4, 1)])
def test_dead_neurons(n, seed, dead):
    """A dead neuron rests in a local minimum: every short w_i it could have instead raises the loss."""
    L = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
    flow = gradient_flow(L, start(6, n, seed))
    zero = ~flow.student.W.any(axis=1)
    assert zero.sum() == dead and flow.status == ("dead neuron" if dead else "converged")
    assert (flow.student.a[zero] < 0.0).all() and (np.diff(flow.losses) < 1e-10).all()
    assert flow.gradient_norms[-1] <= 1e-8 and abs(flow.losses[-1] - L(flow.student)) < 1e-12
    assert len(flow.times) == len(flow.losses) == flow.counts.steps + 1
    rng = np.random.default_rng(0)
    for _ in range(200 * dead):
        W = np.array(flow.student.W)
        u = rng.standard_normal(7)
        W[zero] = 1e-3 * u / np.linalg.norm(u)
        assert L(Network(W, flow.student.a)) > flow.losses[-1]


def test_the_flow_of_the_living_is_that_of_a_smaller_network():
    """Witness: PopulationLoss of the network without the dead."""
    student = start(6, 4, 0)
    living = np.array([True, False, True, True])
    loss = LivingLoss(PopulationLoss(Network.orthonormal(6, 7), kernels.relu), living)
    smaller = Network(student.W[living], student.a[living])
    at = np.flatnonzero(np.append(np.repeat(living, 7), living))
    plain = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
    value, gradient = loss.value_and_gradient(student.W, student.a)
    assert value == plain(smaller)
    np.testing.assert_array_equal(gradient[at], plain.gradient(smaller).ravel())
    assert not np.delete(gradient, at).any()
    direction = np.random.default_rng(0).standard_normal(32)
    product = loss.operator(student.W, student.a) @ direction
    np.testing.assert_allclose(product[at], plain.hessian(smaller) @ direction[at], atol=1e-12)


@pytest.mark.parametrize(("n", "seed", "kind", "exchanges"), [(4, 1, "strict minimum", 0), (4, 2, "flat", 1),
                                                              (3, 3, "flat", 2), (5, 4, "flat", 1)])  # fmt: skip
def test_certificates_name_the_zero_modes(n, seed, kind, exchanges):
    """Witness: the dense spectrum of the living network has just these zeros, and the stated eigenvalue next."""
    L = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
    student = gradient_flow(L, start(6, n, seed)).student
    certificate = certify(L, student)
    living = student.W.any(axis=1)
    assert (certificate.kind, certificate.scalings, certificate.exchanges) == (kind, living.sum(), exchanges)
    polished = Network(certificate.student.W[living], certificate.student.a[living])
    eigenvalues = np.linalg.eigvalsh(L.hessian(polished))
    zeros = living.sum() + exchanges
    assert np.abs(eigenvalues[:zeros]).max() < 1e-12 < 1e-3 < eigenvalues[zeros]
    assert abs(eigenvalues[zeros] - certificate.smallest_eigenvalue) < 1e-11
    np.testing.assert_array_equal(certificate.student.W[~living], 0.0)


def test_certificates_by_products_agree_with_dense_ones(monkeypatch):
    student = perturbed_copies(kernels.relu, 20, 17, 21, flipped=2)
    L = PopulationLoss(Network.orthonormal(20, 21), kernels.relu)
    by_products = certify(L, student)
    monkeypatch.setattr("lib.descent.certificate._DENSE", 1000)
    dense = certify(L, student)
    assert by_products.kind == dense.kind == "strict minimum"
    assert abs(by_products.smallest_eigenvalue / dense.smallest_eigenvalue - 1.0) < 1e-4


@pytest.mark.parametrize("seed", [5, 62])
def test_rounding_along_scalings_does_not_spoil_newton(seed):
    """Newton steps that followed the zero modes called these minima of one neuron not critical."""
    certificate = certify(L, gradient_flow(L, start(K, 1, seed)).student)
    assert certificate.kind == "strict minimum" and certificate.newton_step < 1e-7


def test_a_network_of_the_dead_is_flat():
    found = certify(L, Network(np.zeros((2, K + 1)), [-1.0, -2.0]))
    assert found[:3] == ("flat", 0.0, 0.0)
