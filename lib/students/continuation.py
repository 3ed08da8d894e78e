"""Critical points by Newton's method, and branches of them that are followed by secant steps.

Both give up rather than return a point that they cannot vouch for: what `newton` returns is settled
to rounding, and what `follow` returns was at every step near to where it was expected.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Settling(NamedTuple):
    """When `newton` ends.

    near: the root of the rounding errors; after a step of this size the next one, quadratically
    smaller, ends in them. most: steps; from a guess that takes more, a nearer one is worth trying.
    far: a step of this size, or one that is not finite, tells that the start led nowhere.
    """

    near: float
    most: int
    far: float = np.inf


class Pace(NamedTuple):
    """Steps of `follow`: first, growth after a success, longest, shortest; failures halve them.

    They decide how many points are solved for on the way, not what the last one is.
    """

    first: float
    growth: float
    longest: float
    shortest: float


class Chart(NamedTuple):
    """Coordinates in which a branch is nearly straight: functions from theta to them, and back."""

    coordinates: Callable
    theta: Callable


_THETA_ITSELF = Chart(lambda theta: theta, lambda theta: theta)


def newton(derivatives, theta, size, settling, solve=np.linalg.solve):
    """The zero of the gradient that Newton's method reaches from theta (m,), or None.

    derivatives(theta): (gradient (m,), Hessian (m, m)), or None where theta is no possible point.
    size(step, theta): how large a step is that led to theta. solve(Hessian, gradient): the step.
    """
    last = np.inf
    for _ in range(settling.most):
        found = derivatives(theta)
        if found is None:
            return None
        gradient, hessian = found
        try:
            step = solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        theta = theta - step
        if last < settling.near:
            return theta
        last = size(step, theta)
        if not last < settling.far:
            return None
    return None


def follow(solve, theta, here, target, pace, close, chart=_THETA_ITSELF):
    """The point at `target` of the branch that passes through theta at `here`; None if it is lost.

    solve(there, guess): the solution near the guess at the parameter `there`, or None.
    close(found, guess): whether a solution, by its coordinates, is on the same branch. One far from
    the guess may be on another, and the steps become shorter.
    """
    at = chart.coordinates(theta)
    slope = np.zeros_like(at)
    step = pace.first
    while here < target:
        there = min(here + step, target)
        guess = at + slope * (there - here)
        solution = solve(there, chart.theta(guess))
        found = None if solution is None else chart.coordinates(solution)
        if found is not None and close(found, guess):
            slope = (found - at) / (there - here)
            theta, here, at, step = solution, there, found, min(pace.growth * step, pace.longest)
        else:
            step /= 2
            if step < pace.shortest:
                return None
    return theta
