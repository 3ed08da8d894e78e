"""Gaussian kernels g(s, p, q) = E[sigma(w.x) sigma(v.x)], x ~ N(0, I).

The arguments are ``s = w.v``, ``p = |w|^2`` and ``q = |v|^2``. One identity yields five of the six
kernels of the book: an activation that is a homogeneous one smoothed by noise,
``sigma(y) = E sigma_0(y + sqrt(t) z)``, has the kernel ``E g_0(s, p + t, q + t')``, because the
noise only adds to the two variances.

- erf: sign smoothed by N(0, 1)
- tanh: sign smoothed by logistic noise; sigmoid: the same, halved and shifted
- relu: not smoothed
- softplus: relu smoothed by logistic noise
- gelu: x Phi(x), a closed form of its own

Logistic noise is N(0, t) with a random variance t (Andrews & Mallows 1974, Stefanski 1991), which
turns the average over t and t' into a rapidly converging sum: see ``_logistic_noise``. Tables of
many pairs of neurons take a series in the correlation instead, to the same digits, wherever a bound
says that its terms suffice: see ``lib.quadrature``.

Beside the six, leaky relu, sine and square show how short a closed form may be, and
``Kernel.from_activation`` makes the kernel of any other activation by quadrature.

Every kernel is symmetric, so a derivative in q is the one in p with the vectors exchanged:
``jet_at`` and ``hessian_at`` give derivatives in s and p only.
"""

import functools
import sys
import weakref

import numpy as np
from scipy import special

from lib.arguments import LARGEST_WEIGHT, finite_array, function, instance, real
from lib.pairs import Pairs, from_entries
from lib.quadrature import Expectation, Series

_PAIRS_OF_NODES_AT_ONCE = 2**17  # keeps the temporaries of a quadrature in the cache
_FEWEST_BY_SERIES = 200  # pairs, for which its preparations pay


class Kernel:
    """The kernel ``g(s, p, q) = E[sigma(w.x) sigma(v.x)]``, x ~ N(0, I), of an activation sigma.

    ``kernels.erf`` and the others are its instances. Called, it gives g at ``s = w.v``,
    ``p = |w|^2``, ``q = |v|^2``. A kernel of your own comes from `Kernel.from_activation`, which
    takes sigma alone, or from a closed form, as a subclass that defines ``value_at``, ``jet_at``
    and ``hessian_at``; only such a subclass is made by calling it.

    Parameters
    ----------
    name : str
        The activation's name.
    activation : callable
        sigma on arrays, elementwise; kept as ``sigma``, which does not check its argument.
    noise : float
        A variance that the kernel adds to p and q at least. Zero says that the activation is
        homogeneous; a closed form that divides by nothing small may say 1.
    kinks : sequence of floats, optional
        Where sigma is not smooth. Unless given, 0 for a homogeneous activation, else nowhere.

    Notes
    -----
    What the rest of the library asks of a kernel is ``noise``, ``homogeneous``, ``kinks``,
    ``sigma``, and what ``value_at``, ``jet_at`` and ``hessian_at`` return at many pairs of vectors
    at once.

    A kernel is told by what it is, not by its name: ``kernel is kernels.erf``. So a copy of one is
    that one, and one that its module holds under its name, as this module does the six, is itself
    again after a pickle and in another process. Others are pickled as any object is.

    Examples
    --------
    A closed form of one's own, for ``cos``: ``E cos X cos Y = exp(-(p + q) / 2) cosh s``, for
    vectors of moderate length:

    >>> class Cosine(kernels.Kernel):
    ...     def value_at(self, pairs):
    ...         return np.exp(-(pairs.p + pairs.q) / 2) * np.cosh(pairs.s)
    ...
    ...     def jet_at(self, pairs):
    ...         g = self.value_at(pairs)
    ...         return g, g * np.tanh(pairs.s), -g / 2
    ...
    ...     def hessian_at(self, pairs):
    ...         g, g_s, _ = self.jet_at(pairs)
    ...         return g, -g_s / 2, g / 4, g / 4
    >>> cosine = Cosine("cosine", np.cos, noise=1.0)
    >>> checks.kernel_matches("cosine", cosine, np.cos)
    ok  cosine: agrees with quadrature at 3 points

    And two of this module:

    >>> f"{kernels.erf(0.5, 1.0, 1.0):.6f}"  # (2 / pi) arcsin(1 / 4)
    '0.160861'
    >>> kernels.relu([0.0, 1.0], 1.0, 1.0).round(6)  # 1 / (2 pi), and half of E[z^2] = 1
    array([0.159155, 0.5     ])
    """

    def __init__(self, name, activation, noise, kinks=None):
        if type(self) is Kernel:
            raise ValueError(
                "Kernel must be subclassed, with value_at, jet_at and hessian_at in closed form: "
                "kernels.Kernel.from_activation(f) makes a kernel of an activation alone"
            )
        self.name = instance("name", name, str)
        self.sigma = activation
        self.noise = noise
        self.kinks = ((0.0,) if noise == 0.0 else ()) if kinks is None else tuple(kinks)

    def __repr__(self):
        return f"kernels.{self.name}"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        if getattr(sys.modules.get(type(self).__module__), self.name, None) is self:
            return self.name
        return super().__reduce_ex__(protocol)

    @property
    def homogeneous(self):
        """Whether ``sigma(c y) = c sigma(y)`` for c > 0; then g is not smooth at zero vectors."""
        return self.noise == 0.0

    @staticmethod
    def from_activation(f, kinks=(), largest=10.0, tolerance=1e-10, name=None):
        """The kernel of an activation of one's own, by quadrature.

        Parameters
        ----------
        f : callable
            sigma on arrays, elementwise. Continuous; smooth but for the kinks; of polynomial
            growth, or at least square-integrable against a Gaussian of deviation `largest`. It is
            called with numbers up to 12.5 times `largest`.
        kinks : sequence of floats
            Where f' or a higher derivative jumps, such as 0 for relu, or -1 and 1 for a hard tanh.
        largest : float
            The longest ``|w|`` and ``|v|``. The kernel refuses longer ones.
        tolerance : float
            What the error estimate may be, relative to ``sqrt(E[sigma(w.x)^2] E[sigma(v.x)^2])``.
        name : str, optional
            Unless given, that of f.

        Returns
        -------
        Kernel
            With the error estimate as ``error``: the difference between the rule and one twice as
            fine, or between two rules that have little in common, whichever is larger.

        Raises
        ------
        ValueError
            Where f does not act elementwise, is not finite, jumps, is not smooth where no kink is
            given (the message says near which y), is not square-integrable, or cannot be
            integrated to the tolerance.

        Notes
        -----
        Mehler's series in the correlation, with a bound for what it leaves out, and a
        rule in the plane where two vectors are too nearly parallel for it. At 1e-10 of tolerance
        kernels agree with closed forms to 1e-12 or so, their second derivatives to 1e-10. The
        series costs about as much as 256 multiplications for a pair of neurons, the rule in the
        plane one to three milliseconds: keep kinks few.

        The same arguments give the same kernel again, as long as it is in use, also after a copy
        and a pickle. It can be pickled, for parallel sweeps, if f can: a function that a module
        defines. A lambda or a function defined in a notebook is refused by pickle; cloudpickle,
        which Dask and joblib use, takes both, and makes a new kernel of them in each process.

        Examples
        --------
        >>> swish = kernels.Kernel.from_activation(lambda x: x / (1 + np.exp(-x)), name="swish")
        >>> f"{swish(0.5, 1.0, 1.0):.6f}", swish.error < 1e-12
        ('0.183170', True)
        >>> def hard_tanh(x):
        ...     return np.clip(x, -1.0, 1.0)
        >>> kernel = kernels.Kernel.from_activation(hard_tanh, kinks=[-1.0, 1.0])
        >>> f"{kernel(1.0, 1.0, 1.0):.6f}"
        '0.516059'
        """
        kinks = np.unique(finite_array("kinks", kinks, ndim=1))
        largest = real("largest", largest, 1e-3, 1e3)
        tolerance = real("tolerance", tolerance, 1e-12, 1.0)
        _refuse_unless_elementwise(f)
        if name is None:
            name = getattr(f, "__name__", type(f).__name__).strip("<>")
        arguments = f, tuple(kinks.tolist()), largest, tolerance, name
        try:
            kernel = _MADE.get(arguments)
        except TypeError:  # an f that cannot be hashed
            return _OfActivation(*arguments)
        if kernel is None:
            kernel = _MADE[arguments] = _OfActivation(*arguments)
        return kernel

    def activation(self, x):
        """sigma(x), elementwise.

        Parameters
        ----------
        x : array
            Finite numbers.

        Returns
        -------
        array of the shape of x

        Examples
        --------
        >>> kernels.relu.activation([-1.0, 2.0])
        array([0., 2.])
        """
        return self.sigma(finite_array("x", x))

    def __call__(self, s, p, q):
        """The kernel at the given inner products, exact for the numbers given.

        Vectors closer to parallel than 1e-8 cannot be told apart by their s, p and q in float64;
        `PopulationLoss` takes the vectors and tells them apart.

        Parameters
        ----------
        s, p, q : arrays
            ``w.v``, ``|w|^2``, ``|v|^2``, of shapes that broadcast.

        Returns
        -------
        float or array of the broadcast shape

        Raises
        ------
        ValueError
            For entries that are not finite, not those of two vectors, or of vectors longer than
            1e30.

        Examples
        --------
        >>> kernels.relu(0.0, [1.0, 4.0], 1.0).round(6)  # |w| |v| / (2 pi) for orthogonal vectors
        array([0.159155, 0.31831 ])
        """
        return self.value_at(_checked(s, p, q))[()]

    def gradient(self, s, p, q):
        """The first derivatives of the kernel.

        Parameters
        ----------
        s, p, q : arrays
            As for a call.

        Returns
        -------
        g_s, g_p, g_q : floats or arrays of the broadcast shape

        Raises
        ------
        ValueError
            As a call does, and where relu's kernel has none: at vectors that are zero, or shorter
            than 1e-30.

        Examples
        --------
        >>> g_s, g_p, g_q = kernels.erf.gradient(0.0, 1.0, 1.0)
        >>> f"{g_s:.6f}", bool(g_p == g_q == 0.0)  # (2 / pi) / sqrt((1 + p) (1 + q)) where s = 0
        ('0.318310', True)
        """
        pairs = self._differentiable(_checked(s, p, q))
        _, g_s, g_p = self.jet_at(pairs)
        _, _, g_q = self.jet_at(pairs.swapped())
        return g_s[()], g_p[()], g_q[()]

    def hessian(self, s, p, q):
        """The second derivatives of the kernel.

        Parameters
        ----------
        s, p, q : arrays
            As for a call.

        Returns
        -------
        g_ss, g_sp, g_sq, g_pp, g_pq, g_qq : floats or arrays of the broadcast shape

        Raises
        ------
        ValueError
            As `kernels.Kernel.gradient` does, and where relu's kernel has none: at parallel
            vectors.

        Examples
        --------
        >>> g_ss, g_sp, *_ = kernels.erf.hessian(0.0, 1.0, 1.0)
        >>> bool(g_ss == 0.0), f"{g_sp:.6f}"  # -1 / (4 pi)
        (True, '-0.079577')
        """
        pairs = self._twice_differentiable(self._differentiable(_checked(s, p, q)))
        g_ss, g_sp, g_pp, g_pq = self.hessian_at(pairs)
        _, g_sq, g_qq, _ = self.hessian_at(pairs.swapped())
        return g_ss[()], g_sp[()], g_sq[()], g_pp[()], g_pq[()], g_qq[()]

    def _differentiable(self, pairs):
        smallest = min(np.min(pairs.p, initial=np.inf), np.min(pairs.q, initial=np.inf))
        if 0.0 in self.kinks and smallest < LARGEST_WEIGHT**-2:
            raise ValueError(
                f"p and q must be positive, at least 1e-60: {self.name}'s kernel has no derivative "
                f"at a zero vector, got {smallest}"
            )
        return pairs

    def _twice_differentiable(self, pairs):
        if self.kinks and np.min(pairs.gap, initial=np.inf) == 0.0:
            raise ValueError(
                f"s^2 must be below p q: {self.name}'s kernel has no second derivative in "
                "(s, p, q) at parallel vectors, got a gap p q - s^2 of 0.0 (the loss has one: "
                "PopulationLoss.hessian)"
            )
        return pairs

    def _missing(self, method):
        return NotImplementedError(
            f"{type(self).__name__} must define {method}: see help(kernels.Kernel.{method})"
        )

    def value_at(self, pairs):
        """g at the pairs of vectors, unchecked.

        Parameters
        ----------
        pairs : lib.pairs.Pairs
            Arrays s, p, q and gap = p q - s^2 that broadcast together.

        Returns
        -------
        array of the broadcast shape
        """
        raise self._missing("value_at")

    def jet_at(self, pairs):
        """g with its first derivatives.

        Parameters
        ----------
        pairs : lib.pairs.Pairs

        Returns
        -------
        g, g_s, g_p : arrays of the broadcast shape
        """
        raise self._missing("jet_at")

    def hessian_at(self, pairs):
        """The second derivatives; where they diverge, what a loss may take in their place.

        Parameters
        ----------
        pairs : lib.pairs.Pairs

        Returns
        -------
        g_ss, g_sp, g_pp, g_pq : arrays of the broadcast shape
        """
        raise self._missing("hessian_at")


class _Smoothed(Kernel):
    """A homogeneous kernel averaged over noise: the variances (m,), with weights (m,)."""

    def __init__(self, name, activation, variances=(0.0,), weights=(1.0,)):
        super().__init__(name, activation, min(variances))
        self.variances = np.array(variances)
        self.weights = np.array(weights)

    def _average(self, homogeneous, pairs):
        """Average homogeneous(s, p + t, q + t', determinant) over the noise variances t and t'."""
        s, p, q, gap = pairs
        if len(self.variances) == 1:
            t = self.variances[0]
            if t == 0.0:
                return homogeneous(s, p, q, gap)
            determinant = t * p + (t * q + t * t)
            determinant += gap
            return homogeneous(s, p + t, q + t, determinant)
        return self._average_over_nodes(homogeneous, pairs)

    def _average_over_nodes(self, homogeneous, pairs):
        entries = np.broadcast_arrays(*pairs)
        shape = entries[0].shape
        s, p, q, gap = (entry.reshape(-1, 1, 1) for entry in entries)
        first, second = self.variances[:, None], self.variances[None, :]
        step = max(1, _PAIRS_OF_NODES_AT_ONCE // len(self.variances) ** 2)
        parts = []
        for start in range(0, max(len(s), 1), step):
            at = slice(start, start + step)
            determinant = gap[at] + (p[at] * second + q[at] * first + first * second)
            values = homogeneous(s[at], p[at] + first, q[at] + second, determinant)
            parts.append([(value @ self.weights) @ self.weights for value in values])
        return tuple(np.concatenate(part).reshape(shape) for part in zip(*parts, strict=True))


class _SmoothedSign(_Smoothed):
    """sigma(y) = offset + scale E sign(y + sqrt(t) z), t drawn from the variances."""

    def __init__(self, name, activation, variances, weights=(1.0,), scale=1.0, offset=0.0):
        super().__init__(name, activation, variances, weights)
        self._scale = scale * scale
        self._offset = offset * offset

    def value_at(self, pairs):
        (g,) = self._average(_sign_value, pairs)
        return self._rescale(g) + self._offset if self._offset else self._rescale(g)

    def jet_at(self, pairs):
        g, g_s, g_p = (self._rescale(part) for part in self._average(_sign_jet, pairs))
        return g + self._offset if self._offset else g, g_s, g_p

    def hessian_at(self, pairs):
        return tuple(self._rescale(part) for part in self._average(_sign_hessian, pairs))

    def _rescale(self, values):
        return values if self._scale == 1.0 else self._scale * values


class _SmoothedReLU(_Smoothed):
    """sigma(y) = E max(0, y + sqrt(t) z), t drawn from the variances."""

    def value_at(self, pairs):
        return self._average(_relu_value, pairs)[0]

    def jet_at(self, pairs):
        return self._average(_relu_jet, pairs)

    def hessian_at(self, pairs):
        return self._average(_relu_hessian, pairs)


class _BySeries:
    """Before a kernel of noise: in large tables, pairs that a series is as good for take that."""

    @functools.cached_property
    def _series(self):
        return Series(self.sigma, np.empty(0), 10.0, 1e-12)

    def value_at(self, pairs):
        return self._tables(pairs, 0, lambda some: (super(_BySeries, self).value_at(some),))[0]

    def jet_at(self, pairs):
        return self._tables(pairs, 1, super().jet_at)

    def hessian_at(self, pairs):
        return self._tables(pairs, 2, super().hessian_at)

    def _tables(self, pairs, order, by_noise):
        s, p, q, _ = pairs
        if np.broadcast(s, p, q).size < _FEWEST_BY_SERIES:
            return by_noise(pairs)
        tables, poor, _ = self._series.series(s, p, q, order)
        if order == 2:
            tables.append(0.25 * tables[0])
        poor |= (np.minimum(p, q) < self._series.short**2) | (
            np.maximum(p, q) > self._series.largest**2
        )
        if poor.any():
            some = Pairs(*(part[poor] for part in np.broadcast_arrays(*pairs)))
            for table, better in zip(tables, by_noise(some), strict=True):
                table[poor] = better
        return tuple(tables)


class _LogisticSign(_BySeries, _SmoothedSign):
    """tanh and sigmoid."""


class _LogisticReLU(_BySeries, _SmoothedReLU):
    """softplus."""


class _GELU(Kernel):
    """x Phi(x): with P = 1 + p, Q = 1 + q and D = P Q - s^2,

    2 pi g = s psi + (1 - 1/P - 1/Q) sqrt(D) + 1 / sqrt(D),   psi = pi/2 + arcsin(s / sqrt(P Q)),

    from two integrations by parts of E[X Y Phi(X) Phi(Y)].
    """

    def value_at(self, pairs):
        s, P, Q, D, root = self._shifted(pairs)
        inverse = 1.0 / P + 1.0 / Q
        plain = s * _opening(s, root) + (pairs.gap + s * s * inverse) / root
        # Nearly antipodal long vectors: s psi cancels sqrt(D), so both are taken out by hand.
        antipodal = -s * arctan_remainder(_antipodal_tangent(s, root)) + (1.0 - D * inverse) / root
        return np.where(s < -root, antipodal, plain) / (2 * np.pi)

    def jet_at(self, pairs):
        s, P, Q, D, root = self._shifted(pairs)
        g_s = _opening(s, root) + s * ((1 / P + 1 / Q) + 1 / D) / root
        g_p = root * (0.5 / P + 1 / P**2) - 0.5 * (Q / P + 1 + Q / D) / root
        return self.value_at(pairs), g_s / (2 * np.pi), g_p / (2 * np.pi)

    def hessian_at(self, pairs):
        s, P, Q, D, root = self._shifted(pairs)
        cubed, fifth = 1 / (D * root), 1 / (D * D * root)
        g_ss = 1 / root + (P + Q + 1) * cubed + 3 * s * s * fifth
        g_sp = -s * ((0.5 / P + 1 / P**2) / root + 0.5 * (Q / P + 1) * cubed + 1.5 * Q * fifth)
        g_pp = (
            Q * (0.25 / P + 1 / P**2) / root
            - root * (0.5 / P**2 + 2 / P**3)
            + 0.25 * Q * (Q / P + 1) * cubed
            + 0.75 * Q * Q * fifth
        )
        g_pq = 0.25 / root + (0.25 * (P + Q) - 0.5) * cubed + 0.75 * P * Q * fifth
        return tuple(part / (2 * np.pi) for part in (g_ss, g_sp, g_pp, g_pq))

    @staticmethod
    def _shifted(pairs):
        s, p, q, gap = pairs
        D = gap + (p + (q + 1.0))
        return s, p + 1.0, q + 1.0, D, np.sqrt(D)


class _LeakyReLU(_SmoothedReLU):
    """y for y > 0, slope y else: slope y + (1 - slope) relu(y), and E[X relu(Y)] = s / 2."""

    def __init__(self, slope):
        super().__init__(f"leaky_relu({slope:g})", self._leaky)
        self.slope = slope
        self._share = (1.0 - slope) ** 2

    def _leaky(self, x):
        return np.where(np.asarray(x) > 0.0, x, self.slope * np.asarray(x))

    def __reduce__(self):
        return leaky_relu, (self.slope,)

    def value_at(self, pairs):
        return self.slope * pairs.s + self._share * super().value_at(pairs)

    def jet_at(self, pairs):
        g, g_s, g_p = (self._share * part for part in super().jet_at(pairs))
        return self.slope * pairs.s + g, self.slope + g_s, g_p

    def hessian_at(self, pairs):
        return tuple(self._share * part for part in super().hessian_at(pairs))


class _Sine(Kernel):
    """sin: g = exp(-(p + q) / 2) sinh s, from cos(X - Y) - cos(X + Y) and E cos Z = exp(-var / 2).

    (p + q) / 2 - |s| is the half of |w -+ v|^2, which does not cancel in the form used here.
    """

    def value_at(self, pairs):
        return self._odd_and_even(pairs)[0]

    def jet_at(self, pairs):
        g, g_s = self._odd_and_even(pairs)
        return g, g_s, -0.5 * g

    def hessian_at(self, pairs):
        g, g_s = self._odd_and_even(pairs)
        return g, -0.5 * g_s, 0.25 * g, 0.25 * g

    @staticmethod
    def _odd_and_even(pairs):
        s, p, q, gap = pairs
        size, lengths = np.abs(s), np.sqrt(p) + np.sqrt(q)
        difference = (p - q) / np.where(lengths > 0.0, lengths, 1.0)
        both = np.sqrt(p) * np.sqrt(q) + size
        near = np.exp(-0.5 * difference**2 - gap / np.where(both > 0.0, both, 1.0))
        odd = np.copysign(-0.5 * np.expm1(-2.0 * size) * near, s)
        return odd, 0.5 * (1.0 + np.exp(-2.0 * size)) * near


class _Quadratic(Kernel):
    """x^2: g = p q + 2 s^2 (Isserlis 1918)."""

    def value_at(self, pairs):
        return pairs.p * pairs.q + 2.0 * pairs.s**2

    def jet_at(self, pairs):
        s, p, q, _ = np.broadcast_arrays(*pairs)
        return self.value_at(pairs), 4.0 * s, q

    def hessian_at(self, pairs):
        zero = np.zeros(np.broadcast_shapes(*(np.shape(part) for part in pairs)))
        return zero + 4.0, zero, zero, zero + 1.0


class _OfActivation(Kernel):
    """A kernel by quadrature: see `Kernel.from_activation`."""

    def __init__(self, f, kinks, largest, tolerance, name):
        self._arguments = f, kinks, largest, tolerance, name
        self._expectation = Expectation(f, np.array(kinks), largest, tolerance)
        # Under kinks the gap is needed with all its digits, as under relu.
        noise = 0.0 if kinks else 1.0
        super().__init__(name, self._expectation.values, noise, kinks)
        self.error = self._expectation.error
        y = np.array([-2.0, -0.3, 0.7, 3.0])
        self._homogeneous = kinks == (0.0,) and bool(
            np.abs(self.sigma(3.0 * y) - 3.0 * self.sigma(y)).max() <= 1e-14 * np.abs(y).max()
        )

    def __repr__(self):
        return f"Kernel.from_activation({self.name})"

    def __reduce__(self):
        return Kernel.from_activation, self._arguments

    @property
    def homogeneous(self):
        return self._homogeneous

    def value_at(self, pairs):
        return self._expectation.tables(*pairs, 0)[0]

    def jet_at(self, pairs):
        return self._expectation.tables(*pairs, 1)

    def hessian_at(self, pairs):
        return self._expectation.tables(*pairs, 2)


_MADE = weakref.WeakValueDictionary()  # so that equal arguments give one kernel


# The two homogeneous kernels, for vectors of squared norms P, Q with determinant D = P Q - s^2.
# sign: g = (2/pi) arcsin(s / sqrt(P Q)) (Williams 1997), needed for D > 0 only.


def _sign_value(s, P, Q, D):
    return ((2 / np.pi) * np.arctan(s / np.sqrt(D)),)


def _sign_jet(s, P, Q, D):
    # In place where it can be: on tables of 10^4 pairs, temporaries cost as much as arithmetic.
    g_s = 1.0 / np.sqrt(D)
    slope = s * g_s
    g = np.arctan(slope)
    g *= 2 / np.pi
    g_s *= 2 / np.pi
    slope *= -1 / (np.pi * P)
    return g, g_s, slope


def _sign_hessian(s, P, Q, D):
    cubed = 1.0 / (D * np.sqrt(D))
    g_ss = (2 / np.pi) * s * cubed
    return g_ss, (-1 / np.pi) * Q * cubed, (0.25 * g_ss / P**2) * (2 * D + P * Q), 0.25 * g_ss


# relu: g = (sqrt(D) + s psi) / 2 pi with psi = pi - angle (Cho & Saul 2009, arc-cosine kernel).


def _relu_value(s, P, Q, D):
    root = np.sqrt(D)
    return (_relu_from(s, root, _opening(s, root)),)


def _relu_from(s, root, psi):
    g = s * psi
    g += root
    if (s < -root).any():  # nearly antipodal: s psi cancels root, and only their remainder is left
        g = np.where(s < -root, -s * arctan_remainder(_antipodal_tangent(s, root)), g)
    return g / (2 * np.pi)


def _relu_jet(s, P, Q, D):
    root = np.sqrt(D)
    psi = _opening(s, root)
    inverse_p = np.divide(1.0, P, out=np.zeros_like(P), where=P > 0.0)
    return _relu_from(s, root, psi), psi / (2 * np.pi), root * (inverse_p / (4 * np.pi))


def _relu_hessian(s, P, Q, D):
    # At parallel vectors each derivative diverges like 1 / root, but what they multiply in the
    # Hessian of a loss vanishes like root: taking 1 / root = 0 there gives the right Hessian.
    # Within 1e-8 of parallel, rounding would be larger than what is left out.
    root = np.sqrt(D)
    inverse_root = np.divide(1.0, root, out=np.zeros_like(root), where=D > 1e-16 * (P * Q))
    inverse_p = np.divide(1.0, P, out=np.zeros_like(P), where=P > 0.0)
    g_ss = inverse_root / (2 * np.pi)
    g_sp = g_ss * s * (-0.5 * inverse_p)
    g_pp = (0.25 * inverse_p**2) * g_ss * (s * s - D)
    return g_ss, g_sp, g_pp, 0.25 * g_ss


def _opening(s, root):
    """psi = pi minus the angle, in [0, pi], for cosine : sine = s : root; pi/2 at a zero vector."""
    psi = np.arctan2(root, -s)
    if np.min(root, initial=1.0) == 0.0:
        psi = np.where((root == 0.0) & (s == 0.0), np.pi / 2, psi)
    return psi


def _antipodal_tangent(s, root):
    """tan psi = root / |s| where s < -root, and something harmless elsewhere."""
    size = np.abs(s)
    return np.where(size > root, root, 1.0) / np.where(size > root, size, 1.0)


def arctan_remainder(x):
    """x - arctan x with full relative accuracy, for arrays of any size and sign.

    >>> from lib.kernels import arctan_remainder
    >>> f"{arctan_remainder(1e-5):.6e}"  # x^3 / 3; the plain difference keeps six digits
    '3.333333e-16'
    """
    x = np.asarray(x, dtype=np.float64)
    square = np.minimum(x * x, 0.01)
    series = np.zeros_like(square)
    for power in range(19, 1, -2):  # x^3/3 - x^5/5 + ..., enough up to x = 0.1
        series = (1.0 / power) - square * series
    return np.where(np.abs(x) < 0.1, square * x * series, x - np.arctan(x))


def _checked(s, p, q):
    """Pairs of scalar or array entries that are those of two vectors."""
    s, p, q = (finite_array(name, value) for name, value in zip("spq", (s, p, q), strict=True))
    for name, value in (("p", p), ("q", q)):
        if (value < 0.0).any():
            raise ValueError(
                f"{name} must be a squared norm, at least 0, got {value[value < 0.0].flat[0]}"
            )
        if (value > LARGEST_WEIGHT**2).any():
            raise ValueError(f"{name} must be at most {LARGEST_WEIGHT**2:g}, got {value.max()}")
    try:
        s, p, q = np.broadcast_arrays(s, p, q)
    except ValueError as error:
        raise ValueError(
            f"s, p, q must have shapes that broadcast, got {s.shape}, {p.shape}, {q.shape}"
        ) from error
    excess = np.abs(s) > np.sqrt(p) * np.sqrt(q) * (1 + 1e-9)
    if excess.any():
        raise ValueError(
            f"s must satisfy s^2 <= p q, got s = {s[excess].flat[0]}, p = {p[excess].flat[0]}, "
            f"q = {q[excess].flat[0]}"
        )
    return from_entries(s, p, q)


def _refuse_unless_elementwise(f):
    function("f", f, "of arrays")
    y = np.array([[-1.3, -0.2, 0.4], [0.9, 1.7, 2.6]])
    hint = "np.vectorize(f) acts elementwise"
    try:
        with np.errstate(all="ignore"):
            together, apart = f(y), f(y[1, :1])
    except Exception as error:
        raise ValueError(
            f"f must take an array and act elementwise, got an error: {error} ({hint})"
        ) from error
    together, apart = finite_array("f(y)", together), finite_array("f(y)", apart)
    if together.shape != y.shape or apart.shape != (1,):
        raise ValueError(
            f"f must act elementwise, got shape {together.shape} for one of {y.shape} ({hint})"
        )
    if abs(together[1, 0] - apart[0]) > 1e-12 * max(1.0, abs(apart[0])):
        raise ValueError(
            f"f must act elementwise, got {together[1, 0]} for 0.9 among other numbers and "
            f"{apart[0]} for 0.9 alone"
        )


def _logistic_noise(step=0.12):
    """Variances t and weights with E_t N(0, t) the law of logistic noise of variance pi^2 / 12.

    That noise turns sign into tanh. sqrt(t) follows Kolmogorov's distribution, whose density in
    log sqrt(t) is analytic and decays doubly exponentially at both ends, so the trapezoidal rule
    converges exponentially (Trefethen & Weideman 2014): step 0.12 leaves 1e-15, 0.16 leaves 1e-11.
    """
    log_tau = np.arange(np.log(0.16), np.log(4.6), step)
    tau = np.exp(log_tau)
    odd = np.arange(1, 16, 2)[:, None]
    j = np.arange(1, 30)[:, None]
    # The density's series in exp(-2 tau^2), and its dual in exp(-pi^2 / 8 tau^2), each where it
    # converges fast.
    large = 8 * tau * ((-1.0) ** (j + 1) * j**2 * np.exp(-2 * (j * tau) ** 2)).sum(0)
    energy = (odd * np.pi) ** 2 / (8 * tau**2)
    small = np.sqrt(2 * np.pi) / tau**2 * (np.exp(-energy) * (2 * energy - 1)).sum(0)
    weights = step * tau * np.where(tau < 1.0, small, large)
    return tau**2, weights


_VARIANCES, _WEIGHTS = _logistic_noise()

#: ``sigma(x) = erf(x / sqrt(2))``, with ``g = (2/pi) arcsin(s / sqrt((1 + p) (1 + q)))``
#: (Williams 1997).
erf = _SmoothedSign("erf", lambda x: special.erf(np.asarray(x) * np.sqrt(0.5)), [1.0])
#: ``sigma(x) = tanh(x)``, by quadrature over logistic noise, to 1e-10 or better up to ``|w| = 10``.
tanh = _LogisticSign("tanh", np.tanh, _VARIANCES, _WEIGHTS)
#: ``sigma(x) = 1 / (1 + exp(-x))``, by the same quadrature, as accurate.
sigmoid = _LogisticSign("sigmoid", special.expit, 4 * _VARIANCES, _WEIGHTS, scale=0.5, offset=0.5)
#: ``sigma(x) = max(0, x)``, with ``g = (sqrt(p q - s^2) + s (pi - angle)) / (2 pi)``
#: (Cho & Saul 2009); the one homogeneous kernel.
relu = _SmoothedReLU("relu", lambda x: np.maximum(x, 0.0))
#: ``sigma(x) = log(1 + exp(x))``, by the same quadrature as tanh, as accurate.
softplus = _LogisticReLU("softplus", lambda x: np.logaddexp(0.0, x), 4 * _VARIANCES, _WEIGHTS)
#: ``sigma(x) = x Phi(x)`` with the normal distribution Phi, in closed form.
gelu = _GELU("gelu", lambda x: x * special.ndtr(x), 1.0)
#: ``sigma(x) = sin(x)``, with ``g = exp(-(p + q) / 2) sinh(s)``.
sin = _Sine("sin", np.sin, 1.0)
#: ``sigma(x) = x^2``, with ``g = p q + 2 s^2``.
quadratic = _Quadratic("quadratic", np.square, 1.0)


def leaky_relu(slope):
    """The kernel of ``sigma(x) = x`` for x > 0 and ``slope x`` else, in closed form.

    ``g = slope s + (1 - slope)^2 g_relu``, for ``sigma(x) = slope x + (1 - slope) relu(x)`` and
    ``E[X relu(Y)] = s / 2``. Homogeneous as relu.

    Parameters
    ----------
    slope : float
        Between -1, the absolute value, and 1, the identity.

    Returns
    -------
    Kernel
        The same one for the same slope; relu itself for 0.

    Examples
    --------
    >>> kernels.leaky_relu(0.1)
    kernels.leaky_relu(0.1)
    >>> f"{kernels.leaky_relu(-1)(0.0, 1.0, 1.0):.6f}"  # E|X| E|Y| = 2 / pi
    '0.636620'
    """
    slope = real("slope", slope, -1.0, 1.0)
    return _leaky_relu(slope) if slope else relu


@functools.cache
def _leaky_relu(slope):
    return _LeakyReLU(slope)
