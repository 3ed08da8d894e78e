"""Gradient flow theta' = -grad L(theta), followed until the gradient vanishes.

Time is that of the loss without a factor 1/2. The end of a flow is a critical point only as far as
its gradient tells: `certify` (certificate.py) says whether it is a minimum.
"""

import sys
from typing import NamedTuple

import numpy as np

from lib.arguments import finite_array, first_argument, instance, integer, real, shown, whole_number
from lib.descent.dead_neurons import Fates, LivingLoss, restarted
from lib.descent.ndf import integrator_for
from lib.descent.polishing import newton_step, zero_modes
from lib.loss import PopulationLoss
from lib.networks import Network, split
from lib.records import record

# A Newton step longer than this is suspected of leading down a channel, which is followed for as
# many steps as the flow had, and this many more.
_LONG_STEP, _MORE_STEPS = 0.05, 100


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

    def __repr__(self):
        return f"<{len(self.times)} snapshots>"


@record
class Flow(NamedTuple):
    """A gradient flow, as `gradient_flow` followed it.

    Attributes
    ----------
    student : Network
        The last one.
    times, losses, gradient_norms : ndarray (steps + 1,)
    status : str
        'converged' (``|grad L| <= gradient_tol``), 'channel' (the same, but the valley goes on: a
        Newton step is long, and stays long where the gradient is a hundredth), 'dead neuron'
        (converged with some w_i = 0, see `gradient_flow`), 'time limit', 'step limit', 'out of
        range' (a w_i is about to become longer than the kernel of an own activation is known for)
        or 'interrupted'. Only 'converged' and 'dead neuron' are ends of a flow.
    counts : Counts
        How many steps, gradients and Hessian products it took.
    snapshots : Snapshots
        times (s,), W (s, n, d) and a (s, n) at the times that were asked for.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> flow = gradient_flow(L, glorot(np.random.default_rng(0), 2, 4), snapshot_times=[1.0])
    >>> flow.status, len(flow.times) == flow.counts.steps + 1, flow.snapshots.W.shape
    ('converged', True, (1, 2, 4))
    """

    student: Network
    times: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray
    status: str
    counts: Counts
    snapshots: Snapshots

    def __repr__(self):
        end = f"loss {self.losses[-1]:.6g}, |gradient| {self.gradient_norms[-1]:.1e}"
        steps = f"{self.counts.steps} steps to time {self.times[-1]:.4g}"
        return f"<Flow: {self.status} after {steps}, {end}, {self.student!r}>"


def glorot(rng, n, d, law="normal"):
    """Initial student of n neurons and d inputs: mean 0, variances 2 / (fan-in + fan-out).

    Parameters
    ----------
    rng : numpy.random.Generator
    n, d : int
    law : {'normal', 'uniform'}
        Of the same variances.

    Returns
    -------
    Network
        Its variances are 2 / (n + d) for W (n, d) and 2 / (n + 1) for a (n,); W is drawn first.

    Raises
    ------
    ValueError
        For anything else.

    Notes
    -----
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    AISTATS 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from lib import glorot
    >>> glorot(np.random.default_rng(0), 3, 6)
    Network(n=3, d=6)
    """
    instance("rng", rng, np.random.Generator)
    n, d = integer("n", n, least=1), integer("d", d, least=1)
    half_width = np.sqrt(3.0)
    draws = {
        "normal": rng.standard_normal,
        "uniform": lambda shape: rng.uniform(-half_width, half_width, shape),
    }
    if not isinstance(law, str) or law not in draws:
        raise ValueError(f"law must be 'normal' or 'uniform', got {shown(law)}")
    W = np.sqrt(2.0 / (n + d)) * draws[law]((n, d))
    return Network(W, np.sqrt(2.0 / (n + 1)) * draws[law](n))


@first_argument("L", PopulationLoss, "gradient_flow(L, student, rtol=1e-5, gradient_tol=1e-8)")
def gradient_flow(
    L,
    student,
    *,
    rtol=1e-5,
    gradient_tol=1e-8,
    end_time=np.inf,
    max_steps=20_000,
    snapshot_times=(),
    callback=None,
    progress=True,
    compiled=True,
):
    """Follow the gradient flow of a loss from a student until the gradient vanishes.

    Parameters
    ----------
    L : PopulationLoss
    student : Network
    rtol : float
        Local error per step relative to each weight (a tenth of it absolute), 1e-11 to 1e-4:
        longer implicit steps would damp unstable directions.
    gradient_tol : float
        The flow has converged when ``|grad L|_2`` is at most this.
    end_time, max_steps : float, int
        Limits, after which the status says so. A flow whose steps would fall below rounding also
        ends at the 'step limit'.
    snapshot_times : sequence of float
        Increasing times >= 0 at which the weights are kept, as far as the flow gets.
    callback : callable
        ``callback(time, loss, gradient_norm, student)``, called after every step. A
        KeyboardInterrupt, from there or from the keyboard, ends the flow and keeps what was
        computed.
    progress : bool
        Whether a terminal shows how far a flow has come that takes longer than two seconds.
    compiled : bool
        Whether steps under erf may be compiled. They are, where numba is installed, and whole flows
        are several times faster. Compiling takes up to half a minute, the first time after an
        installation, and loading what was compiled about a second in each process.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        For arguments that are not these.

    Notes
    -----
    Under relu a neuron whose weights differ in the right sense, ``a_i^2 > |w_i|^2``, may reach
    w_i = 0 in a finite time, where the loss has no gradient. It is then dead, the loss does not
    depend on its a_i, and the flow, its gradient and its norm are those of the other neurons. But
    it leaves w_i = 0 when the loss begins to fall in a direction u, that is at a rate
    ``2 a_i E[(f - f_teacher) relu(u.x)]`` below -gradient_tol. On the way only the local minimum of
    the rates is watched in which the neuron died, as gradient descent with small steps does; where
    the gradient is at most gradient_tol, directions of the whole sphere are searched.

    Examples
    --------
    >>> import numpy as np
    >>> from lib import Network, PopulationLoss, copy_average_loss, glorot, gradient_flow, kernels
    >>> L = PopulationLoss(Network.orthonormal(6, 7), kernels.erf)
    >>> flow = gradient_flow(L, glorot(np.random.default_rng(0), 3, 7))
    >>> flow.status, bool(abs(flow.losses[-1] - copy_average_loss([1, 1, 4])) < 1e-9)
    ('converged', True)
    """
    W, a = L.smooth_weights(student)
    gradient_tol = real("gradient_tol", gradient_tol, least=1e-14)
    rtol = real("rtol", rtol, least=1e-11, most=1e-4)
    end_time = real("end_time", end_time, least=0.0)
    max_steps = whole_number("max_steps", max_steps, least=0)
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be a function or None, got {shown(callback)}")
    wanted = _increasing("snapshot_times", snapshot_times)
    integrator, fates = integrator_for(L, W, a, rtol, compiled), Fates(L, student, gradient_tol)
    points, kept, status = [integrator.point[:3]], [], "running"
    show, close = _progress(progress)
    try:
        while status == "running":
            while len(kept) < len(wanted) and wanted[len(kept)] <= integrator.point.time:
                kept.append(integrator.interpolate(wanted[len(kept)]))
            status = _status(integrator, gradient_tol, end_time, max_steps)
            if L.kernel.homogeneous:
                W, a = split(integrator.point.theta, student.n, student.d)
                changed = fates.change(W, a, thorough=status == "converged")
                if changed:
                    integrator = restarted(integrator, LivingLoss(L, fates.living), *changed, rtol)
                    points[-1] = integrator.point[:3]
                    status = _status(integrator, gradient_tol, end_time, max_steps)
            if status == "running":
                integrator.step(end_time)
                points.append(integrator.point[:3])
                show(*integrator.point[:3])
                if callback is not None:
                    callback(*integrator.point[:3], _network(integrator.point.theta, student))
    except KeyboardInterrupt:
        status = "interrupted"
    finally:
        close()
    end = integrator.point
    counts = Counts(integrator.steps, integrator.gradients, integrator.products)
    if end.time > points[-1][0]:  # interrupted between a step and its record
        points.append(end[:3])
    living = fates.living
    try:
        if status == "converged" and living.any() and _goes_on(L, integrator, living):
            status = "channel"
        elif status == "converged" and not living.all():
            status = "dead neuron"
    except KeyboardInterrupt:
        status = "interrupted"
    times, losses, norms = np.array(points).T
    snapshots = _snapshots(wanted, kept, student)
    return Flow(_network(end.theta, student), times, losses, norms, status, counts, snapshots)


def _progress(wanted):
    """(show, close): a line on a terminal, where tqdm is installed, after two seconds."""
    silent = (lambda *point: None), (lambda: None)
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        return silent
    try:
        from tqdm import tqdm
    except ImportError:
        return silent
    bar = tqdm(bar_format="{desc} [{elapsed}]", delay=2.0, leave=False)

    def show(time, loss, gradient_norm):
        text = f"flow: time {time:.3g}, loss {loss:.6g}, |gradient| {gradient_norm:.1e}"
        bar.set_description_str(text, refresh=False)
        bar.update()

    return show, bar.close


def _status(integrator, gradient_tol, end_time, max_steps):
    if integrator.point.gradient_norm <= gradient_tol:
        return "converged"
    if integrator.point.time >= end_time:
        return "time limit"
    if integrator.outside:
        return "out of range"
    if integrator.steps >= max_steps or integrator.stuck:
        return "step limit"
    return "running"


def _goes_on(L, integrator, living):
    """True if the valley goes on to infinity: a Newton step is long, and does not become shorter.

    Towards a critical point it falls to half, at least, while the gradient falls to a hundredth; in
    a valley like exp(-x) or any power of 1/x it stays, or grows. `integrator` goes on that far.
    """
    first, end, steps = _newton_length(L, integrator, living), integrator.point, integrator.steps
    if first <= _LONG_STEP:
        return False
    while integrator.point.gradient_norm > 0.01 * end.gradient_norm:
        if integrator.stuck or integrator.outside or integrator.steps >= 2 * steps + _MORE_STEPS:
            break
        integrator.step()
    return _newton_length(L, integrator, living) > 0.5 * first


def _newton_length(L, integrator, living):
    """How long a Newton step of the living neurons is."""
    W, a = split(integrator.point.theta, living.size, L.teacher.d)
    student = Network(W[living], a[living])
    return np.linalg.norm(newton_step(L.operator(student.W, student.a), zero_modes(L, student)[0]))


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
