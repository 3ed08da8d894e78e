"""Grids of cases and independent formulas that several test files share."""

import itertools

import mpmath
import numpy as np

from lib import Network, kernels

ALL_KERNELS = [kernels.erf, kernels.relu, kernels.gelu, kernels.tanh, kernels.softplus, kernels.sigmoid]
CLOSED_FORMS = ALL_KERNELS[:3]
QUADRATURES = ALL_KERNELS[3:]
ODD_KERNELS = [kernels.erf, kernels.tanh]

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


MP_CLOSED_FORMS = {"erf": mp_erf, "relu": mp_relu, "gelu": mp_gelu}

MP_ACTIVATIONS = {
    "erf": lambda x: mpmath.erf(x / mpmath.sqrt(2)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x < 0 else x + mpmath.log1p(mpmath.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
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
