"""Training results of MLPGradientFlow.jl as students of this library.

Its `pickle` writes files for `torch.load`; through juliacall, `train` gives the same after the conversion to a
Python dictionary that the package's documentation shows:

    run = read_training(torch.load("result.pkl"))
    certify(PopulationLoss(teacher, kernels.erf), run.end)

Written after the package's source (github.com/jbrea/MLPGradientFlow.jl, `result2dict`), where Network.W is
called w1, Network.a is w2, and erf is sigmoid2; not tried on a file of its.
"""

from typing import NamedTuple

import numpy as np

from lib.flow import Snapshots
from lib.networks import Network


class Training(NamedTuple):
    """What `train` reports: first and last student, loss there, and the students on the way.

    gradient_size: the largest component of the gradient at the end, not its norm; divided by the number of
    samples if there are samples. stopped_by: why the flow ended. What a result does not hold is None.
    """

    start: Network
    end: Network
    loss: float
    gradient_size: float
    stopped_by: str
    snapshots: Snapshots


def read_training(result):
    """A result, a dictionary of numbers, arrays and dictionaries -> Training.

    Raises ValueError if it holds no weights `x` of a network with one hidden layer and one output.
    """
    if not hasattr(result, "get") or "x" not in result:
        raise ValueError(f"result must be a dictionary with the weights 'x', got {type(result).__name__}")
    trajectory = sorted((result.get("trajectory") or {}).items())
    students = [_network("trajectory", weights) for _, weights in trajectory]
    snapshots = students and Snapshots(
        np.array([time for time, _ in trajectory], dtype=np.float64),
        np.array([student.W for student in students]),
        np.array([student.a for student in students]),
    )
    start = result.get("init")
    return Training(
        None if start is None else _network("init", start),
        _network("x", result["x"]),
        result.get("loss"),
        result.get("gnorm"),
        result.get("ode_stopped_by"),
        snapshots or None,
    )


def _network(name, weights):
    arrays = {layer: np.asarray(values, dtype=np.float64) for layer, values in weights.items()}
    shapes = {layer: values.shape for layer, values in arrays.items()}
    if set(arrays) != {"w1", "w2"} or arrays["w1"].ndim != 2 or arrays["w2"].size != len(arrays["w1"]):
        raise ValueError(f"{name} must be w1 (n, d) and w2 of n weights, without further layers, got {shapes}")
    return Network(arrays["w1"], arrays["w2"].ravel())
