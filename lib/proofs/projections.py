"""Copy-average is the best function of k - 1 projections, k = 3: a sphere divided into boxes.

A student of n neurons is a function of the n numbers w_i . x. With P the projection onto their
span, the best function of them is E[f* | P x], and for erf and orthonormal teachers it leaves

    E Var(f* | P x) = (2/pi) (k pi/6 - sum_ij arcsin(P_ij / 2)),    P_ij = e_i . P e_j.

For n = k - 1 it is P = 1 - q q^T with |q| = 1. Copy-average is q = (1, 0, ..., 0, -1) / sqrt 2, up
to the order and the sign. Here Psi(q) = sum_ij arcsin(P_ij / 2) is shown to be smaller at all
others.
"""

import contextlib
import functools
import itertools
from typing import NamedTuple

from flint import arb

from lib.arguments import integer
from lib.proofs.enclosures import Undecided, pivots, precise

_NEAR = 0.01  # half the side of the box around copy-average in which Psi is concave
_MOST_BOXES = 10**6


class Jet(NamedTuple):
    """A function at a ball of points: balls with its value, gradient and Hessian (as rows)."""

    value: arb
    gradient: list
    hessian: list

    @classmethod
    def constant(cls, value, size):
        return cls(arb(value), [arb(0)] * size, [[arb(0)] * size for _ in range(size)])

    @classmethod
    def variable(cls, value, i, size):
        jet = cls.constant(value, size)
        jet.gradient[i] = arb(1)
        return jet

    def __add__(self, other):
        gradient = [x + y for x, y in zip(self.gradient, other.gradient, strict=True)]
        rows = zip(self.hessian, other.hessian, strict=True)
        hessian = [[x + y for x, y in zip(*pair, strict=True)] for pair in rows]
        return Jet(self.value + other.value, gradient, hessian)

    def __mul__(self, other):
        f, g, size = self, other, range(len(self.gradient))
        gradient = [f.value * g.gradient[i] + g.value * f.gradient[i] for i in size]
        hessian = [
            [
                f.value * g.hessian[i][j]
                + g.value * f.hessian[i][j]
                + f.gradient[i] * g.gradient[j]
                + f.gradient[j] * g.gradient[i]
                for j in size
            ]
            for i in size
        ]
        return Jet(f.value * g.value, gradient, hessian)

    def then(self, value, slope, curvature):
        """The jet of F(f), where F, F', F'' at f's value are given."""
        gradient, size = self.gradient, range(len(self.gradient))
        hessian = [
            [slope * self.hessian[i][j] + curvature * gradient[i] * gradient[j] for j in size]
            for i in size
        ]
        return Jet(value, [slope * x for x in gradient], hessian)

    def arcsin(self):
        root = (1 - self.value * self.value).rsqrt()
        return self.then(self.value.asin(), root, self.value * root * root * root)

    def inverse(self):
        inverse = 1 / self.value
        return self.then(inverse, -inverse * inverse, 2 * inverse * inverse * inverse)


def psi(t):
    """Psi at q = (1, t_1, ..., t_(k-1)) / length, as a Jet in t."""
    size = len(t)
    coordinates = [Jet.constant(1, size), *(Jet.variable(x, i, size) for i, x in enumerate(t))]
    length = Jet.constant(0, size)
    for x in coordinates:
        length += x * x
    half = length.inverse() * Jet.constant(-0.5, size)
    total = Jet.constant(0, size)
    for x in coordinates:
        total += (Jet.constant(0.5, size) + x * x * half).arcsin()
    for x, y in itertools.combinations(coordinates, 2):
        total += (x * y * half).arcsin() * Jet.constant(2, size)
    return total


def copy_average_psi(k):
    """Psi at copy-average: k - 2 copies and a pair."""
    return (k - 2) * arb.pi() / 6 + 4 * arb(0.25).asin()


@functools.partial(precise, bits=64)
def prove_best_of_projections(k):
    """Prove that no function of k - 1 projections is better than copy-average; k = 3.

    Parameters
    ----------
    k : int
        3: for k >= 5 the claim is false, and at k = 4 the smallest curvature, 0.012, asks for more
        boxes than this allows.

    Returns
    -------
    int
        The number of boxes that prove it.

    Raises
    ------
    lib.proofs.enclosures.Undecided
        If a box stays undecided.

    Notes
    -----
    By symmetry the largest ``|q_i|`` is q_1 > 0, and the others descend: with ``q = (1, t) /
    length`` all t lie in [-1, 1] and t_1 >= t_2 >= ... In a box around copy-average, t = (0, ...,
    0, -1), the Hessian of Psi is negative definite, and its gradient at copy-average vanishes,
    because ``q -> (-q_k, -q_2, ..., -q_(k-1), -q_1)`` leaves Psi and copy-average alone and
    reverses every direction. In every other box Psi is smaller than there.

    Examples
    --------
    >>> from lib.proofs.projections import prove_best_of_projections
    >>> prove_best_of_projections(3) > 0
    True
    """
    k = integer("k", k, least=3)
    best = copy_average_psi(k)
    near = [arb(0, _NEAR)] * (k - 2) + [arb(-1, _NEAR)]

    def concave(box):
        with contextlib.suppress(Undecided):
            return all(pivot < 0 for pivot in pivots(psi(box).hessian))
        return False

    def settled(box):
        elsewhere = any(x < y for x, y in itertools.pairwise(box))
        return elsewhere or all(map(arb.contains, near, box)) or is_smaller(box, best)

    return _divide(near, concave) + _divide([arb(0, 1)] * (k - 1), settled)


def _divide(box, settled):
    """The number of boxes into which `box` is divided until each is `settled`; or Undecided."""
    boxes, done = [box], 0
    while boxes:
        box, done = boxes.pop(), done + 1
        if settled(box):
            continue
        widest = max(range(len(box)), key=lambda i: float(box[i].rad()))
        middle, quarter = box[widest].mid(), box[widest].rad() / 2
        if done > _MOST_BOXES or float(quarter) < _NEAR / 1000:
            raise Undecided(
                f"a claim is not settled near {[float(x.mid()) for x in box]}, after {done} boxes"
            )
        for side in (middle - quarter, middle + quarter):
            boxes.append([*box[:widest], side + quarter * arb(0, 1), *box[widest + 1 :]])
    return done


def is_smaller(box, best):
    """Whether Psi is proven below `best` on the box: by its middle value and largest slope."""
    middle = [x.mid() for x in box]
    value, _ = value_and_slope(middle)
    _, slope = value_and_slope(box)
    return (
        value + sum(along * (x - m) for along, x, m in zip(slope, box, middle, strict=True)) < best
    )


def value_and_slope(t):
    """Psi at q = (1, t) / length, and its gradient in t.

    The gradient is -(2 / N) (S u - u (u . S u) / N) without its first entry; u = (1, t), N = |u|^2,
    and S_ij is the derivative of arcsin(P_ij / 2) in P_ij.
    """
    u, size = [arb(1), *t], range(len(t) + 1)
    N = sum(x * x for x in u)
    half = [[((i == j) - u[i] * u[j] / N) / 2 for j in size] for i in size]
    S = [[(1 - x * x).rsqrt() / 2 for x in row] for row in half]
    Su = [sum(S[i][j] * u[j] for j in size) for i in size]
    along = sum(x * y for x, y in zip(u, Su, strict=True)) / N
    return sum(x.asin() for row in half for x in row), [
        -2 * (Su[i] - u[i] * along) / N for i in size[1:]
    ]
