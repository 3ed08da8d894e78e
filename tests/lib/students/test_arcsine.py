"""lib.students.arcsine against mpmath's arcsine and its derivatives."""

import decimal

import mpmath
import numpy as np
import pytest

from lib.students.arcsine import (
    AT_HALF,
    COEFFICIENTS,
    LARGEST_ARGUMENT,
    LOST,
    ORDERS,
    decimal_slopes,
    jets,
)


def test_coefficients_are_those_of_the_taylor_series():
    with mpmath.workdps(60):
        series = mpmath.taylor(mpmath.asin, 0, 61)
    assert ORDERS.tolist() == list(range(3, 62, 2))
    np.testing.assert_allclose(COEFFICIENTS, [float(series[int(q)]) for q in ORDERS], rtol=1e-13)


def test_the_sum_at_one_half_is_what_the_teachers_lose():
    exact = float(mpmath.asin(0.5) - 0.5)
    assert AT_HALF.sum() == pytest.approx(exact, rel=1e-14)
    assert LOST == pytest.approx(2 / np.pi * exact, rel=1e-14)


def test_jets():
    """Up to 1/2 to rounding; at the largest argument the terms left out are below 1e-14."""
    assert LARGEST_ARGUMENT > 0.5  # the teachers' own argument
    t = np.array([-LARGEST_ARGUMENT, -0.5, -1e-3, 0.0, 1e-8, 0.2, 0.5, LARGEST_ARGUMENT])
    with mpmath.workdps(40):
        exact = [
            [
                mpmath.asin(x) - x,
                1 / mpmath.sqrt(1 - x**2) - 1,
                x * (1 - x**2) ** -1.5,
                mpmath.asin(x) - x / mpmath.sqrt(1 - x**2),
            ]
            for x in map(mpmath.mpf, t)
        ]
    for found, expected in zip(jets(t), np.array(exact, dtype=float).T, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11)
        np.testing.assert_allclose(found[1:-1], expected[1:-1], rtol=1e-14)


def test_decimal_slopes():
    """At 26 digits up to the largest argument; fewer are kept where fewer are asked for."""
    t = np.array([decimal.Decimal(text) for text in ("-0.6", "-0.31", "1e-9", "0.5", "0.6")])
    with mpmath.workdps(60):
        x = [mpmath.mpf(str(value)) for value in t]
        slopes = [1 / mpmath.sqrt(1 - v**2) - 1 for v in x]
        rests = [mpmath.asin(v) - v / mpmath.sqrt(1 - v**2) for v in x]
        for digits, allowed in ((34, 1e-25), (20, 1e-18)):
            with decimal.localcontext(decimal.Context(prec=digits)):
                found = decimal_slopes(t)
            for values, exact in zip(found, (slopes, rests), strict=True):
                errors = [abs(mpmath.mpf(str(v)) / e - 1) for v, e in zip(values, exact, strict=True)]
                assert max(errors) < allowed
