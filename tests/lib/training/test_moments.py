"""The mean step of SGD by quadrature, by Monte Carlo, and by steps that are taken."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, glorot, kernels, perturbed_copies
from lib.training import GradientDescent, mean_step, train
from lib.training.moments import four_point

L = PopulationLoss(Network(np.random.default_rng(0).standard_normal((3, 4)), [1.0, -2.0, 0.5]), kernels.erf)
STUDENT = glorot(np.random.default_rng(1), 2, 4)


def activations(u):
    return kernels.erf.activation(u), np.sqrt(2 / np.pi) * np.exp(-0.5 * u**2)


def test_four_point_integrals_by_quadrature():
    """All of three vectors in the plane, by a rule of 80 x 80 nodes."""
    U = np.array([[0.8, 0.3], [-0.5, 1.1], [0.4, -0.9]])
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    x = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    sigma, slope = activations(x @ U.T)
    expected = np.einsum(
        "x,xi,xj,xl,xm->ijlm", np.outer(weights, weights).ravel(), slope[:, :2], slope[:, :2],
        sigma, sigma, optimize=True,
    )  # fmt: skip
    assert np.abs(four_point(U @ U.T, 2) - expected).max() < 1e-10


def test_mean_step_in_the_plane_by_quadrature():
    """Q after a step of one input, with the factor |x|^2, by a rule of 100 x 100 nodes."""
    loss = PopulationLoss(Network([[0.8, 0.3], [-0.5, 1.1]], [1.0, -2.0]), kernels.erf)
    student, rate = Network([[0.4, -0.9], [1.0, 0.2]], [1.5, 0.7]), 0.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    x = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    sigma, slope = activations(x @ student.W.T)
    error = sigma @ student.a - loss.teacher(x, kernels.erf)
    W = student.W - rate * 2 * (error[:, None] * slope * student.a)[:, :, None] * x[:, None]
    expected = np.einsum("x,xid,xjd->ij", weights, W, W) - student.W @ student.W.T
    assert np.abs(mean_step(loss, student, rate).Q - expected).max() < 1e-10


@pytest.mark.parametrize("batch", [1, 3])
def test_mean_step_is_the_mean_of_steps(batch):
    """Changes of Q, R and a in 50 000 single steps: within 5 standard errors of each entry."""
    copies, rate = 50_000, 0.3
    rng = np.random.default_rng(batch)
    V = L.teacher.W
    trained = train(L, [STUDENT] * copies, GradientDescent(rate), 1, rng, batch)
    W, a = np.array([s.W for s in trained]), np.array([s.a for s in trained])
    changes = (
        W @ W.swapaxes(1, 2) - STUDENT.W @ STUDENT.W.T, W @ V.T - STUDENT.W @ V.T, a - STUDENT.a
    )  # fmt: skip
    for change, expected in zip(changes, mean_step(L, STUDENT, rate, batch), strict=True):
        error = change.std(axis=0) / np.sqrt(copies)
        assert (np.abs(change.mean(axis=0) - expected) < 5 * error).all()


def test_many_inputs_leave_gradient_descent():
    batch, rate = 10**9, 0.2
    step = STUDENT - rate * L.gradient(STUDENT)
    found = mean_step(L, STUDENT, rate, batch)
    assert np.abs(step.W @ step.W.T - STUDENT.W @ STUDENT.W.T - found.Q).max() < 1e-8


@pytest.mark.parametrize("at", [copy_average([1, 1, 3], 6), perturbed_copies(kernels.erf, 5, 4, 6)])
def test_at_a_minimum_only_the_noise_is_left(at):
    """What is left is of order rate^2, so it vanishes with the step; R and a stay on average."""
    loss = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
    large, small = mean_step(loss, at, 0.1), mean_step(loss, at, 1e-6)
    for step in (large, small):
        assert np.abs(step.R).max() < 1e-12 and np.abs(step.a).max() < 1e-12
    assert np.abs(small.Q).max() < 1e-10 and np.diag(large.Q).min() > 1e-4
    assert np.allclose(large.Q / 0.1**2, small.Q / 1e-6**2, rtol=1e-6, atol=1e-6)


def test_at_the_teacher_there_is_no_noise():
    loss = PopulationLoss(Network.orthonormal(4), kernels.erf)
    assert np.abs(mean_step(loss, Network.orthonormal(4), 0.5).Q).max() < 1e-14


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="L must"):
        mean_step(PopulationLoss(L.teacher, kernels.relu), STUDENT, 0.1)
    with pytest.raises(ValueError, match="rate must"):
        mean_step(L, STUDENT, -0.1)
    with pytest.raises(ValueError, match=r"rate must be a number between 0\.0 and 1000\.0, got 1000\.5"):
        mean_step(L, STUDENT, 1000.5)
    with pytest.raises(ValueError, match="batch must"):
        mean_step(L, STUDENT, 0.1, 0)
