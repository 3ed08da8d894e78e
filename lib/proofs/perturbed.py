"""Perturbed copies of one pair (k, n), proven: they exist, what their Hessian is, whether they win.

In the ball coordinates y = w / sqrt(1 + |w|^2) neuron i has the component A on its own teacher, B
on another copied and G on an uncopied one, and the outgoing weight a. With p_j = e_j / sqrt 2,

    (pi/2) L = sum_ii' a_i a_i' arcsin(y_i . y_i') - 2 sum_ij a_i arcsin(y_i . p_j) + const.

Everything here follows from this formula; book/proofs/perturbed_copies.md derives it line by line.
Signs of Hessians are taken in (y, a): at a critical point they do not depend on the coordinates.
"""

import functools
from typing import NamedTuple

from flint import arb

from lib.arguments import integer
from lib.proofs.enclosures import Undecided, krawczyk, newton, pivots, precise, sign
from lib.students.perturbed import erf_perturbed_copies


class Verdict(NamedTuple):
    """What is proven for a pair (k, n).

    Attributes
    ----------
    k, n : int
    kind : str
        ``'strict minimum'`` or ``'saddle'``.
    negative : int
        How many negative eigenvalues the Hessian has.
    block : str
        The blocks they are in, empty if there are none.
    better : str
        ``'perturbed copies'`` or ``'copy-average'``, whose loss is smaller.
    A, B, G, a : flint.arb
        Balls with the four numbers, in ``y = w / sqrt(1 + |w|^2)``.
    difference : flint.arb
        A ball with ``L_PC - L_CA``.

    Examples
    --------
    >>> from lib.proofs.perturbed import prove
    >>> prove(50, 20).negative
    19
    """

    k: int
    n: int
    kind: str
    negative: int
    block: str
    better: str
    A: arb
    B: arb
    G: arb
    a: arb
    difference: arb


@precise
def prove(k, n):
    """What perturbed copies of n student and k teacher neurons are under erf, proven.

    Parameters
    ----------
    k, n : int
        ``2 <= n < k``.

    Returns
    -------
    Verdict

    Raises
    ------
    lib.proofs.enclosures.Undecided
        If the balls do not settle every question.

    Notes
    -----
    A zero of four equations in balls of 320 bits (Johansson 2017) by Krawczyk's test, and the signs
    of the Hessian's blocks there.

    Examples
    --------
    >>> from lib.proofs.perturbed import prove
    >>> verdict = prove(50, 25)
    >>> verdict.kind, verdict.better
    ('strict minimum', 'copy-average')
    """
    n = integer("n", n, least=2)
    k = integer("k", k, least=n + 1)
    point, _ = enclosure(k, n)
    negative = {
        name: multiplicity * below for name, below, multiplicity in signs(point) if multiplicity
    }
    difference = loss_difference(point)
    return Verdict(
        k,
        n,
        "saddle" if any(negative.values()) else "strict minimum",
        sum(negative.values()),
        " and ".join(name for name, below in negative.items() if below),
        "perturbed copies" if sign(difference) < 0 else "copy-average",
        point.A,
        point.B,
        point.G,
        point.a,
        difference,
    )


class Point(NamedTuple):
    """Perturbed copies as balls, at a real number n of neurons that may be a ball itself."""

    k: arb
    n: arb
    A: arb
    B: arb
    G: arb
    a: arb


def enclosure(k, n):
    """(point, box): the `Point` of perturbed copies, and balls for A, B, G, a with no other.

    Undecided unless it is proven to exist, with A > G > 0 > B and a > 1, for each n of the ball.
    """
    k, n = arb(k), arb(n)
    real_k, middle = float(k), float(n.mid())
    *w, a = erf_perturbed_copies(real_k, middle)[:4]
    norm = (1 + w[0] ** 2 + (middle - 1) * w[1] ** 2 + (real_k - middle) * w[2] ** 2) ** 0.5
    guess = [w[0] / norm, w[1] / norm, w[2] / norm, a]
    center = newton(functools.partial(equations, k=k, n=n.mid()), guess)
    (A, B, G, a), box = krawczyk(functools.partial(equations, k=k, n=n), center)
    if not (A > G and G > 0 and B < 0 and a > 1):
        raise Undecided(
            "a zero of the four equations exists, but is not shown to be perturbed copies"
        )
    return Point(k, n, A, B, G, a), box


def products(point):
    """C_0 = |y_i|^2, C = y_i . y_i' and D = y_i . p_j of own, other copied, uncopied teachers."""
    k, n, A, B, G, _ = point
    own = A**2 + (n - 1) * B**2 + (k - n) * G**2
    other = 2 * A * B + (n - 2) * B**2 + (k - n) * G**2
    half = arb(0.5).sqrt()
    return own, other, (half * A, half * B, half * G)


def slope(t):
    """arcsin'(t)."""
    return (1 - t**2).rsqrt()


def curvature(t):
    """arcsin''(t)."""
    return t * (1 - t**2).rsqrt() ** 3


def equations(x, k, n):
    """The four equations f = 0 at x = (A, B, G, a), and their Jacobian as rows.

    The derivatives of (pi/2) L in A, B, G, a, over 2 n a, 2 n (n - 1) a, 2 n (k - n) a and 2 n.
    """
    A, B, G, a = x
    C0, C, D = products(Point(k, n, A, B, G, a))
    u0, u, v0, v = slope(C0), slope(C), curvature(C0), curvature(C)
    dC0 = (2 * A, 2 * (n - 1) * B, 2 * (k - n) * G)
    dC = (2 * B, 2 * A + 2 * (n - 2) * B, 2 * (k - n) * G)
    half = arb(0.5).sqrt()
    # What the students contribute to the first three equations, divided by a, and its derivatives.
    inner = (u0 * A + (n - 1) * u * B, u0 * B + u * (A + (n - 2) * B), (u0 + (n - 1) * u) * G)
    by_own = (A, B, G)
    by_other = ((n - 1) * B, A + (n - 2) * B, (n - 1) * G)
    explicit = ((u0, (n - 1) * u, 0), (u, u0 + (n - 2) * u, 0), (0, 0, u0 + (n - 1) * u))
    counts = (1, n - 1, k - n)
    values, jacobian = [], []
    for i in range(3):
        values.append(a * inner[i] - half * slope(D[i]))
        row = [
            a * (by_own[i] * v0 * dC0[j] + by_other[i] * v * dC[j] + explicit[i][j])
            for j in range(3)
        ]
        row[i] -= curvature(D[i]) / 2
        jacobian.append([*row, inner[i]])
    own = C0.asin() + (n - 1) * C.asin()
    values.append(a * own - sum(count * d.asin() for count, d in zip(counts, D, strict=True)))
    last = [
        a * (u0 * dC0[j] + (n - 1) * u * dC[j]) - half * counts[j] * slope(D[j]) for j in range(3)
    ]
    jacobian.append([*last, own])
    return values, jacobian


def signs(point):
    """(name, negative eigenvalues, multiplicity) for each block of the Hessian in R^d, d > k."""
    k, n = int(float(point.k)), int(float(point.n))
    blocks = [
        ("trivial", trivial(point), 1),
        ("standard", standard(point), n - 1),
        *((name, [[value]], multiplicity) for name, value, multiplicity in scalars(point, k, n)),
    ]
    return [
        (name, sum(pivot < 0 for pivot in pivots(matrix)) if multiplicity else 0, multiplicity)
        for name, matrix, multiplicity in blocks
    ]


def scalars(point, k, n):
    """The six blocks of one number, with their multiplicities.

    Second derivatives of (pi/2) L along unit vectors in y. The multiplicity outside is that of one
    direction that no teacher sees; there are d - k of them.
    """
    a = point.a
    C0, C, D = products(point)
    apart = 2 * a**2 * (slope(C0) - slope(C))
    together = 2 * a**2 * (slope(C0) + (n - 1) * slope(C))
    copied, uncopied = a * curvature(D[1]), a * curvature(D[2])
    swap = 4 * a**2 * curvature(C) * (point.A - point.B) ** 2
    return [
        ("antisymmetric", apart - copied, (n - 1) * (n - 2) // 2),
        ("symmetric", apart - copied + swap, max(n * (n - 3) // 2, 0)),
        ("uncopied", together - uncopied, k - n - 1),
        ("uncopied x standard", apart - uncopied, (n - 1) * (k - n - 1)),
        ("outside", together, 1),
        ("outside x standard", apart, n - 1),
    ]


def trivial(point):
    """Second derivatives of (pi/2) L in the four numbers: the equations' Jacobian, undivided."""
    k, n, *x = point
    _, jacobian = equations(x, k, n)
    a = x[3]
    factors = (2 * n * a, 2 * n * (n - 1) * a, 2 * n * (k - n) * a, 2 * n)
    return [
        [factor * entry for entry in row] for factor, row in zip(factors, jacobian, strict=True)
    ]


def standard(point):
    """Second derivatives of (pi/2) L along five directions made of one xi with sum 0 and |xi| = 1.

    y_i moves by x_1 xi_i on its own teacher, x_2 xi_i + x_3 xi_j on another copied teacher j and
    x_4 xi_i on every uncopied one, and a_i by x_5 xi_i. At n = 2, where xi_j = -xi_i, the third
    direction is that of the second.
    """
    k, n, A, B, G, a = point
    C0, C, D = products(point)
    u0, u, v0, v = slope(C0), slope(C), curvature(C0), curvature(C)
    m = k - n
    # omega xi_i is the change of y_i . y_i, halved, and chi (xi_i + xi_j) that of y_i . y_j.
    omega = (A, (n - 1) * B, -B, m * G, arb(0))
    chi = (B, A + (n - 2) * B, A - 2 * B, m * G, arb(0))
    # The change of sum_i y_i on teacher j, over xi_j.
    total = (arb(1), arb(-1), n - 1, arb(0), arb(0))
    half = arb(0.5).sqrt()
    teachers = (
        half * slope(D[0]),
        half * slope(D[1]) * (n - 1),
        -half * slope(D[1]),
        half * slope(D[2]) * m,
        arb(0),
    )
    # 2 a (their sum), times x_5, is the part of the second derivative that is linear in x_5.
    mixed = [
        2 * a * u0 * o + a * (n - 2) * u * c - t
        for o, c, t in zip(omega, chi, teachers, strict=True)
    ]

    def lengths(own, copied, uncopied):
        """The quadratic form own sum_i D_ii^2 + copied sum_{i != j} D_ij^2 + uncopied ..., of the
        moves D.
        """
        form = [[arb(0)] * 5 for _ in range(5)]
        form[0][0], form[3][3] = own, m * uncopied
        form[1][1] = form[2][2] = (n - 1) * copied
        form[1][2] = form[2][1] = -copied
        return form

    moves = lengths(*[2 * a**2 * (u0 - u) - a * curvature(d) for d in D])
    matrix = [
        [
            moves[i][j]
            + a**2
            * (
                4 * v0 * omega[i] * omega[j]
                + 2 * (n - 2) * v * chi[i] * chi[j]
                + 2 * u * total[i] * total[j]
            )
            for j in range(5)
        ]
        for i in range(5)
    ]
    for i in range(4):
        matrix[i][4] = matrix[4][i] = 2 * mixed[i]
    matrix[4][4] = 2 * (C0.asin() - C.asin())
    keep = (0, 1, 3, 4) if n == 2 else range(5)
    return [[matrix[i][j] for j in keep] for i in keep]


def loss_difference(point):
    """The loss of perturbed copies less that of the optimal copy-average, for real n."""
    k, n, _, _, _, a = point
    C0, C, D = products(point)
    counts = (1, n - 1, k - n)
    own = n * a**2 * (C0.asin() + (n - 1) * C.asin())
    copies = own - 2 * n * a * sum(count * d.asin() for count, d in zip(counts, D, strict=True))
    m = k - n + 1
    # Both losses have the teacher's own part k pi/6; copy-average copies n - 1 of it.
    average = -(n - 1) * arb.pi() / 6 - m**2 * (1 / (2 * m)).asin()
    return 2 / arb.pi() * (copies - average)
