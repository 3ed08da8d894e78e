"""lib.descent.certificate under relu, whose symmetries leave zero eigenvalues."""

import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    certify,
    glorot,
    gradient_flow,
    kernels,
    perturbed_copies,
)

K = 8
L = PopulationLoss(Network.orthonormal(K, K + 1), kernels.relu)


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


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
