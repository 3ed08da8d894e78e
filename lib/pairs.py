"""Entries s, p, q of pairs of vectors: all that a Gaussian kernel sees of two neurons.

For x ~ N(0, I) the pair (w.x, v.x) is Gaussian with covariance [[p, s], [s, q]], where
s = w.v, p = |w|^2 and q = |v|^2. Its determinant, the gap p q - s^2 = |w|^2 |v|^2 sin^2(angle),
vanishes for copied and antipodal neurons. Those are the points this book is about, and there
the subtraction loses every digit, so the gap is carried beside s, p and q and computed without it.
"""

from typing import NamedTuple

import numpy as np

# A plain gap p q - s^2 is kept while its rounding error, a few 1e-16 p q, stays below a few 1e-14
# of what the kernel divides by.
_LARGEST_CANCELLATION = 100.0


class Pairs(NamedTuple):
    """Entries s, p, q and gap = p q - s^2 of pairs of vectors; arrays that broadcast together."""

    s: np.ndarray
    p: np.ndarray
    q: np.ndarray
    gap: np.ndarray

    def swapped(self):
        """The same pairs with first and second vector exchanged."""
        return Pairs(self.s, self.q, self.p, self.gap)


def from_entries(s, p, q):
    """Pairs with the given float64 entries; the gap is exact to 1e-16 of itself, never negative.

    The products p q and s^2 are each written as an unevaluated sum of two floats (Dekker 1971),
    so their difference keeps its leading digits however close to parallel the vectors are.
    """
    pq, pq_rest = _exact_product(p, q)
    ss, ss_rest = _exact_product(s, s)
    return Pairs(s, p, q, np.maximum((pq - ss) + (pq_rest - ss_rest), 0.0))


def among(W, noise):
    """All ordered pairs of rows of W (n, d): s and gap (n, n), p (n, 1), q (1, n).

    The norms are the diagonal of s itself, so that a neuron with itself has a gap of exactly 0.
    """
    s = W @ W.T
    p = s.diagonal().copy()
    return Pairs(s, p[:, None], p[None, :], _gap(s, W, p, W, p, noise))


def between(W, V, noise):
    """All pairs of a row of W (n, d) with a row of V (k, d): s and gap (n, k).

    `noise` is the variance that the kernel adds to p and q (see lib.kernels); it bounds from below
    what the kernel divides by and so decides which gaps need care.
    """
    s = W @ V.T
    p, q = squared_norms(W), squared_norms(V)
    return Pairs(s, p[:, None], q[None, :], _gap(s, W, p, V, q, noise))


def joined(first, second):
    """Pairs of the same rows with the columns of both: one call of a kernel instead of two."""
    s = np.concatenate((first.s, second.s), axis=1)
    q = np.concatenate((first.q, second.q), axis=1)
    return Pairs(s, first.p, q, np.concatenate((first.gap, second.gap), axis=1))


def squared_norms(W):
    """Squared Euclidean norm of every row."""
    return np.einsum("ij,ij->i", W, W)


def _gap(s, W, p, V, q, noise):
    gap = np.multiply.outer(p, q)
    gap -= s * s
    # p q / (p + q) <= min(p, q): with small norms no pair can need care, and the search is skipped.
    if min(p.max(), q.max()) > _LARGEST_CANCELLATION * noise:
        divisor = gap + noise * (p[:, None] + (q + noise))
        careful = np.multiply.outer(p, q) > _LARGEST_CANCELLATION * divisor
        if careful.any():
            _recompute_gap(gap, careful, s, W, p, V, q)
    return gap


def _recompute_gap(gap, careful, s, W, p, V, q):
    """Overwrite the careful entries of gap with the form that uses differences of unit vectors.

    With e = |w/|w| -+ v/|v||^2 = 2 - 2 |cosine|, sin^2(angle) = e (1 - e / 4): no cancellation.
    """
    rows, columns = np.nonzero(careful)
    unit_w, unit_v = _unit_rows(W, p), _unit_rows(V, q)
    step = max(1, 2**20 // W.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        difference = unit_w[i] - np.sign(s[i, j])[:, None] * unit_v[j]
        e = squared_norms(difference)
        gap[i, j] = p[i] * q[j] * e * (1.0 - e / 4.0)


def _unit_rows(W, p):
    return W / np.sqrt(np.where(p > 0.0, p, 1.0))[:, None]


def _exact_product(x, y):
    """The product as (rounded value, rounding error), by Veltkamp splitting."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def _split(x):
    scaled = 134217729.0 * x  # 2^27 + 1 cuts the 53-bit significand in two halves
    high = scaled - (scaled - x)
    return high, x - high
