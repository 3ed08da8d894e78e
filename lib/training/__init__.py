"""Training as it is done in practice: finite steps, momentum, Adam, and samples."""

from lib.training.loop import Fate, fate, train
from lib.training.optimisers import Adam, GradientDescent
from lib.training.samples import EmpiricalLoss, NearestMinimum, nearest_minimum

__all__ = [
    "Adam",
    "EmpiricalLoss",
    "Fate",
    "GradientDescent",
    "NearestMinimum",
    "fate",
    "nearest_minimum",
    "train",
]
