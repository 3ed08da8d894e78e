"""That a student lies where the exact gradient flow can go nowhere else but to a known minimum.

Steps of theta are measured in what they do to the outputs of neurons: |delta|^2 = sum_i s_i^2
da_i^2 + a_i^2 |dw_i|^2, with s_i^2 = E sigma(w_i . x)^2 and a_i those of a strict minimum theta*.
In this norm let lambda be the smallest eigenvalue of the Hessian H at theta*, M a bound on the
third derivatives of L nearby, and rho = lambda / (2 M). Within rho of theta* the Hessian is at
least lambda / 2, so theta* is the only critical point there, and at the distance rho the loss
exceeds that of theta* by more than lambda rho^2 / 4. A flow that starts within rho at a smaller
excess can neither leave nor stop elsewhere: it converges to theta*. The excess of theta* + delta is
at most delta . H delta / 2 + M |delta|^3 / 6.

The minima are the optimal copy-average, a minimum by the theorem on its spectrum, and perturbed
copies, whose Hessian's signs are proven for k <= 100 (lib.proofs.table). lambda comes from the
blocks of lib.students.spectrum.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lib import kernels
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.averaging import copy_average
from lib.students.perturbed import erf_perturbed_copies, perturbed_network
from lib.students.spectrum import (
    Across,
    coupled,
    eigenvalues_of,
    perturbed_copies_spectrum,
    steps_along,
)
from lib.sweeps.experiment import from_settings
from lib.sweeps.run import certified_flow
from lib.sweeps.table import data_file, read

# Of s_i a_i, the most that rho is: a_i and s_i are nearly those of theta* where M is used.
_NEAR = 0.01
_MARGIN = 1.03  # by how much that can raise M


class End(NamedTuple):
    """How near a student is to a known minimum, by the measures above.

    Attributes
    ----------
    kind : str
        The nearest minimum, ``'copy-average'`` or ``'perturbed-copies'``.
    distance, radius : float
        ``|delta|``, and rho, which it is to be below.
    excess, barrier : float
        A bound on the loss above that of the minimum, and what it is to be below.
    proven : bool
        Whether the exact gradient flow from the student converges to the minimum; half of radius
        and barrier is left to rounding.

    Examples
    --------
    >>> from lib.proofs.ends import nearest_minimum
    >>> nearest_minimum(copy_average([1, 1, 2]), k=4).kind
    'copy-average'
    """

    kind: str
    distance: float
    radius: float
    excess: float
    barrier: float

    @property
    def proven(self):
        """Whether the exact flow converges to the minimum; half is left to rounding."""
        return self.distance < 0.5 * self.radius and self.excess < 0.5 * self.barrier


def nearest_minimum(student, k):
    """The known minimum nearest to an erf student, and whether the exact flow converges to it.

    Parameters
    ----------
    student : Network (n, d)
        ``1 <= n <= k <= d``.
    k : int
        The teacher neurons are e_1, ..., e_k.

    Returns
    -------
    End
        For the minimum with its neurons and teachers in the order that suits, and (w, a) = (-w,
        -a). radius and barrier are 0 if it is no strict minimum.

    Examples
    --------
    >>> from lib.proofs.ends import nearest_minimum
    >>> near = copy_average([1, 1, 2]).ravel() + 1e-8
    >>> nearest_minimum(Network.unravel(near, n=3, d=4), k=4).proven
    True
    """
    W, a = np.where(student.a < 0.0, -1.0, 1.0)[:, None] * student.W, np.abs(student.a)
    L = PopulationLoss(Network.orthonormal(k, student.d), kernels.erf)
    known = {"copy-average": _copy_average(W, k)}
    if 1 < student.n < k:
        known["perturbed-copies"] = _perturbed_copies(W, k)
    moves = {kind: np.concatenate(((W - net.W).ravel(), a - net.a)) for kind, net in known.items()}
    kind = min(moves, key=lambda name: np.linalg.norm(moves[name]))
    delta, net = moves[kind], known[kind]
    s = output_sizes(net)
    distance = math.hypot(
        np.linalg.norm(net.a[:, None] * (W - net.W)), np.linalg.norm(s * (a - net.a))
    )
    softest = max(_SOFTEST[kind](k, student.n, student.d), 0.0)
    steepest = third_derivatives(net.a, s, k / 3)  # k / 3 is the loss of no student at all
    radius = min(softest / (2 * steepest), _NEAR * float((s * net.a).min()))
    excess = delta @ (L.hessian_operator(net) @ delta) / 2 + steepest * distance**3 / 6
    return End(kind, distance, radius, float(excess), softest * radius**2 / 4)


def end_of_flow(k, n, seed):
    """The `End` of a flow of the table of k, run again from its seed and polished by `certify`."""
    _, settings = read(data_file(f"sweep_erf_k{k}.csv"))
    _, certificate = certified_flow(n, seed, from_settings(settings))
    return nearest_minimum(certificate.student, k)


def output_sizes(net):
    """s_i, the root of E sigma(w_i . x)^2."""
    squared = (net.W**2).sum(axis=1)
    return np.sqrt(kernels.erf(squared, squared, squared))


def third_derivatives(a, s, loss):
    """A bound on |D^3 L[u, v, w]| near a student of a_i, s_i and this loss.

    u, v, w have length 1 in the norm above. With f = sum_i a_i sigma(w_i . x) and r = f - f*, D^3
    L[u, v, w] is twice the mean of r f'''[u, v, w] + f'[u] f''[v, w] + f'[v] f''[w, u] + f'[w]
    f''[u, v]. By Cauchy and Schwarz it is enough to bound the mean squares of f', f'', f''', where
    |sigma'| <= c, |sigma''| <= c / sqrt(e), |sigma'''| <= c with c = sqrt(2 / pi), and the mean
    square of a product of 1, 2, 3 linear forms of length 1 is at most 1, 3, 15.
    """
    c, bent = math.sqrt(2 / math.pi), math.sqrt(3 / math.e)
    first = math.sqrt(len(a) * (1 + c**2))
    second = c * float(((1 / s + bent) / a).max())
    third = c * float(((3 * bent / s + math.sqrt(15)) / a**2).max())
    return _MARGIN * 2 * (math.sqrt(loss) * third + 3 * first * second)


def _copy_average(W, k):
    """The optimal copy-average whose averager has most of more teachers than any other neuron."""
    n, d = W.shape
    averager = int(np.bincount(W[:, :k].argmax(axis=0), minlength=n).argmax())
    copies = np.delete(np.arange(n), averager)
    row, copied = linear_sum_assignment(W[copies, :k], maximize=True)
    net = copy_average([1] * (n - 1) + [k - n + 1], d)
    neurons = np.append(copies[row], averager)
    teachers = np.concatenate((copied, np.setdiff1d(np.arange(k), copied), np.arange(k, d)))
    arranged, a = np.empty_like(net.W), np.empty_like(net.a)
    arranged[np.ix_(neurons, teachers)], a[neurons] = net.W, net.a
    return Network(arranged, a)


def _perturbed_copies(W, k):
    n, d = W.shape
    _, copied = linear_sum_assignment(W[:, :k], maximize=True)
    return perturbed_network(erf_perturbed_copies(k, n), d, np.arange(k), copied)


@functools.lru_cache(1024)
def copy_average_softest(k, n, d):
    """lambda at the optimal copy-average: blocks of `copy_average_spectrum` in the norm above."""
    N, m = n - 1, float(k - n + 1)
    t = 1 / (2 * m)
    s = math.sqrt(2 / math.pi) * np.sqrt(np.arcsin([0.5, t]))  # of a copy and of the averager
    copy, averager = Across.of(1.0), Across.of(m)
    own, averaged = steps_along(1.0) / [1.0, s[0]], steps_along(m) / [m, s[1]]
    average = (averager.linear / m, averager.rest / m**2)
    within = (averager.linear / m, averager.within / m**2)
    nobody = np.zeros((1, 0))

    def copies(count):
        return [(math.sqrt(count) * copy.linear, copy.rest)] if count > 0 else []

    blocks = [coupled(averaged, *copies(N))]
    if N:
        blocks += [coupled(own, *copies(N - 1), average), ([copy.rest], np.eye(1))]
    if m > 1.0:
        blocks.append(coupled(nobody, *copies(N), within))
    if d > k:
        blocks.append(coupled(nobody, *copies(N), average))
    return min(eigenvalues_of(*block)[0] for block in blocks)


@functools.lru_cache(1024)
def perturbed_copies_softest(k, n, d):
    """At most lambda at perturbed copies: least eigenvalue over the norm's largest weight."""
    smallest = min(block.eigenvalues[0] for block in perturbed_copies_spectrum(k, n, d))
    return smallest / erf_perturbed_copies(k, n).a ** 2  # a > 1 > s


_SOFTEST = {"copy-average": copy_average_softest, "perturbed-copies": perturbed_copies_softest}
