"""Analytic kernels of two-layer networks with Gaussian inputs, and what is built on them.

Data flows one way: gram -> kernels -> loss -> (symmetric -> perturbed, effective -> configurations
-> one_neuron, spectrum; ndf, certificate -> kinks -> flow; accelerator; table) -> sweep. Nothing lower
imports anything higher.
Students call `checks`, which nothing imports; the ValueErrors of `arguments` are for everyone.
"""

from lib import kernels
from lib.averaging import copy_average, copy_average_like, copy_average_loss, partitions
from lib.certificate import Certificate, certify
from lib.flow import Flow, glorot, gradient_flow
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.one_neuron import OneNeuron, one_neuron
from lib.perturbed import perturbed_copies
from lib.recognition import Configuration, identify
from lib.spectrum import (
    Block,
    PhaseBoundaries,
    copy_average_spectrum,
    perturbed_copies_spectrum,
    phase_boundaries,
)

__all__ = [
    "Block",
    "Certificate",
    "Configuration",
    "Flow",
    "Network",
    "OneNeuron",
    "PhaseBoundaries",
    "PopulationLoss",
    "certify",
    "copy_average",
    "copy_average_like",
    "copy_average_loss",
    "copy_average_spectrum",
    "glorot",
    "gradient_flow",
    "identify",
    "kernels",
    "one_neuron",
    "partitions",
    "perturbed_copies",
    "perturbed_copies_spectrum",
    "phase_boundaries",
]
