"""How good any student of n neurons can be: a lower bound on the loss, for every teacher and every
activation.

In Hermite polynomials the order q of the teacher is the symmetric tensor T_q = sum_j beta_jq
u_j^(x)q, with u_j the direction of v_j and beta_jq = b_j E[sigma(|v_j| z) h_q(z)], h_q orthonormal
at z ~ N(0, 1); L is the sum over q of |T_q - S_q|^2, and S_q has one term for each neuron of the
student, whatever its activation. Unfolded into a matrix with a factors as rows, S_q has rank n at
most, and so have all orders q >= a side by side, which share the n rows w_i^(x)a. By Eckart and
Young (1936) the loss is at least what is left of the teacher's matrix without its n largest
singular values. Their squares are the eigenvalues of C_a^(1/2) K_a C_a^(1/2), k x k, where

    C_a = (u_i . u_j)^a,    K_a = sum over q >= a of beta_iq beta_jq (u_i . u_j)^(q - a).

K_a holds all orders: where |u_i . u_j| is large it is the kernel itself, less its orders below a,
over (u_i . u_j)^a.
"""

import numpy as np

from lib import pairs
from lib.arguments import first_argument, integer
from lib.loss import PopulationLoss

_MOST_FACTORS = 8  # that become rows
_ORDERS = 56  # of the series of K_a, used where |u_i . u_j| < _SMALL: what is cut is below 1e-16
_SMALL = 0.5
_KERNEL_ERROR = 1e-14  # of a kernel, relative to the energies of its two neurons
_SHORTEST = 1e-100
_EPS = np.finfo(float).eps


@first_argument("L", PopulationLoss, "loss_lower_bound(PopulationLoss(teacher, kernel), n)")
def loss_lower_bound(L, n):
    """A number that the loss of no student with n neurons falls below.

    It holds even if each student neuron has a square-integrable activation of its own. For k
    orthonormal teacher neurons with outgoing weights 1 it is
    ``(k - n) (E sigma^2 - (E sigma)^2 - (E sigma')^2)``, the expectations at N(0, 1); it is 0 for
    ``n >= k``, and the teacher's energy ``E[f_teacher^2]`` for n = 0.

    Parameters
    ----------
    L : PopulationLoss
    n : int
        Student neurons, at least 0.

    Returns
    -------
    float

    Notes
    -----
    The best of the unfoldings described in ``lib.students.bounds`` (Eckart & Young 1936), with a =
    1, 2, ... until one is no better, each with the orders q < a unfolded one by one. An estimate of
    what rounding can have added is subtracted: below 1e-9 of the teacher's energy up to k = 1000,
    more for a kernel of few digits. Cost: the kernel at k^2 pairs and some eigenvalue problems of
    size k, seconds for erf at k = 1000.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(6), kernels.erf)
    >>> f"{loss_lower_bound(L, 3):.6f}"  # 3 (1/3 - 1/pi)
    '0.045070'
    >>> f"{copy_average_loss([1, 1, 4]):.6f}"  # and this is what the best copy-average has
    '0.056755'
    """
    V, b, kernel = L.teacher.W, L.teacher.a, L.kernel
    n = integer("n", n, least=0)
    if n == 0:
        products = np.outer(b, b) * kernel.value_at(pairs.among(V, kernel.noise))
        return float(max(products.sum() - _KERNEL_ERROR * np.abs(products).sum(), 0.0))
    # A neuron with v_j = 0 is a constant, and the order q = 0 is left out of the bound; so is one
    # as good as constant.
    seen = (np.abs(V).max(axis=1) > _SHORTEST) & (b != 0.0)
    V, b = V[seen], b[seen]
    if n >= len(b):
        return 0.0
    orders = _Orders(V, b, kernel)
    best = below = 0.0
    for a in range(1, _MOST_FACTORS + 1):
        found = orders.from_order(a, n) + below
        if best > 0.0 and found <= best * (1 + 1e-6):
            break
        best, below = max(best, found), below + orders.single(a, n)
    return float(best)


class _Orders:
    """The orders of a teacher with vectors V (k, d), none of them 0, and outgoing weights b."""

    def __init__(self, V, b, kernel):
        largest = np.abs(V).max(axis=1, keepdims=True)
        norms = np.linalg.norm(V / largest, axis=1) * largest[:, 0]
        U = V / norms[:, None]
        self.cosines = np.clip(U @ U.T, -1.0, 1.0)
        np.fill_diagonal(self.cosines, 1.0)
        self.products = np.outer(b, b) * kernel.value_at(pairs.among(V, kernel.noise))
        coefficients, errors = hermite_coefficients(kernel, norms, _ORDERS)
        self.beta = b[:, None] * coefficients
        size = np.sqrt(self.products.diagonal())
        self.beta_errors = np.abs(b) * errors + _EPS * size
        # At the cosine 0.4 kernel and series must agree: what they differ by is taken for an error
        # of either.
        at = pairs.from_entries(0.4 * norms**2, norms**2, norms**2)
        differences = b**2 * kernel.value_at(at) - (self.beta**2) @ 0.4 ** np.arange(_ORDERS + 1)
        relative = max(_KERNEL_ERROR, 4 * float((np.abs(differences) / size**2).max()))
        # Of the orders' products.
        self.errors = np.outer(size, size) * relative + np.outer(size, self.beta_errors)
        self.errors += self.errors.T
        self._powers = {}

    def from_order(self, a, n):
        """Orders q >= a side by side, a factors as rows: what the n largest eigenvalues leave."""
        c, beta = self.cosines, self.beta
        close = np.abs(c) >= _SMALL
        below = sum(np.outer(beta[:, q], beta[:, q]) * c**q for q in range(a))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            K = (self.products - below) / c**a
            errors = np.where(close, self.errors / np.abs(c) ** a, self.errors)
        series = np.zeros_like(c)
        for q in range(_ORDERS, a - 1, -1):  # Horner's rule
            series = series * c + np.outer(beta[:, q], beta[:, q])
        K = np.where(close, K, series)
        root, norm = self._root(a)
        stretch = norm**2
        size, error = np.linalg.norm(K) * stretch, np.linalg.norm(errors) * stretch
        return _tail(np.linalg.eigvalsh(root @ K @ root), n, size, error)

    def single(self, q, n):
        """Order q alone, the better of its unfoldings: what the n largest singular values leave."""
        beta = self.beta[:, q]
        if q < 2 or not beta.any():
            return 0.0
        best = 0.0
        for a in range(1, q // 2 + 1):
            (left, left_norm), (right, right_norm) = self._root(a), self._root(q - a)
            squares = np.linalg.svd(left * beta @ right, compute_uv=False)[::-1] ** 2
            stretch = left_norm * right_norm
            size = np.abs(beta).max() * stretch
            best = max(
                best,
                _tail(squares, n, size**2, 2 * size * stretch * np.linalg.norm(self.beta_errors)),
            )
        return best

    def _root(self, a):
        """The symmetric square root of (u_i . u_j)^a, and its largest eigenvalue."""
        if a not in self._powers:
            values, vectors = np.linalg.eigh(self.cosines**a)
            roots = np.sqrt(np.maximum(values, 0.0))
            self._powers[a] = (vectors * roots) @ vectors.T, roots[-1]
        return self._powers[a]


def _tail(ascending, n, size, error):
    """The sum of all but the n largest, at least 0, less what errors may have added to it.

    These are rounding in products of a norm of `size`, and an `error` of the matrix, in the
    Frobenius norm.
    """
    rest = ascending[: len(ascending) - n]
    return max(rest.sum() - 16 * _EPS * len(rest) * size - np.sqrt(len(rest)) * error, 0.0)


def hermite_coefficients(kernel, norms, orders):
    """``E[sigma(r z) h_q(z)]`` for r in norms (k,) and q = 0, ..., orders, and their errors.

    h_q are the Hermite polynomials that are orthonormal under z ~ N(0, 1). Gauss-Legendre
    quadrature on panels that shrink towards 0, where sigma(r z) may have a kink, or bend within 1 /
    r; the error is estimated by a second rule with fewer nodes, so that an activation which neither
    resolves is noticed.

    Returns
    -------
    coefficients, errors : arrays (k, orders + 1) and (k,)
    """
    coarse, fine = (_quadrature(kernel, norms, orders, nodes) for nodes in (14, 20))
    return fine, np.sqrt(((fine - coarse) ** 2).sum(axis=1))


def _quadrature(kernel, norms, orders, nodes):
    edges = np.concatenate(([0.0], np.geomspace(1e-10, 1.0, 34), np.arange(1.5, 15.1, 0.5)))
    x, weights = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges) / 2
    z = ((edges[:-1] + half)[:, None] + half[:, None] * x).ravel()
    weights = (half[:, None] * weights).ravel()
    z, weights = np.concatenate((-z[::-1], z)), np.concatenate((weights[::-1], weights))
    h = np.empty((orders + 1, len(z)))  # times the density's square root, so that nothing overflows
    h[0] = np.exp(-(z**2) / 4) / (2 * np.pi) ** 0.25
    h[1] = z * h[0]
    for q in range(1, orders):
        h[q + 1] = (z * h[q] - np.sqrt(q) * h[q - 1]) / np.sqrt(q + 1)
    return kernel.activation(np.outer(norms, z)) @ (h * h[0] * weights).T
