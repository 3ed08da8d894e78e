"""lib.compiled against the NumPy loss, to 1e-12; skipped where numba is missing."""

import subprocess
import sys

import numpy as np
import pytest
from cases import random_network, singular_students

from lib import Network, PopulationLoss, certify, glorot, gradient_flow, kernels

compiled = pytest.importorskip("lib.compiled", reason="needs numba: pip install -e .[fast]", exc_type=ImportError)
pytestmark = pytest.mark.usefixtures("compiled_apart")

TEACHERS = {
    "orthonormal": Network.orthonormal(6, 7),
    "correlated": random_network(np.random.default_rng(0), 6, 7),
    "one": Network([[0.3, 0, 0, 0, 0, 0, 2.0]], [-1.5]),
}


def students():
    rng = np.random.default_rng(1)
    yield from singular_students(rng, 7).items()
    for n, scale in ((1, 1.0), (5, 0.1), (9, 3.0), (4, 11.0), (4, 100.0)):
        yield f"{n} neurons of scale {scale}", random_network(rng, n, 7, scale)


def agree(found, expected, scale):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", TEACHERS)
def test_value_gradient_and_products_are_those_of_numpy(name):
    teacher = TEACHERS[name]
    plain, fast = PopulationLoss(teacher, kernels.erf), compiled.CompiledLoss(teacher)
    rng = np.random.default_rng(2)
    for _, student in students():
        gradient = plain.gradient(student).ravel()
        agree(fast(student), plain(student), 1 + plain._teacher_energy)
        agree(fast.gradient(student).ravel(), gradient, 1 + np.abs(gradient).max())
        operator, witness = fast.hessian_operator(student), plain.hessian(student)
        agree(operator.gradient, gradient, 1 + np.abs(gradient).max())
        agree(operator.value, plain(student), 1 + plain._teacher_energy)
        direction = rng.standard_normal(len(witness))
        bound = (np.abs(witness) @ np.abs(direction)).max() * max(1.0, 1e-3 * np.abs(student.W).max())
        agree(operator @ direction, witness @ direction, bound)
        agree(operator.T @ direction, witness @ direction, bound)


@pytest.mark.parametrize("name", TEACHERS)
def test_solve_is_a_solution(name):
    """Witness: LAPACK on the dense Hessian; both operators refuse what is not positive definite."""
    rng = np.random.default_rng(3)
    student = random_network(rng, 5, 7)
    b = rng.standard_normal(40)
    for L in (PopulationLoss(TEACHERS[name], kernels.erf), compiled.CompiledLoss(TEACHERS[name])):
        H, operator = L.hessian(student), L.hessian_operator(student)
        shift = 0.1 - np.linalg.eigvalsh(H)[0]
        x, products = operator.solve(shift, b, 1e-10)
        assert 1 < products < 500
        np.testing.assert_allclose(x, np.linalg.solve(H + shift * np.eye(40), b), atol=1e-8)
        assert operator.solve(shift - 1.0, b, 1e-10)[0] is None
        assert operator.solve(shift, b, 1e-10, most=2) == (None, 2)
        zero, none = operator.solve(shift, 0 * b, 0.0)
        assert none == 0 and not zero.any()


def test_arcsine_to_the_last_digits():
    """On a grid of cosines, with 1 and the seam at 1/2; the polynomial was fitted with mpmath."""
    x = np.concatenate((np.linspace(-1, 1, 20001), 0.5 + np.arange(-5, 6) * 1e-16, [1e-300, -0.0]))
    found = np.array([compiled._arcsine.py_func(value) for value in x])
    np.testing.assert_allclose(found, np.arcsin(x), rtol=3e-15)


def test_flows_and_certificates_are_those_of_numpy():
    teacher = Network.orthonormal(12, 13)
    for seed in range(3):
        student = glorot(np.random.default_rng(seed), 8, 13)
        ends = []
        for L in (PopulationLoss(teacher, kernels.erf), compiled.CompiledLoss(teacher)):
            flow = gradient_flow(L, student)
            ends.append((flow, certify(L, flow.student)))
        (plain, witness), (fast, certificate) = ends
        assert abs(fast.losses[-1] - plain.losses[-1]) < 1e-10
        assert certificate.kind == witness.kind == "strict minimum"
        np.testing.assert_allclose(certificate.student.ravel(), witness.student.ravel(), atol=1e-7)
        np.testing.assert_allclose(certificate.smallest_eigenvalue, witness.smallest_eigenvalue, rtol=1e-6)


def test_only_erf_is_compiled():
    with pytest.raises(ValueError, match="kernel must be kernels.erf, the only compiled one, got kernels.tanh"):
        compiled.CompiledLoss(Network.orthonormal(2), kernels.tanh)


def test_lib_does_not_need_numba():
    """Importing lib, sweep included, loads neither numba nor tqdm; without numba the sweep takes NumPy."""
    code = (
        "import sys, lib, lib.sweep; assert not {'numba', 'tqdm', 'matplotlib'} & set(sys.modules); "
        "sys.modules['numba'] = None; print(type(lib.sweep._loss(3, lib.kernels.erf)).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "PopulationLoss"
