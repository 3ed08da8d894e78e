"""Order-parameter equations: gradient flow without noise, quadrature and Monte Carlo of the noise."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, glorot, gradient_flow, kernels, perturbed_copies
from lib.training import (
    OrderParameters,
    load_training,
    mean_step,
    noise_limit,
    noisy_fixed_point,
    order_parameter_flow,
)
from lib.training import noise as tables
from lib.training.order_parameters import Branch, Equations

TEACHER = Network(np.random.default_rng(0).standard_normal((3, 8)), [1.0, -2.0, 0.5])
L = PopulationLoss(TEACHER, kernels.erf)
STUDENT = glorot(np.random.default_rng(1), 2, 8)
AT = OrderParameters.of(STUDENT, TEACHER)


def minima(k, n):
    exact = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)
    average = copy_average([1] * (n - 1) + [k - n + 1], k + 1)
    return exact, {"copy-average": average, "perturbed-copies": perturbed_copies(kernels.erf, k, n, k + 1)}


def test_the_drift_is_the_mean_step():
    """In d dimensions, over the rate: to 1e-9, which the difference in the variance leaves."""
    equations, rate = Equations(L, 2, 8), 0.3
    z = equations.pack(*AT)
    expected = equations.pack(*mean_step(L, STUDENT, rate)) / rate
    assert np.abs(equations.drift(z, 8 * rate) - expected).max() < 1e-9
    assert abs(equations.loss(z) - L(STUDENT)) < 1e-13


def test_second_order_in_many_dimensions_by_monte_carlo():
    """4 a a E[e^2 s' s'], from 10^6 sampled pre-activations: within 5 standard errors."""
    x = np.random.default_rng(2).standard_normal((10**6, 8))
    z = x @ STUDENT.W.T
    error = STUDENT(x, kernels.erf) - TEACHER(x, kernels.erf)
    by_neuron = 2 * error[:, None] * STUDENT.a * np.sqrt(2 / np.pi) * np.exp(-0.5 * z**2)
    products = by_neuron[:, :, None] * by_neuron[:, None, :]
    standard_error = products.std(axis=0) / 1000
    found = Equations(L, 2).second_order(*AT)
    assert (np.abs(products.mean(axis=0) - found) < 5 * standard_error).all()
    assert (standard_error < 0.01 * np.abs(np.diag(found)).max()).all()
    # In 8 dimensions the norm of the inputs is correlated with the error: another number.
    with_norm = products * (np.sum(x**2, axis=1) / 8)[:, None, None]
    standard_error = with_norm.std(axis=0) / 1000
    in_eight = Equations(L, 2, 8).second_order(*AT)
    assert (np.abs(with_norm.mean(axis=0) - in_eight) < 5 * standard_error).all()
    assert (np.abs(in_eight - found) > 10 * standard_error).any()


@pytest.mark.parametrize("d", [None, 8])
def test_jacobian_by_finite_differences(d):
    equations, noise, h = Equations(L, 2, d), 0.7, 1e-5
    z = equations.pack(*AT)
    jacobian = equations.jacobian(z, noise)
    for unit, column in zip(np.eye(len(z)), jacobian.T, strict=True):
        difference = (equations.drift(z + h * unit, noise) - equations.drift(z - h * unit, noise)) / (2 * h)
        assert np.abs(difference - column).max() < 1e-7
    slope = (equations.drift(z, noise + h) - equations.drift(z, noise - h)) / (2 * h)
    assert np.abs(slope - equations.by_noise(z)).max() < 1e-8


def test_without_noise_it_is_gradient_flow():
    times = [0.0, 1.0, 5.0]
    flow = gradient_flow(L, STUDENT, snapshot_times=times, end_time=5.0, rtol=1e-10, progress=False)
    found = order_parameter_flow(L, AT, 0.0, times)
    for W, a, at in zip(*flow.snapshots[1:], found, strict=True):
        for part, expected in zip(at, OrderParameters.of(Network(W, a), TEACHER), strict=True):
            assert np.abs(part - expected).max() < 1e-5


@pytest.mark.parametrize(("k", "n"), [(6, 5), (8, 6)])
@pytest.mark.parametrize("name", ["copy-average", "perturbed-copies"])
def test_fixed_points_without_noise_are_the_minima(k, n, name):
    """To 1e-12 at noise 0, also from a start nearby; and at distance O(noise) on the way there."""
    exact, students = minima(k, n)
    expected = OrderParameters.of(students[name], exact.teacher)
    gaps = {}
    for noise in (1e-3, 1e-4, 1e-5, 0.0):
        found = noisy_fixed_point(exact, students[name], noise)
        assert found.residual < 1e-12 and found.slowest < 0.0
        gaps[noise] = max(np.abs(x - y).max() for x, y in zip(found.at, expected, strict=True))
    assert gaps[0.0] < 1e-12
    assert gaps[1e-4] / gaps[1e-5] == pytest.approx(10, rel=0.02)
    equations = Equations(exact, n)
    z = equations.pack(*expected)
    branch = Branch(equations, z)
    again = branch.basis @ branch.solve(branch.first * 1.01, 0.0)
    assert np.abs(again - z).max() < 1e-12


def test_noise_gives_neurons_a_part_outside_the_teacher():
    exact, students = minima(6, 5)
    found = noisy_fixed_point(exact, students["perturbed-copies"], 0.05)
    outside = np.linalg.eigvalsh(found.at.Q - found.at.R @ found.at.R.T)
    assert outside[0] > 1e-4 and found.loss > exact(students["perturbed-copies"])


def test_the_limit_is_where_stability_ends():
    """A thousandth below it all rates are negative, and above one is positive."""
    exact, students = minima(6, 5)
    limit = noise_limit(exact, students["copy-average"])
    assert limit.noise == pytest.approx(0.012072, rel=1e-3) and not limit.ceases
    below, above = (noisy_fixed_point(exact, students["copy-average"], f * limit.noise) for f in (0.999, 1.001))
    assert below.slowest < 0.0 < above.slowest
    assert below.residual < 1e-12 and above.residual < 1e-12


def test_stored_limits_are_reproduced():
    rows = load_training("limits")
    for row in rows[(rows["k"] == 6) & (rows["d"] == 0)]:
        if row["minimum"] == "copy-average":
            (found,) = tables.limit_rows(6, 5, "copy-average", 0)
            assert float(found[4]) == pytest.approx(row["noise"], rel=1e-6)
    assert np.isinf(rows["noise"][rows["minimum"] == "perturbed-copies"]).all()
    assert np.isfinite(rows["noise"][rows["minimum"] == "copy-average"]).all()


def references(times):
    """The limit of many dimensions of the stored trajectories: loss and four sums, by time."""
    exact = PopulationLoss(Network.orthonormal(8, 9), kernels.erf)
    start = OrderParameters.of(tables.start(8, 6, 9), exact.teacher)
    equations = Equations(exact, 6)
    flow = order_parameter_flow(exact, start, tables.NOISE, times)
    return {
        time: np.array([equations.loss(equations.pack(*at)), *tables.summary(*at)])
        for time, at in zip(times, flow, strict=True)
    }


def test_stored_trajectories_against_the_equations():
    """100 runs in 320 dimensions: 5 numbers at 4 times within 5 standard errors; in 20 they are not."""
    rows, expected = load_training("trajectories"), references(tables.TIMES)
    away = {}
    for d in (20, 320):
        for time in tables.TIMES:
            of = rows[(rows["d"] == d) & (rows["time"] == time)]
            numbers = np.array([of[name] for name in of.dtype.names[5:]])
            error = numbers.std(axis=1, ddof=1) / np.sqrt(len(of))
            away[d, time] = np.abs(numbers.mean(axis=1) - expected[time]) / error
            assert len(of) == 100
    assert max(away[320, time].max() for time in tables.TIMES) < 5
    assert max(away[20, time].max() for time in tables.TIMES) > 5


def test_a_stored_trajectory_is_reproduced():
    (*_, found) = tables.trajectory_rows(8, 6, 20, [3])
    rows = load_training("trajectories")
    row = rows[(rows["d"] == 20) & (rows["seed"] == 3) & (rows["time"] == found[4])]
    assert abs(float(found[5]) - row["loss"][0]) < 1e-5


@pytest.mark.parametrize("times", [[], [2.0, 1.0], [-1.0], [[1.0]]])
def test_bad_times_are_refused(times):
    with pytest.raises(ValueError, match="times must"):
        order_parameter_flow(L, AT, 0.1, times)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="start must"):
        order_parameter_flow(L, OrderParameters([[1.0]], [[1.0]], [1.0]), 0.1, [1.0])
    with pytest.raises(ValueError, match="L must"):
        noise_limit(PopulationLoss(TEACHER, kernels.relu), STUDENT)
    with pytest.raises(ValueError, match="student must"):
        noise_limit(L, STUDENT)  # no fixed point
    exact, students = minima(6, 5)
    with pytest.raises(ValueError, match="noise must"):
        noisy_fixed_point(exact, students["copy-average"], 1e5)
