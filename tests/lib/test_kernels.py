"""lib.kernels against mpmath, a plain quadrature, Monte Carlo and finite differences."""

import mpmath
import numpy as np
import pytest
from cases import (
    CLOSED_FORMS,
    EVERY_KERNEL,
    MP_ACTIVATIONS,
    MP_CLOSED_FORMS,
    NORMS,
    OWN_KERNELS,
    QUADRATURES,
    entries,
    trapezoid_kernel,
)

from lib import kernels
from lib.pairs import from_entries


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(50):
        yield


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_activation_is_the_named_function(kernel):
    x = np.array([-30.0, -5.0, -1e-9, 0.0, 0.3, 2.0, 30.0])
    expected = [float(MP_ACTIVATIONS[kernel.name](mpmath.mpf(float(value)))) for value in x]
    # A tail like exp(-x^2 / 2) turns a rounding of x into one x^2 times as large: four of those.
    digits = 4 * 2.0**-53 * (1 + x * x)
    assert (np.abs(kernel.activation(x) - expected) <= digits * np.abs(expected) + 1e-300).all()


@pytest.mark.parametrize("kernel", CLOSED_FORMS, ids=repr)
def test_closed_form_has_twelve_digits_everywhere(kernel):
    """Witness: the textbook formula in mpmath with 50 digits, on the same float64 arguments."""
    for s, p, q in entries():
        exact = MP_CLOSED_FORMS[kernel.name](s, p, q)
        value = kernel(s, p, q)
        assert abs(mpmath.mpf(float(value)) - exact) <= 1e-12 * abs(exact) + 1e-300, (kernel, s, p, q, value, exact)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_kernel_is_the_expectation_it_claims(kernel):
    """Witness: trapezoidal rule on R^2, which shares no formula with lib.

    Smooth activations: the rule converges exponentially and step h against h/2 bounds its error.
    Under kinks the rule is only good to its h^2.
    """
    for s, p, q in [(0.3, 1.0, 0.8), (-1.1, 1.5, 1.2), (0.0, 0.5, 1.0), (1.0, 1.0, 1.0), (0.2, 0.04, 1.0)]:
        coarse = trapezoid_kernel(kernel.activation, s, p, q, step=0.1)
        fine = trapezoid_kernel(kernel.activation, s, p, q, step=0.05)
        tolerance = 2e-3 if kernel.kinks else 1e-12
        assert abs(fine - coarse) <= tolerance
        assert abs(kernel(s, p, q) - fine) <= tolerance, (kernel, s, p, q, kernel(s, p, q), fine)


@pytest.mark.parametrize("kernel", QUADRATURES, ids=repr)
@pytest.mark.parametrize(
    ("norm", "tolerance"),
    [(0.1, 1e-10), (1.0, 1e-10), (10.0, 1e-10), pytest.param(100.0, 1e-8, marks=pytest.mark.long)],
)
def test_quadrature_accuracy(kernel, norm, tolerance):
    """Witness: the plain rule with a step resolving the pole at pi / (2 norm); h against 3h/4 bounds its error.

    The tolerance is relative to the largest value of sigma^2 a kernel of these norms can average.
    """
    step = min(0.25, 0.4 / norm)
    scale = max(1.0, norm**2) if kernel is kernels.softplus else 1.0
    for other, cosine in [(norm, 0.4), (norm, -0.9), (1.0, 0.7), (norm, 0.99)]:
        s, p, q = cosine * norm * other, norm**2, other**2
        if norm == 100.0 and other == 1.0:
            s = 0.0  # keep one case in which only one vector is long
        reference = trapezoid_kernel(kernel.activation, s, p, q, step * 0.75)
        assert abs(reference - trapezoid_kernel(kernel.activation, s, p, q, step)) <= tolerance / 5 * scale
        assert abs(kernel(s, p, q) - reference) <= tolerance * scale, (kernel, s, p, q)


@pytest.mark.parametrize("kernel", QUADRATURES, ids=repr)
def test_quadrature_against_mpmath(kernel):
    """Witness: E[sigma(X)^2] as a one-dimensional mpmath integral with 30 digits."""
    activation = MP_ACTIVATIONS[kernel.name]
    with mpmath.workdps(30):
        for r in [0.01, 1.0, 10.0, 100.0]:
            nodes = [0, 0.1 / r, 1 / r, 5 / r, 1, 3, 12] if r > 5 else [0, 0.1, 1, 3, 12]
            nodes = sorted(set(mpmath.mpf(node) for node in nodes))

            def even_part(z, r=mpmath.mpf(r)):
                return (activation(r * z) ** 2 + activation(-r * z) ** 2) * mpmath.npdf(z)

            exact = mpmath.quad(even_part, nodes)
            value = kernel(r * r, r * r, r * r)
            assert abs(mpmath.mpf(float(value)) - exact) <= 1e-12 * exact, (kernel, r, value, exact)


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softplus], ids=repr)
def test_noise_quadrature_has_converged(kernel):
    """Witness: the same rule with a finer step, over all norms and cosines."""
    variances, weights = kernels._logistic_noise(step=0.09)
    factor = 4 if kernel is kernels.softplus else 1
    finer = type(kernel)("finer", kernel.activation, factor * variances, weights)
    s, p, q = np.array(list(entries())).T
    # Values that cancel to (nearly) nothing, softplus at antipodal long vectors, are judged on the scale of E|XY|.
    np.testing.assert_allclose(kernel(s, p, q), finer(s, p, q), rtol=1e-13)
    for mine, theirs in zip(kernel.gradient(s, p, q), finer.gradient(s, p, q), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_gradient_and_hessian_against_central_differences(kernel):
    """Witness: central differences with steps h and their O(h^2) error."""
    rng = np.random.default_rng(1)
    h = 1e-5
    for _ in range(20):
        p, q = rng.uniform(0.2, 3.0, 2)
        s = rng.uniform(-0.9, 0.9) * np.sqrt(p * q)
        at = np.array([s, p, q])
        steps = h * np.eye(3)
        slopes = [(kernel(*(at + e)) - kernel(*(at - e))) / (2 * h) for e in steps]
        np.testing.assert_allclose(kernel.gradient(s, p, q), slopes, atol=1e-9)
        rows = [
            (np.array(kernel.gradient(*(at + e))) - np.array(kernel.gradient(*(at - e)))) / (2 * h) for e in steps
        ]
        g_ss, g_sp, g_sq, g_pp, g_pq, g_qq = kernel.hessian(s, p, q)
        np.testing.assert_allclose([[g_ss, g_sp, g_sq], [g_sp, g_pp, g_pq], [g_sq, g_pq, g_qq]], rows, atol=1e-8)


def test_erf_derivatives_against_mpmath():
    """Witness: mpmath's numerical derivatives of the textbook formula, 50 digits."""
    orders = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2)]
    for s, p, q in [(0.3, 1.0, 0.8), (-0.7, 0.5, 1.0), (1.0, 1.0, 1.0), (0.0, 0.25, 4.0), (-30.0, 9.0, 100.0)]:
        exact = [mpmath.diff(mp_erf_exact, (s, p, q), order) for order in orders]
        values = [*kernels.erf.gradient(s, p, q), *kernels.erf.hessian(s, p, q)]
        for order, value, reference in zip(orders, values, exact, strict=True):
            assert abs(value - reference) <= 1e-13 * max(1e-3, abs(reference)), (s, p, q, order)


def mp_erf_exact(s, p, q):
    return 2 / mpmath.pi * mpmath.asin(s / mpmath.sqrt((1 + p) * (1 + q)))


def test_erf_derivatives_keep_their_digits_at_long_copies():
    """Witness: g_s = (2/pi) / sqrt(1 + p + q + gap) in mpmath; a plain (1+p)(1+q) - s^2 loses all digits here."""
    for s, p, q in entries(norms=[1e4, 1e8]):
        s, p, q = (mpmath.mpf(float(value)) for value in (s, p, q))
        determinant = 1 + p + q + max(mpmath.mpf(0), p * q - s * s)
        exact = 2 / (mpmath.pi * mpmath.sqrt(determinant))
        assert abs(kernels.erf.gradient(float(s), float(p), float(q))[0] - exact) <= 1e-13 * exact


def test_relu_at_copies_opposites_and_zeros():
    """Exact values: E relu(X)^2 = |w|^2 / 2, E relu(X) relu(-X) = 0."""
    assert kernels.relu(4.0, 4.0, 4.0) == 2.0
    assert kernels.relu(-4.0, 4.0, 4.0) == 0.0
    assert kernels.relu(0.0, 0.0, 4.0) == 0.0
    assert kernels.relu(0.0, 0.0, 0.0) == 0.0
    np.testing.assert_allclose(kernels.relu.gradient(4.0, 4.0, 4.0), (0.5, 0.0, 0.0), atol=1e-16)
    np.testing.assert_allclose(kernels.relu.gradient(-4.0, 4.0, 4.0), (0.0, 0.0, 0.0), atol=1e-16)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_everything_is_finite_at_extreme_arguments(kernel):
    norms = [1e-8, 1e-3, 0.5, 3.0, 10.0] if kernel in OWN_KERNELS else NORMS
    s, p, q = np.array(list(entries(norms))).T
    assert np.isfinite(kernel(s, p, q)).all()
    assert np.isfinite(kernel.gradient(s, p, q)).all()
    if not kernel.kinks:  # refuses parallel vectors, tested below
        assert np.isfinite(kernel.hessian(s, p, q)).all()
        zero = np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, norms[-1] ** 2])
        assert np.isfinite(kernel.gradient(*zero)).all() and np.isfinite(kernel.hessian(*zero)).all()


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_broadcasting_and_scalars(kernel):
    table = kernel(np.zeros((3, 1)), np.ones((1, 4)), 2.0)
    assert table.shape == (3, 4)
    assert np.ndim(kernel(0.0, 1.0, 2.0)) == 0
    np.testing.assert_allclose(table, kernel(0.0, 1.0, 2.0), rtol=1e-14)
    assert [part.shape for part in kernel.gradient(np.zeros((3, 1)), np.ones((1, 4)), 2.0)] == [(3, 4)] * 3
    assert [part.shape for part in kernel.hessian(np.zeros(5), 1.0, 2.0)] == [(5,)] * 6
    assert kernel(np.zeros((0, 2)), 1.0, 1.0).shape == (0, 2)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_a_kernel_is_symmetric_and_positive_definite(kernel):
    """Cauchy-Schwarz and symmetry on random pairs: what any E[sigma(X) sigma(Y)] must satisfy."""
    rng = np.random.default_rng(2)
    W = rng.standard_normal((30, 6)) * rng.uniform(0.1, 2.0 if kernel in OWN_KERNELS else 5.0, (30, 1))
    s, p = W @ W.T, (W * W).sum(1)
    table = kernel(s, p[:, None], p[None, :])
    np.testing.assert_allclose(table, table.T, rtol=1e-13, atol=1e-15 * np.abs(table).max())
    assert np.linalg.eigvalsh(table).min() > -1e-12 * np.abs(table).max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.nan, 1.0, 1.0), "s must be finite, got nan"),
        ((0.0, np.inf, 1.0), "p must be finite, got inf"),
        ((0.0, 1.0, -1.0), "q must be a squared norm, at least 0, got -1.0"),
        ((1.1, 1.0, 1.0), r"s must satisfy s\^2 <= p q, got s = 1.1, p = 1.0, q = 1.0"),
        ((1e-200, 0.0, 1.0), r"s must satisfy s\^2 <= p q"),
        (("a", 1.0, 1.0), "s must be an array of real numbers, got 'a'"),
        ((1j, 1.0, 1.0), "s must be an array of real numbers, got 1j"),
        ((np.zeros(2), np.ones(3), 1.0), "s, p, q must have shapes that broadcast"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "gradient", "hessian"])
def test_bad_entries_are_named(arguments, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(kernels.erf, method)(*arguments)


def test_entries_at_the_limits():
    """Vectors of 1e30, s a billionth above the largest, and for relu's derivatives vectors of 1e-30."""
    for kernel in CLOSED_FORMS:
        assert np.isfinite(kernel(0.0, 1e60, 1.0)) and np.isfinite(kernel(0.0, 1.0, 1e60))
        for name, arguments in (("p", (0.0, 1.01e60, 1.0)), ("q", (0.0, 1.0, 1.01e60))):
            with pytest.raises(ValueError, match=rf"{name} must be at most 1e\+60, got 1\.01e\+60"):
                kernel(*arguments)
        for sign in (1.0, -1.0):
            assert np.isfinite(kernel(sign * 6.0 * (1 + 0.9e-9), 4.0, 9.0))
            with pytest.raises(ValueError, match=r"s must satisfy s\^2 <= p q"):
                kernel(sign * 6.0 * (1 + 1.1e-9), 4.0, 9.0)
    for arguments in ((0.0, 1.01e-60, 1.0), (0.0, 1.0, 1.01e-60)):
        np.testing.assert_allclose(kernels.relu.gradient(*arguments)[0], 0.25, rtol=1e-15)
    for arguments in ((0.0, 0.99e-60, 1.0), (0.0, 1.0, 0.99e-60)):
        assert np.isfinite(kernels.erf.gradient(*arguments)).all()
        with pytest.raises(ValueError, match="p and q must be positive, at least 1e-60"):
            kernels.relu.gradient(*arguments)
    with pytest.raises(ValueError, match="p must be a squared norm, at least 0, got -2.0"):
        kernels.erf([0.0, 0.0], [1.0, -2.0], 1.0)
    with pytest.raises(ValueError, match="s = 3.0, p = 1.0, q = 4.0"):
        kernels.erf([0.0, 3.0], [9.0, 1.0], 4.0)


def test_relu_at_a_zero_vector_gives_a_loss_zeros():
    """What a loss takes in the place of derivatives that do not exist, without a warning."""
    pairs = from_entries(np.zeros(2), np.array([0.0, 4.0]), np.array([4.0, 0.0]))
    for derivatives in (kernels.relu.jet_at(pairs), kernels.relu.hessian_at(pairs)):
        assert np.isfinite(derivatives).all()
    g, g_s, g_p = kernels.relu.jet_at(pairs)
    assert not g.any() and not g_p.any() and (g_s == 0.25).all()


def test_homogeneous_is_relu_leaky_or_not():
    """Witness: sigma(3 y) = 3 sigma(y) on both sides of 0."""
    y = np.array([-2.0, 0.7])
    own_relu = kernels.Kernel.from_activation(kernels.relu.activation, kinks=[0.0])
    for kernel in [*EVERY_KERNEL, own_relu]:
        scales = np.allclose(kernel.activation(3 * y), 3 * kernel.activation(y))
        assert kernel.homogeneous == scales == ("relu" in kernel.name or kernel is own_relu)


def test_arctan_remainder_keeps_its_digits():
    x = np.array([-1e8, -3.0, -0.1, -0.0999, -1e-9, 0.0, 1e-100, 1e-3, 0.05, 0.0999, 0.1, 0.1001, 1.0, 1e300])
    with mpmath.workdps(250):
        exact = [float(value - mpmath.atan(value)) for value in map(mpmath.mpf, x)]
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(kernels.arctan_remainder(x), exact, rtol=1e-13)
    assert kernels.arctan_remainder(0.05).shape == ()


def test_relu_says_where_it_has_no_derivative():
    with pytest.raises(ValueError, match="p and q must be positive"):
        kernels.relu.gradient(0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"s\^2 must be below p q"):
        kernels.relu.hessian(1.0, 1.0, 1.0)
