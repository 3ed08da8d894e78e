"""Training as it is done in practice: finite steps, momentum, Adam, and samples."""

from lib.training.compression import load_compression, load_teacher
from lib.training.digits import Digits, fit, load_digits
from lib.training.loop import Fate, fate, train
from lib.training.merging import averaged, best_outgoing, eliminated, greedy_groups, kept
from lib.training.moments import MeanStep, mean_step
from lib.training.optimisers import Adam, GradientDescent
from lib.training.order_parameters import (
    NoiseLimit,
    NoisyFixedPoint,
    OrderParameters,
    noise_limit,
    noisy_fixed_point,
    order_parameter_flow,
)
from lib.training.samples import (
    ContinuedMinimum,
    EmpiricalLoss,
    NearestMinimum,
    continued_minimum,
    nearest_minimum,
)
from lib.training.tables import load_training

__all__ = [
    "Adam",
    "ContinuedMinimum",
    "Digits",
    "EmpiricalLoss",
    "Fate",
    "GradientDescent",
    "MeanStep",
    "NearestMinimum",
    "NoiseLimit",
    "NoisyFixedPoint",
    "OrderParameters",
    "averaged",
    "best_outgoing",
    "continued_minimum",
    "eliminated",
    "fate",
    "fit",
    "greedy_groups",
    "kept",
    "load_compression",
    "load_digits",
    "load_teacher",
    "load_training",
    "mean_step",
    "nearest_minimum",
    "noise_limit",
    "noisy_fixed_point",
    "order_parameter_flow",
    "train",
]
