"""Analytic kernels of two-layer networks with Gaussian inputs, and what is built on them.

Data flows one way: gram -> kernels -> loss. Nothing lower imports anything higher.
"""

from lib import kernels
from lib.loss import PopulationLoss
from lib.networks import Network

__all__ = ["Network", "PopulationLoss", "kernels"]
