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


def test_newton_needs_a_small_step_and_one_more():
    """By hand: a line takes a long step, one of size 0, and one after that."""
    asked = []

    def line(x):
        asked.append(x)
        return 2.0 * (x - 5.0), 2.0 * np.eye(2)

    start, least = np.array([4.0, 5.5]), Settling(near=1e-7, most=3)
    np.testing.assert_array_equal(newton(line, start, size, least), [5.0, 5.0])
    assert len(asked) == 3 and newton(line, start, size, least._replace(most=2)) is None
    assert len(asked) == 5
    # A step of size 0.1 and then 0: the first is small enough where `near` is 0.2, and the second is the last.
    np.testing.assert_array_equal(newton(line, np.array([5.5, 5.6]), size, least._replace(near=0.2)), [5.0, 5.0])
    assert len(asked) == 7
    np.testing.assert_array_equal(start, [4.0, 5.5])


def test_newton_ends_where_numbers_do():
    assert newton(lambda x: (x * np.nan, np.eye(1)), np.array([1.0]), size, SETTLING) is None
    # A step counts by where it leads: 18 from -17 to 1 has the size 9.
    line, start = (lambda x: (x - 1.0, np.eye(1))), np.array([-17.0])
    assert newton(line, start, size, SETTLING._replace(far=9.1)) == 1.0
    assert newton(line, start, size, SETTLING._replace(far=9.0)) is None


def places(pace, end, possible=lambda there: True):
    """Where `follow` asks for a solution of x = 3 there + 1, from 0 on; and what it finds."""
    asked = []

    def line(there, guess):
        asked.append((there, float(guess[0])))
        return np.array([3.0 * there + 1.0]) if possible(there) else None

    found = follow(line, np.array([1.0]), 0.0, end, pace, lambda found, guess: True)
    return asked, found


def test_the_pace():
    """By hand: steps of 1, 2, 4, 4, what is left of 13, and guesses on the secant from the second on."""
    asked, found = places(Pace(first=1.0, growth=2.0, longest=4.0, shortest=0.1), 13.0)
    assert asked == [(1.0, 1.0), (3.0, 10.0), (7.0, 22.0), (11.0, 34.0), (13.0, 40.0)] and found == [40.0]


def test_the_pace_after_failures():
    """By hand: the step of 2 from 1 fails twice, then 0.5 leads to 1.5, and it grows again."""
    tries = Pace(first=1.0, growth=2.0, longest=4.0, shortest=0.5)
    asked, found = places(tries, 4.0, lambda there: there in (1.0, 1.5, 2.5, 4.0))
    assert [there for there, _ in asked] == [1.0, 3.0, 2.0, 1.5, 2.5, 4.0] and found == [13.0]
    # Three steps of 1, 0.5 and 0.25 fail, the last as long as the shortest; with it longer two fail.
    for shortest, count in ((0.25, 3), (0.26, 2)):
        asked, found = places(tries._replace(shortest=shortest), 4.0, lambda there: False)
        assert found is None and [there for there, _ in asked] == [1.0, 0.5, 0.25][:count]


def test_nothing_is_asked_where_the_branch_begins_at_its_target():
    asked, found = places(PACE, 0.0)
    assert not asked and found == [1.0]


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
