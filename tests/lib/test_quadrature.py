"""Kernels of activations of one's own, against closed forms, conditional means and differences."""

import math
import pickle

import numpy as np
import pytest
from cases import OWN_KERNELS, cubic, hard_tanh, steep_elu, swish
from scipy.integrate import quad
from scipy.special import ndtr

from lib import Network, PopulationLoss, certify, glorot, gradient_flow, kernels
from lib.kernels import Kernel
from lib.pairs import Pairs, among, between, from_entries

SMOOTH = [kernels.erf, kernels.gelu, kernels.tanh, kernels.softplus, kernels.sin, kernels.quadratic]
KINKED = [kernels.relu, kernels.leaky_relu(0.1), kernels.leaky_relu(-1)]
COSINES = [-1.0, -1 + 1e-9, -0.999, -0.9, -0.6, 0.0, 0.3, 0.87, 0.89, 0.99, 1 - 1e-5, 1 - 1e-12, 1.0]


def pairs(norms):
    r, t, cosine = (part.ravel() for part in np.meshgrid(norms, norms, COSINES, indexing="ij"))
    return from_entries(cosine * r * t, r * r, t * t)


@pytest.mark.parametrize("norms", [[1e-8, 1e-3, 0.3, 0.49], [0.51, 1.0, 2.5], [1e-3, 1.0, 10.0]], ids=str)
@pytest.mark.parametrize("kernel", SMOOTH + KINKED, ids=repr)
def test_it_finds_the_closed_forms(kernel, norms):
    """Witness: the closed form of the same activation, from its values alone.

    Errors are relative to what the product of the two neurons may be, 1 at least.
    """
    own = Kernel.from_activation(kernel.activation, kinks=kernel.kinks)
    at = pairs(norms)
    size = np.maximum(1.0, np.sqrt(kernel(at.p, at.p, at.p) * kernel(at.q, at.q, at.q)))
    assert (np.abs(own.value_at(at) - kernel.value_at(at)) <= 1e-13 * size).all()
    first = np.ones(at.s.shape, dtype=bool) if not kernel.kinks else at.p > 1e-4
    for mine, exact in zip(own.jet_at(at), kernel.jet_at(at), strict=True):
        assert (np.abs(mine - exact)[first] <= 1e-11 * size[first]).all()
    second = first if not kernel.kinks else first & (at.q > 1e-4) & (at.gap > 1e-6 * at.p * at.q)
    for mine, exact in zip(own.hessian_at(at), kernel.hessian_at(at), strict=True):
        error = np.abs(mine - exact) / np.maximum(size, np.abs(exact))
        assert (error[second] <= 1e-10).all(), error[second].max()


def mean_of_hard_tanh(m, t):
    """E clip(m + t Z, -1, 1) = -1 + the integral of P(m + t Z > y) over y in [-1, 1]."""

    def upper(y):
        z = (y - m) / t
        return t * (np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - z * ndtr(-z))

    return -1.0 + upper(-1.0) - upper(1.0)


def mean_of_steep_elu(m, t):
    """Half-line Gaussian integrals."""
    linear = m * ndtr(m / t) + t * np.exp(-m * m / t**2 / 2) / np.sqrt(2 * np.pi)
    return linear + 1.5 * (np.exp(m + t * t / 2) * ndtr(-m / t - t) - ndtr(-m / t))


def late_relu(x):
    return np.maximum(x - 0.7, 0.0)


def mean_of_late_relu(m, t):
    z = (m - 0.7) / t
    return (m - 0.7) * ndtr(z) + t * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize(
    ("kernel", "f", "mean"),
    [
        (OWN_KERNELS[2], hard_tanh, mean_of_hard_tanh),
        (OWN_KERNELS[1], steep_elu, mean_of_steep_elu),
        (Kernel.from_activation(late_relu, kinks=[0.7]), late_relu, mean_of_late_relu),
    ],
)
@pytest.mark.parametrize(
    ("s", "p", "q"), [(0.3, 1.0, 0.8), (-0.9, 1.0, 1.0), (0.99, 1.0, 1.0), (3.9, 4.0, 4.0), (1.94, 4.0, 1.0)]
)
def test_kinks_against_a_conditional_mean(kernel, f, mean, s, p, q):
    """Witness: E f(X) E[f(Y) | X], the inner mean in closed form, the outer by adaptive quadrature."""
    t = np.sqrt(q - s * s / p)

    def integrand(x):
        return f(x) * mean(s / p * x, t) * np.exp(-x * x / (2 * p)) / np.sqrt(2 * np.pi * p)

    reach = 10.0 * np.sqrt(p)
    cuts = [-1.0, -0.3, 0.0, 0.3, 0.7, 1.0, 1.4, 2.0]
    exact, error = quad(integrand, -reach, reach, points=cuts, epsabs=1e-13, epsrel=1e-13, limit=400)
    assert error < 1e-11
    assert abs(kernel(s, p, q) - exact) < 2e-11


@pytest.mark.parametrize("kernel", OWN_KERNELS, ids=repr)
@pytest.mark.parametrize("cosine", [0.97, -0.97, 0.9999])
def test_derivatives_of_the_rule_in_the_plane(kernel, cosine):
    """Witness: central differences, between nearly parallel vectors, where the series does not serve."""
    p, q = 3.0, 2.6
    s = cosine * np.sqrt(p * q)
    h = 1e-2 * (1 - abs(cosine))
    at, steps = np.array([s, p, q]), h * np.eye(3)
    differences = [(kernel(*(at + e)) - kernel(*(at - e))) / (2 * h) for e in steps]
    np.testing.assert_allclose(kernel.gradient(*at), differences, rtol=1e-5, atol=3e-5)
    g_ss, g_sp, g_sq, g_pp, g_pq, g_qq = kernel.hessian(*at)
    rows = [(np.array(kernel.gradient(*(at + e))) - kernel.gradient(*(at - e))) / (2 * h) for e in steps]
    hessian = [[g_ss, g_sp, g_sq], [g_sp, g_pp, g_pq], [g_sq, g_pq, g_qq]]
    np.testing.assert_allclose(hessian, rows, rtol=1e-4, atol=3e-4)


def test_the_estimate_of_the_error_is_one():
    """Witness: the closed form; a rule that must stay coarse says so, and is not worse than it says."""
    sharp = Kernel.from_activation(lambda x: np.sin(4 * x), tolerance=1e-10)
    s, p, q = np.array([50.0, -90.0, 99.9]), 100.0, 100.0
    exact = np.exp(-16 * (p - np.abs(s))) * np.sign(s) / 2  # but for 1e-300
    assert sharp.error < 1e-12 and np.abs(sharp(s, p, q) - exact).max() < 1e-12
    with pytest.raises(ValueError, match=r"tolerance = 1e-10 .* largest = 10, got an error estimate of"):
        Kernel.from_activation(lambda x: np.tanh(100 * x))
    assert Kernel.from_activation(lambda x: np.tanh(100 * x), largest=0.5).error < 1e-10


@pytest.mark.parametrize(
    ("f", "kinks", "message"),
    [
        (3.0, (), r"f must be a function of arrays, got 3\.0"),
        (math.sin, (), "f must take an array and act elementwise, got an error: .*np.vectorize"),
        (np.sum, (), r"f must act elementwise, got shape \(\) for one of \(2, 3\)"),
        (lambda x: x / np.abs(x).max(), (), "f must act elementwise, got .* for 0.9 alone"),
        (lambda x: x + 0j, (), r"f\(y\) must be an array of real numbers"),
        (np.sqrt, (), r"f\(y\) must be finite"),
        (lambda x: np.exp(x**2), (), r"f must be finite for \|y\| up to 125, got f\(-124"),
        (lambda x: np.exp(x**2 / 200), (), "f must be square-integrable against the Gaussian .*largest = 10"),
        (lambda x: np.exp(x**2 / 200) / (1 + np.exp(x)), (), "f must be square-integrable against the Gaussian"),
        (lambda x: np.exp(x**2 / 200) / (1 + np.exp(-x)), (), "f must be square-integrable against the Gaussian"),
        (np.abs, (), r"f must be smooth but for the kinks that are given, .*y = -?\d\.?\d*e-05.*kinks=\[\.\.\.\]"),
        (hard_tanh, (-1.0,), r"f must be smooth but for the kinks .* near y = (1|0\.99|1\.0\d*):"),
        (np.sign, (0.0,), "f must be continuous, got one that jumps at y = 0"),
        (swish, np.nan, "kinks must have 1 dimension"),
        (swish, [np.inf], "kinks must be finite, got inf"),
    ],
)
def test_what_cannot_be_integrated_is_named(f, kinks, message):
    with pytest.raises(ValueError, match=message):
        Kernel.from_activation(f, kinks=kinks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest": 0.0}, "largest must be a number between 0.001 and 1000"),
        ({"tolerance": 1e-20}, "tolerance must be a number between 1e-12 and 1"),
        ({"name": 3}, "name must be a str, got 3"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Kernel.from_activation(swish, **options)


def test_longer_vectors_are_refused_by_kernel_and_loss():
    kernel = Kernel.from_activation(swish, largest=2.0)
    assert np.isfinite(kernel(0.0, 4.0, 4.0))
    message = r"w must be of length at most 2 for this kernel, .*, got 2\.1: .*largest=4\.2\)"
    with pytest.raises(ValueError, match=message):
        kernel(0.0, 1.0, 2.1**2)
    L = PopulationLoss(Network.orthonormal(2), kernel)
    for method in (L, L.gradient, L.hessian):
        with pytest.raises(ValueError, match=message):
            method(Network([[2.1, 0.0]], [1.0]))


def test_zero_vectors_under_a_kink_at_zero():
    """Values and a loss's tables exist, derivatives of the kernel do not, of f but for kinks elsewhere do."""
    elu, hard = OWN_KERNELS[1], OWN_KERNELS[2]
    assert elu(0.0, 0.0, 1.0) == 0.0
    with pytest.raises(ValueError, match="steep_elu's kernel has no derivative at a zero vector"):
        elu.gradient(0.0, 0.0, 1.0)
    # Exact: f'(0) E f'(Y) with P(|Y| < 1) = 0.682689...
    assert abs(hard.gradient(0.0, 0.0, 1.0)[0] - (2 * ndtr(1.0) - 1)) < 1e-12
    for kernel in (elu, hard):
        with pytest.raises(ValueError, match="no second derivative in .* at parallel vectors"):
            kernel.hessian(1.0, 1.0, 1.0)
    L = PopulationLoss(Network.orthonormal(2), elu)
    student = Network([[0.0, 0.0], [1.0, 0.5]], [1.0, 1.0])
    assert np.isfinite(L(student))
    with pytest.raises(ValueError, match="under steep_elu the loss has only one-sided derivatives"):
        L.gradient(student)
    assert np.isfinite(PopulationLoss(Network.orthonormal(2), hard).hessian(student)).all()


def test_equal_arguments_give_one_kernel():
    kernel = Kernel.from_activation(swish)
    assert kernel is OWN_KERNELS[0] is Kernel.from_activation(swish, kinks=(), largest=10)
    assert kernel is not Kernel.from_activation(swish, largest=5.0)
    assert kernel is not Kernel.from_activation(cubic)
    assert repr(kernel) == "Kernel.from_activation(swish)"
    assert kernels.leaky_relu(0.1) is kernels.leaky_relu(0.1) and kernels.leaky_relu(0) is kernels.relu
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(Kernel.from_activation(lambda x: x**2))


@pytest.mark.parametrize("slope", [-1.5, 2, np.nan, "0.1"])
def test_slopes_that_are_refused(slope):
    with pytest.raises(ValueError, match="slope must be a number"):
        kernels.leaky_relu(slope)


def test_a_kernel_itself_is_not_one():
    with pytest.raises(ValueError, match="Kernel must be subclassed, .*from_activation"):
        Kernel("swish", swish, 1.0)

    class Half(Kernel):
        def value_at(self, pairs):
            return pairs.s

    half = Half("half", lambda x: x, 1.0)
    assert half(0.5, 1.0, 1.0) == 0.5
    with pytest.raises(NotImplementedError, match="Half must define jet_at"):
        half.gradient(0.5, 1.0, 1.0)


@pytest.mark.parametrize("kernel", [kernels.leaky_relu(0.1), kernels.sin, OWN_KERNELS[0], OWN_KERNELS[2]], ids=repr)
def test_a_flow_ends_at_a_critical_point(kernel):
    """Witness: a gradient by central differences of the loss at the end of the flow."""
    L = PopulationLoss(Network([[1.0, 0.2, 0.0], [0.0, 1.0, 0.4]], [1.0, 0.7]), kernel)
    flow = gradient_flow(L, glorot(np.random.default_rng(1), 2, 3), gradient_tol=1e-7, max_steps=3000)
    assert flow.losses[-1] < 0.1 * flow.losses[0]
    theta, h = flow.student.ravel(), 1e-5
    for step in h * np.eye(len(theta)):
        ahead, behind = (L(Network.unravel(theta + sign * step, 2, 3)) for sign in (1.0, -1.0))
        assert abs(ahead - behind) / (2 * h) < 1e-6
    assert certify(L, flow.student).kind == "strict minimum"


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softplus, kernels.sigmoid], ids=repr)
def test_large_tables_by_the_series_lose_no_digit(kernel):
    """Witness: the average over noise, which a table of a few pairs takes.

    Vectors of all lengths, among them copies, and some that neither rule shortens.
    """
    rng = np.random.default_rng(3)
    W = rng.standard_normal((30, 8)) / np.sqrt(8) * np.geomspace(1e-8, 1e3, 30)[:, None]
    W[12:20] *= np.geomspace(0.5, 5.0, 8)[:, None] / np.linalg.norm(W[12:20], axis=1, keepdims=True)
    W[20] = W[15] * (1 + 1e-13)
    for every in (among(W, kernel.noise), between(W[10:], W[::-1], kernel.noise)):
        wide = np.broadcast_arrays(*every)
        size = 1.0
        if kernel is kernels.softplus:
            size = np.maximum(1.0, np.sqrt(wide[1])) * np.maximum(1.0, np.sqrt(wide[2]))
        for method in ("value_at", "jet_at", "hessian_at"):
            rows = [getattr(kernel, method)(Pairs(*(part[i] for part in wide))) for i in range(len(wide[0]))]
            expected = np.stack(rows, axis=-2)
            found = np.array(getattr(kernel, method)(every))
            assert (np.abs(found - expected) <= 1e-14 * size).all()
    taken, poor, _ = kernel._series.series(*among(W[12:20], kernel.noise)[:3], 1)
    assert np.array_equal(poor, poor.T) and poor.sum() <= 10 and taken[0].shape == (8, 8)


def test_a_bound_on_what_a_series_leaves_out():
    """Witness: the closed form. Sums that are cut where the bound allows it differ by less, and not by nothing."""
    own, r = Kernel.from_activation(kernels.erf.activation), np.array([1.5, 2.5, 4.0])
    at = from_entries(np.multiply.outer(r, r) * 0.6, r[:, None] ** 2, r[None, :] ** 2)
    (found,), poor, scale = own._expectation.series(at.s, at.p, at.q, 0)
    assert not poor.any() and (np.abs(found - kernels.erf.value_at(at)) <= 3e-14 * scale).all()
    parallel = from_entries(r * r, r * r, r * r)
    _, poor, _ = own._expectation.series(*parallel[:3], 1)
    assert poor[-1] and np.isfinite(own.jet_at(parallel)).all()


def lifted(c):
    """The loss of max(y, c): one kink, which is not at 0, so that no two errors cancel as under hard tanh."""
    kernel = kernels.Kernel.from_activation(lambda y: np.maximum(y, c), kinks=[c])
    return PopulationLoss(Network.orthonormal(3), kernel)


def by_differences(L, student, h):
    steps = [Network.unravel(e, student.n, student.d) for e in h * np.eye(student.ravel().size)]
    ends = [(L.gradient(student + step) - L.gradient(student - step)).ravel() for step in steps]
    return np.array(ends) / (2.0 * h)


@pytest.mark.parametrize("c", [-1.0, -0.3, 0.3, 1.0])
def test_hessian_under_a_kink_that_is_not_at_zero(c):
    """Independent check: differences of the gradient. At the teacher, where L = 0, no eigenvalue is negative."""
    L, student = lifted(c), Network([[0.5, 0.3, -0.2], [-0.4, 0.9, 1.3]], [-0.7, 0.4])
    np.testing.assert_allclose(L.hessian(student), by_differences(L, student, 1e-5), rtol=0, atol=1e-7)
    assert np.linalg.eigvalsh(L.hessian(L.teacher))[0] > -1e-9


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-7, 1e-5])
def test_hessian_between_nearly_parallel_neurons_under_a_kink_that_is_not_at_zero(apart):
    """Terms of size 1 / apart cancel; third derivatives jump at copies, so differences have six digits there."""
    w = np.array([0.5, 0.3, -0.2])
    L, student = lifted(-0.3), Network([w, w + [0.0, 0.0, apart]], [1.0, -0.7])
    hessian = L.hessian(student)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-9)
    np.testing.assert_allclose(hessian, by_differences(L, student, 1e-6), rtol=0, atol=2e-6)
