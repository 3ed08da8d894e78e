"""lib.fast.compiled against the NumPy loss, to 1e-12; skipped where numba is missing."""

import copy
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from cases import random_network, singular_students

from lib import Network, PopulationLoss, certify, glorot, gradient_flow, kernels
from lib.descent.ndf import NDF, integrator_for

compiled = pytest.importorskip("lib.fast.compiled", reason="needs numba: pip install -e .[fast]", exc_type=ImportError)
pytestmark = pytest.mark.usefixtures("compiled_apart")

TEACHERS = {
    "orthonormal": Network.orthonormal(6, 7),
    "correlated": random_network(np.random.default_rng(0), 6, 7),
    "unequal": Network(np.eye(6, 7), [2.0, -1.0, 0.5, 0.1, 0.0, 1.0]),
    "of every length": random_network(np.random.default_rng(8), 9, 7, 3.0),
    "copied": Network(np.eye(7)[[0, 0, 1, 2, 2, 3]], np.ones(6)),
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
        agree(fast(student), plain(student), 1 + plain.teacher_energy)
        agree(fast.gradient(student).ravel(), gradient, 1 + np.abs(gradient).max())
        operator, witness = fast.hessian_operator(student), plain.hessian(student)
        agree(operator.gradient, gradient, 1 + np.abs(gradient).max())
        agree(operator.value, plain(student), 1 + plain.teacher_energy)
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


@pytest.mark.filterwarnings("ignore:Descending:DeprecationWarning")
def test_the_arcsine_polynomial_is_the_fit_that_it_is_said_to_be():
    """Witness: mpmath's fit with 40 digits, which orders its coefficients as its version does."""

    def remainder(z):
        root = mpmath.sqrt(z)
        return (mpmath.asin(root) - root) / root**3 if z else mpmath.mpf(1) / 6

    with mpmath.workdps(40):
        fitted, error = mpmath.chebyfit(remainder, [0, 0.25], 11, error=True)
    stored = [getattr(compiled.compiled_kernels, f"_C{power}") for power in range(11)]
    assert sorted(stored) == sorted(float(c) for c in fitted)
    assert 3e-15 < error < 4e-15


def test_arcsine_to_the_last_digits():
    """On a grid of cosines, with 1 and the seam at 1/2."""
    x = np.concatenate((np.linspace(-1, 1, 20001), 0.5 + np.arange(-5, 6) * 1e-16, [1e-300, -0.0]))
    found = np.array([compiled.compiled_kernels._arcsine.py_func(value) for value in x])
    np.testing.assert_allclose(found, np.arcsin(x), rtol=3e-15)


@pytest.mark.parametrize("name", TEACHERS)
def test_conjugate_gradients_end_with_the_smallest_residual(name):
    """Witness: least squares over an orthonormal basis of the Krylov space, one dimension less and just enough."""
    rng = np.random.default_rng(4)
    student, b, tolerance = random_network(rng, 5, 7), rng.standard_normal(40), 0.3
    for L in (PopulationLoss(TEACHERS[name], kernels.erf), compiled.CompiledLoss(TEACHERS[name])):
        H, operator = L.hessian(student), L.hessian_operator(student)
        shift = 0.01 - np.linalg.eigvalsh(H)[0]
        A = H + shift * np.eye(40)
        x, products = operator.solve(shift, b, tolerance)
        assert products > 3
        residuals = [smallest_residual(A, b, size) for size in (products - 1, products)]
        assert residuals[1] <= tolerance < residuals[0]
        assert np.linalg.norm(x - np.linalg.solve(A, b)) <= tolerance / 0.01


def smallest_residual(A, b, size):
    basis = [b / np.linalg.norm(b)]
    for _ in range(size - 1):
        v = A @ basis[-1]
        for _ in range(2):
            v -= np.array(basis).T @ (np.array(basis) @ v)
        basis.append(v / np.linalg.norm(v))
    image = A @ np.array(basis).T
    return np.linalg.norm(b - image @ np.linalg.lstsq(image, b, rcond=None)[0])


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_steps_are_those_of_numpy(name, rtol):
    """Each step of a flow from the same state: the same numbers to 1e-12, after the same work.

    Conjugate gradients stop below a residual: where one is at that limit, rounding decides whether they
    go on, and the numbers agree as far as the flow is accurate.
    """
    L = compiled.CompiledLoss(TEACHERS[name])
    student = glorot(np.random.default_rng(5), 4, 7)
    fast = integrator_for(L, student.W, student.a, rtol)
    plain = NDF(L, student.W, student.a, rtol)
    assert type(fast) is compiled.CompiledNDF
    alike = 0
    for _ in range(60):
        vars(plain).update(copy.deepcopy({key: value for key, value in vars(fast).items() if key != "_L"}))
        plain._L = PopulationLoss(TEACHERS[name], kernels.erf)
        for integrator in (plain, fast):
            integrator.step()
        if (fast.steps, fast.gradients, fast.products) == (plain.steps, plain.gradients, plain.products):
            alike += 1
            agree(fast.point.theta, plain.point.theta, 10)
            np.testing.assert_allclose(fast.point[:3], plain.point[:3], rtol=1e-12, atol=1e-11)
            agree(fast._differences, plain._differences, 10)
        elif fast.point.time == plain.point.time:
            np.testing.assert_allclose(fast.point.theta, plain.point.theta, rtol=rtol, atol=rtol)
    assert alike >= 57


def test_a_step_of_long_weights_is_that_of_numpy():
    """Beyond |w|^2 = 1000 the compiled formulas lose digits: these steps, before and after the limit, are NumPy's."""
    teacher = Network.orthonormal(2, 3)
    for length in (31.0, 31.6227, 200.0):
        weights = np.array([[length, 1e-3, 0.0], [0.0, 0.1, 0.0]]), np.array([0.1, 1.0])
        plain = integrator_for(PopulationLoss(teacher, kernels.erf), *weights, 1e-5)
        fast = integrator_for(compiled.CompiledLoss(teacher), *weights, 1e-5)
        for _ in range(20):
            plain.step()
            fast.step()
        assert fast.steps == plain.steps == 20
        np.testing.assert_allclose(fast.point.theta, plain.point.theta, rtol=1e-9)


@pytest.mark.parametrize(
    "teacher",
    [
        Network.orthonormal(12, 13),
        Network(np.eye(12, 13), 1.0 / np.arange(1, 13)),
        Network(np.sqrt(0.7) * np.eye(12, 13) + np.sqrt(0.3) * np.eye(13)[12], np.ones(12)),
    ],
    ids=["orthonormal", "unequal", "cosine 0.3"],
)
def test_flows_and_certificates_are_those_of_numpy(teacher):
    for seed in range(3):
        student = glorot(np.random.default_rng(seed), 8, 13)
        assert type(integrator_for(compiled.CompiledLoss(teacher), student.W, student.a, 1e-5)) is compiled.CompiledNDF
        plain_loss, ends = PopulationLoss(teacher, kernels.erf), []
        for L, flow in (
            (plain_loss, gradient_flow(plain_loss, student, compiled=False)),
            (compiled.CompiledLoss(teacher), gradient_flow(plain_loss, student)),
        ):
            ends.append((flow, certify(L, flow.student)))
        (plain, witness), (fast, certificate) = ends
        assert abs(fast.losses[-1] - plain.losses[-1]) < 1e-10
        assert certificate.kind == witness.kind == "strict minimum"
        np.testing.assert_allclose(certificate.student.ravel(), witness.student.ravel(), atol=1e-7)
        np.testing.assert_allclose(certificate.smallest_eigenvalue, witness.smallest_eigenvalue, rtol=1e-6)


def test_a_flow_takes_compiled_steps_where_it_may(monkeypatch):
    """Under erf alone, not where it is told not to, and not for a loss that somebody has changed."""
    steps = []

    def step(self, *limits):
        steps.append(self)
        return NDF.step(self, *limits)

    monkeypatch.setattr(compiled.CompiledNDF, "step", step, raising=False)

    class Changed(PopulationLoss):
        pass

    teacher, student = Network.orthonormal(3), glorot(np.random.default_rng(0), 2, 3)
    for L, may, taken in [
        (PopulationLoss(teacher, kernels.erf), True, compiled.CompiledNDF),
        (PopulationLoss(teacher, kernels.erf), False, NDF),
        (compiled.CompiledLoss(teacher), True, compiled.CompiledNDF),
        (compiled.CompiledLoss(teacher), False, NDF),
        (PopulationLoss(teacher, kernels.tanh), True, NDF),
        (Changed(teacher, kernels.erf), True, NDF),
    ]:
        assert type(integrator_for(L, student.W, student.a, 1e-5, may)) is taken, (L, may)
        del steps[:]
        flow = gradient_flow(L, student, compiled=may, max_steps=3)
        assert flow.counts.steps == 3 and len(steps) == 3 * (taken is compiled.CompiledNDF), (L, may)


def test_only_erf_is_compiled():
    with pytest.raises(ValueError, match="kernel must be kernels.erf, the only compiled one, got kernels.tanh"):
        compiled.CompiledLoss(Network.orthonormal(2), kernels.tanh)


def test_lib_does_not_need_numba():
    """Importing lib, sweep included, loads neither numba nor tqdm; without numba the sweep takes NumPy."""
    code = (
        "import sys, lib; assert not {'numba', 'tqdm', 'matplotlib'} & set(sys.modules); "
        "sys.modules['numba'] = None; from lib.fast.accelerator import loss; "
        "print(type(loss(lib.Network.orthonormal(3), lib.kernels.erf)).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "PopulationLoss"
