"""Two-layer students with Gaussian inputs: their exact loss, who they can be, where they go.

The core, one module each:

    arguments  checks of arguments         pairs     s, p, q of pairs of vectors, and p q - s^2
    kernels    E[sigma(w.x) sigma(v.x)]    networks  teachers and students
    records    results that are tuples     loss      the population loss and its derivatives

beside them `figures`, the colours of the book and its glyph for a student, and rooms that are
built on the core:

    students   those that can be written down or solved for, their spectra, who a given student is,
               and how good any can be
    descent    gradient flow, and what the point is where it ends
    fast       twins of both, compiled by numba, that give the same numbers
    sweeps     flows from many starts, and their tables; `python -m lib.sweeps`
    classroom  checks that problem sets call, figures to move by hand, another package's results
    proofs     what interval arithmetic proves; `python -m lib.proofs`, needs python-flint
    training   finite steps, Adam, samples, and the minimum that follows; `python -m lib.training`

Imports go one way: the core, then students and descent, which do not know of each other, then
fast, then sweeps and classroom, then proofs and training. What one module takes from another is
public.

A kernel offers, at arrays of pairs, `value_at`, `jet_at` and `hessian_at`, and of itself `sigma`,
`noise` and `homogeneous`: see `kernels.Kernel`. A loss offers, at plain weights,
`value_and_gradient(W, a)` and `operator(W, a)`, a LinearOperator with `value`, `gradient` and
`solve`: see `loss.PopulationLoss`. A flow takes its steps with whatever offers these, as
`fast.compiled.CompiledLoss` and `descent.dead_neurons.LivingLoss` do.
"""

from lib import kernels
from lib.classroom import checks, explore
from lib.descent.certificate import Certificate, certify
from lib.descent.flow import Flow, glorot, gradient_flow
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.averaging import copy_average, copy_average_like, copy_average_loss, partitions
from lib.students.bounds import loss_lower_bound
from lib.students.perturbed import perturbed_copies
from lib.students.recognition import Configuration, identify
from lib.students.single import OneNeuron, one_neuron
from lib.students.spectrum import (
    Block,
    PhaseBoundaries,
    copy_average_spectrum,
    perturbed_copies_spectrum,
    phase_boundaries,
)
from lib.sweeps.run import sweep
from lib.sweeps.table import load_sweep

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
    "checks",
    "copy_average",
    "copy_average_like",
    "copy_average_loss",
    "copy_average_spectrum",
    "explore",
    "glorot",
    "gradient_flow",
    "identify",
    "kernels",
    "load_sweep",
    "loss_lower_bound",
    "one_neuron",
    "partitions",
    "perturbed_copies",
    "perturbed_copies_spectrum",
    "phase_boundaries",
    "sweep",
]
