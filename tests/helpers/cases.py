"""Grids of cases and independent formulas that several test files share."""

import itertools

import mpmath
import numpy as np

from lib import Network, kernels

ALL_KERNELS = [kernels.erf, kernels.relu, kernels.gelu, kernels.tanh, kernels.softplus, kernels.sigmoid]
MORE_CLOSED_FORMS = [kernels.leaky_relu(0.1), kernels.leaky_relu(-1), kernels.sin, kernels.quadratic]
CLOSED_FORMS = ALL_KERNELS[:3] + MORE_CLOSED_FORMS
QUADRATURES = ALL_KERNELS[3:]
ODD_KERNELS = [kernels.erf, kernels.tanh]


def swish(x):
    return x / (1.0 + np.exp(-x))


def steep_elu(x):
    """x for x > 0, and 1.5 (e^x - 1) else: f' jumps at 0."""
    return np.where(x > 0.0, x, 1.5 * np.expm1(np.minimum(x, 0.0)))


def hard_tanh(x):
    return np.clip(x, -1.0, 1.0)


def cubic(x):
    return (x**3 - x) / 4.0


OWN_KERNELS = [
    kernels.Kernel.from_activation(swish),
    kernels.Kernel.from_activation(steep_elu, kinks=[0.0]),
    kernels.Kernel.from_activation(hard_tanh, kinks=[-1.0, 1.0]),
    kernels.Kernel.from_activation(cubic),
]
EVERY_KERNEL = ALL_KERNELS + MORE_CLOSED_FORMS + OWN_KERNELS

NORMS = [1e-8, 1e-3, 0.5, 1.0, 3.0, 1e3, 1e8]
COSINES = [-1.0, -1 + 1e-12, -1 + 1e-5, -0.6, 0.0, 0.3, 1 - 1e-5, 1 - 1e-12, 1.0]


def entries(norms=NORMS, cosines=COSINES):
    """Every (s, p, q) with the given norms and cosines, rounded to float64."""
    for (first, second), cosine in itertools.product(itertools.product(norms, norms), cosines):
        p, q = first * first, second * second
        yield cosine * np.sqrt(p) * np.sqrt(q), p, q


def mp_erf(s, p, q):
    """(2/pi) arcsin(s / sqrt((1 + p)(1 + q))) in mpmath's working precision."""
    s, p, q = map(mpmath.mpmathify, (s, p, q))
    return 2 / mpmath.pi * mpmath.asin(s / mpmath.sqrt((1 + p) * (1 + q)))


def mp_relu(s, p, q):
    """(sin t + (pi - t) cos t) sqrt(p q) / 2 pi at the angle t; a rounded |s| > sqrt(p q) is parallel."""
    s, p, q = map(mpmath.mpmathify, (s, p, q))
    if s * s >= p * q:
        return max(s, mpmath.mpf(0)) / 2
    cosine = s / mpmath.sqrt(p * q)
    angle = mpmath.acos(cosine)
    return mpmath.sqrt(p * q) * (mpmath.sin(angle) + (mpmath.pi - angle) * cosine) / (2 * mpmath.pi)


def mp_gelu(s, p, q):
    """GELU's closed form as it is derived, without a rearrangement against cancellation."""
    s, p, q = map(mpmath.mpmathify, (s, p, q))
    s = max(-mpmath.sqrt(p * q), min(mpmath.sqrt(p * q), s))
    P, Q = 1 + p, 1 + q
    determinant = P * Q - s * s
    return (
        s / 4
        + s / (2 * mpmath.pi) * mpmath.asin(s / mpmath.sqrt(P * Q))
        + (p * q - s * s + s * s * (1 / P + 1 / Q)) / (2 * mpmath.pi * mpmath.sqrt(determinant))
    )


def mp_leaky_relu(slope):
    """From relu(y) - slope relu(-y): four kernels of relu."""

    def g(s, p, q):
        s, p, q = map(mpmath.mpmathify, (s, p, q))
        root = mpmath.sqrt(p * q)
        s = max(-root, min(root, s))
        return (1 + slope**2) * mp_relu(s, p, q) - 2 * slope * mp_relu(-s, p, q)

    return g


def mp_sin(s, p, q):
    s, p, q = map(mpmath.mpmathify, (s, p, q))
    s = max(-mpmath.sqrt(p * q), min(mpmath.sqrt(p * q), s))
    return mpmath.exp(-(p + q) / 2) * mpmath.sinh(s)


def mp_quadratic(s, p, q):
    s, p, q = map(mpmath.mpmathify, (s, p, q))
    return p * q + 2 * s * s


MP_CLOSED_FORMS = {
    "erf": mp_erf,
    "relu": mp_relu,
    "gelu": mp_gelu,
    "leaky_relu(0.1)": mp_leaky_relu(mpmath.mpf(0.1)),
    "leaky_relu(-1)": mp_leaky_relu(mpmath.mpf(-1)),
    "sin": mp_sin,
    "quadratic": mp_quadratic,
}

MP_ACTIVATIONS = {
    "erf": lambda x: mpmath.erf(x / mpmath.sqrt(2)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x < 0 else x + mpmath.log1p(mpmath.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "leaky_relu(0.1)": lambda x: max(x, mpmath.mpf(0.1) * x),
    "leaky_relu(-1)": abs,
    "sin": mpmath.sin,
    "quadratic": lambda x: x * x,
    "swish": lambda x: x / (1 + mpmath.exp(-x)),
    "steep_elu": lambda x: x if x > 0 else 1.5 * mpmath.expm1(x),
    "hard_tanh": lambda x: min(mpmath.mpf(1), max(mpmath.mpf(-1), x)),
    "cubic": lambda x: (x**3 - x) / 4,
}


def trapezoid_kernel(activation, s, p, q, step, cutoff=9.0):
    """E[sigma(X) sigma(Y)] by the plain trapezoidal rule on R^2 in whitened coordinates.

    Independent of lib: it knows neither the noise identity nor a closed form. Its error is
    estimated by halving the step.
    """
    z = np.arange(-cutoff, cutoff + step / 2, step)
    weights = step * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    x = np.sqrt(p) * z
    slope = s / np.sqrt(p) if p > 0 else 0.0
    total = 0.0
    for block in np.array_split(np.arange(len(z)), max(1, len(z) ** 2 // 2**21)):
        y = slope * z[block, None] + np.sqrt(max(q - slope * slope, 0.0)) * z[None, :]
        total += (weights[block] * activation(x[block])) @ (activation(y) @ weights)
    return total


def random_network(rng, n, d, scale=1.0):
    """A network with Gaussian weights of the given scale."""
    return Network(scale * rng.standard_normal((n, d)), rng.standard_normal(n))


def singular_students(rng, d):
    """Students at the points this book is about, by name: copies, opposites, zeros, extreme norms."""
    w, v = rng.standard_normal((2, d))
    a = rng.standard_normal(4)
    rows = {
        "copied": [w, w, v, w],
        "antipodal": [w, -w, v, -v],
        "copied up to length": [w, 3.0 * w, v, -0.1 * v],
        "tiny": [1e-8 * w, 1e-8 * w, v, -1e-8 * v],
        "huge": [1e8 * w, 1e8 * w, v, -1e8 * v],
        "silent": [w, v, w + v, w - v],
    }
    students = {name: Network(np.array(W), a) for name, W in rows.items()}
    students["silent"] = Network(students["silent"].W, [0.0, a[1], 0.0, a[3]])
    students["zero"] = Network(np.array([np.zeros(d), w, v, np.zeros(d)]), a)
    return students


def exact_erf_loss(theta, n, k, d):
    """The erf loss of k orthonormal teacher neurons by its closed form, in the digits at work."""
    W, a = [theta[d * i : d * i + d] for i in range(n)], theta[d * n :]
    p = [mpmath.fdot(w, w) for w in W]
    value = mpmath.mpf(k) / 3
    for i in range(n):
        for j in range(n):
            s = mpmath.fdot(W[i], W[j]) / mpmath.sqrt((1 + p[i]) * (1 + p[j]))
            value += a[i] * a[j] * 2 / mpmath.pi * mpmath.asin(s)
        for j in range(k):
            value -= 4 * a[i] / mpmath.pi * mpmath.asin(W[i][j] / mpmath.sqrt(2 * (1 + p[i])))
    return value
