"""Training against plain steps with the exact gradient, and against what noise must average to."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, glorot, gradient_flow, kernels
from lib.training import Adam, EmpiricalLoss, GradientDescent, fate, train
from lib.training.loop import erf_gradients, inputs, sampled_gradients

L = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
STARTS = [glorot(np.random.default_rng([5, seed]), 3, 6) for seed in range(4)]
OTHER = PopulationLoss(
    Network(np.random.default_rng(2).standard_normal((5, 6)), [2.0, -1.0, 0.5, 1.0, 3.0]),
    kernels.erf,
)


def stacked(students):
    return np.array([s.W for s in students]), np.array([s.a for s in students])


@pytest.mark.parametrize("loss", [L, OTHER])
def test_gradients_of_many_students_are_those_of_each(loss):
    slope_W, slope_a = erf_gradients(loss.teacher, *stacked(STARTS))
    for i, student in enumerate(STARTS):
        exact = loss.gradient(student)
        assert np.abs(slope_W[i] - exact.W).max() < 1e-13
        assert np.abs(slope_a[i] - exact.a).max() < 1e-13


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu])
def test_gradients_on_samples_average_to_the_exact_one(kernel):
    """40000 batches of 5 inputs: within 5 standard errors of each component."""
    loss = PopulationLoss(L.teacher, kernel)
    copies = 40_000
    x = np.random.default_rng(3).standard_normal((copies, 5, 6))
    W, a = stacked([STARTS[0]] * copies)
    exact = loss.gradient(STARTS[0])
    for found, expected in zip(sampled_gradients(loss, iter([x]))(W, a), (exact.W, exact.a), strict=True):
        error = found.std(axis=0) / np.sqrt(copies)
        assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()


def test_gradient_descent_takes_plain_steps():
    student = STARTS[0]
    for _ in range(20):
        student = student - 0.1 * L.gradient(student)
    trained = train(L, STARTS[0], GradientDescent(0.1), steps=20)
    assert np.abs(trained.ravel() - student.ravel()).max() < 1e-13


def test_other_kernels_too():
    loss = PopulationLoss(L.teacher, kernels.tanh)
    step = STARTS[0] - 0.1 * loss.gradient(STARTS[0])
    trained = train(loss, STARTS[0], GradientDescent(0.1), steps=1)
    assert np.abs(trained.ravel() - step.ravel()).max() < 1e-14


def test_small_steps_follow_the_flow():
    """The error of time 2 halves with the step: a method of order one."""
    flow = gradient_flow(L, STARTS[1], rtol=1e-9, end_time=2.0)
    errors = [
        np.linalg.norm(train(L, STARTS[1], GradientDescent(rate), round(2 / rate)).ravel() - flow.student.ravel())
        for rate in (0.01, 0.005)
    ]
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_students_trained_together_are_those_trained_alone():
    def rngs():
        return [np.random.default_rng([7, i]) for i in range(len(STARTS))]

    together = train(L, STARTS, Adam(0.01), 30, rngs(), batch=4)
    for start, rng, found in zip(STARTS, rngs(), together, strict=True):
        alone = train(L, start, Adam(0.01), 30, rng, batch=4)
        assert np.abs(alone.ravel() - found.ravel()).max() < 1e-12


def test_inputs_are_those_of_the_generator_however_many_at_once(monkeypatch):
    many = list(inputs(L, [np.random.default_rng(0)], 3, 5))
    monkeypatch.setattr("lib.training.loop._NUMBERS_AT_ONCE", 1)
    one_by_one = list(inputs(L, [np.random.default_rng(0)], 3, 5))
    assert np.array_equal(many, one_by_one)
    assert np.array_equal(np.array(many)[:, 0], np.random.default_rng(0).standard_normal((5, 3, 6)))


def test_inputs_are_drawn_for_few_steps_at_a_time(monkeypatch):
    """So that a long training fits into memory: of two students, 3 inputs of 6 numbers a step, 100 in all."""
    shapes = []

    class Generator:
        def standard_normal(self, shape):
            shapes.append(shape)
            return np.zeros(shape)

    monkeypatch.setattr("lib.training.loop._NUMBERS_AT_ONCE", 100)
    assert len(list(inputs(L, [Generator(), Generator()], 3, 5))) == 5
    assert shapes == [(2, 3, 6)] * 4 + [(1, 3, 6)] * 2


def test_training_on_data_uses_the_data_alone():
    data = EmpiricalLoss(L.teacher, np.random.default_rng(4).standard_normal((20, 6)))
    _, slope, _ = data.derivatives(STARTS[2])
    step = train(data, STARTS[2], GradientDescent(0.1), steps=1)
    assert np.abs(step.ravel() - (STARTS[2].ravel() - 0.1 * slope)).max() < 1e-14
    drawn = np.array(list(inputs(data, [np.random.default_rng(5)], 2, 400))).reshape(-1, 6)
    rows = {tuple(row) for row in data.x}
    assert {tuple(row) for row in drawn} == rows


def test_one_that_diverges_is_none_and_costs_no_other():
    huge = Network(1e3 * STARTS[0].W, 1e3 * STARTS[0].a)
    lost, kept = train(PopulationLoss(L.teacher, kernels.relu), [huge, STARTS[1]], GradientDescent(0.05), 300)
    assert lost is None and kept is not None
    assert fate(L, None) == ("diverged", np.inf, "diverged")


def test_the_fate_is_the_basin():
    at = copy_average([1, 1, 3], 6)
    nudged = Network(at.W + 0.01 * STARTS[0].W, at.a)
    found = fate(L, nudged)
    assert found.kind == "copy-average" and found.status == "converged"
    assert abs(found.loss - L(at)) < 1e-9
    losses = gradient_flow(L, nudged).losses
    assert found.loss == losses[-1] < losses[-2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, STARTS[0], Adam(0.1), 1), "L must"),
        ((L, Network([[1.0]], [1.0]), Adam(0.1), 1), "student must"),
        ((L, STARTS[0], Adam(0.1), -1), "steps must"),
        ((L, STARTS[0], Adam(0.1), 1, None, 2), "rng must"),
        ((L, STARTS, Adam(0.1), 1, [np.random.default_rng(0)], 2), "rng must"),
        ((L, STARTS[0], Adam(0.1), 1, np.random.default_rng(0), 0), "batch must"),
        (
            (PopulationLoss(L.teacher, kernels.tanh), STARTS[0], Adam(0.1), 1,
             np.random.default_rng(0), 1),
            "L must",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        train(*arguments)
