"""Training on the exact loss or on fresh samples, and which minimum a student then flows to."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import LARGEST_WEIGHT, instance, shown, whole_number
from lib.descent.flow import gradient_flow
from lib.loss import PopulationLoss
from lib.networks import Network, split
from lib.records import record
from lib.students.recognition import identify
from lib.training.optimisers import Adam, GradientDescent
from lib.training.samples import EmpiricalLoss, slopes

_NUMBERS_AT_ONCE = 2**20  # sampled inputs, for which the generators are called


@record
class Fate(NamedTuple):
    """Where gradient flow takes a student.

    Attributes
    ----------
    kind : str
        As `identify` names the end, or 'diverged' for a student that has left the numbers.
    loss : float
        There.
    status : str
        Of the flow.

    Examples
    --------
    >>> from lib.training import fate
    >>> L = PopulationLoss(Network.orthonormal(6, 7), kernels.erf)
    >>> fate(L, copy_average([1, 1, 4], 7))[::2]
    ('copy-average', 'converged')
    """

    kind: str
    loss: float
    status: str


def train(L, students, optimiser, steps, rng=None, batch=None):
    """Train students with the exact gradient of the loss, or with fresh samples at every step.

    Parameters
    ----------
    L : PopulationLoss or EmpiricalLoss
    students : Network, or list of Networks of one shape
        Where training starts.
    optimiser : GradientDescent or Adam
    steps : int
    rng : numpy.random.Generator, or a list of one for each student
        Where the inputs come from; only with batch.
    batch : int, optional
        Inputs in each step: new ones, x ~ N(0, I) (one-pass training), under a PopulationLoss, or
        drawn from the data with replacement under an EmpiricalLoss. Unless given, the gradient is
        that of L.

    Returns
    -------
    Network, or list of Networks
        After the last step. A student with a weight above 1e30, or none, is None.

    Raises
    ------
    ValueError
        For arguments that are not these.

    Examples
    --------
    >>> from lib.training import GradientDescent, train
    >>> L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    >>> start = glorot(np.random.default_rng(0), 2, 3)
    >>> L(train(L, start, GradientDescent(rate=0.1), steps=100)) < L(start)
    True
    """
    if not isinstance(L, EmpiricalLoss):
        instance("L", L, PopulationLoss)
    if not isinstance(optimiser, (GradientDescent, Adam)):
        raise ValueError(
            f"optimiser must be GradientDescent(rate) or Adam(rate), got {shown(optimiser)}"
        )
    single = isinstance(students, Network)
    if not single and (not isinstance(students, Sequence) or isinstance(students, str)):
        raise ValueError(f"students must be a Network or a list of them, got {shown(students)}")
    students = [students] if single else list(students)
    if len({instance("students", one, Network).n for one in students}) != 1:
        raise ValueError("students must be one Network at least, all of one shape")
    W, a = (np.array(part) for part in zip(*map(L.weights, students), strict=True))
    steps = whole_number("steps", steps, least=0)
    if batch is not None:
        batch = whole_number("batch", batch, least=1)
        rngs = rng if isinstance(rng, list) else [rng] * len(students)
        one_each = all(isinstance(one, np.random.Generator) for one in rngs)
        if not one_each or len(rngs) != len(students):
            raise ValueError(
                "rng must be a Generator such as np.random.default_rng(0), or a list of one for "
                f"each of {len(students)} students, got {shown(rng)}"
            )
        gradient = sampled_gradients(L, inputs(L, rngs, batch, steps))
    elif isinstance(L, EmpiricalLoss):
        gradient = sampled_gradients(L, itertools.repeat(L.x[None]))
    else:
        gradient = exact_gradients(L)
    change_W, change_a = optimiser.changes(), optimiser.changes()
    with np.errstate(all="ignore"):  # one that diverges does not cost the others
        for _ in range(steps):
            slope_W, slope_a = gradient(W, a)
            W = W + change_W(slope_W)
            a = a + change_a(slope_a)
    fine = (np.abs(W).max(axis=(1, 2)) <= LARGEST_WEIGHT) & (
        np.abs(a).max(axis=1) <= LARGEST_WEIGHT
    )
    trained = [Network(*pair) if ok else None for *pair, ok in zip(W, a, fine, strict=True)]
    return trained[0] if single else trained


def inputs(L, rngs, batch, steps):
    """Inputs (S, batch, d) for each of the steps, every student's from its own generator."""
    d = L.teacher.d
    at_once = max(1, _NUMBERS_AT_ONCE // (len(rngs) * batch * d))
    for first in range(0, steps, at_once):
        shape = min(at_once, steps - first), batch
        if isinstance(L, EmpiricalLoss):
            chosen = np.stack([rng.integers(len(L.x), size=shape) for rng in rngs], axis=1)
            yield from L.x[chosen]
        else:
            yield from np.stack([rng.standard_normal((*shape, d)) for rng in rngs], axis=1)


def exact_gradients(L):
    """A function of W (S, n, d) and a (S, n) that returns the gradients dL/dW and dL/da."""
    if L.kernel is kernels.erf:
        return lambda W, a: erf_gradients(L.teacher, W, a)

    def gradients(W, a):
        each = [L.value_and_gradient(*pair)[1] for pair in zip(W, a, strict=True)]
        return split(np.array(each), *W.shape[1:])

    return gradients


def erf_gradients(teacher, W, a):
    """The gradients of the erf loss at students W (S, n, d), a (S, n), as arrays of these shapes.

    The same numbers as `PopulationLoss.gradient` gives, without its care for weights above 1e3.
    """
    V, b = teacher.W, teacher.a
    p = np.einsum("sij,sij->si", W, W)
    P, Q = 1.0 + p, 1.0 + np.einsum("ij,ij->i", V, V)
    own = W @ W.swapaxes(1, 2)
    cross = W @ V.T
    own_scale = P[:, :, None] * P[:, None, :]
    cross_scale = P[:, :, None] * Q
    own_root = np.sqrt(own_scale - own**2)
    cross_root = np.sqrt(cross_scale - cross**2)
    output = _apply(np.arcsin(own / np.sqrt(own_scale)), a)
    output -= np.arcsin(cross / np.sqrt(cross_scale)) @ b
    norm_part = (_apply(own / own_root, a) - (cross / cross_root) @ b) / P
    pull = (a[:, None, :] / own_root) @ W - (b / cross_root) @ V - norm_part[:, :, None] * W
    return (4.0 / np.pi) * a[:, :, None] * pull, (4.0 / np.pi) * output


def _apply(A, x):
    return np.einsum("sij,sj->si", A, x)


def sampled_gradients(L, batches):
    """The same for the mean squared error on the next of some batches (S, B, d) of inputs."""
    kernel = L.kernel
    if kernel not in (kernels.erf, kernels.relu):
        raise ValueError(f"L must be of erf or relu to train on samples, got {kernel!r}")
    V, b = L.teacher.W, L.teacher.a

    def gradients(W, a):
        x = next(batches)
        z = x @ W.swapaxes(1, 2)
        activity = kernel.sigma(z)
        error = np.einsum("sbi,si->sb", activity, a) - kernel.sigma(x @ V.T) @ b
        error *= 2.0 / x.shape[1]
        by_neuron = slopes(kernel, z) * error[:, :, None]
        slope_W = a[:, :, None] * (by_neuron.swapaxes(1, 2) @ x)
        return slope_W, np.einsum("sbi,sb->si", activity, error)

    return gradients


def fate(L, student):
    """Which critical point gradient flow reaches from a student: whose basin it is in.

    Parameters
    ----------
    L : PopulationLoss
    student : Network, or None for one that diverged

    Returns
    -------
    Fate

    Examples
    --------
    >>> from lib.training import fate
    >>> L = PopulationLoss(Network.orthonormal(6, 7), kernels.erf)
    >>> fate(L, glorot(np.random.default_rng(0), 3, 7)).kind
    'copy-average'
    """
    if student is None:
        return Fate("diverged", np.inf, "diverged")
    flow = gradient_flow(L, student, progress=False)
    kind = "channel" if flow.status == "channel" else identify(L, flow.student).kind
    return Fate(kind, float(flow.losses[-1]), flow.status)
