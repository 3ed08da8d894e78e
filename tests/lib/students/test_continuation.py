"""lib.students.continuation on curves that are known in closed form."""

import math

import numpy as np
import pytest

from lib.students.continuation import Chart, Pace, Settling, follow, newton

SETTLING = Settling(near=1e-7, most=12, far=1e3)
PACE = Pace(first=0.1, growth=2.0, longest=0.5, shortest=1e-4)


def size(step, theta):
    return np.abs(step).max() / (1.0 + np.abs(theta).max())


def solve(there, guess):
    """The zero of x^2 - there^4 near the guess: two branches, x = there^2 and its negative."""

    def derivatives(x):
        return x**2 - there**4, np.diag(2.0 * x)

    return newton(derivatives, guess, size, SETTLING)


def close(found, guess):
    return np.abs(found - guess).max() < 0.1 * (1.0 + np.abs(guess).max())


def test_newton_settles_to_rounding_or_not_at_all():
    assert solve(3.0, np.array([8.0])) == pytest.approx(9.0, rel=1e-15)
    assert solve(3.0, np.array([0.0])) is None  # a singular matrix
    assert solve(3.0, np.array([1e-4])) is None  # too far away for twelve steps
    assert newton(lambda x: (x**2 + 1.0, np.diag(2.0 * x)), np.array([0.7]), size, SETTLING) is None
    assert newton(lambda x: None, np.array([1.0]), size, SETTLING) is None
    # Back to 1 in one step: from 1e5 that is `far`, from 100 it is not.
    assert newton(lambda x: (x - 1.0, np.eye(1)), np.array([1e5]), size, SETTLING) is None
    assert newton(lambda x: (x - 1.0, np.eye(1)), np.array([1e2]), size, SETTLING) == 1.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_branch_is_followed_to_its_end(sign):
    found = follow(solve, np.array([sign]), 1.0, 20.0, PACE, close)
    assert found == pytest.approx(sign * 400.0, rel=1e-15)


def test_a_chart_is_where_the_branch_is_straight():
    """x = t^2 in log x over log t is a line: the first secant is exact, and all steps succeed."""
    guesses = []

    def solve_at(log_t, guess):
        guesses.append(guess)
        return solve(math.exp(log_t), guess)

    chart = Chart(np.log, np.exp)
    found = follow(solve_at, np.array([1.0]), 0.0, 6.0, PACE, close, chart)
    assert found == pytest.approx(math.exp(12.0), rel=1e-14)
    assert guesses[-1] == pytest.approx(math.exp(12.0), rel=1e-9)


def test_a_branch_that_ends_is_lost():
    """x^2 = 1 - t has no real solution beyond t = 1."""

    def fold(there, guess):
        return newton(lambda x: (x**2 - 1.0 + there, np.diag(2.0 * x)), guess, size, SETTLING)

    assert follow(fold, np.array([1.0]), 0.0, 0.9, PACE, close) == pytest.approx(math.sqrt(0.1))
    assert follow(fold, np.array([1.0]), 0.0, 1.1, PACE, close) is None


def test_a_jump_to_another_branch_is_refused():
    """Beyond t = 1.5 the solver finds the other branch: no step is short enough to reach that."""

    def jumps(there, guess):
        return solve(there, guess if there < 1.5 else -guess)

    assert follow(jumps, np.array([1.0]), 1.0, 1.4, PACE, close) == pytest.approx(1.96)
    assert follow(jumps, np.array([1.0]), 1.0, 2.0, PACE, close) is None
