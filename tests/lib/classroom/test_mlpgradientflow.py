"""lib.classroom.mlpgradientflow on dictionaries as the package's `result2dict` makes them; without a file of its."""

import numpy as np
import pytest

from lib import Network, PopulationLoss, kernels
from lib.classroom.mlpgradientflow import read_training


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
        "layerspec": (3, "Val{MLPGradientFlow.sigmoid2}()", False),
    }
    run = read_training(result)
    for found, expected in [(run.start, way[0]), (run.end, way[-1])]:
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
    assert L(run.end) == run.loss and run.stopped_by == "maxtime_ode" and run.kernel is kernels.erf
    assert run.gradient_size == np.abs(L.gradient(run.end).ravel()).max()
    np.testing.assert_array_equal(run.snapshots.times, [1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(run.snapshots.W, [student.W for student in way])
    np.testing.assert_array_equal(run.snapshots.a, [student.a for student in way])


def test_only_the_weights_are_needed():
    student = Network.orthonormal(2, 3)
    run = read_training({"x": weights(student)})
    np.testing.assert_array_equal(run.end.ravel(), student.ravel())
    assert (run.start, run.loss, run.gradient_size, run.stopped_by, run.snapshots, run.kernel) == (None,) * 6
    nothing = dict.fromkeys(["init", "loss", "gnorm", "ode_stopped_by", "trajectory", "layerspec"])
    assert read_training({"x": weights(student)} | nothing)[2:] == run[2:]


@pytest.mark.parametrize(
    ("activation", "kernel"),
    [("sigmoid2", "erf"), ("tanh_fast", "tanh"), ("tanh", "tanh"), ("sigmoid_fast", "sigmoid"), ("relu", "relu"),
     ("softplus", "softplus"), ("gelu", "gelu"), ("MLPGradientFlow.relu", "relu"), ("Val{softplus}()", "softplus")],
)  # fmt: skip
@pytest.mark.parametrize("kind", [tuple, list])
def test_the_layers_tell_the_kernel(activation, kernel, kind):
    x = weights(Network.orthonormal(2, 3))
    for layers in ((2, activation, False), (kind((2, activation, False)), kind((1, "identity", np.False_)))):
        assert read_training({"x": x, "layerspec": kind(layers)}).kernel is getattr(kernels, kernel)


GOOD = {"w1": [[1.0, 0.0], [0.0, 1.0]], "w2": [1.0, 1.0]}
HIDDEN, OUTPUT = (2, "sigmoid2", False), (1, "identity", False)


def entry(**entries):
    return {"x": GOOD, **entries}


def layers(*spec):
    return {"x": GOOD, "layerspec": spec}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({}, "result must be a dictionary with the weights 'x', got dict"),
        ("result.pkl", "result must be a dictionary with the weights 'x', got str"),
        ({"x": None}, "result must be a dictionary with the weights 'x', got one with x = None"),
        ({"x": 3.0}, "x must be w1 .* got float"),
        ({"x": [1.0]}, "x must be w1 .* got list"),
        ({"x": {"w1": np.eye(2)}}, r"x must be w1 \(n, d\) and w2 of n weights, without further layers, got \['w1'\]"),
        ({"x": {"w1": np.eye(2), "w2": None}}, r"x\['w2'\] must be an array of real numbers, .* got None"),
        ({"x": {"w1": np.eye(2), "w2": np.ones((2, 2))}}, r"x must be w1 .* one output, .* got \(2, 2\) and \(2, 2\)"),
        ({"x": {"w1": np.eye(2), "w2": np.ones((1, 3))}}, "x must be w1 .* without biases"),
        ({"x": {"w1": np.ones((1, 2)), "w2": np.ones((3, 1))}}, "x must be w1 .* one output"),
        ({"x": {"w1": np.ones((2, 2, 1)), "w2": np.ones(2)}}, "x must be w1"),
        ({"x": {"w1": np.ones((0, 2)), "w2": np.ones(0)}}, "x must be w1"),
        ({"x": {"w1": np.eye(2), "w2": np.eye(2), "w3": np.ones((1, 2))}}, "without further layers"),
        ({"x": {"w1": np.eye(2) + 0j, "w2": np.ones(2)}}, r"x\['w1'\] must be an array of real numbers, .* complex"),
        ({"x": {"w1": np.eye(2), "w2": [1.0, np.nan]}}, r"x\['w2'\] must be finite, got nan"),
        ({"x": {"w1": [["a", "b"]], "w2": [1.0]}}, r"x\['w1'\] must be an array of real numbers, .* text"),
        (entry(init={"w1": [1, 2], "w2": [1, 2]}), "init must be w1"),
        (entry(init={"w1": np.eye(2, 3), "w2": [1, 2]}), r"init must have w1 of the shape \(2, 2\) .* got \(2, 3\)"),
        (entry(init=[1.0]), "init must be w1 .* got list"),
        (entry(loss="0.1"), "loss must be a number, got '0.1'"),
        (entry(loss=1j), "loss must be a number, got 1j"),
        (entry(gnorm=np.nan), "gnorm must be a number between -inf and inf, got nan"),
        (entry(ode_stopped_by=3), "ode_stopped_by must be a str, got 3"),
        (entry(trajectory=[GOOD]), "trajectory must be a dictionary of weights by their times, got list"),
        (entry(trajectory={"0.0": GOOD}), "time of trajectory must be a number, got '0.0'"),
        (entry(trajectory={-1.0: GOOD}), "time of trajectory must be a number between 0.0 and"),
        (entry(trajectory={0.0: GOOD, 2.0: None}), r"trajectory\[2.0\] must be w1 .* got NoneType"),
        (entry(trajectory={0.0: {"w1": np.eye(2, 3), "w2": [1, 2]}}), r"trajectory\[0.0\] must have w1 of the shape"),
        (layers(2, "sigmoid2", True), "layerspec must be one .* without biases, got True for the bias"),
        (layers((2, "sigmoid2", True), OUTPUT), "without biases, got True for the bias"),
        (layers(HIDDEN, (1, "identity", True)), "without biases, got True for the bias"),
        (layers(HIDDEN, (1, "identity", None)), "without biases, got None for the bias"),
        (layers(HIDDEN, (1, "tanh", False)), "linear output .* got an output layer of 'tanh'"),
        (layers(HIDDEN, (2, "identity", False)), "2 neurons and 1, got a layer of 2"),
        (layers((3, "sigmoid2", False), OUTPUT), "2 neurons and 1, got a layer of 3"),
        (layers((2, "selu", False), OUTPUT), "layerspec must have a hidden layer of sigmoid2, .*, got 'selu'"),
        (layers((2, "identity", False), OUTPUT), "layerspec must have a hidden layer of .* got 'identity'"),
        (layers(HIDDEN, HIDDEN, OUTPUT), "layerspec must be one hidden layer"),
        (layers(HIDDEN), "layerspec must be one hidden layer"),
        (layers((2, "sigmoid2"), OUTPUT), "layerspec must be one hidden layer"),
        (layers((2, 3, False), OUTPUT), "activation in layerspec must be a str, got 3"),
        (layers((2.0, "sigmoid2", False), OUTPUT), "size in layerspec must be an integer, got 2.0"),
        (layers(), "layerspec must be one hidden layer"),
        (entry(layerspec="sigmoid2"), "layerspec must be one hidden layer"),
    ],
)
def test_other_results_are_refused(result, message):
    with pytest.raises(ValueError, match=message):
        read_training(result)


def test_a_bias_is_not_taken_for_a_further_input():
    """The package writes biases as a last column of w1; only the description of the layers tells."""
    x = {"w1": np.ones((2, 3)), "w2": np.ones((1, 2))}
    assert read_training({"x": x, "layerspec": (HIDDEN, OUTPUT)}).end.d == 3
    with pytest.raises(ValueError, match="without biases"):
        read_training({"x": x, "layerspec": ((2, "sigmoid2", True), OUTPUT)})
