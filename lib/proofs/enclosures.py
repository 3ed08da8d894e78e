"""Balls that contain the truth: a zero of equations by Krawczyk's test, and the signs of a
symmetric matrix.

A number is an `arb` of FLINT (Johansson 2017), a ball [middle +/- radius]; every operation returns
a ball that contains all results of its arguments' members. A comparison is True only if it holds
for all members.
"""

import functools

from flint import arb, arb_mat, ctx

PRECISION = 320  # bits: 96 digits
_SMALLEST_RADIUS = arb("1e-40")  # of the first box of Krawczyk's test
_INFLATIONS = 8


class Undecided(ArithmeticError):
    """The balls are too wide for a verdict, or the claim is false; nothing is proven either way."""


def precise(function, bits=PRECISION):
    """`function` with this many bits in every operation."""

    @functools.wraps(function)
    def wrapped(*arguments, **options):
        before = ctx.prec
        ctx.prec = bits
        try:
            return function(*arguments, **options)
        finally:
            ctx.prec = before

    return wrapped


def newton(equations, guess, steps=5):
    """A point near a zero, as exact numbers, by Newton's method from float64 accuracy; no proof."""
    x = [arb(entry) for entry in guess]
    for _ in range(steps):
        values, jacobian = equations(x)
        try:
            step = _matrix(jacobian).solve(_column(values))
        except ZeroDivisionError as error:
            raise Undecided("Newton's method met a singular Jacobian") from error
        x = [(xi - si).mid() for xi, si in zip(x, step.entries(), strict=True)]
    return x


def krawczyk(equations, center):
    """(zero, box): balls with the one zero of `equations` in a box around center; or Undecided.

    equations: maps balls to (values, Jacobian as rows). With x the centre, X the box and Y any
    matrix, here near the inverse of the Jacobian J at x, the test is that K = x - Y f(x) + (1 - Y
    J(X)) (X - x) lies inside X. Then f has exactly one zero in X, it lies in K (Krawczyk 1969; Rump
    2010, section 13), and J is regular on all of X. If the equations depend on a parameter that is
    itself a ball, this holds for each of its values, and the zero depends continuously on it. A box
    that is too small for the test is replaced by one of twice the size of K.
    """
    values, at_center = equations(center)
    try:
        Y = _matrix(at_center).mid().inv().mid()
    except ZeroDivisionError as error:
        raise Undecided("the Jacobian at the centre has no inverse") from error
    size = len(center)
    identity = arb_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])
    start = _column(center) - Y * _column(values)
    radii = [_SMALLEST_RADIUS] * size
    for _ in range(_INFLATIONS):
        offset = [arb(0, radius) for radius in radii]
        box = [x + o for x, o in zip(center, offset, strict=True)]
        rest = identity - Y * _matrix(equations(box)[1])
        moved = (start + rest * _column(offset)).entries()
        if all(x.contains_interior(m) for x, m in zip(box, moved, strict=True)):
            return moved, box
        radii = [
            2 * abs(m - x).upper() + _SMALLEST_RADIUS for m, x in zip(moved, center, strict=True)
        ]
        if not all(radius.is_finite() for radius in radii):
            break
    raise Undecided("Krawczyk's test fails")


def pivots(matrix):
    """The diagonal of D in L D L^T of a symmetric matrix of balls, given as rows.

    By Sylvester's law as many pivots are negative as eigenvalues are, whichever members the balls
    stand for. Undecided if one of them may be zero.
    """
    rows = [list(row) for row in matrix]
    found = []
    for i in range(len(rows)):
        pivot = rows[i][i]
        if not (pivot > 0 or pivot < 0):
            raise Undecided(f"pivot {i} may be zero: {pivot}")
        found.append(pivot)
        for j in range(i + 1, len(rows)):
            factor = rows[j][i] / pivot
            rows[j] = [x - factor * y for x, y in zip(rows[j], rows[i], strict=True)]
    return found


def sign(ball):
    """1 or -1; Undecided if the ball contains zero."""
    if ball > 0:
        return 1
    if ball < 0:
        return -1
    raise Undecided(f"{ball} may be zero")


def _matrix(rows):
    return arb_mat(len(rows), len(rows[0]), [entry for row in rows for entry in row])


def _column(entries):
    return arb_mat(len(entries), 1, list(entries))
