"""lib.students.single against a 40-digit solution, the full gradient, brute-force search and limits."""

from functools import cache

import mpmath
import numpy as np
import pytest
from cases import MP_ACTIVATIONS
from scipy.optimize import minimize

from lib import Network, PopulationLoss, kernels, one_neuron

SOLVED = [kernels.tanh, kernels.sigmoid, kernels.softplus]
MP_SLOPES = {
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "sigmoid": lambda x: 1 / (2 * mpmath.cosh(x / 2)) ** 2,
    "softplus": lambda x: 1 / (1 + mpmath.exp(-x)),
}


def student_of(optimum, k):
    return Network(np.full((1, k), optimum.r / np.sqrt(k)), [optimum.a])


@cache
def mp_optimum(name, k):
    """Witness: (a, r, loss) with 40 digits; expectations by the plain trapezoidal rule of step 0.2 on R^2.

    It shares nothing with lib: no closed form, no noise, no float64.
    """
    with mpmath.workdps(40):
        sigma, slope = MP_ACTIVATIONS[name], MP_SLOPES[name]
        h = mpmath.mpf("0.2")
        z = [h * i for i in range(-50, 51)]
        weight = [h * mpmath.npdf(value) for value in z]
        u = 1 / mpmath.sqrt(k)
        across = mpmath.sqrt(1 - u * u)
        given_z = [sum(w * sigma(u * x + across * y) for w, y in zip(weight, z, strict=True)) for x in z]

        def moments(r):
            values, slopes = [sigma(r * x) for x in z], [x * slope(r * x) for x in z]
            G = sum(w * v * v for w, v in zip(weight, values, strict=True))
            half_G_slope = sum(w * v * s for w, v, s in zip(weight, values, slopes, strict=True))
            T = sum(w * v * y for w, v, y in zip(weight, values, given_z, strict=True))
            T_slope = sum(w * s * y for w, s, y in zip(weight, slopes, given_z, strict=True))
            return G, half_G_slope, T, T_slope

        def balance(r):
            G, half_G_slope, T, T_slope = moments(r)
            return G * T_slope - T * half_G_slope

        r = mpmath.findroot(balance, (0.4 * u, 1.2 * u), solver="anderson", tol=1e-60)
        G, _, T, _ = moments(r)
        mean = sum(w * sigma(x) for w, x in zip(weight, z, strict=True))
        square = sum(w * sigma(x) ** 2 for w, x in zip(weight, z, strict=True))
        return float(k * T / G), float(r), float(k * square + k * (k - 1) * mean**2 - (k * T) ** 2 / G)


@pytest.mark.parametrize("kernel", SOLVED, ids=repr)
@pytest.mark.parametrize("k", [2, 50, 1000, 10**6])
def test_ten_digits(kernel, k):
    np.testing.assert_allclose(one_neuron(kernel, k), mp_optimum(kernel.name, k), rtol=1e-10)


@pytest.mark.parametrize("k", [2, 3, 10, 1000, 10**6])
def test_closed_forms(k):
    """Witness: the formulas in mpmath with 50 digits."""
    with mpmath.workdps(50):
        erf_loss = 2 / mpmath.pi * (k * mpmath.asin(0.5) - k**2 * mpmath.asin(mpmath.mpf(1) / (2 * k)))
        u = 1 / mpmath.sqrt(k)
        strength = k * (mpmath.sqrt(1 - u * u) + u * (mpmath.pi - mpmath.acos(u))) / mpmath.pi
        relu_loss = mpmath.mpf(k) / 2 + k * (k - 1) / (2 * mpmath.pi) - strength**2 / 2
    np.testing.assert_allclose(one_neuron(kernels.erf, k), (k, 1 / np.sqrt(2 * k - 1), float(erf_loss)), rtol=1e-12)
    np.testing.assert_allclose(one_neuron(kernels.relu, k), (float(strength), 1.0, float(relu_loss)), rtol=1e-12)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu, *SOLVED], ids=repr)
@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_the_full_gradient_vanishes(kernel, k):
    """Witness: PopulationLoss, which knows nothing of equal cosines, in all k + 1 coordinates and one more input."""
    loss = PopulationLoss(Network.orthonormal(k, k + 1), kernel)
    optimum = one_neuron(kernel, k)
    student = Network(np.pad(student_of(optimum, k).W, ((0, 0), (0, 1))), [optimum.a])
    assert np.abs(loss.gradient(student).ravel()).max() < 1e-12 * k
    np.testing.assert_allclose(loss(student), optimum.loss, rtol=1e-10, atol=1e-13 * k)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu, *SOLVED], ids=repr)
def test_no_random_start_finds_a_lower_loss(kernel):
    """Witness: BFGS over all coordinates from 30 random starts for k = 4 (a finite search, not a proof)."""
    loss = PopulationLoss(Network.orthonormal(4), kernel)
    best = one_neuron(kernel, 4).loss
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        result = minimize(
            lambda theta: loss(Network.unravel(theta, 1, 4)),
            rng.standard_normal(5),
            jac=lambda theta: loss.gradient(Network.unravel(theta, 1, 4)).ravel(),
            method="BFGS",
            options={"gtol": 1e-9},
        )
        found.append(result.fun)
    assert min(found) > best - 1e-12
    assert min(found) < best + 1e-9


def test_limits_of_many_teachers():
    """Asymptotic values of theory: tanh r sqrt(k) -> 0.5478522, a/k -> 1.1056002; softplus a/k -> 1.1628976.

    Witness: for odd sigma, r^2 k -> E sigma'''(z) / E sigma'(z) * sigma'(0) / sigma'''(0), by mpmath quadrature.
    """
    with mpmath.workdps(30):
        slope = mpmath.quad(lambda z: mpmath.sech(z) ** 2 * mpmath.npdf(z), [-10, 0, 10])
        third = mpmath.quad(lambda z: (4 * mpmath.tanh(z) ** 2 - 2 * mpmath.sech(z) ** 2) * mpmath.sech(z) ** 2
                            * mpmath.npdf(z), [-10, 0, 10])
        limit = mpmath.sqrt(third / slope / -2)
        a_limit = slope / limit
    tanh = one_neuron(kernels.tanh, 10**6)
    np.testing.assert_allclose([tanh.r * 1e3, tanh.a / 1e6], [float(limit), float(a_limit)], rtol=2e-6)
    np.testing.assert_allclose([float(limit), float(a_limit)], [0.5478522, 1.1056002], rtol=1e-7)
    softplus = one_neuron(kernels.softplus, 10**6)
    np.testing.assert_allclose([softplus.a / 1e6, softplus.r * 1e3], [1.1628976, 0.8599210], rtol=1e-6)


def test_gelu_has_no_optimum_and_says_so():
    assert one_neuron(kernels.gelu, 1) == (1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="k must be 1 for gelu, got 2: for k >= 2 the loss decreases"):
        one_neuron(kernels.gelu, 2)
    # Witness: the best loss at given r falls monotonically over three decades of r.
    for k in (2, 50):
        r = np.geomspace(0.5, 500, 40)
        best = -k * k * kernels.gelu(r / np.sqrt(k), r**2, 1.0) ** 2 / kernels.gelu(r**2, r**2, r**2)
        assert (np.diff(best) < 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((kernels.erf, 0), "k must be at least 1, got 0"),
        ((kernels.erf, 2.0), "k must be an integer, got 2.0"),
        (("erf", 2), "kernel must be a Kernel, got 'erf'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        one_neuron(*arguments)
