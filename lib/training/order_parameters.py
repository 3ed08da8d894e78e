"""One-pass SGD in many dimensions: its order parameters follow ordinary differential equations.

A step of rate eta changes Q = W W^T, R = W V^T and a by little, and as d grows with eta d = noise
fixed they follow their mean (Saad and Solla). With time = eta times steps,

    dR/dt = -G V^T,   da/dt = -dL/da,   dQ/dt = -(G W^T + W G^T) + noise S,   G = dL/dW = A W + B V,

S_ij = E[g_i . g_j] / d. So noise 0 is gradient flow. With d the term S is that of d dimensions,
and a fixed point is one of the mean step (see lib.training.moments), whatever the size of d.
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from lib import kernels
from lib.arguments import finite_array, instance, real, whole_number
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.records import record
from lib.training.moments import arcsine, four_point

_IMAGINARY = 1e-30  # of a complex step, whose derivative has no cancellation
# A central difference of fourth order in the variance of the inputs: offsets and weights.
_VARIED = tuple(
    (2e-3 * m, w / 2e-3) for m, w in ((1, 2 / 3), (-1, -2 / 3), (2, -1 / 12), (-2, 1 / 12))
)
_SETTLED = 1e-13
_SAME = 1e-8  # entries that are equal but for rounding, relative to the largest
_MIXED = 0.7310585786  # any number: sums with it are equal only where both parts are
_NEWTON_STEPS = 30
_BRANCH_STEPS = 300


@record
class OrderParameters(NamedTuple):
    """What the loss of a student depends on.

    Attributes
    ----------
    Q : ndarray (n, n)
        Inner products of student neurons.
    R : ndarray (n, k)
        Those with the teacher neurons.
    a : ndarray (n,)
        Outgoing weights.

    Examples
    --------
    >>> from lib.training import OrderParameters
    >>> OrderParameters.of(Network.orthonormal(2), Network.orthonormal(2)).a
    array([1., 1.])
    """

    Q: np.ndarray
    R: np.ndarray
    a: np.ndarray

    @classmethod
    def of(cls, student, teacher):
        """Those of a student and a teacher with inputs of the same dimension.

        Parameters
        ----------
        student, teacher : Network

        Returns
        -------
        OrderParameters

        Raises
        ------
        ValueError
            For arguments that are not these.

        Examples
        --------
        >>> from lib.training import OrderParameters
        >>> OrderParameters.of(Network([[1.0, 0.0]], [2.0]), Network.orthonormal(2)).R
        array([[1., 0.]])
        """
        if instance("student", student, Network).d != instance("teacher", teacher, Network).d:
            raise ValueError(f"teacher must have {student.d} inputs, got {teacher.d}")
        return cls(student.W @ student.W.T, student.W @ teacher.W.T, np.array(student.a))


@record
class NoisyFixedPoint(NamedTuple):
    """Order parameters at which one-pass SGD rests on average.

    Attributes
    ----------
    at : OrderParameters
    loss : float
    residual : float
        Largest rate of change that is left.
    slowest : float
        Largest real part of an eigenvalue of the linearised equations; stable where negative.

    Examples
    --------
    >>> from lib.training import noisy_fixed_point
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> noisy_fixed_point(L, copy_average([1, 2], 4), noise=0.01).slowest < 0
    True
    """

    at: OrderParameters
    loss: float
    residual: float
    slowest: float


@record
class NoiseLimit(NamedTuple):
    """Where a fixed point of one-pass SGD, followed from noise 0, stops being stable.

    Attributes
    ----------
    noise : float
        Rate times dimensions (over batch); infinite if it is stable as far as it was followed.
    ceases : bool
        Whether it ceases to exist there, as its branch turns back; else it becomes unstable.
    loss : float
        At the limit.

    Examples
    --------
    >>> from lib.training import noise_limit
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> noise_limit(L, copy_average([1, 2], 4), most=0.01).noise  # stable up to 0.01 at least
    inf
    """

    noise: float
    ceases: bool
    loss: float


class Equations:
    """The equations of a loss for students of n neurons, for z = (Q upper triangle, R, a).

    d: the dimensions of the term of second order; None for the limit of many.
    """

    def __init__(self, L, n, d=None):
        if instance("L", L, PopulationLoss).kernel is not kernels.erf:
            raise ValueError(f"L must be of kernels.erf, got {L.kernel!r}")
        V, self.b = L.teacher.W, L.teacher.a
        self.T, self.n, self.k, self.d = V @ V.T, n, len(V), d
        self.upper = np.triu_indices(n)
        self.sizes = np.cumsum((len(self.upper[0]), n * self.k))

    def pack(self, Q, R, a):
        return np.concatenate((Q[self.upper], R.ravel(), a))

    def unpack(self, z):
        upper, R, a = np.split(z, self.sizes)
        Q = np.zeros((self.n, self.n), z.dtype)
        Q[self.upper] = upper
        return OrderParameters(Q + Q.T - np.diag(np.diag(Q)), R.reshape(self.n, self.k), a)

    def loss(self, z):
        Q, R, a = self.unpack(z)
        C, c = np.block([[Q, R], [R.T, self.T]]), np.concatenate((a, -self.b))
        p = 1.0 + np.diag(C)
        return float(2.0 / np.pi * c @ np.arcsin(C / np.sqrt(np.outer(p, p))) @ c)

    def drift(self, z, noise):
        """dz/dt; z may be complex."""
        Q, R, a = self.unpack(z)
        P, own_p = 1.0 + np.diag(Q), 1.0 + np.diag(self.T)
        own_scale, cross_scale = np.outer(P, P), np.outer(P, own_p)
        own_root, cross_root = np.sqrt(own_scale - Q**2), np.sqrt(cross_scale - R**2)
        norm_part = ((Q / own_root) @ a - (R / cross_root) @ self.b) / P
        A = 4.0 / np.pi * a[:, None] * (a / own_root - np.diag(norm_part))
        B = -4.0 / np.pi * a[:, None] * (self.b / cross_root)
        by_a = arcsine(Q / np.sqrt(own_scale)) @ a - arcsine(R / np.sqrt(cross_scale)) @ self.b
        along = A @ Q + B @ R.T
        change = -along - along.T
        if noise:
            change = change + noise * self.second_order(Q, R, a)
        return self.pack(change, -(A @ R + B @ self.T), -4.0 / np.pi * by_a)

    def second_order(self, Q, R, a):
        """S, for inputs of d dimensions: E[|x|^2 F] / d = E F + (2 / d) dE_c F / dc at c = 1."""
        C, c = np.block([[Q, R], [R.T, self.T]]), np.concatenate((a, -self.b))

        def mean(scale):
            return np.einsum("ijlm,l,m->ij", four_point(scale * C, self.n), c, c)

        found = mean(1.0)
        if self.d is not None:
            found = found + 2.0 / self.d * sum(w * mean(1.0 + shift) for shift, w in _VARIED)
        return 4.0 * np.outer(a, a) * found

    def jacobian(self, z, noise, basis=None):
        """d drift / dz along the columns of a basis, by default all of z, by complex steps."""
        columns = np.eye(len(z)) if basis is None else basis
        along = [self.drift(z + 1j * _IMAGINARY * u, noise).imag / _IMAGINARY for u in columns.T]
        return np.stack(along, axis=1)

    def by_noise(self, z):
        """d drift / d noise."""
        Q, R, a = self.unpack(z)
        return self.pack(self.second_order(Q, R, a), np.zeros_like(R), np.zeros_like(a))


class Branch:
    """Fixed points of equations with the symmetry of z, one of them at noise 0.

    Permutations of neurons that leave z as it is make entries of fixed points equal: those that
    are equal in z and in its derivative by the noise. Newton's method then solves for a few
    numbers, and `residual` says whether all equations hold. Whether a fixed point is stable is a
    matter of all directions.
    """

    def __init__(self, equations, z):
        self.equations = equations
        moves = np.linalg.lstsq(equations.jacobian(z, 0.0), equations.by_noise(z), rcond=None)[0]
        mark = z / np.abs(z).max() + _MIXED * moves / max(np.abs(moves).max(), 1e-6)
        order = np.argsort(mark)
        new = np.diff(mark[order], prepend=-np.inf) > _SAME
        kind = np.empty(len(z), int)
        kind[order] = np.cumsum(new) - 1
        self.basis = np.eye(kind.max() + 1)[kind]
        self.counts = self.basis.sum(axis=0)
        self.first = self.reduced(z)

    def reduced(self, z):
        return self.basis.T @ z / self.counts

    def derivatives(self, u, noise):
        """Drift, and its derivatives by u and by the noise."""
        z, equations = self.basis @ u, self.equations
        jacobian = equations.jacobian(z, noise, self.basis)
        parts = equations.drift(z, noise), jacobian, equations.by_noise(z)
        return [
            self.basis.T @ part / self.counts.reshape(-1, *[1] * (part.ndim - 1)) for part in parts
        ]

    def solve(self, u, noise):
        """The fixed point at a noise that Newton's method reaches, or None."""
        last = np.inf
        for _ in range(_NEWTON_STEPS):
            drift, jacobian, _ = self.derivatives(u, noise)
            step = np.linalg.solve(jacobian, drift)
            size = np.abs(step).max()
            if not size < 1.0:
                return None
            u = u - step
            if last < 1e-7 or size < _SETTLED:
                return u
            last = size
        return None

    def residual(self, u, noise):
        return float(np.abs(self.equations.drift(self.basis @ u, noise)).max())

    def slowest(self, u, noise):
        """Largest real part of an eigenvalue of all linearised equations."""
        return float(np.linalg.eigvals(self.equations.jacobian(self.basis @ u, noise)).real.max())

    def tangent(self, y, before):
        """The unit tangent at y = (u, noise) that makes an acute angle with `before`."""
        _, jacobian, by_noise = self.derivatives(y[:-1], y[-1])
        bordered = np.vstack((np.column_stack((jacobian, by_noise)), before))
        found = np.linalg.solve(bordered, np.append(np.zeros(len(y) - 1), 1.0))
        return found / np.linalg.norm(found)

    def ahead(self, y, direction, step):
        """The fixed point (u, noise) at this distance along the tangent at y, or None."""
        new, last = y + step * direction, step
        for _ in range(10):
            drift, jacobian, by_noise = self.derivatives(new[:-1], new[-1])
            bordered = np.vstack((np.column_stack((jacobian, by_noise)), direction))
            left = np.append(drift, (new - y) @ direction - step)
            change = np.linalg.solve(bordered, left)
            size = np.abs(change).max()
            if not size < 0.5 * last + 1e-12:
                return None
            new, last = new - change, size
            if size < 1e-11:
                return new
        return None


def order_parameter_flow(L, start, noise, times, d=None):
    """Order parameters of one-pass SGD at some times, in the limit of many dimensions.

    Parameters
    ----------
    L : PopulationLoss
        Of erf.
    start : OrderParameters
    noise : float
        Rate times dimensions (over batch).
    times : array (T,)
        Rate times steps, ascending.
    d : int, optional
        Take the mean step in d dimensions instead, without its fluctuations.

    Returns
    -------
    list of OrderParameters

    Notes
    -----
    Saad and Solla, On-line learning in soft committee machines, Phys. Rev. E 52 (1995), 4225-4243.

    Examples
    --------
    >>> from lib.training import OrderParameters, order_parameter_flow
    >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
    >>> start = OrderParameters([[0.5]], [[0.1, 0.2]], [1.0])
    >>> end = order_parameter_flow(L, start, noise=0.1, times=[0.0, 5.0])[-1]
    >>> np.round(end.R, 3)
    array([[0.672, 0.672]])
    """
    start = _checked_start(L, start)
    noise = real("noise", noise, 0.0, 1e6)
    times = finite_array("times", times, ndim=1)
    if len(times) == 0 or times[0] < 0.0 or (np.diff(times) < 0.0).any():
        raise ValueError(f"times must be ascending and not negative, got {times}")
    equations = Equations(L, len(start.a), _dimensions(d))
    z = equations.pack(*start)
    if times[-1] > 0.0:
        path = solve_ivp(
            lambda _, z: equations.drift(z, noise), (0.0, times[-1]), z,
            method="DOP853", t_eval=times, rtol=1e-9, atol=1e-11,
        )  # fmt: skip
        if not path.success:
            raise ValueError(f"noise must be so small that nothing diverges, got {noise}")
        points = path.y.T
    else:
        points = [z] * len(times)
    return [equations.unpack(z) for z in points]


def noisy_fixed_point(L, student, noise, d=None):
    """The fixed point of one-pass SGD that Newton's method finds from a student.

    Parameters
    ----------
    L : PopulationLoss
        Of erf.
    student : Network or OrderParameters
        Such as a strict minimum; noise is raised from 0 in a few steps.
    noise : float
        Rate times dimensions (over batch).
    d : int, optional
        Dimensions of the mean step; unless given, the limit of many.

    Returns
    -------
    NoisyFixedPoint

    Raises
    ------
    ValueError
        If none is found, as where the branch has ended; see `noise_limit`.

    Examples
    --------
    >>> from lib.training import noisy_fixed_point
    >>> L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    >>> at = copy_average([1, 2], 4)
    >>> still, noisy = (noisy_fixed_point(L, at, noise) for noise in (0.0, 0.02))
    >>> abs(still.loss - L(at)) < 1e-14, noisy.loss > L(at)
    (True, True)
    """
    noise = real("noise", noise, 0.0, 1e6)
    branch = _branch(L, student, d)
    u = branch.first
    for part in (1,) if noise == 0.0 else np.linspace(0.0, 1.0, 9):
        u = branch.solve(u, noise * part)
        if u is None:
            raise ValueError(f"noise must be so small that a fixed point is found, got {noise}")
    equations, z = branch.equations, branch.basis @ u
    left, slowest = branch.residual(u, noise), branch.slowest(u, noise)
    return NoisyFixedPoint(equations.unpack(z), equations.loss(z), left, slowest)


def noise_limit(L, student, most=20.0, d=None):
    """The noise up to which a minimum remains a stable fixed point of one-pass SGD.

    Parameters
    ----------
    L : PopulationLoss
        Of erf.
    student : Network or OrderParameters
        A strict minimum of L.
    most : float
        The branch is not followed further.
    d : int, optional
        Dimensions of the mean step; unless given, the limit of many.

    Returns
    -------
    NoiseLimit

    Raises
    ------
    ValueError
        If no stable fixed point is found at noise 0.

    Notes
    -----
    The branch is followed by its arc length, so that it may turn back. The limit is where the
    largest real part of an eigenvalue of the linearised equations changes its sign.

    Examples
    --------
    >>> from lib.training import noise_limit
    >>> L = PopulationLoss(Network.orthonormal(2, 3), kernels.erf)
    >>> noise_limit(L, Network.orthonormal(2, 3), most=5.0).ceases
    False
    """
    most = real("most", most, 0.0, 1e6)
    branch = _branch(L, student, d)
    u = branch.solve(branch.first, 0.0)
    if u is None or not branch.slowest(u, 0.0) < 0.0:
        raise ValueError("student must be near a stable fixed point at noise 0, got none there")
    y = np.append(u, 0.0)
    direction, step = branch.tangent(y, np.append(np.zeros_like(u), 1.0)), 1e-3
    for _ in range(_BRANCH_STEPS):
        new = branch.ahead(y, direction, step)
        if new is None or not branch.residual(new[:-1], new[-1]) < 1e-9:
            step /= 2.0
            if step < 1e-10:
                raise ValueError(
                    f"student must be on a branch to follow, lost at noise {y[-1]:.3g}"
                )
            continue
        if branch.slowest(new[:-1], new[-1]) >= 0.0:
            return _crossing(branch, y, direction, step)
        if new[-1] > most:
            break
        direction, y = branch.tangent(new, direction), new
        step = min(2.0 * step, 0.2 + 0.2 * new[-1])
    return NoiseLimit(np.inf, False, branch.equations.loss(branch.basis @ y[:-1]))


def _crossing(branch, y, direction, step):
    """The limit between a stable point y and the one that is `step` ahead."""

    def point(part):
        return y if part == 0.0 else branch.ahead(y, direction, part)

    def slowest(part):
        at = point(part)
        return branch.slowest(at[:-1], at[-1])

    at = point(brentq(slowest, 0.0, step, xtol=1e-9 * step, rtol=1e-9))
    turns = abs(branch.tangent(at, direction)[-1]) < 1e-3  # there noise does not change along it
    return NoiseLimit(float(at[-1]), bool(turns), branch.equations.loss(branch.basis @ at[:-1]))


def _checked_start(L, start):
    instance("start", start, OrderParameters)
    Q, R, a = (
        finite_array(f"start.{name}", part, ndim)
        for name, part, ndim in zip("QRa", start, (2, 2, 1), strict=True)
    )
    k = instance("L", L, PopulationLoss).teacher.n
    if Q.shape != (len(a), len(a)) or R.shape != (len(a), k) or len(a) == 0:
        raise ValueError(
            f"start must have Q (n, n), R (n, {k}) and a (n,), got {Q.shape}, {R.shape}, {a.shape}"
        )
    return OrderParameters(Q, R, a)


def _branch(L, student, d):
    if not isinstance(student, OrderParameters):
        instance("L", L, PopulationLoss).weights(student)
        student = OrderParameters.of(student, L.teacher)
    student = _checked_start(L, student)
    equations = Equations(L, len(student.a), _dimensions(d))
    return Branch(equations, equations.pack(*student))


def _dimensions(d):
    return None if d is None else whole_number("d", d, least=1)
