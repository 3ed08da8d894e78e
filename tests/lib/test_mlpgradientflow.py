"""lib.mlpgradientflow on dictionaries as the package's `result2dict` makes them; no file of its is at hand."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, kernels
from lib.mlpgradientflow import read_training


def weights(student, shape=(1, -1)):
    return {"w1": np.asfortranarray(student.W), "w2": student.a.reshape(shape)}


@pytest.mark.parametrize("shape", [(1, -1), (-1, 1), (-1,)], ids=str)
def test_a_result_becomes_students(shape):
    rng = np.random.default_rng(0)
    way = [Network(rng.standard_normal((3, 5)), rng.standard_normal(3)) for _ in range(4)]
    L = PopulationLoss(Network.orthonormal(4, 5), kernels.erf)
    result = {
        "init": weights(way[0], shape),
        "x": weights(way[-1], shape),
        "loss": L(way[-1]),
        "gnorm": np.abs(L.gradient(way[-1]).ravel()).max(),
        "ode_stopped_by": "maxtime_ode",
        "trajectory": {10.0**power: weights(student, shape) for power, student in reversed(list(enumerate(way)))},
        "loss_curve": [L(student) for student in way],
        "layerspec": (3, "sigmoid2", False),
    }
    run = read_training(result)
    for found, expected in [(run.start, way[0]), (run.end, way[-1])]:
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
    assert L(run.end) == run.loss and run.stopped_by == "maxtime_ode"
    assert run.gradient_size == np.abs(L.gradient(run.end).ravel()).max()
    np.testing.assert_array_equal(run.snapshots.times, [1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(run.snapshots.W, [student.W for student in way])
    np.testing.assert_array_equal(run.snapshots.a, [student.a for student in way])


def test_only_the_weights_are_needed():
    student = Network.orthonormal(2, 3)
    run = read_training({"x": weights(student)})
    np.testing.assert_array_equal(run.end.ravel(), student.ravel())
    assert (run.start, run.loss, run.gradient_size, run.stopped_by, run.snapshots) == (None,) * 5


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({}, "result must be a dictionary with the weights 'x', got dict"),
        ("result.pkl", "result must be a dictionary with the weights 'x', got str"),
        ({"x": {"w1": np.eye(2)}}, r"x must be w1 \(n, d\) and w2 of n weights"),
        ({"x": {"w1": np.eye(2), "w2": np.ones((2, 2))}}, "x must be w1"),
        ({"x": {"w1": np.eye(2), "w2": np.eye(2), "w3": np.ones((1, 2))}}, "without further layers"),
        ({"x": {"w1": np.eye(2), "w2": [[1, 1]]}, "init": {"w1": [1, 2], "w2": [1, 2]}}, "init must be w1"),
    ],
)
def test_other_results_are_refused(result, message):
    with pytest.raises(ValueError, match=message):
        read_training(result)
