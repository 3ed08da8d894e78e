"""Solutions of a few equations by Newton's method, and branches of them that are followed by secant steps.

Both give up rather than return a point that they cannot vouch for: what they return is settled to
rounding, and what they follow stays near to where it was expected.
"""

from typing import NamedTuple

import numpy as np


class Settling(NamedTuple):
    """When `newton` ends. near: a step of this size tells that the next one, quadratically smaller, ends
    in rounding. most: steps. far: a step of this size or more tells that the start led nowhere.
    """

    near: float
    most: int
    far: float = np.inf


class Pace(NamedTuple):
    """Lengths of the steps of `follow`: the first, what it grows by after each success, the longest and the
    shortest; after a failure it is halved.
    """

    first: float
    growth: float
    longest: float
    shortest: float


class Chart(NamedTuple):
    """Coordinates in which a branch is nearly straight: functions from theta to them and back."""

    coordinates: callable
    theta: callable


_THETA_ITSELF = Chart(lambda theta: theta, lambda theta: theta)


def newton(derivatives, theta, size, settling):
    """The zero of the gradient that Newton's method reaches from theta (m,), or None if it does not settle.

    derivatives(theta): (gradient (m,), Hessian (m, m)), or None where theta is no possible point.
    size(step, theta): how large a step is that led to theta.
    """
    last = np.inf
    for _ in range(settling.most):
        found = derivatives(theta)
        if found is None:
            return None
        gradient, hessian = found
        try:
            step = np.linalg.solve(hessian, gradient)
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
    """The point at `target` of the branch that passes through theta at `here`; None where it is lost.

    solve(there, guess): the solution near the guess at the parameter `there`, or None.
    close(found, guess): whether the coordinates of a solution are those of the same branch. A point far
    from the guess may lie on another one, and the steps become shorter.
    """
    at = chart.coordinates(theta)
    slope, step = np.zeros_like(at), pace.first
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
