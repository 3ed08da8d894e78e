"""Gradient flow theta' = -grad L(theta), followed until the gradient vanishes.

Time is that of the loss without a factor 1/2. The end of a flow is a critical point only as far as
its gradient tells: `certify` (certificate.py) says whether it is a minimum.
"""

from typing import NamedTuple

import numpy as np

from lib.arguments import finite_array, instance, integer, real, shown
from lib.descent.certificate import newton_step, settles, zero_modes
from lib.descent.dead_neurons import LivingLoss, dying, without_dying
from lib.descent.ndf import integrator_for
from lib.loss import PopulationLoss
from lib.networks import Network, split

# A Newton step longer than this is suspected of leading down a channel.
_LONG_STEP = 0.05


class Counts(NamedTuple):
    """Work of a flow: accepted steps, gradients, Hessian-vector products."""

    steps: int
    gradients: int
    products: int


class Snapshots(NamedTuple):
    """Weights along a flow: times (m,), W (m, n, d), a (m, n)."""

    times: np.ndarray
    W: np.ndarray
    a: np.ndarray


class Flow(NamedTuple):
    """A gradient flow: its last student, and times, losses and gradient norms (each (steps + 1,)).

    status: 'converged' (|grad L| <= gradient_tol), 'channel' (the same, but the valley goes on: a
    Newton step is long and does not end in it), 'dead neuron' (converged after some w_i reached 0, see
    `gradient_flow`), 'time limit', 'step limit' or 'interrupted'. Only 'converged' and 'dead neuron'
    are ends of a flow.
    """

    student: Network
    times: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray
    status: str
    counts: Counts
    snapshots: Snapshots


def glorot(rng, n, d, law="normal"):
    """Initial student of n neurons and d inputs (Glorot & Bengio 2010): mean 0, variances 2 / (fan-in + fan-out).

    That is 2 / (n + d) for W (n, d) and 2 / (n + 1) for a (n,); W is drawn first. law: 'normal' or
    'uniform', of the same variances. rng: numpy Generator. Raises ValueError for anything else.
    """
    instance("rng", rng, np.random.Generator)
    n, d = integer("n", n, least=1), integer("d", d, least=1)
    draws = {"normal": rng.standard_normal, "uniform": lambda shape: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), shape)}
    if not isinstance(law, str) or law not in draws:
        raise ValueError(f"law must be 'normal' or 'uniform', got {shown(law)}")
    W = np.sqrt(2.0 / (n + d)) * draws[law]((n, d))
    return Network(W, np.sqrt(2.0 / (n + 1)) * draws[law](n))


def gradient_flow(
    L,
    student,
    gradient_tol=1e-8,
    rtol=1e-5,
    end_time=np.inf,
    max_steps=20_000,
    snapshot_times=(),
    callback=None,
):
    """Follow the gradient flow of the PopulationLoss L from a student -> Flow.

    gradient_tol: the flow has converged when |grad L|_2 is at most this.
    rtol: local error per step relative to each weight (a tenth of it absolute), 1e-11 to 1e-4.
    end_time, max_steps: limits, after which the status says so. A flow whose steps would fall below
    rounding also ends at the 'step limit'.
    snapshot_times: increasing times >= 0 at which the weights are kept, as far as the flow gets.
    Under relu a neuron whose weights differ in the right sense, a_i^2 > |w_i|^2, may reach w_i = 0 in a finite
    time, where the loss has no gradient. It is dead from then on (and the loss no longer depends on its
    a_i): w_i = 0 is kept, and the flow, its gradient and its norm are those of the other neurons.
    callback(time, loss, gradient_norm, student): called after every step. A KeyboardInterrupt, from
    there or from the keyboard, ends the flow and keeps what was computed.

    Raises ValueError for arguments that are not these, and for rtol > 1e-4: implicit steps that long
    damp unstable directions.
    """
    W, a = instance("L", L, PopulationLoss).smooth_weights(student)
    gradient_tol = real("gradient_tol", gradient_tol, least=1e-14)
    rtol = real("rtol", rtol, least=1e-11, most=1e-4)
    end_time = real("end_time", end_time, least=0.0)
    max_steps = integer("max_steps", max_steps, least=0)
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be a function or None, got {shown(callback)}")
    wanted = _increasing("snapshot_times", snapshot_times)
    integrator, loss, living = integrator_for(L, W, a, rtol), L, np.ones(student.n, dtype=bool)
    points, kept, status = [integrator.point[:3]], [], "running"
    try:
        while status == "running":
            while len(kept) < len(wanted) and wanted[len(kept)] <= integrator.point.time:
                kept.append(integrator.interpolate(wanted[len(kept)]))
            if L.kernel.homogeneous:
                W, a = split(integrator.point.theta, student.n, student.d)
                dead = dying(L, W, a, living)
                if dead.any():
                    living = living & ~dead
                    integrator = without_dying(integrator, L, W, a, living, rtol)
                    loss, points[-1] = LivingLoss(L, living), integrator.point[:3]
            status = _status(integrator, gradient_tol, end_time, max_steps)
            if status == "running":
                integrator.step(end_time)
                points.append(integrator.point[:3])
                if callback is not None:
                    callback(*integrator.point[:3], _network(integrator.point.theta, student))
        if status == "converged" and living.any() and _goes_on(L, loss, integrator.point.theta, student):
            status = "channel"
        elif status == "converged" and not living.all():
            status = "dead neuron"
    except KeyboardInterrupt:
        status = "interrupted"
    if integrator.point.time > points[-1][0]:  # interrupted between a step and its record
        points.append(integrator.point[:3])
    times, losses, norms = np.array(points).T
    counts = Counts(integrator.steps, integrator.gradients, integrator.products)
    snapshots = _snapshots(wanted, kept, student)
    return Flow(_network(integrator.point.theta, student), times, losses, norms, status, counts, snapshots)


def _status(integrator, gradient_tol, end_time, max_steps):
    if integrator.point.gradient_norm <= gradient_tol:
        return "converged"
    if integrator.point.time >= end_time:
        return "time limit"
    if integrator.steps >= max_steps or integrator.stuck:
        return "step limit"
    return "running"


def _goes_on(L, loss, theta, student):
    """True if the valley goes on to infinity: a Newton step is long, and no critical point is near its end."""
    hessian = loss.operator(*split(theta, student.n, student.d))
    null_directions, _ = zero_modes(L, _network(theta, student))
    step = newton_step(hessian, null_directions)
    if np.linalg.norm(step) <= _LONG_STEP:
        return False
    _, gradient = loss.value_and_gradient(*split(theta + step, student.n, student.d))
    return not settles(hessian, null_directions, step, gradient)


def _snapshots(wanted, kept, student):
    theta = np.array(kept).reshape(len(kept), student.n * (student.d + 1))
    return Snapshots(wanted[: len(kept)], *split(theta, student.n, student.d))


def _network(theta, student):
    return Network.unravel(theta, student.n, student.d)


def _increasing(name, times):
    times = finite_array(name, times, ndim=1)
    if (times < 0.0).any() or (times[1:] <= times[:-1]).any():
        raise ValueError(f"{name} must be increasing and at least 0, got {shown(times)}")
    return times
