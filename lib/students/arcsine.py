"""The arcsine as a sum over odd orders: what the erf loss is made of.

In y = w / sqrt(1 + |w|^2) the loss of erf students is a sum over odd orders q of
c_q |sum_i a_i y_i^q - sum_j p_j^q|^2 (tensor powers, p_j = e_j / sqrt 2), with
arcsin t = sum_q c_q t^q. The order q = 1 is the linear part and is kept apart throughout: it is
stiff and (nearly) zero where the rest, h(t) = arcsin t - t, is soft and is not.
"""

import decimal
import functools

import numpy as np

# h(t) = sum c_q t^q, q = 3, 5, ..., 61, for |t| up to LARGEST_ARGUMENT. No |t| above 1/2 ever
# matters (the teachers' own is 1/2), and there less than 4^-30 of the leading term is left out.
ORDERS = np.arange(3.0, 62.0, 2.0)
COEFFICIENTS = np.cumprod((ORDERS - 2) ** 2 / (ORDERS * (ORDERS - 1)))
LARGEST_ARGUMENT = 0.6
AT_HALF = COEFFICIENTS * 0.5**ORDERS  # the teachers' own terms, c_q |p_j|^2q
LOST = float(2 / np.pi * AT_HALF.sum())  # loss of a teacher represented by its linear part alone

_JET_COEFFICIENTS = COEFFICIENTS[:, None] * np.stack(
    (np.ones_like(ORDERS), ORDERS, ORDERS * (ORDERS - 1), 1 - ORDERS), axis=1
)


def jets(t):
    """h, h', h'' and h - t h' of h(t) = arcsin t - t at t (m,), |t| <= 0.6; each (m,)."""
    h, slope, curvature, rest = ((t[:, None] ** (ORDERS - 3)) @ _JET_COEFFICIENTS).T
    return h * t**3, slope * t**2, curvature * t, rest * t**3


def decimal_slopes(t):
    """h' and h - t h' at Decimals t (m,), |t| <= 0.6, in the context's digits, up to 26."""
    square, sums = t * t, np.zeros((2, len(t)), dtype=object)
    for pair in _decimal_coefficients():
        sums = sums * square + pair
    slope, rest = sums * square
    return slope, rest * t


@functools.cache
def _decimal_coefficients():
    """q c_q and (1 - q) c_q, a column (2, 1) for each order q, falling from 121.

    0.6^120 < 1e-26 of the leading term is left out.
    """
    with decimal.localcontext(decimal.Context(prec=40)):
        q, c = 3, decimal.Decimal(1) / 6
        pairs = [(q * c, (1 - q) * c)]
        while q < 121:
            q += 2
            c *= decimal.Decimal((q - 2) ** 2) / (q * (q - 1))
            pairs.append((q * c, (1 - q) * c))
    return [np.array(pair)[:, None] for pair in reversed(pairs)]
