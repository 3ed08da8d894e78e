"""The real n at which a verdict changes, enclosed.

At real n, perturbed copies are a zero of the four equations, and the Hessian's standard block a
matrix, whose entries are functions of n. Between two n at which a sign is proven to differ the sign
changes, if the zero is followed from one to the other without a jump: Krawczyk's test with the
interval between them as the ball n says so.
"""

from typing import NamedTuple

from flint import arb, fmpq

from lib.arguments import integer
from lib.proofs.enclosures import Undecided, pivots, precise, sign
from lib.proofs.perturbed import enclosure, loss_difference, slope, standard
from lib.students.spectrum import phase_boundaries

HALF_WIDTH = fmpq(1, 10**10)  # of the enclosures, relative: ten digits


class Boundary(NamedTuple):
    """A sign changes at a real n between two exact rational numbers.

    Attributes
    ----------
    low, high : flint.fmpq

    Examples
    --------
    >>> from lib.proofs.boundaries import enclose_boundaries
    >>> float(enclose_boundaries(50)[2].high) < 45
    True
    """

    low: fmpq
    high: fmpq


@precise
def enclose_boundaries(k):
    """The three `phase_boundaries` of k, enclosed to ten digits.

    That the third is the only one follows from its formula. That the first two are the only ones
    between two integers is not proven here; ``prove`` at every integer shows that there is no other
    pair of neighbours between which the sign differs.

    Parameters
    ----------
    k : int
        At least 3.

    Returns
    -------
    tuple of three Boundary

    Raises
    ------
    lib.proofs.enclosures.Undecided
        Where a sign is not what it should be.

    Examples
    --------
    >>> from lib.proofs.boundaries import enclose_boundaries
    >>> [f"{float(boundary.low):.6f}" for boundary in enclose_boundaries(50)]
    ['21.428236', '37.525729', '44.981544']
    """
    k = integer("k", k, least=3)
    perturbed_stable, losses_equal, copy_average_unstable = near_boundaries(k)
    return (
        _crossing(k, perturbed_stable, _standard_sign, rising=True),
        _crossing(k, losses_equal, lambda point: sign(loss_difference(point)), rising=False),
        _checked(copy_average_unstable, lambda n: copy_average_sign(k, n)),
    )


def near_boundaries(k):
    """The `phase_boundaries` of k to twelve digits, about which `enclose_boundaries` encloses them.

    Parameters
    ----------
    k : int

    Returns
    -------
    tuple of three float
        The same on every processor, as the last digits of `phase_boundaries` are not.

    Examples
    --------
    >>> from lib.proofs.boundaries import near_boundaries
    >>> near_boundaries(50)
    (21.4282359294, 37.5257287506, 44.9815436753)
    """
    return tuple(float(f"{n:.12g}") for n in phase_boundaries(k))


def copy_average_sign(k, n):
    """The sign of N_c(m) - (n - 1) at real n: 1 where copy-average is a strict minimum.

    m = k - n + 1. The theorem on its spectrum: N_c(m) = (h'(1/2)) (1/B - 1), B = t h''(t) - h'(t)
    at t = 1 / (2m), h = arcsin - id.
    """
    n = arb(n)
    t = 1 / (2 * (k - n + 1))
    B = t**2 * slope(t) ** 3 - slope(t) + 1
    return sign((slope(arb(0.5)) - 1) * (1 / B - 1) - (n - 1))


def _standard_sign(point):
    return 1 if all(pivot > 0 for pivot in pivots(standard(point))) else -1


def _crossing(k, n, sign_at, rising):
    """The `Boundary` near n of a sign that depends on the perturbed copies at n."""
    low, high = _around(n)
    ends = [enclosure(k, arb(end))[0] for end in (low, high)]
    if [sign_at(point) for point in ends] != ([-1, 1] if rising else [1, -1]):
        raise Undecided(f"the sign does not change as it should between {low} and {high}")
    # For each n between, one zero only in this box; those at both ends must be among them.
    _, box = enclosure(k, arb(low).union(arb(high)))
    if not all(ball.contains(x) for point in ends for ball, x in zip(box, point[2:], strict=True)):
        raise Undecided("the zeros at the two ends are not shown to belong together")
    return Boundary(low, high)


def _checked(n, sign_at):
    """The boundary near n at which the sign falls from 1 to -1."""
    low, high = _around(n)
    if [sign_at(arb(low)), sign_at(arb(high))] != [1, -1]:
        raise Undecided(f"the sign does not change as it should between {low} and {high}")
    return Boundary(low, high)


def _around(n):
    """Rational numbers on both sides of the float n, with ten digits in common."""
    middle = fmpq(*float(n).as_integer_ratio())
    return middle * (1 - HALF_WIDTH), middle * (1 + HALF_WIDTH)
