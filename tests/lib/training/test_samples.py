"""The empirical loss against finite differences, large N, and the formula for its minima."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, glorot, kernels, perturbed_copies
from lib.training import EmpiricalLoss, continued_minimum, load_training, nearest_minimum, samples
from lib.training import noise as tables

TEACHER = Network.orthonormal(5, 6)
L = PopulationLoss(TEACHER, kernels.erf)
STUDENT = glorot(np.random.default_rng(0), 3, 6)
DATA = EmpiricalLoss(TEACHER, np.random.default_rng(1).standard_normal((60, 6)))


def test_derivatives_by_finite_differences():
    value, gradient, hessian = DATA.derivatives(STUDENT)
    assert abs(value - DATA(STUDENT)) < 1e-14
    theta, h = STUDENT.ravel(), 1e-5
    for i, unit in enumerate(np.eye(len(theta))):
        ahead, behind = (DATA.derivatives(Network.unravel(theta + sign * h * unit, 3, 6)) for sign in (1, -1))
        assert abs((ahead[0] - behind[0]) / (2 * h) - gradient[i]) < 1e-8
        assert np.abs((ahead[1] - behind[1]) / (2 * h) - hessian[i]).max() < 1e-8


def test_many_inputs_give_the_exact_loss():
    """400 data sets of 500 inputs: value, gradient and Hessian within 5 standard errors."""
    found = [
        EmpiricalLoss(TEACHER, np.random.default_rng([2, i]).standard_normal((500, 6))).derivatives(STUDENT)
        for i in range(400)
    ]
    exact = L(STUDENT), L.gradient(STUDENT).ravel(), L.hessian(STUDENT)
    for values, expected in zip(zip(*found, strict=True), exact, strict=True):
        error = np.std(values, axis=0) / np.sqrt(400)
        assert (np.abs(np.mean(values, axis=0) - expected) <= 5 * error).all()


@pytest.mark.parametrize("start", [copy_average([1, 1, 3], 6), perturbed_copies(kernels.erf, 6, 5, 7)])
def test_the_excess_of_a_minimum_on_data(start):
    """N times the excess of the exact loss is tr(H^-1 S) / 2 for large N: 60 data sets of 4000.

    S, the covariance of the gradient of one input, is of 200 000 other inputs. Within 5 standard
    errors of the 60, and a tenth for what 1 / N^2 adds.
    """
    teacher = Network.orthonormal(start.d - 1, start.d)
    loss, N, excess = PopulationLoss(teacher, kernels.erf), 4000, []
    for seed in range(60):
        x = np.random.default_rng([3, seed]).standard_normal((N, start.d))
        found = nearest_minimum(EmpiricalLoss(teacher, x), start)
        assert found.strict
        excess.append(N * (loss(found.student) - loss(start)))
    x = np.random.default_rng(4).standard_normal((200_000, start.d))
    covariance = per_input_covariance(teacher, start, x)
    predicted = 0.5 * np.trace(np.linalg.solve(loss.hessian(start), covariance))
    error = np.std(excess) / np.sqrt(60)
    assert abs(np.mean(excess) - predicted) < 5 * error + 0.1 * predicted
    assert error < 0.1 * predicted


def per_input_covariance(teacher, student, x):
    z = x @ student.W.T
    residual = student(x, kernels.erf) - teacher(x, kernels.erf)
    slope = student.a * np.sqrt(2 / np.pi) * np.exp(-0.5 * z**2)
    by_W = (slope[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    gradient = 2 * residual[:, None] * np.hstack((by_W, kernels.erf.activation(z)))
    return gradient.T @ gradient / len(x)


def test_fewer_inputs_than_weights_are_interpolated():
    x = np.random.default_rng(5).standard_normal((12, 6))  # 21 weights
    found = nearest_minimum(EmpiricalLoss(TEACHER, x), STUDENT)
    assert EmpiricalLoss(TEACHER, x)(found.student) < 1e-20
    assert not found.strict and abs(found.smallest_eigenvalue) < 1e-9
    assert L(found.student) > 1e-3


def test_newton_leaves_a_saddle_downhill():
    """Copies of two pairs: a saddle of the exact loss, and of the loss on many inputs."""
    x = np.random.default_rng(6).standard_normal((3000, 6))
    data, saddle = EmpiricalLoss(TEACHER, x), copy_average([1, 2, 2], 6)
    found = nearest_minimum(data, saddle)
    assert found.strict and data(found.student) < data(saddle) - 1e-3


def test_a_minimum_that_persists_is_one_of_the_data():
    """Gradient to rounding and a positive Hessian, by finite differences of the loss on the data."""
    x = np.random.default_rng(7).standard_normal((3000, 6))
    data, first = EmpiricalLoss(TEACHER, x), copy_average([1, 1, 3], 6)
    found = continued_minimum(data, first)
    assert found.persists and 1e-4 < found.distance < 0.5
    value, gradient, hessian = data.derivatives(found.student)
    assert np.abs(gradient).max() < 1e-11 and np.linalg.eigvalsh(hessian)[0] > 0
    theta, rng = found.student.ravel(), np.random.default_rng(8)
    for _ in range(20):
        nearby = Network.unravel(theta + 1e-3 * rng.standard_normal(len(theta)), 3, 6)
        assert data(nearby) > value
    assert np.abs(nearest_minimum(data, found.student).student.ravel() - theta).max() < 1e-9


def test_a_minimum_is_lost_where_its_branch_ends():
    """Where a branch ends part of the way, the smallest eigenvalue has fallen to below a quarter."""
    first, ends = perturbed_copies(kernels.erf, 5, 4, 6), 0
    for seed in range(6):
        x = np.random.default_rng([9, seed]).standard_normal((200, 6))
        data = EmpiricalLoss(TEACHER, x)
        found = continued_minimum(data, first)
        t, at = found.reached, found.student
        if t < 1.0:
            ends += 1
            slope = (1 - t) * L.gradient(at).ravel() + t * data.derivatives(at)[1]
            assert np.abs(slope).max() < 1e-3
            mixed = (1 - t) * L.hessian(at) + t * data.derivatives(at)[2]
            assert np.linalg.eigvalsh(mixed)[0] < 0.25 * np.linalg.eigvalsh(L.hessian(first))[0]
    assert ends >= 2


def test_finer_steps_keep_and_lose_the_same_minima(monkeypatch):
    first, teacher, lost = perturbed_copies(kernels.erf, 8, 6, 9), Network.orthonormal(8, 9), 0
    for seed in range(5):
        x = np.random.default_rng([8, 6, 9, 128, seed, 5]).standard_normal((1152, 9))
        data, found = EmpiricalLoss(teacher, x), []
        for shortest in (2.0**-10, 2.0**-14):
            monkeypatch.setattr(samples, "_SHORTEST", shortest)
            found.append(continued_minimum(data, first))
        assert found[0].persists == found[1].persists
        lost += not found[0].persists
    assert 0 < lost < 5


def test_only_a_strict_minimum_is_followed():
    x = np.random.default_rng(10).standard_normal((300, 6))
    for saddle in (copy_average([1, 2, 2], 6), STUDENT):
        with pytest.raises(ValueError, match="student must be a strict minimum"):
            continued_minimum(EmpiricalLoss(TEACHER, x), saddle)


def test_stored_persistence_is_reproduced():
    rows = load_training("persistence")
    for name in ("copy-average", "perturbed-copies"):
        for row in tables.persistence_rows(8, 6, 9, name, 128, range(2)):
            stored = rows[
                (rows["k"] == 8) & (rows["d"] == 9) & (rows["minimum"] == name)
                & (rows["ratio"] == 128) & (rows["seed"] == row[5])
            ]  # fmt: skip
            assert abs(float(row[6]) - stored["reached"][0]) < 1e-6
            if row[6] == "1":
                assert abs(float(row[8]) - stored["excess"][0]) < 1e-6


@pytest.mark.parametrize("x", [np.zeros((0, 6)), np.zeros((3, 5)), np.zeros(6), [[np.nan] * 6]])
def test_bad_inputs_are_refused(x):
    with pytest.raises(ValueError, match="x must"):
        EmpiricalLoss(TEACHER, x)


def test_students_of_other_inputs_are_refused():
    with pytest.raises(ValueError, match="student must"):
        DATA(Network.orthonormal(4))
    with pytest.raises(ValueError, match="student must"):
        DATA.derivatives(Network.orthonormal(4))
