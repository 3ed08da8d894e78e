"""The empirical loss against finite differences, large N, and the formula for its minima."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, glorot, kernels, perturbed_copies
from lib.training import EmpiricalLoss, nearest_minimum

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
    for samples, expected in zip(zip(*found, strict=True), exact, strict=True):
        error = np.std(samples, axis=0) / np.sqrt(400)
        assert (np.abs(np.mean(samples, axis=0) - expected) <= 5 * error).all()


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


@pytest.mark.parametrize("x", [np.zeros((0, 6)), np.zeros((3, 5)), np.zeros(6), [[np.nan] * 6]])
def test_bad_inputs_are_refused(x):
    with pytest.raises(ValueError, match="x must"):
        EmpiricalLoss(TEACHER, x)


def test_students_of_other_inputs_are_refused():
    with pytest.raises(ValueError, match="student must"):
        DATA(Network.orthonormal(4))
    with pytest.raises(ValueError, match="student must"):
        DATA.derivatives(Network.orthonormal(4))
