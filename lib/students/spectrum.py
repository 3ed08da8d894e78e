"""The Hessian of an erf student at its two minima, in blocks, and where the minima come and go.

Permutations of teachers and neurons that leave a student as it is commute with its Hessian, which
is therefore block-diagonal, with blocks of at most 5 x 5, each repeated as often as its
multiplicity says (Schur's lemma).

In z = a y, y = w / sqrt(1 + |w|^2), half the second variation of (pi/2) L at a critical point is
that of

    |sum_i z_i - sum_j p_j|^2 + sum_ii' a_i a_i' h(y_i . y_i') - 2 sum_ij a_i h(y_i . p_j),

with h(t) = arcsin t - t and p_j = e_j / sqrt 2: a stiff linear part, the first order of
lib.students.arcsine, and a soft rest. A block is kept as a sum of weighted squares, each
coefficient with full relative precision. They are added up, and the eigenvalues computed, in as
many digits as lie between the stiffest and the softest.
"""

import decimal
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from lib.arguments import integer, neurons, real
from lib.records import record
from lib.students.arcsine import COEFFICIENTS, ORDERS, jets
from lib.students.averaging import group_excess
from lib.students.perturbed import erf_perturbed_copies


@record
class Block(NamedTuple):
    """Eigenvalues of a Hessian that belong together by symmetry.

    Attributes
    ----------
    name : str
        What moves; see the function that returned it.
    eigenvalues : tuple of float
        Ascending.
    multiplicity : int
        How often each of them occurs.

    Examples
    --------
    >>> block = copy_average_spectrum(8, 6)[0]
    >>> block.name, len(block.eigenvalues), block.multiplicity
    ('copied', 4, 5)
    """

    name: str
    eigenvalues: tuple
    multiplicity: int


@record
class PhaseBoundaries(NamedTuple):
    """The real n at which the minima of an erf student change; see `phase_boundaries`.

    Attributes
    ----------
    perturbed_stable : float
        Perturbed copies are a strict minimum above it and a saddle below.
    losses_equal : float
        Perturbed copies are better than the optimal copy-average above it.
    copy_average_unstable : float
        The optimal copy-average is a strict minimum below it and a saddle above.

    Examples
    --------
    >>> f"{phase_boundaries(50).losses_equal:.2f}"
    '37.53'
    """

    perturbed_stable: float
    losses_equal: float
    copy_average_unstable: float


def copy_average_spectrum(k, n, d=None):
    """The Hessian's eigenvalues at the optimal copy-average under erf, (1, ..., 1, k - n + 1).

    Parameters
    ----------
    k, n : int
        Teacher and student neurons, ``1 <= n <= k``. The cost depends on neither.
    d : int
        Input dimension, at least k; d = k if None.

    Returns
    -------
    tuple of Block
        ``'copied'``: the direction of a copied teacher neuron, that is its copy's w and a, and the
        w of all other neurons. ``'averaged'``: the mean direction of the averaged teacher neurons,
        and the averager's a. ``'within the group'``: the averager leans towards some of its teacher
        neurons and the copies away from them; the only block that can turn negative. ``'outside'``:
        a direction that no teacher neuron sees. ``'between copies'``: copies lean in opposite ways.
        Those of multiplicity 0 are left out; the others' multiplicities times their numbers of
        eigenvalues add up to n (d + 1).

    Notes
    -----
    Relative accuracy 1e-14, relative to what cancels where the sign changes. The method, symmetric
    blocks in extended precision, is described in ``lib.students.spectrum``.

    Examples
    --------
    >>> {block.name: block.multiplicity for block in copy_average_spectrum(50, 25)}
    {'copied': 24, 'averaged': 1, 'within the group': 25, 'between copies': 1126}
    """
    k, n, d = _sizes(k, n, d, least=1)
    N, m = n - 1, k - n + 1
    copy, averager = Across.of(1.0), Across.of(float(m))

    def copies(count):  # that move alike
        return [(math.sqrt(count) * copy.linear, copy.rest)] if count > 0 else []

    nobody = np.zeros((1, 0))
    average = (averager.linear, averager.rest)
    leaning = (averager.linear, averager.within)
    return _blocks([
        ("copied", *coupled(steps_along(1.0), *copies(N - 1), average), N),
        ("averaged", *coupled(steps_along(float(m)), *copies(N)), 1),
        ("within the group", *coupled(nobody, *copies(N), leaning), m - 1),
        ("outside", *coupled(nobody, *copies(N), average), d - k),
        ("between copies", [copy.rest], np.eye(1), max(N - 1, 0) * (m + d - k) + N * max(N - 2, 0)),
    ])  # fmt: skip


def perturbed_copies_spectrum(k, n, d=None):
    """The Hessian's eigenvalues at `perturbed_copies` under erf.

    Parameters
    ----------
    k, n : int
        Teacher and student neurons, ``2 <= n <= k``; at n = k it is the teacher. The cost depends
        on neither.
    d : int
        Input dimension, at least k; d = k if None.

    Returns
    -------
    tuple of Block
        ``'trivial'``: all neurons move alike. ``'standard'``: each by a factor of its own, of sum
        zero; the only block known to turn negative, where n is small. ``'antisymmetric'``,
        ``'symmetric'``: they lean towards each other's teacher neurons. ``'uncopied'``, ``'uncopied
        x standard'``: towards some uncopied ones and away from others, alike, or by factors of sum
        zero. ``'outside'``, ``'outside x standard'``: towards a direction that no teacher neuron
        sees. As for `copy_average_spectrum`, multiplicities add up to n (d + 1).

    Raises
    ------
    ValueError
        Where no perturbed copies are found.

    Notes
    -----
    Relative accuracy 1e-11, relative to what cancels where the sign changes; less where a is huge:
    1e-5 at k = 1e6, n = 3, where a = 2e8.

    Examples
    --------
    >>> standard = perturbed_copies_spectrum(50, 25)[1]
    >>> standard.name, standard.multiplicity, standard.eigenvalues[0] > 0
    ('standard', 24, True)
    >>> perturbed_copies_spectrum(50, 20)[1].eigenvalues[0] > 0
    False
    """
    k, n, d = _sizes(k, n, d, least=2)
    point = _Perturbed.at(k, n)
    rest = max(k - n - 1, 0)
    apart, together, copied, uncopied, swap = point.across()
    return _blocks([
        ("trivial", *point.trivial(), 1),
        ("standard", *point.standard(), n - 1),
        ("antisymmetric", [apart - copied], np.eye(1), (n - 1) * (n - 2) // 2),
        ("symmetric", [apart - copied + swap], np.eye(1), max(n * (n - 3) // 2, 0)),
        ("uncopied", [together - uncopied], np.eye(1), rest),
        ("uncopied x standard", [apart - uncopied], np.eye(1), (n - 1) * rest),
        ("outside", [together], np.eye(1), d - k),
        ("outside x standard", [apart], np.eye(1), (n - 1) * (d - k)),
    ])  # fmt: skip


def phase_boundaries(k):
    """The three real n that divide the widths of erf students of k orthonormal teacher neurons.

    All three exist for every k >= 3; for k <= 6 the last is above k - 1, so no student is that
    wide. As k grows they tend to ``1.698874 k^(3/5)``, very slowly, ``0.7662308183 k`` and ``k + 1
    - 0.8988953 sqrt(k)``.

    Parameters
    ----------
    k : float
        Teacher neurons, ``3 <= k <= 1e18``.

    Returns
    -------
    PhaseBoundaries
        To ten digits.

    Notes
    -----
    Roots of the softest eigenvalue of the block ``'standard'``, of the difference of the losses,
    and of a determinant. That the first two are crossed once only is not proven.

    Examples
    --------
    >>> [f"{n:.4f}" for n in phase_boundaries(50)]
    ['21.4282', '37.5257', '44.9815']
    """
    return _phase_boundaries(real("k", k, least=3.0, most=1e18))


@functools.lru_cache(1000)
def _phase_boundaries(k):
    def softest(log_n):
        return eigenvalues_of(*_Perturbed.at(k, math.exp(log_n)).standard())[0]

    def advantage(ratio):
        return group_excess(k - ratio * k + 1) - erf_perturbed_copies(k, ratio * k).excess

    def inverse_determinant(m):
        copy, averager = Across.of(1.0), Across.of(m)
        return 1 + (k - m) * copy.linear**2 / copy.rest + averager.linear**2 / averager.within

    law = math.log(k) * 0.6
    highest = min(law + math.log(3.6), math.log(0.99 * k))
    return PhaseBoundaries(
        math.exp(brentq(softest, law + math.log(1.2), highest, xtol=1e-11)),
        k * brentq(advantage, 0.7, 0.9, rtol=1e-13),
        k - brentq(inverse_determinant, 1.0, 1 + math.sqrt(k), rtol=1e-13) + 1,
    )


def _sizes(k, n, d, least):
    k, n = neurons(k, n, least)
    return k, n, k if d is None else integer("d", d, least=k)


# Copy-average: neurons are orthogonal, so that only the linear part couples them, direction by
# direction.


class Across(NamedTuple):
    """A unit step of a w across itself, of a neuron that averages l teacher neurons.

    linear: the step of z. rest, within: half the second variation of the rest, in a direction
    without teachers of its own and between two of them.
    """

    linear: float
    rest: float
    within: float

    @classmethod
    def of(cls, l):
        slopes = COEFFICIENTS * ORDERS * (0.5 / l) ** (ORDERS - 1)
        squared = l * (l - 0.5)
        return cls(math.sqrt(squared), squared * slopes.sum(), -squared * (slopes @ (ORDERS - 2)))


def steps_along(l):
    """Rows q = 1, 3, ...: the change of order q of L, as a square, for unit steps of |w| and a."""
    q = np.append(1.0, ORDERS)
    root = np.sqrt(np.append(1.0, COEFFICIENTS) * 0.5**q * l ** (2 - q))
    per_length = q * math.sqrt(2 * l) * (1 - 0.5 / l) ** 1.5
    return root[:, None] * np.stack((per_length, np.full(q.shape, 1 / l)), axis=1)


def coupled(along, *movers):
    """Weights and rows: a neuron's own, and each mover's (linear, rest), linear in row 0."""
    orders, own = along.shape
    linear, rest = np.array(movers).reshape(-1, 2).T
    count = len(movers)
    rows = np.block([[along, np.zeros((orders, count))], [np.zeros((count, own)), np.eye(count)]])
    rows[0, own:] = linear
    return np.append(np.ones(orders), rest), rows


# Perturbed copies


class _Perturbed(NamedTuple):
    """Perturbed copies at real k and n: y on the own, another copied and an uncopied teacher, and
    derivatives of h.
    """

    k: float
    n: float
    a: float
    y: np.ndarray
    scale: float  # the step of z for a unit step of w across itself
    slopes: np.ndarray  # h' at y . y and y . y'
    curvatures: np.ndarray  # h'' at y . y, y . y', and y . p_j for the three kinds of teacher
    rests: np.ndarray  # h - t h' at y . y and y . y'

    @classmethod
    def at(cls, k, n):
        k, n = float(k), float(n)
        *w, a = (1.0, 0.0, 0.0, 1.0) if n == k else erf_perturbed_copies(k, n)[:4]
        own, other, uncopied = w
        squared = own**2 + (n - 1) * other**2 + (k - n) * uncopied**2
        product = 2 * own * other + (n - 2) * other**2 + (k - n) * uncopied**2
        y = np.array(w) / math.sqrt(1 + squared)
        products = np.array([squared, product]) / (1 + squared)
        _, slopes, curvatures, rests = jets(np.append(products, math.sqrt(0.5) * y))
        return cls(k, n, a, y, a / math.sqrt(1 + squared), slopes[:2], curvatures, rests[:2])

    def across(self):
        """The five numbers that the one-dimensional blocks are made of."""
        apart = self.slopes[0] - self.slopes[1]
        stiff = self.n * (1 + self.slopes[1])
        _, copied, uncopied = self.curvatures[2:] / (2 * self.a)
        swap = 2 * self.curvatures[1] * (self.y[0] - self.y[1]) ** 2
        return self.scale**2 * np.array([apart, apart + stiff, copied, uncopied, swap])

    def trivial(self):
        """Directions: own, other copied and uncopied teachers' unit vectors, and a; all alike."""
        k, n = self.k, self.n
        A, B, G = self.y
        size = np.sqrt([1.0, n - 1, k - n])
        linear = [[1.0, size[1], 0.0], [0.0, 0.0, math.sqrt(n)]]
        pair = math.sqrt(2 * (n - 1)) * np.array([B, (A + (n - 2) * B) / size[1], G * size[2]])
        return self._squares([0, 1, 2], size, linear, pair, self.rests @ [1.0, n - 1])

    def standard(self):
        """The same by factors xi_i of sum 0; to another teacher by xi_i + xi_j or xi_i - xi_j."""
        k, n = self.k, self.n
        A, B, G = self.y
        size = np.sqrt([1.0, (n - 2) / 2, n / 2, k - n])
        linear = [[1.0, size[1], -size[2], 0.0]]
        pair = math.sqrt(n - 2) * np.array([B, 0.0, B * size[2], G * size[3]])
        pair[1] = math.sqrt(2) * (A + (n - 4) * B / 2)
        return self._squares([0, 1, 1, 2], size, linear, pair, self.rests @ [1.0, -1.0])

    def _squares(self, kind, size, linear, pair, outgoing):
        """Weights and rows in steps of w, and of a last, for leaning to `size`^2 neurons each."""
        exist = size > 0.0
        kind = np.array(kind)[exist]
        y = self.y[kind] * size[exist]
        across = self.scale * (np.eye(len(y)) - np.outer(y, y))
        steps = np.column_stack((across, y))  # of z, for those of w and a
        still = np.column_stack((across, np.zeros_like(y)))  # a alone changes no y . y'
        linear = np.array(linear)[:, exist] @ steps
        last = np.append(np.zeros_like(y), 1.0)
        # |sum dz|^2; |dz|^2; changes of y_i . y_i', of y_i . y_i and of y_i . p_j, squared; da^2.
        rows = np.vstack((linear, steps, pair[exist] @ still, y @ still, still, last))
        weights = np.concatenate((
            np.full(len(linear), 1 + self.slopes[1]),
            np.full(len(y), self.slopes[0] - self.slopes[1]),
            [self.curvatures[1], 2 * self.curvatures[0]],
            -self.curvatures[2:][kind] / (2 * self.a),
            [outgoing],
        ))  # fmt: skip
        return weights, rows


# Eigenvalues


def _blocks(blocks):
    return tuple(
        Block(name, eigenvalues_of(weights, rows), multiplicity)
        for name, weights, rows, multiplicity in blocks
        if multiplicity > 0
    )


def eigenvalues_of(weights, rows):
    """Eigenvalues of (4/pi) sum_r weight_r row_r row_r^T, ascending; stiff ones drown none."""
    exact = np.vectorize(decimal.Decimal, otypes=[object])
    for digits in (50, 100, 200):
        with decimal.localcontext(decimal.Context(prec=digits)):
            eigenvalues = _jacobi(exact(weights), exact(rows))
        sizes = [abs(x) for x in eigenvalues]
        if min(sizes) > max(sizes).scaleb(25 - digits):
            break
    return tuple(sorted(4 / math.pi * float(x) for x in eigenvalues))


def _jacobi(weights, rows):
    """Jacobi's method: rotate each pair of axes until the matrix is diagonal."""
    H = (rows.T * weights) @ rows
    pairs = list(itertools.combinations(range(len(H)), 2))
    for _ in range(20):
        if all(H[p, q] ** 2 <= decimal.Decimal("1e-34") * abs(H[p, p] * H[q, q]) for p, q in pairs):
            break
        for pair in map(list, pairs):
            p, q = pair
            if H[p, q]:
                tau = (H[q, q] - H[p, p]) / (2 * H[p, q])
                t = (1 if tau >= 0 else -1) / (abs(tau) + (1 + tau * tau).sqrt())
                rotation = np.array([[1, -t], [t, 1]]) / (1 + t * t).sqrt()
                H[pair] = rotation @ H[pair]
                H[:, pair] = H[:, pair] @ rotation.T
    return H.diagonal()
