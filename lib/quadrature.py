"""E[f(X) f(Y)] and its derivatives for a function f that is known by its values alone.

(X, Y) is Gaussian with covariance [[p, s], [s, q]]. Two rules share the work:

- Mehler's series ``sum_m c_m(p) c_m(q) rho^m``, with ``c_m(p) = E f(sqrt(p) Z) he_m(Z)`` in
  normalised Hermite polynomials (Mehler 1866). A coefficient belongs to one neuron, so a pair of
  neurons costs one sum. What the sum leaves out is bounded by Cauchy and Schwarz: at most
  ``rho^M`` times the two tails, which Parseval's identity gives.
- Where that bound is too large, at nearly parallel vectors that are long or under an f with kinks,
  a rule in the plane, in the sum and the difference of X / sqrt(p) and Y / sqrt(q): the lines on
  which kinks lie cut both directions into intervals on which everything is smooth.

Derivatives in s and p are expectations of products of derivatives of f (Price 1958). The series has
them in its coefficients; the plane takes f' and f'' from Chebyshev polynomials on panels, and the
jumps of f' at the kinks.
"""

import functools

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from lib.arguments import OutOfRange

TERMS = 256  # of the series
_LEVELS = (16, 32, 64, 128, TERMS)
_REACH, _PLANE_REACH = 12.5, 9.5  # in standard deviations: beyond them float64 has nothing left
_LEFT_OUT = 1e-14  # of the product of two norms: what a series may leave out
_DEGREE = 17  # on a panel
_ENTRIES_AT_ONCE = 2**15  # of a table of terms, which then stays in the cache
_FINEST = 5  # times a rule may be made twice as fine
_DERIVATIVES = ((0,), (0, 1, 2), (0, 1, 2, 3, 4))  # that a value, a jet, a Hessian takes
_OF_JET = (((0, 0), 1.0), ((1, 1), 1.0), ((2, 0), 0.5))
_RULES = [special.roots_legendre(count) for count in (12, 24, 40)]
_WIDTHS = (1.0, 4.0)  # of intervals that the smaller rules are good for
# A value, (value, g_s, g_p) and (g_ss, g_sp, g_pp): derivatives of f at X and at Y, and a factor.
_PRODUCTS = (_OF_JET[:1], _OF_JET, (((2, 2), 1.0), ((3, 1), 0.5), ((4, 0), 0.25)))


class Series:
    """Mehler's series of E[f(X) f(Y)], and which pairs it is good enough for.

    Parameters
    ----------
    f : callable
        Of arrays, elementwise; continuous, and smooth but for the kinks.
    kinks : array (J,)
        Where f' or a higher derivative jumps, in increasing order.
    largest, tolerance : float
        The longest standard deviation, and what the error of a coefficient may be.

    Attributes
    ----------
    error : float
        Estimated, relative to ``sqrt(E[f(X)^2] E[f(Y)^2])``.
    short : float
        Derivatives at shorter vectors have a few digits less.
    """

    _kept = None, None

    def __init__(self, f, kinks, largest, tolerance):
        self._f = f
        self._kinks = kinks
        self.largest = largest
        self.kinked = bool(np.any(kinks == 0.0))
        self._parity = self._find_parity()
        self._refine(tolerance)
        self._near_zero()

    def values(self, y):
        with np.errstate(all="ignore"):
            return np.asarray(self._f(y), dtype=np.float64)

    def _refuse(self, error, tolerance):
        raise ValueError(
            f"f must be integrated to tolerance = {tolerance:g} for |w| up to largest = "
            f"{self.largest:g}, got an error estimate of {error:.1e}: a smaller largest or a "
            "larger tolerance may do"
        )

    def _refine(self, tolerance):
        """Make the rules as fine as f needs them for the longest vector, and estimate the error."""
        longest = np.array([self.largest])
        self._fineness = 0
        coarse = self._coefficients(longest)
        for _ in range(_FINEST):
            self._fineness += 1
            fine = self._coefficients(longest)
            square = fine[1][0]
            if not np.isfinite(square) or self._beyond() > 1e-15 * square:
                raise ValueError(
                    "f must be square-integrable against the Gaussian of standard deviation "
                    f"largest = {self.largest:g}, got E f^2 = {square:g} with weight beyond "
                    f"{_PLANE_REACH:g} deviations; a smaller largest may do"
                )
            scale = np.sqrt(square) if square else 1.0
            difference = np.abs(fine[0] - coarse[0]).max() / scale
            self.error = float(max(difference, abs(square - coarse[1][0]) / scale**2))
            if self.error < 1e-13:
                break
            coarse = fine
        if not self.error <= tolerance:
            self._refuse(self.error, tolerance)
        # The coarser of the last two was good enough already.
        self._fineness = max(0, self._fineness - 1)

    def _find_parity(self):
        """1 for an odd f, 0 for an even one, else None."""
        y = self.largest * np.linspace(0.013, 9.1, 97)
        there, here = self.values(-y), self.values(y)
        return 1 if np.array_equal(there, -here) else 0 if np.array_equal(there, here) else None

    def _beyond(self):
        """The part of E f^2, at the longest vector, beyond the reach of the rule in the plane."""
        z = np.linspace(_PLANE_REACH, _REACH, 200)
        squares = self.values(self.largest * z) ** 2 + self.values(-self.largest * z) ** 2
        return np.sum(squares * _density(z)) * (z[1] - z[0])

    def _near_zero(self):
        """The series in p - p_0 of the coefficients of vectors shorter than sqrt(p_0)."""
        self.short = 0.0
        if self.kinked:
            return
        short = 0.5
        if len(self._kinks):
            short = min(short, np.abs(self._kinks).min() / _REACH)
        while short > 1e-3:
            z, weights, hermite = _smooth_rule(0)
            values = self.values(short * z)
            c = hermite @ values
            used = np.flatnonzero(np.abs(c) > 1e-15 * np.sqrt(values**2 @ weights))
            if not len(used) or used[-1] < 3 * TERMS // 4:
                break
            short /= 2.0
        else:
            raise ValueError(
                "f must vary slowly enough near 0 to be a polynomial there, got one that does not "
                f"for |y| up to {_REACH * short:.1e}"
            )
        self.short = short
        last = used[-1] + 1 if len(used) else 1
        powers = np.arange((last + 1) // 2)
        self._about_short = np.zeros((len(powers), TERMS))
        for m in range(last):
            j = powers[m + 2 * powers < last]
            logs = 0.5 * (special.gammaln(m + 2 * j + 1) - special.gammaln(m + 1))
            logs -= j * np.log(2.0) + special.gammaln(j + 1)
            self._about_short[j, m] = c[m + 2 * j] * np.exp(logs)

    def series(self, s, p, q, order):
        """Tables but for g_pq, where they are not good enough, and the norms they are held to."""
        lengths, place = np.unique(
            np.sqrt(np.concatenate((np.ravel(p), np.ravel(q)))), return_inverse=True
        )
        first = place[: np.size(p)].reshape(np.shape(p))
        second = place[np.size(p) :].reshape(np.shape(q))
        scale, factors, tails, norms = self._factors(np.minimum(lengths, self.largest), order)
        x = np.clip(s / (scale[first] * scale[second]), -1.0, 1.0)
        products = _PRODUCTS[order]

        def poor_at(level, x, first, second):
            power, poor = np.abs(x) ** _LEVELS[level], False
            for (a, b), _ in products:
                left_out = tails[a][level][first] * tails[b][level][second]
                poor = poor | (power * left_out > _LEFT_OUT * (norms[a][first] * norms[b][second]))
            return poor

        # A few terms for all pairs, then more for those that need more.
        tables = self._sums(x, factors, first, second, _LEVELS[0], products)
        poor = poor_at(0, x, first, second)
        rest = np.nonzero(poor)
        if len(rest[0]):
            x_rest = x[rest]
            i, j = (np.broadcast_to(index, x.shape)[rest] for index in (first, second))
            missing = np.ones(len(x_rest), dtype=bool)
            for level in range(1, len(_LEVELS)):
                good = missing & ~poor_at(level, x_rest, i, j)
                if good.any():
                    sums = self._sums(
                        x_rest[good], factors, i[good], j[good], _LEVELS[level], products
                    )
                    for table, better in zip(tables, sums, strict=True):
                        table[tuple(axis[good] for axis in rest)] = better
                missing &= ~good
            poor[rest] = missing
        return tables, poor, norms[min(norms)][first] * norms[min(norms)][second]

    def _factors(self, lengths, order):
        """Scales; coefficients of the derivatives of f, their tails at each level, their norms."""
        scale, c, rest = self._scaled(lengths)
        factors, tails, norms = {}, {}, {}
        for k in _DERIVATIVES[order]:
            factors[k] = np.zeros_like(c)
            factors[k][: TERMS - k] = _of_derivative(k)[:, None] * c[k:] / scale**k
            missing = rest * (TERMS / np.maximum(scale, 1e-150)) ** (2 * k)
            ends = np.array([0, *_LEVELS])
            sums = np.add.reduceat(factors[k] ** 2, ends[:-1], axis=0)
            tail = missing + np.cumsum(sums[::-1], axis=0)[::-1]
            tails[k] = np.sqrt(np.concatenate((tail[1:], missing[None, :])))
            norms[k] = np.sqrt(tail[0])
        return scale, factors, tails, norms

    def _sums(self, x, factors, first, second, most, products):
        """The first `most` terms, or the half of them that an odd or even f has."""
        stride = 1 if self._parity is None else 2
        z = x if stride == 1 else x * x
        count = -(-most // stride)
        tables = [np.zeros(x.shape) for _ in products]
        rows = []
        for (a, b), _ in products:
            start = 0 if self._parity is None else (self._parity + a) % 2
            rows.append((factors[a][start:most:stride], factors[b][start:most:stride], start))
        if x.size > _ENTRIES_AT_ONCE // 8:
            for m in range(count - 1, -1, -1):
                for table, (left, right, _) in zip(tables, rows, strict=True):
                    table *= z
                    table += left[m][first] * right[m][second]
        else:
            block = min(count, max(1, _ENTRIES_AT_ONCE // max(x.size, 1)))
            powers = np.ones((block, *x.shape))
            np.cumprod(np.broadcast_to(z, (block - 1, *x.shape)), axis=0, out=powers[1:])
            next_block = powers[-1] * z
            for start in range(0, count, block):
                known = powers[: min(block, count - start)]
                for table, (left, right, _) in zip(tables, rows, strict=True):
                    terms = known * left[start : start + block][:, first]
                    terms *= right[start : start + block][:, second]
                    table += terms.sum(axis=0)
                powers *= next_block
        for table, (_, _, start), (_, factor) in zip(tables, rows, products, strict=True):
            if start:
                table *= x
            table *= factor
        return tables

    def _scaled(self, lengths):
        """`_scaled_anew`, kept for the next call: a Hessian is asked for where a jet was."""
        (key, kept), asked = self._kept, lengths.tobytes()
        if key != asked:
            kept = self._scaled_anew(lengths)
            self._kept = asked, kept
        return kept

    def _scaled_anew(self, lengths):
        """A scale for each length, c_m (scale / length)^m, and what the squares of c leave out.

        The scale is the length itself but for short vectors, for which it stays positive: so the
        derivatives, which are divided by it, exist at w = 0.
        """
        short = lengths < self.short
        scale = np.where(short, self.short, lengths)
        c, rest = np.zeros((TERMS, len(lengths))), np.zeros(len(lengths))
        if short.any():
            step = (lengths[short] / self.short) ** 2 - 1.0
            powers = step[:, None] ** np.arange(len(self._about_short))
            c[:, short] = (powers @ self._about_short).T
        zero = ~short & (lengths == 0.0)
        if zero.any():  # under a kink at 0, where only the value and the mean slope exist
            c[0, zero] = self.values(np.zeros(1))[0]
            c[1, zero] = self._slope_at_zero()
            scale[zero] = 1.0
        plain = ~short & ~zero
        if plain.any():
            c[:, plain], squares = self._coefficients(lengths[plain])
            if self._parity is not None:
                c[1 - self._parity :: 2] = 0.0
            left = squares - np.einsum("ij,ij->j", c[:, plain], c[:, plain])
            rest[plain] = np.maximum(left, 0.0) + 2e-16 * squares
        return scale, c, rest

    def _coefficients(self, r):
        """c_m (TERMS, len(r)) and E f(r Z)^2."""
        if not len(self._kinks):
            z, weights, hermite = _smooth_rule(self._level(r.max()))
            values = self.values(r[:, None] * z)
            return hermite @ values.T, values**2 @ weights
        if len(self._kinks) == 1 and self.kinked:
            z, weights, hermite = _rule_around_zero(self._fineness)
            values = self.values(r[:, None] * z)
            return hermite @ values.T, values**2 @ weights
        z, weights = _gauss(_cuts(self._kinks / r[:, None], _REACH), 4 << self._fineness)
        values = self.values(r[:, None] * z)
        weights = weights * _density(z)
        squares = np.einsum("ij,ij,ij->i", values, values, weights)
        c = np.empty((TERMS, len(r)))
        for m, polynomial in enumerate(_hermite(z)):
            c[m] = np.einsum("ij,ij,ij->i", weights, values, polynomial)
        return c, squares

    def _level(self, longest):
        """Halvings of the step 0.1 that f needs for vectors of this length."""
        finer = self._fineness + np.log2(max(longest, 1e-300) / self.largest)
        return int(np.clip(np.ceil(finer - 1e-9), 0, self._fineness))


@functools.cache
def _of_derivative(k):
    """What the coefficients c_k, c_(k+1), ... of f are multiplied by in those of its derivative."""
    return np.sqrt(special.poch(np.arange(TERMS - k) + 1.0, k))


class Expectation(Series):
    """E[f(X) f(Y)] for X and Y of standard deviations up to `largest`: see `Series`."""

    def __init__(self, f, kinks, largest, tolerance):
        self._f = f
        self._panels = Panels(self.values, kinks, _REACH * largest)
        self._jumps = self._panels.jumps(1)
        super().__init__(f, kinks, largest, tolerance)
        self._refine_plane()
        if not self.error <= tolerance:
            self._refuse(self.error, tolerance)

    def _slope_at_zero(self):
        return self._panels.mean_slope_at_zero()

    def _refine_plane(self):
        """Make the rule in the plane as fine as f needs it; it and the series must agree."""
        r = self.largest
        pairs = [(c * r * r, r * r, r * r, (1.0 - c * c) * r**4) for c in (0.8, -0.8, 0.93, 0.99)]
        both = pairs[:2]
        if r > 1.0:
            both += [(c, 1.0, 1.0, 1.0 - c * c) for c in (0.8, -0.8)]
        s, p, q, _ = np.array(both).T
        (series,), _, scale = self.series(s, p, q, 0)
        scale = np.where(scale > 0.0, scale, 1.0)
        self._plane_fineness = 0
        coarse = self._planes(pairs)
        for finer in range(1, _FINEST + 2):
            self._plane_fineness = finer
            fine = self._planes(pairs)
            difference = np.abs(fine - coarse).max() / scale[0]
            if difference < 1e-13:
                self._plane_fineness = finer - 1
                break
            coarse = fine
        apart = np.abs(series - self._planes(both)) / scale
        self.error = float(max(self.error, difference, apart.max()))

    def _planes(self, pairs):
        return np.array([self._plane(*pair, 0)[0] for pair in pairs])

    def tables(self, s, p, q, gap, order):
        """(g,), (g, g_s, g_p) or (g_ss, g_sp, g_pp, g_pq) for order 0, 1, 2: broadcast arrays."""
        longest = np.sqrt(max(np.max(p, initial=0.0), np.max(q, initial=0.0)))
        if longest > self.largest * (1.0 + 1e-9):
            raise OutOfRange(
                f"w must be of length at most {self.largest:g} for this kernel, which was "
                f"integrated up to there, got {longest:g}: from_activation(f, largest="
                f"{2.0 * longest:.2g}) makes one for longer vectors"
            )
        shape = np.broadcast_shapes(*(np.shape(part) for part in (s, p, q)))
        s, p, q, gap = map(np.atleast_1d, (s, p, q, gap))
        tables, poor, _ = self.series(s, p, q, order)
        if poor.any():
            s, p, q, gap = (part[poor] for part in np.broadcast_arrays(s, p, q, gap))
            rows, place = np.unique(
                np.stack((s, p, q, np.maximum(gap, 0.0))), axis=1, return_inverse=True
            )
            exact = np.array([self._plane(*map(float, row), order) for row in rows.T])
            for table, better in zip(tables, exact.T, strict=True):
                table[poor] = better[place.ravel()]
        if order == 2:
            tables.append(0.25 * tables[0])
        return tuple(table.reshape(shape) for table in tables)

    def _plane(self, s, p, q, gap, order):
        """The tables at one pair, but for g_pq, by the rule in the plane."""
        a, b = np.sqrt(p), np.copysign(np.sqrt(q), s)
        half = 0.5 * np.arctan2(np.sqrt(gap), abs(s))
        cosine, sine = np.cos(half), np.sin(half)
        v, outer = self._across(a, b, sine)
        u, inner = self._along(a, b, cosine, sine, v)
        weights = outer[:, None] * inner
        counts = weights > 1e-21  # others lie outside, or in intervals of no width
        weights = weights[counts]
        along = (cosine * np.broadcast_to(u, counts.shape))[counts]
        across = np.broadcast_to((sine * v)[:, None], counts.shape)[counts]
        X, Y = a * (along + across), b * (along - across)

        def mean(integrand):
            return float(weights @ integrand)

        fX, fY = self.values(X), self.values(Y)
        if order == 0:
            return (mean(fX * fY),)
        fX1, fX2 = self._panels(X, order)
        fY1, fY2 = self._panels(Y, order)
        if order == 1:
            g_s = mean(fX1 * fY1)
            return mean(fX * fY), g_s, 0.5 * (mean(fX1 * X * fY) - s * g_s) / p
        second = mean(fX2 * fY2)
        mixed, last = mean(fX2 * X * fY1), mean(fX2 * (X * X - p) * fY)
        if len(self._kinks):
            of_x, of_y = self._given(s, p, gap), self._given(s, q, gap)
            second += of_x[2] @ self._at_kinks(p) + of_y[2] @ self._at_kinks(q)
            second += self._both_at_kinks(s, p, q, gap)
            mixed += of_x[1] @ (self._at_kinks(p) * self._kinks)
            last += of_x[0] @ (self._at_kinks(p) * (self._kinks**2 - p))
        third = (mixed - s * second) / p
        fourth = (s * s * second - 2.0 * s * mixed + last) / p**2
        return second, 0.5 * third, 0.25 * fourth

    def _across(self, a, b, sine):
        if sine == 0.0:
            return np.zeros(1), np.ones(1)
        if not len(self._kinks):
            # f is slower across by the sine, the density is not.
            step = 1.0 / (sine / self._step(max(abs(a), abs(b))) + 1.5)
            v = step * np.arange(-int(_PLANE_REACH / step), int(_PLANE_REACH / step) + 1)
            return v, step * _density(v)
        # Where a kink of f(X) and one of f(Y) meet.
        meet = np.subtract.outer(self._kinks / a, self._kinks / b).ravel()
        v, weights = _gauss(_cuts(meet[None, :] / (2.0 * sine), _PLANE_REACH), 1)
        return v[0], (weights * _density(v))[0]

    def _along(self, a, b, cosine, sine, v):
        if not len(self._kinks):
            step = min(0.25, self._step(max(abs(a), abs(b))))
            u = step * np.arange(-int(_PLANE_REACH / step), int(_PLANE_REACH / step) + 1)
            return u, step * _density(u)
        shift = (sine * v)[:, None]
        lines = np.concatenate((self._kinks / a - shift, self._kinks / b + shift), axis=1)
        u, weights = _gauss(_cuts(lines / cosine, _PLANE_REACH), 1 << self._plane_fineness)
        return u, weights * _density(u)

    def _step(self, longest):
        return 0.1 * 0.5**self._plane_fineness * self.largest / max(longest, 1e-300)

    def _given(self, s, p, gap):
        """E[f, f' and f'' of Y | X = kink] without the jumps of f' in Y, (3, J)."""
        centres = s / p * self._kinks
        if gap <= 1e-16 * s * s:
            return self._at(centres)
        spread = np.sqrt(gap / p)
        cuts = (self._kinks[None, :] - centres[:, None]) / spread
        z, weights = _gauss(_cuts(cuts, _PLANE_REACH), 1 << self._plane_fineness)
        y = centres[:, None] + spread * z
        weights = weights * _density(z)
        parts = self.values(y), *self._panels(y, 2)
        return np.array([np.sum(weights * part, axis=1) for part in parts])

    def _at(self, y):
        """f, f' and f'' at y, (3, J): where y is a kink, the means of both sides."""
        apart = np.abs(y[:, None] - self._kinks)
        nearest = np.argmin(apart, axis=1)
        at_kink = apart[np.arange(len(y)), nearest] <= 1e-8 * np.abs(y)
        parts = np.array([self.values(y), *self._panels(y, 2)])
        parts[1:, at_kink] = self._panels.means(self._kinks[nearest[at_kink]])
        return parts

    def _at_kinks(self, p):
        return self._jumps * _density(self._kinks / np.sqrt(p)) / np.sqrt(p)

    def _both_at_kinks(self, s, p, q, gap):
        """E of the jumps of f' at X and at Y; nothing at parallel vectors, as relu has it."""
        if gap <= 1e-16 * p * q:
            return 0.0
        x, y = self._kinks[:, None], self._kinks[None, :]
        # (q x^2 - 2 s x y + p y^2) / gap without the cancellation, and to the last digit the same
        # when the vectors change places: the terms of a Hessian that are large here cancel.
        a, b = np.sqrt(p), np.copysign(np.sqrt(q), s)
        square = (b * x - a * y) ** 2 / gap + 2.0 * np.sign(b) * x * y / (a * abs(b) + abs(s))
        density = np.exp(-0.5 * square) / (2.0 * np.pi * np.sqrt(gap))
        return float(self._jumps @ density @ self._jumps)


class Panels:
    """f on [-reach, reach] in Chebyshev polynomials on panels that end at its kinks.

    Called, it gives derivatives. Raises ValueError that says where f is not smooth, not continuous
    or not finite.
    """

    def __init__(self, values, kinks, reach):
        # No edge at 0 nor at another round number: a kink there is not to be overlooked.
        edges = np.linspace(-reach, reach, 2 * int(np.ceil(reach)) + 2)
        edges = np.unique(np.concatenate((edges, kinks)))
        edges = edges[(edges >= -reach) & (edges <= reach)]
        nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
        to_coefficients = np.linalg.inv(chebyshev.chebvander(nodes, _DEGREE))
        low, high = edges[:-1], edges[1:]
        done = []
        near_zero = None
        while len(low):
            y = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * nodes
            f = values(y)
            if not np.isfinite(f).all():
                at = y[~np.isfinite(f)].flat[0]
                raise ValueError(
                    f"f must be finite for |y| up to {reach:g}, got f({at:.6g}) = "
                    f"{values(np.array([at]))[0]}"
                )
            if near_zero is None:
                near_zero = np.abs(f[np.abs(y) < 2.0]).max(initial=0.0) or np.abs(f).max()
            coefficients = f @ to_coefficients.T
            scale = np.maximum(np.abs(f).max(axis=1), near_zero)[:, None]
            coefficients[np.abs(coefficients) < 1e-15 * scale] = 0.0
            rough = (np.abs(coefficients[:, -3:]) > 3e-14 * scale).any(axis=1)
            done.append((low[~rough], high[~rough], coefficients[~rough]))
            middle = (0.53 * low + 0.47 * high)[rough]
            low, high = (
                np.concatenate((low[rough], middle)), np.concatenate((middle, high[rough]))
            )  # fmt: skip
            if len(low) and (high - low).min() < 1e-4:
                at = middle[np.argmin((high - low)[: len(middle)])]
                raise ValueError(
                    "f must be smooth but for the kinks that are given, got one that is not smooth "
                    f"near y = {at:.3g}: if a derivative of f jumps there, name that y, with all "
                    "others, in from_activation(f, kinks=[...])"
                )
        low, high, coefficients = (np.concatenate(parts) for parts in zip(*done, strict=True))
        order = np.argsort(low)
        self._low, self._high = low[order], high[order]
        self._kinks = kinks
        used = np.flatnonzero(coefficients.any(axis=0)).max(initial=2)
        self._tables = [coefficients[order, : used + 1].T]
        for _ in range(2):
            slopes = chebyshev.chebder(self._tables[-1]) * (2.0 / (self._high - self._low))
            self._tables.append(slopes)
        # Powers in place of Chebyshev polynomials: the coefficients fall faster than those grow.
        self._tables = [_to_powers(len(table)) @ table for table in self._tables]
        jumps, size = self.jumps(0), np.abs(values(kinks)) + near_zero
        if (np.abs(jumps) > 1e-9 * size).any():
            at = kinks[np.abs(jumps) > 1e-9 * size][0]
            raise ValueError(
                f"f must be continuous, got one that jumps at y = {at:.6g}: its loss has no "
                "gradient at copied neurons"
            )

    def __call__(self, y, most):
        """The first derivative and, if `most` is 2, the second, else None."""
        at = np.clip(np.searchsorted(self._low, y, side="right") - 1, 0, len(self._low) - 1)
        low, high = self._low[at], self._high[at]
        t = np.clip((2.0 * y - (low + high)) / (high - low), -1.0, 1.0)
        return self._sum(at, t, 1), self._sum(at, t, 2) if most == 2 else None

    def _sum(self, at, t, derivative):
        *others, last = self._tables[derivative]
        total = last[at]
        for row in reversed(others):
            total *= t
            total += row[at]
        return total

    def _sides(self, y, derivative):
        right = np.searchsorted(self._low, y, side="right") - 1
        left = np.maximum(right - 1, 0)
        ones = np.ones(len(y))
        return self._sum(left, ones, derivative), self._sum(right, -ones, derivative)

    def jumps(self, derivative):
        """Of this derivative at each kink, (J,)."""
        below, above = self._sides(self._kinks, derivative)
        return above - below

    def means(self, kinks):
        """Of f' and f'' on both sides of kinks, (2, J)."""
        return np.array([np.mean(self._sides(kinks, derivative), axis=0) for derivative in (1, 2)])

    def mean_slope_at_zero(self):
        below, above = self._sides(np.zeros(1), 1)
        return 0.5 * (below + above)[0]


def _to_powers(count):
    """The matrix that takes `count` Chebyshev coefficients to those of powers."""
    columns = [chebyshev.cheb2poly(row) for row in np.eye(count)]
    return np.array([np.pad(column, (0, count - len(column))) for column in columns]).T


def _density(z):
    return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def _hermite(z):
    """The normalised Hermite polynomials of orders 0 to TERMS - 1 at z, one after the other."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for m in range(TERMS):
        yield now
        before, now = now, (z * now - np.sqrt(m) * before) / np.sqrt(m + 1.0)


def _cuts(points, reach):
    """Sorted ends of intervals of [-reach, reach], (rows, J + 2)."""
    inside = np.sort(np.clip(points, -reach, reach), axis=-1)
    ends = np.full((len(inside), 1), reach)
    return np.concatenate((-ends, inside, ends), axis=1)


def _gauss(ends, pieces):
    """Gauss-Legendre nodes and weights in equal pieces of all intervals of a row, (rows, nodes)."""
    z, weights = [], []
    for low, high in zip(ends.T[:-1], ends.T[1:], strict=True):
        widest = (high - low).max()
        if widest == 0.0:
            continue
        nodes, factors = _RULES[np.searchsorted(_WIDTHS, widest)]
        nodes = (nodes + np.arange(1 - pieces, pieces, 2)[:, None]).ravel() / pieces
        half = 0.5 * (high - low)[:, None]
        z.append(0.5 * (high + low)[:, None] + half * nodes)
        weights.append(half * np.tile(factors / pieces, pieces))
    return np.concatenate(z, axis=1), np.concatenate(weights, axis=1)


@functools.cache
def _smooth_rule(level):
    """The trapezoidal rule of step 0.1 / 2^level: nodes, weights, weights times Hermite."""
    step = 0.1 * 0.5**level
    count = int(round(_REACH / step))
    z = step * np.arange(-count, count + 1)
    return z, *_with_hermite(z, step * _density(z))


@functools.cache
def _rule_around_zero(level):
    z, weights = _gauss(np.array([[-_REACH, 0.0, _REACH]]), 4 << level)
    return z[0], *_with_hermite(z[0], weights[0] * _density(z[0]))


def _with_hermite(z, weights):
    return weights, np.array([weights * polynomial for polynomial in _hermite(z)])
