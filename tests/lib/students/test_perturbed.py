"""lib.students.perturbed against PopulationLoss, mpmath and minimisation of the whole loss."""

import math

import mpmath
import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from lib import Network, PopulationLoss, certify, kernels, perturbed_copies
from lib.students import perturbed
from lib.students.averaging import group_excess
from lib.students.perturbed import erf_perturbed_copies


def gradient_norm(k, n, loss):
    return np.linalg.norm(loss.gradient(perturbed_copies(kernels.erf, k, n)).ravel())


def promised(k, n):
    """What the docstring says: 1e-12 sqrt(n), more where the neurons cancel each other, a >> k / n."""
    return math.sqrt(n) * max(1e-12, 5e-15 * erf_perturbed_copies(k, n).a * math.sqrt(k))


def rounding(k, n):
    """What float64 leaves of a gradient that is zero: 5 u sqrt(n + k) |S|, u = 2^-53.

    Every entry of the gradient is a sum of up to n + k terms whose sizes sum to S. Their rounding errors sum to at
    most (n + k) u S, in a random walk to sqrt(n + k) u S; the order of the sums is the processor's. Rounding the
    four numbers by u changes no term by more than a few u of itself, which is a few u S at most. Measured: up to
    1.6 sqrt(n + k) u |S|, with a BLAS for SSE and with one for AVX2.
    """
    alpha, beta, gamma, a = erf_perturbed_copies(k, n)[:4]
    others, uncopied = n - 1, k - n
    p = alpha**2 + others * beta**2 + uncopied * gamma**2
    pair = 2 * alpha * beta + (n - 2) * beta**2 + uncopied * gamma**2
    s, q = np.array([p, pair, alpha, beta, gamma]), np.array([p, p, 1.0, 1.0, 1.0])
    counts = np.array([1, others, 1, others, uncopied]) * [a, a, 1.0, 1.0, 1.0]
    g, (g_s, g_p, _) = np.abs(kernels.erf(s, p, q)), np.abs(kernels.erf.gradient(s, p, q))
    w, norm = np.abs([alpha, beta, gamma]), 2 * counts @ g_p
    neurons = w * g_s[0]
    neurons += np.array([others * w[1], w[0] + (n - 2) * w[1], others * w[2]]) * g_s[1]
    in_W = 2 * a * (a * neurons + g_s[2:] + norm * w)
    square = n * (in_W**2 @ [1, others, uncopied] + (2 * counts @ g) ** 2)
    return 5 * 2.0**-53 * math.sqrt((n + k) * square)


@pytest.mark.parametrize("k", [3, 4, 5, 10, 20, 50, 100])
def test_gradient_of_the_whole_loss_is_zero_at_every_n(k):
    """Witness: PopulationLoss, which knows nothing of the 4 numbers."""
    loss = PopulationLoss(Network.orthonormal(k), kernels.erf)
    for n in range(2, k):
        assert gradient_norm(k, n, loss) <= min(rounding(k, n), promised(k, n)), n


@pytest.mark.parametrize("n", [2, 3, 10, 30, 46, 60, 150, 400, 999])
def test_gradient_of_the_whole_loss_is_zero_at_k_1000(n):
    loss = PopulationLoss(Network.orthonormal(1000), kernels.erf)
    assert gradient_norm(1000, n, loss) <= min(rounding(1000, n), promised(1000, n))


@pytest.mark.parametrize("widths", [range(2, 60), pytest.param(range(60, 1000, 13), marks=pytest.mark.long)], ids=str)
def test_gradient_of_the_whole_loss_is_zero_at_k_1000_and_many_n(widths):
    loss = PopulationLoss(Network.orthonormal(1000), kernels.erf)
    for n in widths:
        assert gradient_norm(1000, n, loss) <= min(rounding(1000, n), promised(1000, n)), n


def mp_loss(k, n, alpha, beta, gamma, a):
    """Witness: the reduced loss as it is written down, in mpmath's working precision."""
    r2 = alpha**2 + (n - 1) * beta**2 + (k - n) * gamma**2
    p = 2 * alpha * beta + (n - 2) * beta**2 + (k - n) * gamma**2
    q = 1 + r2
    cross = [mpmath.asin(t / mpmath.sqrt(2 * q)) for t in (alpha, beta, gamma)]
    own = a * a * (mpmath.asin(r2 / q) + (n - 1) * mpmath.asin(p / q))
    pull = cross[0] + (n - 1) * cross[1] + (k - n) * cross[2]
    return 2 / mpmath.pi * (n * own - 2 * n * a * pull + k * mpmath.pi / 6)


def mp_gradient(k, n, numbers):
    for i in range(4):
        yield mpmath.diff(lambda *at: mp_loss(k, n, *at), numbers, tuple(int(i == j) for j in range(4)))


SMALL_CASES = [(3, 2), (10, 3), (22, 2), (50, 25), (100, 3)]
LARGE_CASES = [(1000, 3), (1000, 30), (1000, 999), (10**6, 3), (10**6, 4500), (10**9, 3 * 10**5)]


@pytest.mark.parametrize(("k", "n"), SMALL_CASES + LARGE_CASES)
def test_numbers_and_loss_against_newton_in_60_digits(k, n):
    """Newton on the numbers (alpha, beta, gamma, a) themselves; the excess is what is left of the loss."""
    found = erf_perturbed_copies(k, n)
    with mpmath.workdps(60):
        start = [mpmath.mpf(x) for x in found[:4]]
        exact = list(mpmath.findroot(lambda *at: list(mp_gradient(k, n, at)), start, verify=False, maxsteps=8))
        assert max(map(abs, mp_gradient(k, n, exact))) < 1e-40
        loss = mp_loss(k, n, *exact)
        excess = loss - (k - n) * 2 / mpmath.pi * (mpmath.pi / 6 - mpmath.mpf(1) / 2)
        exact, loss, excess = [float(x) for x in exact], float(loss), float(excess)
    np.testing.assert_allclose(found[:4], exact, rtol=1e-15)
    np.testing.assert_allclose([found.loss, found.excess], [loss, excess], rtol=1e-14)


@pytest.mark.parametrize(
    ("k", "n", "numbers", "loss"),
    [
        (50, 25, (0.711395, -0.00955488, 0.0192106, 1.809205), 0.406576),
        (50, 40, (0.921402, -0.00204232, 0.0209722, 1.144026), 0.161186),
    ],
)
def test_published_numbers(k, n, numbers, loss):
    """Witness: an independent solution with 38 digits, quoted to six."""
    found = erf_perturbed_copies(k, n)
    np.testing.assert_allclose([*found[:4], found.loss], [*numbers, loss], rtol=3e-6)


def test_minimising_the_whole_loss_ends_there():
    """Witness: BFGS over all n (d + 1) weights, from a start a tenth away, at a strict minimum of the loss.

    Where BFGS gives up, rounding decides; a few Newton steps, which know nothing of symmetry, take it on.
    """
    k, n, d = 10, 8, 11
    loss = PopulationLoss(Network.orthonormal(k, d), kernels.erf)
    reference = perturbed_copies(kernels.erf, k, n, d)

    def value_and_slope(theta):
        at = Network.unravel(theta, n, d)
        return loss(at), loss.gradient(at).ravel()

    for seed in range(3):
        start = reference.ravel() + 0.1 * np.random.default_rng(seed).standard_normal(n * (d + 1)) / np.sqrt(d)
        end = minimize(value_and_slope, start, jac=True, method="BFGS", options={"gtol": 1e-10})
        assert abs(end.fun - erf_perturbed_copies(k, n).loss) < 1e-12
        polished = certify(loss, Network.unravel(end.x, n, d))
        assert polished.kind == "strict minimum" and polished.newton_step < 1e-4
        np.testing.assert_allclose(polished.student.ravel(), reference.ravel(), atol=1e-9)


def test_reduced_derivatives_against_mpmath():
    """Away from critical points too, at real n: the loss per neuron in theta, differentiated in 50 digits."""
    rng = np.random.default_rng(0)
    for k, n in ((7.0, 3.0), (20.0, 11.5), (1e6, 5e3)):
        theta = np.array([0.8, 0.01, -0.02, 1.3]) * (1 + 0.1 * rng.standard_normal(4))

        def per_neuron(A, rho, sigma, a, k=k, n=n):
            k, n, s = mpmath.mpf(k), mpmath.mpf(n), mpmath.sqrt(0.5)
            A, B, G = (x / a for x in (A, (s + rho - A) / (n - 1), (s + sigma) / n))
            length = mpmath.sqrt(1 - A * A - (n - 1) * B * B - (k - n) * G * G)
            return mp_loss(k, n, A / length, B / length, G / length, a) * mpmath.pi / (2 * n)

        gradient, hessian, _ = perturbed._derivatives(theta, k, n)
        with mpmath.workdps(50):
            point = [mpmath.mpf(x) for x in theta]
            unit = [tuple(int(i == j) for j in range(4)) for i in range(4)]
            slopes = [float(mpmath.diff(per_neuron, point, e)) for e in unit]
            pairs = [[tuple(map(sum, zip(e, f, strict=True))) for e in unit] for f in unit]
            curvatures = [[float(mpmath.diff(per_neuron, point, pair)) for pair in row] for row in pairs]
        np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(hessian, curvatures, rtol=1e-11, atol=1e-13 * np.abs(hessian).max())


@pytest.mark.parametrize(("k", "ratio"), [(10, 0.7647988), (50, 0.7505146), (1000, 0.7647929), (1e12, 0.7662308182)])
def test_where_the_losses_cross(k, ratio):
    """Witness: crossings solved with 20 digits, and at k = 1e12 the limit in closed form."""
    crossing = brentq(lambda nu: erf_perturbed_copies(k, nu * k).excess - group_excess(k - nu * k + 1), 0.7, 0.8)
    assert abs(crossing - ratio) < 5e-8
    if k == 1e12:
        lost, delta = math.pi / 6 - 0.5, 1 / math.sqrt(3) - 0.5
        assert abs(crossing - 1 / (1 + lost / delta)) < 1e-11


def test_signs_and_limits():
    for k in (3, 10, 100):
        for n in range(2, k):
            found = erf_perturbed_copies(k, n)
            assert found.alpha > found.gamma > 0 > found.beta and found.a > 1, (k, n)
            assert found.loss == pytest.approx((k - n) * perturbed.LOST + found.excess)
    almost = erf_perturbed_copies(1e18, 1e18 - 128)  # neighbouring floats
    np.testing.assert_allclose([almost.alpha, almost.a, almost.gamma * 1e18], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(perturbed_copies(kernels.erf, 4, 4, d=6).W, np.eye(4, 6))


def test_a_finer_continuation_follows_the_same_branch():
    """Witness: steps in n of 1 %, each corrected by less than 0.05; long steps could jump to another branch."""
    for k in (8, 60):
        theta, n = np.array([math.sqrt(0.5), 0.0, 0.0, 1.0]), float(k)
        while n > 3.0:
            n = max(3.0, n / 1.01)
            nearby = perturbed._newton(theta, float(k), n)
            assert np.abs(nearby - theta)[1:3].max() < 0.05
            assert np.abs(np.log(nearby[[0, 3]] / theta[[0, 3]])).max() < 0.05
            theta = nearby
        np.testing.assert_allclose(theta[3], erf_perturbed_copies(k, 3).a, rtol=1e-10)


def test_two_neurons_lie_on_the_branch_before_it_folds():
    """Up to k = 21 the branch reaches n = 2 without a fold: continuation is the witness of the guess there."""
    for k in (3, 10, 21):
        theta = perturbed._continue_from_teacher(float(k), 2.0)
        np.testing.assert_allclose(theta[3], erf_perturbed_copies(k, 2).a, rtol=1e-10)
    for k, n in ((22, 2.1), (50, 2.03)):
        with pytest.raises(ValueError, match=rf"n must be where perturbed copies exist: none were found for k = {k}"):
            erf_perturbed_copies(k, n)


def test_other_symmetric_points_are_refused():
    """The average of all teachers, shared by n neurons, and copies that leave the rest out, are not taken for it."""
    k, n = 10.0, 3.0
    shared = np.array([math.sqrt(0.5) / n, 0.0, 0.0, k / n])  # every neuron the same average, a = k / n
    gradient, _, _ = perturbed._derivatives(shared, k, n)
    assert np.abs(gradient).max() < 1e-15
    assert not perturbed._is_perturbed_copies(shared, n)
    leaving_out, helping = [math.sqrt(0.5), 0.0, -math.sqrt(0.5), 1.0], [0.6, 0.3, 0.0, 1.5]  # G = 0; B > 0
    assert not perturbed._is_perturbed_copies(np.array(leaving_out), n)
    for neurons in (n, 2.0):
        assert not perturbed._is_perturbed_copies(np.array(helping), neurons)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: perturbed_copies(kernels.erf, 5, 3, flipped=1), "flipped must be 0 for erf, .* got 1"),
        (lambda: perturbed_copies(kernels.relu, 5, 3, flipped=4), "flipped must be at most 3, got 4"),
        (lambda: perturbed_copies(kernels.relu, 5, 3, flipped=-1), "flipped must be at least 0, got -1"),
        (lambda: perturbed_copies(kernels.gelu, 12, 2), "k, n and flipped must be where such a student exists"),
        (lambda: perturbed_copies("erf", 5, 3), "kernel must be a Kernel, got 'erf'"),
        (lambda: perturbed_copies(kernels.erf, 5, 1), "n must be at least 2, got 1"),
        (lambda: perturbed_copies(kernels.erf, 5, 3.0), "n must be an integer, got 3.0"),
        (lambda: perturbed_copies(kernels.erf, 5, True), "n must be an integer, got True"),
        (lambda: perturbed_copies(kernels.erf, 5, 6), "n must be at most k = 5, got 6"),
        (lambda: perturbed_copies(kernels.erf, 5, 3, d=4), "d must be at least 5, got 4"),
        (lambda: erf_perturbed_copies(5, 5), "n must be at least 2 and below k = 5.0, got 5.0"),
        (lambda: erf_perturbed_copies(5, 1.9), "n must be at least 2 and below k = 5.0, got 1.9"),
        (lambda: erf_perturbed_copies(math.inf, 3), "n must be at least 2 and below k = inf, got 3.0"),
        (lambda: erf_perturbed_copies(math.nan, 3), "n must be at least 2 and below k = nan, got 3.0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
