"""Gaussian kernels g(s, p, q) = E[sigma(w.x) sigma(v.x)], x ~ N(0, I), of six activations.

The arguments are ``s = w.v``, ``p = |w|^2`` and ``q = |v|^2``. One identity yields five of the six
kernels: an activation that is a homogeneous one smoothed by noise,
``sigma(y) = E sigma_0(y + sqrt(t) z)``, has the kernel ``E g_0(s, p + t, q + t')``, because the
noise only adds to the two variances.

- erf: sign smoothed by N(0, 1)
- tanh: sign smoothed by logistic noise; sigmoid: the same, halved and shifted
- relu: not smoothed
- softplus: relu smoothed by logistic noise
- gelu: x Phi(x), a closed form of its own

Logistic noise is N(0, t) with a random variance t (Andrews & Mallows 1974, Stefanski 1991), which
turns the average over t and t' into a rapidly converging sum: see ``_logistic_noise``.

Every kernel is symmetric, so a derivative in q is the one in p with the vectors exchanged:
``jet_at`` and ``hessian_at`` give derivatives in s and p only.
"""

import sys

import numpy as np
from scipy import special

from lib.arguments import LARGEST_WEIGHT, finite_array, instance
from lib.pairs import from_entries

_PAIRS_OF_NODES_AT_ONCE = 2**17  # keeps the temporaries of a quadrature in the cache


class Kernel:
    """The kernel ``g(s, p, q) = E[sigma(w.x) sigma(v.x)]``, x ~ N(0, I), of an activation sigma.

    ``kernels.erf`` and the others are its instances. Called, it gives g at ``s = w.v``,
    ``p = |w|^2``, ``q = |v|^2``.

    Parameters
    ----------
    name : str
        The activation's name.
    activation : callable
        sigma on arrays, elementwise; kept as ``sigma``, which does not check its argument.
    noise : float
        A variance that the kernel adds to p and q at least; zero for a homogeneous activation.

    Notes
    -----
    What the rest of the library asks of a kernel is ``noise``, ``homogeneous``, ``sigma``, and what
    ``value_at``, ``jet_at`` and ``hessian_at`` return at many pairs of vectors at once: a subclass
    gives these three.

    A kernel is told by what it is, not by its name: ``kernel is kernels.erf``. So a copy of one is
    that one, and one that its module holds under its name, as this module does the six, is itself
    again after a pickle and in another process. Others are pickled as any object is.

    Examples
    --------
    >>> f"{kernels.erf(0.5, 1.0, 1.0):.6f}"  # (2 / pi) arcsin(1 / 4)
    '0.160861'
    >>> kernels.relu([0.0, 1.0], 1.0, 1.0).round(6)  # 1 / (2 pi), and half of E[z^2] = 1
    array([0.159155, 0.5     ])
    """

    def __init__(self, name, activation, noise):
        self.name = instance("name", name, str)
        self.sigma = activation
        self.noise = noise

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
        return pairs

    def _twice_differentiable(self, pairs):
        return pairs

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
        raise NotImplementedError

    def jet_at(self, pairs):
        """g with its first derivatives.

        Parameters
        ----------
        pairs : lib.pairs.Pairs

        Returns
        -------
        g, g_s, g_p : arrays of the broadcast shape
        """
        raise NotImplementedError

    def hessian_at(self, pairs):
        """The second derivatives; where they diverge, what a loss may take in their place.

        Parameters
        ----------
        pairs : lib.pairs.Pairs

        Returns
        -------
        g_ss, g_sp, g_pp, g_pq : arrays of the broadcast shape
        """
        raise NotImplementedError


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

    def _differentiable(self, pairs):
        smallest = min(np.min(pairs.p, initial=np.inf), np.min(pairs.q, initial=np.inf))
        if self.homogeneous and smallest < LARGEST_WEIGHT**-2:
            raise ValueError(
                "p and q must be positive, at least 1e-60: relu's kernel has no derivative at a "
                f"zero vector, got {smallest}"
            )
        return pairs

    def _twice_differentiable(self, pairs):
        if self.homogeneous and np.min(pairs.gap, initial=np.inf) == 0.0:
            raise ValueError(
                "s^2 must be below p q: relu's kernel has no second derivative in (s, p, q) at "
                "parallel vectors, got a gap p q - s^2 of 0.0 (the loss has one: "
                "PopulationLoss.hessian)"
            )
        return pairs


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
tanh = _SmoothedSign("tanh", np.tanh, _VARIANCES, _WEIGHTS)
#: ``sigma(x) = 1 / (1 + exp(-x))``, by the same quadrature, as accurate.
sigmoid = _SmoothedSign("sigmoid", special.expit, 4 * _VARIANCES, _WEIGHTS, scale=0.5, offset=0.5)
#: ``sigma(x) = max(0, x)``, with ``g = (sqrt(p q - s^2) + s (pi - angle)) / (2 pi)``
#: (Cho & Saul 2009); the one homogeneous kernel.
relu = _SmoothedReLU("relu", lambda x: np.maximum(x, 0.0))
#: ``sigma(x) = log(1 + exp(x))``, by the same quadrature as tanh, as accurate.
softplus = _SmoothedReLU("softplus", lambda x: np.logaddexp(0.0, x), 4 * _VARIANCES, _WEIGHTS)
#: ``sigma(x) = x Phi(x)`` with the normal distribution Phi, in closed form.
gelu = _GELU("gelu", lambda x: x * special.ndtr(x), 1.0)
