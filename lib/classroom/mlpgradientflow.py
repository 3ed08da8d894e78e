"""Training results of MLPGradientFlow.jl as students of this library.

Its ``pickle`` writes files for ``torch.load``; through juliacall, ``train`` gives the same after
the conversion to a Python dictionary that the package's documentation shows.

Written after the package's source (github.com/jbrea/MLPGradientFlow.jl, ``result2dict``), where
Network.W is called w1, Network.a is w2, and erf is sigmoid2; not tried on a file of its.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import finite_array, instance, integer, real, shown
from lib.descent.flow import Snapshots
from lib.kernels import Kernel
from lib.networks import Network

# Its names of the activations of this library; faster versions of two have names of their own.
_KERNELS = {
    "sigmoid2": kernels.erf,
    "tanh": kernels.tanh,
    "tanh_fast": kernels.tanh,
    "sigmoid": kernels.sigmoid,
    "sigmoid_fast": kernels.sigmoid,
    "relu": kernels.relu,
    "softplus": kernels.softplus,
    "gelu": kernels.gelu,
}


class Training(NamedTuple):
    """What ``train`` of MLPGradientFlow.jl reports; None for what a result does not hold.

    Attributes
    ----------
    start, end : Network
        First and last student.
    loss : float
        At the end.
    gradient_size : float
        The largest component of the gradient there, not its norm; divided by the number of samples
        if there are samples.
    stopped_by : str
        Why the flow ended.
    snapshots : Snapshots
        The students on the way.
    kernel : kernels.Kernel
        Of the hidden neurons, from the layers' description ``layerspec``.

    Examples
    --------
    >>> from lib.classroom.mlpgradientflow import read_training
    >>> read_training({"x": {"w1": [[1.0, 0.0]], "w2": [2.0]}}).snapshots is None
    True
    """

    start: Network
    end: Network
    loss: float
    gradient_size: float
    stopped_by: str
    snapshots: Snapshots
    kernel: Kernel = None


def read_training(result):
    """A result of MLPGradientFlow.jl as a `Training`.

    Parameters
    ----------
    result : dict
        Of numbers, arrays and dictionaries, as ``torch.load("result.pkl")`` returns it.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        Unless it is of a network of this library: weights ``x`` that are finite real numbers, one
        hidden layer of one of the six activations, one linear output, no biases. Without
        ``layerspec`` a result does not tell biases from weights of a further input. Also for
        entries of other types, and for students of different shapes.

    Examples
    --------
    >>> from lib.classroom.mlpgradientflow import read_training
    >>> run = read_training({"x": {"w1": [[1.0, 0.0]], "w2": [2.0]}, "loss": 0.5})
    >>> run.end, run.loss
    (Network(n=1, d=2), 0.5)
    """
    if not isinstance(result, Mapping) or result.get("x") is None:
        raise ValueError(f"result must be a dictionary with the weights 'x', got {_type(result)}")
    end = _network("x", result["x"])
    kernel = None if result.get("layerspec") is None else _kernel(result["layerspec"], end.n)
    start = None if result.get("init") is None else _network("init", result["init"], end)
    stopped_by = result.get("ode_stopped_by")
    return Training(
        start,
        end,
        *(
            None if result.get(key) is None else real(key, result[key], -np.inf)
            for key in ("loss", "gnorm")
        ),
        None if stopped_by is None else instance("ode_stopped_by", stopped_by, str),
        _snapshots(result.get("trajectory"), end),
        kernel,
    )


def _network(name, weights, like=None):
    """The Network of weights {"w1": (n, d), "w2": n weights}, of the shape of another, if any."""
    if not isinstance(weights, Mapping) or set(weights) != {"w1", "w2"}:
        layers = shown(list(weights)) if isinstance(weights, Mapping) else _type(weights)
        raise ValueError(
            f"{name} must be w1 (n, d) and w2 of n weights, without further layers, got {layers}"
        )
    W, a = (finite_array(f"{name}['{layer}']", weights[layer]) for layer in ("w1", "w2"))
    if W.ndim != 2 or 0 in W.shape or a.shape not in ((len(W),), (1, len(W)), (len(W), 1)):
        raise ValueError(
            f"{name} must be w1 (n, d) and w2 of n weights of one output, without biases, "
            f"got {W.shape} and {a.shape}"
        )
    if like is not None and W.shape != like.W.shape:
        raise ValueError(
            f"{name} must have w1 of the shape {like.W.shape} that x has, got {W.shape}"
        )
    return Network(W, a.ravel())


def _snapshots(trajectory, end):
    if trajectory is None:
        return None
    if not isinstance(trajectory, Mapping):
        raise ValueError(
            f"trajectory must be a dictionary of weights by their times, got {_type(trajectory)}"
        )
    if not trajectory:
        return None
    way = [
        (real("time of trajectory", time, 0.0, 1e300), weights)
        for time, weights in trajectory.items()
    ]
    way.sort(key=lambda point: point[0])
    students = [_network(f"trajectory[{time}]", weights, end) for time, weights in way]
    W, a = np.array([s.W for s in students]), np.array([s.a for s in students])
    return Snapshots(np.array([time for time, _ in way]), W, a)


def _kernel(layerspec, n):
    """The kernel that ((n, activation, False), (1, 'identity', False)) says.

    (n, activation, False) alone is written for training on the exact loss, where the output is
    always linear.
    """
    layers = layerspec if _is_sequence(layerspec) else (layerspec,)
    layers = layers if len(layers) and _is_sequence(layers[0]) else (layers, (1, "identity", False))
    expected = "layerspec must be one hidden layer and one linear output without biases"
    if len(layers) != 2 or not all(_is_sequence(layer) and len(layer) == 3 for layer in layers):
        raise ValueError(
            f"{expected}, ((n, activation, False), (1, 'identity', False)), got {shown(layerspec)}"
        )
    for (size, activation, bias), neurons in zip(layers, (n, 1), strict=True):
        if integer("size in layerspec", size, least=1) != neurons:
            raise ValueError(f"{expected}, {n} neurons and 1, got a layer of {size}")
        if bias is not False and not (isinstance(bias, np.bool_) and not bias):
            raise ValueError(f"{expected}, got {shown(bias)} for the bias in {shown(layerspec)}")
        instance("activation in layerspec", activation, str)
    hidden, output = (_plain_name(activation) for _, activation, _ in layers)
    if output != "identity":
        raise ValueError(f"{expected}, got an output layer of {shown(output)}")
    if hidden not in _KERNELS:
        raise ValueError(
            f"layerspec must have a hidden layer of {', '.join(_KERNELS)}, got {shown(hidden)}"
        )
    return _KERNELS[hidden]


def _plain_name(activation):
    """'relu' of 'relu', 'MLPGradientFlow.relu' and 'Val{MLPGradientFlow.relu}()'."""
    return re.sub(r"^Val\{(.*)\}\(\)$", r"\1", activation).rpartition(".")[2]


def _is_sequence(value):
    return isinstance(value, (list, tuple))


def _type(value):
    if isinstance(value, Mapping) and "x" in value:
        return "one with x = None"
    return type(value).__name__
