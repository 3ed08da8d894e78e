"""Analytic kernels of two-layer networks with Gaussian inputs, and what is built on them.

Data flows one way: gram -> kernels -> loss -> (perturbed -> configurations -> one_neuron).
Nothing lower imports anything higher.
"""

from lib import kernels
from lib.configurations import Configuration, copy_average, copy_average_loss, identify, partitions
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.one_neuron import OneNeuron, one_neuron
from lib.perturbed import perturbed_copies

__all__ = [
    "Configuration",
    "Network",
    "OneNeuron",
    "PopulationLoss",
    "copy_average",
    "copy_average_loss",
    "identify",
    "kernels",
    "one_neuron",
    "partitions",
    "perturbed_copies",
]
