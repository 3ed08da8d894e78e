"""Training as it is done in practice: finite steps, momentum, Adam, and samples."""

from lib.training.loop import Fate, fate, train
from lib.training.optimisers import Adam, GradientDescent

__all__ = ["Adam", "Fate", "GradientDescent", "fate", "train"]
