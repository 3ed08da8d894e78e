"""Training as it is done in practice: finite steps, momentum, Adam, and samples."""

from lib.training.loop import Fate, fate, train
from lib.training.moments import MeanStep, mean_step
from lib.training.optimisers import Adam, GradientDescent
from lib.training.samples import EmpiricalLoss, NearestMinimum, nearest_minimum
from lib.training.tables import load_training

__all__ = [
    "Adam",
    "EmpiricalLoss",
    "Fate",
    "GradientDescent",
    "MeanStep",
    "NearestMinimum",
    "fate",
    "load_training",
    "mean_step",
    "nearest_minimum",
    "train",
]
