"""Newton's method to the nearest critical point, as far as rounding allows.

Directions in which the loss is known not to change, `zero_modes`, are left out.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh, lsmr

from lib.arguments import OutOfRange
from lib.loss import MOST_PRODUCTS
from lib.networks import Network

UNIT_ROUNDOFF = 2.0**-53
ROUNDINGS = 20.0  # |grad L| of a critical point, in units of what rounding makes of it
_POLISHING_STEPS = 20
_ONE_DIRECTION = 1e-12  # 1 - cosine of neurons that have one direction: an angle of 1e-6
_NEAR = 0.05  # how far Newton's method may move a critical point, relative to 1 + |theta|
_SHORT = 1e-6  # a Newton step that may be rounding, likewise
_SOFT = 1e-8  # the part of the largest eigenvalue below which some steps spare a direction


class Polished(NamedTuple):
    """What `polish` found: the critical student, or the one given if there is none near; the
    Hessian's operator there; the first Newton step (N,); whether the student is critical, and
    whether it is isolated: Newton's method has settled there.
    """

    student: Network
    hessian: LinearOperator
    first_step: np.ndarray
    critical: bool
    isolated: bool


def polish(L, student):
    """Newton's method from a student whose neurons are all living -> Polished.

    It settles at a critical point if its steps become as short as rounding allows, as they do not
    in a valley that falls to infinity like exp(-x) or any power of 1/x; if the gradient is then at
    its `rounding_level`; and if the student has not moved far. Steps are compared and not
    gradients, because a single stiff direction can make up all of a gradient (Deuflhard 2004).
    Where the Hessian is singular, as between copies of a neuron, steps are rounding along its
    kernel: the student of the smallest gradient is then critical if that is at its rounding level.
    """
    start, hessian = student, L.operator(student.W, student.a)
    reach = 1.0 + np.linalg.norm(start.ravel())
    lengths, first, given, settled, best = [], None, hessian, False, (student, hessian)
    while len(lengths) < _POLISHING_STEPS and not settled:
        step = newton_step(hessian, zero_modes(L, student)[0])
        lengths.append(float(np.linalg.norm(step)))
        first = step if first is None else first
        if not lengths[-1] < 1e6 * reach:
            break
        # One longer step may be on the way; two are rounding.
        settled = lengths[-1] <= _SHORT * reach and int(np.argmin(lengths)) < len(lengths) - 2
        if not settled:
            moved = Network.unravel(student.ravel() + step, student.n, student.d)
            try:
                hessian = L.operator(moved.W, moved.a)
            except OutOfRange:
                break
            student = moved
            if np.linalg.norm(hessian.gradient) < np.linalg.norm(best[1].gradient):
                best = student, hessian
    # The last step was rounding along soft directions, and they bend.
    student, hessian = _stiff_step(L, student, hessian) if settled else best
    theta = student.ravel()
    critical = bool(
        np.linalg.norm(theta - start.ravel()) <= _NEAR * reach
        and np.linalg.norm(hessian.gradient) <= rounding_level(L, student, hessian)
    )
    found = (student, hessian) if critical else (start, given)
    return Polished(*found, first, critical, critical and settled)


def _stiff_step(L, student, hessian):
    """The student and its Hessian after a Newton step that spares the soft directions."""
    b, shift = -hessian.gradient, _SOFT * largest_eigenvalue(hessian)
    step, _ = hessian.solve(shift, b, 1e-14 * np.linalg.norm(b))
    if step is None:
        return student, hessian
    moved = Network.unravel(student.ravel() + step, student.n, student.d)
    moved_hessian = L.operator(moved.W, moved.a)
    if np.linalg.norm(moved_hessian.gradient) < np.linalg.norm(b):
        return moved, moved_hessian
    return student, hessian


def rounding_level(L, student, hessian):
    """How long grad L may be at a critical point: 20 times what rounding makes of it.

    That is the root mean square, over ten sets of random signs r, of two errors: H (2^-53 r theta),
    as from rounding the weights; and how far grad L, computed at theta + 2^-43 r theta, is from a
    linear function, as from rounding within it.
    """
    rng, theta, squares = np.random.default_rng(0), student.ravel(), 0.0
    for signs in rng.choice([-1.0, 1.0], (10, theta.size)):
        of_weights = UNIT_ROUNDOFF * (hessian @ (signs * theta))
        near = theta * (1.0 + 2.0**-43 * signs)
        there = Network.unravel(near, student.n, student.d)
        gradient = L.operator(there.W, there.a).gradient
        within = gradient - hessian.gradient - hessian @ (near - theta)
        squares += of_weights @ of_weights + within @ within
    return ROUNDINGS * float(np.sqrt(squares / 10.0))


def newton_step(hessian, null_directions):
    """The step -H^-1 grad L of an operator H of the loss.

    Where H is not positive definite it may be singular, and the step is then the one that least
    squares make with a damping of 1e-8 of the largest eigenvalue.
    null_directions (N, m), of `zero_modes`: no step is made along them.
    """
    b = -hessian.gradient
    b -= null_directions @ (null_directions.T @ b)  # rounding, of which H^-1 would make a long step
    step, _ = hessian.solve(0.0, b, 1e-14 * np.linalg.norm(b))
    if step is None:
        # In units of the largest eigenvalue: the stopping test of lsmr takes a first number of 1.
        unit = largest_eigenvalue(hessian)
        scaled = hessian * (1.0 / unit)
        step = lsmr(scaled, b / unit, _SOFT, atol=1e-13, btol=1e-13, maxiter=MOST_PRODUCTS)[0]
    return step - null_directions @ (null_directions.T @ step)


def zero_modes(L, student):
    """(null directions (N, m), orthonormal; how many are exchanges), of a homogeneous kernel.

    Along them a critical student stays critical and its loss the same: the scalings (w_i, -a_i) of
    its neurons, and the exchanges of strength between neurons of one direction. m = 0 for other
    kernels.
    """
    n, W, a = student.n, student.W, student.a
    living = np.flatnonzero(W.any(axis=1)) if L.kernel.homogeneous else np.empty(0, dtype=int)
    if not living.size:
        return np.empty((W.size + n, 0)), 0
    lengths = np.linalg.norm(W[living], axis=1)
    unit, each = W[living] / lengths[:, None], np.arange(living.size)
    first = (unit @ unit.T > 1.0 - _ONE_DIRECTION).argmax(axis=0)  # of each neuron's direction
    scalings = np.zeros((n, student.d + 1, living.size))
    scalings[living, :-1, each], scalings[living, -1, each] = W[living], -a[living]
    exchanges = np.zeros_like(scalings)
    exchanges[living, -1, each] = 1.0 / lengths
    exchanges[living[first], -1, each] -= 1.0 / lengths[first]
    modes = np.concatenate((scalings, exchanges[:, :, first != each]), axis=2)
    in_order = np.concatenate((modes[:, :-1].reshape(W.size, -1), modes[:, -1]))
    return np.linalg.qr(in_order)[0], int((first != each).sum())


def largest_eigenvalue(hessian):
    """To one percent."""
    v0 = random_start(hessian.shape[0])
    return eigsh(hessian, 1, which="LA", v0=v0, tol=1e-2, return_eigenvectors=False)[0]


def random_start(N):
    return np.random.default_rng(0).standard_normal(N)
