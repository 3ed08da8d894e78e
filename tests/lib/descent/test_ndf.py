"""lib.descent.ndf on losses with a known flow: SciPy's BDF step by step, matrix exponentials, exp."""

import numpy as np
import pytest
from scipy.integrate import BDF, solve_ivp
from scipy.linalg import expm

from lib import Network, PopulationLoss, glorot, kernels
from lib.descent.ndf import ALPHA, GAMMA, LEFT_OVER, NDF, integrator_for

RTOL = 1e-5


class Hessian:
    """A dense Hessian with the loss and the gradient there; every solve goes on record."""

    def __init__(self, record, value, gradient, matrix):
        self.value, self.gradient = value, gradient
        self._record, self._matrix = record, matrix

    def solve(self, shift, b, tolerance):
        shifted = self._matrix + shift * np.eye(len(b))
        definite = np.linalg.eigvalsh(shifted)[0] > 0.0
        self._record.append((shift, np.array(b), tolerance, definite))
        return (np.linalg.solve(shifted, b) if definite else None), 1


class Loss:
    """What NDF asks of a loss, made from functions of theta (N,); counts how often it is asked."""

    def __init__(self, value, gradient, hessian):
        self._value, self.slope, self._hessian = value, gradient, hessian
        self.gradients, self.solves = 0, []

    def value_and_gradient(self, W, a):
        theta = np.append(W, a)
        self.gradients += 1
        return self._value(theta), self.slope(theta)

    def operator(self, W, a):
        value, gradient = self.value_and_gradient(W, a)
        return Hessian(self.solves, value, gradient, self._hessian(np.append(W, a)))


def quadratic(matrix):
    return Loss(lambda x: 0.5 * x @ matrix @ x, lambda x: matrix @ x, lambda x: matrix)


def start(theta, rtol=RTOL):
    """The weights of one neuron, theta = (w, a), for NDF."""
    theta = np.asarray(theta, dtype=float)
    return theta[None, :-1], theta[-1:], rtol


def stiff_matrix():
    """Symmetric (6, 6), eigenvalues from 1e-4 to 1e4."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    return (Q * np.logspace(-4, 4, 6)) @ Q.T


THETA = np.random.default_rng(1).standard_normal(6)


def bdf(L, theta, end_time, rtol=RTOL):
    """Witness: SciPy's BDF from a first step of one unit of tolerated error."""
    slope, scale = -L.slope(theta), rtol * (0.1 + np.abs(theta))
    first = 1.0 / np.sqrt(np.mean((slope / scale) ** 2))
    options = {"rtol": rtol, "atol": 0.1 * rtol, "jac": lambda t, x: -L._hessian(x)}
    return BDF(lambda t, x: -L.slope(x), 0.0, theta, end_time, first_step=first, **options)


def test_coefficients_are_those_of_scipy():
    witness = BDF(lambda t, y: -y, 0.0, [1.0], 1.0)
    np.testing.assert_allclose(GAMMA, witness.gamma, rtol=1e-14)
    np.testing.assert_allclose(ALPHA, witness.alpha, rtol=1e-14)


@pytest.mark.parametrize(("rtol", "end_time", "steps"), [(1e-4, 1e5, 10), (1e-5, 100.0, 500)])
def test_a_linear_flow_takes_the_steps_of_scipy(rtol, end_time, steps):
    """Where Newton's method is exact, times, weights and the polynomial between them are the same.

    The ninth step at 1e-4 is rejected first; SciPy keeps the matrix of the first attempt then, and
    its weights differ by a thousandth of the tolerance.
    """
    L = quadratic(stiff_matrix())
    flow, witness = NDF(L, *start(THETA, rtol)), bdf(L, THETA, end_time, rtol)
    while witness.status == "running" and flow.steps < steps:
        flow.step(end_time)
        witness.step()
        np.testing.assert_allclose(flow.point.time, witness.t, rtol=1e-6)
        np.testing.assert_allclose(flow.point.theta, witness.y, rtol=0, atol=1e-6)
        for time in witness.t_old + np.array([0.3, 0.9]) * (witness.t - witness.t_old):
            expected = witness.dense_output()(time)
            np.testing.assert_allclose(flow.interpolate(time), expected, rtol=0, atol=2e-6)
    assert flow.steps == 10 if rtol == 1e-4 else flow.point.time == end_time


def test_a_linear_flow_is_the_matrix_exponential():
    A = stiff_matrix()
    L = quadratic(A)
    flow = NDF(L, *start(THETA, 1e-7))
    for end_time in (0.01, 1.0, 100.0):
        while flow.point.time < end_time:
            flow.step(end_time)
        assert flow.point.time == end_time
        exact = expm(-end_time * A) @ THETA
        np.testing.assert_allclose(flow.point.theta, exact, rtol=0, atol=1e-5)
        assert flow.point.loss == pytest.approx(0.5 * exact @ A @ exact, abs=1e-5)
        assert flow.point.gradient_norm == np.linalg.norm(A @ flow.point.theta)


def test_work_is_counted():
    L = quadratic(stiff_matrix())
    flow = NDF(L, *start(THETA))
    assert (flow.steps, flow.gradients, flow.products) == (0, 1, 0) and flow.point.time == 0.0
    for steps in range(1, 40):
        flow.step()
        assert flow.steps == steps
    assert (flow.gradients, flow.products) == (L.gradients, len(L.solves))


def valley():
    """x -> (x_0 - 1)^2 + 50 (x_1 - x_0^2)^2 and a third weight that it does not depend on."""

    def gradient(x):
        bend = x[1] - x[0] ** 2
        return np.array([2 * (x[0] - 1) - 200 * x[0] * bend, 100 * bend, 0.0])

    def hessian(x):
        H = np.zeros((3, 3))
        H[0, 0] = 2 - 200 * x[1] + 600 * x[0] ** 2
        H[0, 1] = H[1, 0] = -200 * x[0]
        H[1, 1] = 100.0
        return H

    return Loss(lambda x: (x[0] - 1) ** 2 + 50 * (x[1] - x[0] ** 2) ** 2, gradient, hessian)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_a_flow_through_a_curved_valley(rtol):
    """Witness: SciPy's Radau. The first bend of the flow is sharp, and steps are rejected there."""
    L, x = valley(), np.array([-1.2, 2.0, 0.7])
    flow = NDF(L, *start(x, rtol))
    times = [0.01, 0.3, 1.0, 3.0]
    exact = solve_ivp(lambda t, x: -L.slope(x), (0, 3), x, "Radau", times, rtol=1e-10, atol=1e-12)
    for time, expected in zip(times, exact.y.T, strict=True):
        while flow.point.time < time:
            flow.step(time)
        np.testing.assert_allclose(flow.point.theta, expected, rtol=0, atol=30 * rtol)
    losses = L._value(flow.point.theta), np.linalg.norm(L.slope(flow.point.theta))
    assert (flow.point.loss, flow.point.gradient_norm) == losses


def test_linear_systems_are_solved_as_far_as_the_error_asks():
    """What a solve leaves over counts at most LEFT_OVER; the first of a step is right to a tenth."""
    L = valley()
    flow = NDF(L, *start([-1.2, 2.0, 0.7]))
    for _ in range(60):
        before = len(L.solves)
        flow.step()
        for i, (shift, b, tolerance, _) in enumerate(L.solves[before:]):
            # A residual r leaves at most r / shift over, where the Hessian adds nothing to it.
            left_over = tolerance / shift / np.sqrt(3) / (0.1 * RTOL)
            assert left_over <= LEFT_OVER * (1 + 1e-12)
            assert tolerance <= 0.1 * np.linalg.norm(b) * (1 + 1e-12) or i
        assert len(L.solves) - before >= 2


def test_steps_are_short_enough_to_follow_an_unstable_flow():
    """theta' = 3 theta: where 1 + c H is not positive definite, half the step is tried, at once."""
    L = quadratic(-3.0 * np.eye(2))
    flow = NDF(L, *start([1e-3, 2e-3]))
    while flow.point.time < 2.0:
        flow.step(2.0)
    np.testing.assert_allclose(flow.point.theta, np.exp(6.0) * np.array([1e-3, 2e-3]), rtol=3e-3)
    # Twice as long as can be solved for: c = h / ALPHA[1] is halved until 1 / c > 3.
    L.solves.clear()
    flow = NDF(L, *start([1e-9, 1e-9]))
    flow.step()
    shifts = np.array([shift for shift, *_ in L.solves])
    refused = np.array([not definite for *_, definite in L.solves])
    assert refused[:1].all() and not refused[-1]
    np.testing.assert_allclose(shifts[1:][refused[:-1]], 2.0 * shifts[:-1][refused[:-1]])


class Stubborn(Hessian):
    """Solves nothing, or answers with corrections that shrink by a factor."""

    def __init__(self, *arguments, factor=None):
        super().__init__(*arguments)
        self._factor, self._length = factor, 1.0

    def solve(self, shift, b, tolerance):
        self._record.append((shift, b, tolerance, False))
        if self._factor is None:
            return None, 1
        self._length *= self._factor
        return np.full(len(b), self._length), 1


def test_a_flow_whose_steps_vanish_is_stuck_where_it_was():
    L = quadratic(np.eye(2))
    flow = NDF(L, *start([1.0, 2.0]))
    for _ in range(20):
        flow.step()
    point, shift, order = flow.point, L.solves[-1][0], flow._order
    L.operator = lambda W, a: Stubborn(L.solves, 0.0, np.ones(2), None)
    L.solves.clear()
    flow.step()
    assert flow.stuck and flow.point is point and flow.steps == 20
    # The last step that was tried is the shortest that still changes the time by ten roundings.
    shortest = ALPHA[order] / L.solves[-1][0]
    assert 10.0 <= shortest / np.spacing(point.time) < 20.0
    assert len(L.solves) > 30 and L.solves[0][0] < 2.0 * shift


@pytest.mark.parametrize(("factor", "iterations"), [(0.95, 2), (0.5, 4)])
def test_corrections_that_do_not_shrink_enough_end_an_attempt(factor, iterations):
    """Below 0.9 of the one before they go on, up to four; then half the step is tried."""
    L = quadratic(np.eye(2))
    flow = NDF(L, *start([1.0, 2.0]))
    flow.step()
    L.solves.clear()
    L.operator = lambda W, a: Stubborn(L.solves, 0.0, np.ones(2), None, factor=factor)
    flow.step()
    assert flow.stuck and flow.steps == 1
    shifts = np.array([shift for shift, *_ in L.solves])
    attempts, counts = np.unique(shifts, return_counts=True)
    assert (counts == iterations).all()
    np.testing.assert_allclose(attempts[1:] / attempts[:-1], 2.0)


def test_the_integrator_of_a_plain_loss():
    L = PopulationLoss(Network.orthonormal(3), kernels.tanh)
    student = glorot(np.random.default_rng(0), 2, 3)
    flow = integrator_for(L, student.W, student.a, RTOL)
    assert type(flow) is NDF and flow.point.loss == pytest.approx(L(student), rel=1e-12)
    np.testing.assert_array_equal(flow.point.theta, student.ravel())
