"""Students of copies, flipped copies and an average, under any kernel, solved in a few numbers.

Coordinates fall into classes of equal ones: teachers with a copy, teachers with a flipped copy, the
others. So do neurons: the neurons of a class of copies share their weights up to which teacher is
their own, and one more neuron, or none, averages:

    copy        w = own e_i + sum over classes c of across[c] times the sum of e_j, j in c, j != i
    averager    w = sum over classes c of across[c] times the sum of e_j, j in c

Permuting the teachers of a class, together with their copies, changes nothing; so by symmetric
criticality a critical point of the loss restricted to such students is one of the whole loss. The
restricted loss is a sum of few kernels whose weights are counts, which may be any real numbers: its
cost does not depend on how many neurons there are, and solutions are continued in a real number of
teacher neurons.

relu is homogeneous, relu(c y) = c relu(y): only the products of incoming and outgoing weights are
determined, and all outgoing weights are 1 here.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from lib import kernels
from lib.arguments import integer
from lib.networks import Network
from lib.pairs import from_entries
from lib.students.continuation import Pace, Settling, follow, newton


class Classes(NamedTuple):
    """Counts: copies, flipped copies, teachers without a copy (all real), averagers (0 or 1).

    cosine: of any two teacher neurons, 0 or more. They are v_j = root[0] e_j + root[1] sum_l e_l,
    the rows of the symmetric root of their Gram matrix, so that coordinates keep their classes.
    """

    copies: float
    flipped: float
    others: float
    averagers: int
    cosine: float = 0.0

    @property
    def k(self):
        return self.copies + self.flipped + self.others

    @property
    def root(self):
        return symmetric_root(self.k, self.cosine)

    @property
    def teachers(self):
        """Counts of teachers: copied, copied with the other sign, others."""
        return np.array([self.copies, self.flipped, self.others])

    @property
    def neurons(self):
        """Counts of neurons: copies, flipped copies, averagers."""
        return np.array([self.copies, self.flipped, self.averagers])


def symmetric_root(k, cosine, power=0.5):
    """(x, y): x I + y (ones) is the Gram matrix of k unit vectors with this cosine, to a power."""
    across, along = (1.0 - cosine) ** power, (1.0 + (k - 1) * cosine) ** power
    return across, (along - across) / k


class SymmetricStudent(NamedTuple):
    """The numbers of a symmetric student; entries of neurons or teachers that are not there are 0.

    own (2,): the weight of a copy and of a flipped copy on its own teacher. across (3, 3): those of
    copy, flipped copy and averager on a copied, a flipped and another teacher. a (3,): their
    outgoing weights. loss: of the whole student.
    """

    own: np.ndarray
    across: np.ndarray
    a: np.ndarray
    loss: float


# A step 1000 times as long as the point that it leads to comes from far off: no guess was near.
_SETTLING = Settling(near=1e-7, most=12, far=1e3)
# theta holds own, across row by row, and a: positions of each.
_OWN, _ACROSS, _A = np.arange(2), np.arange(2, 11).reshape(3, 3), np.arange(11, 14)


def symmetric_student(kernel, classes):
    """The `SymmetricStudent` of these `Classes`, a critical point; None if none was found.

    Without flipped copies: continued in the number of others, from a student that is the teacher
    itself. With them: by minimization from there, after the copies that are to flip changed sign.
    Since relu(-y) = relu(y) - y, some neurons must supply the slopes that this takes away: all of
    them alike or the flipped copies among themselves; of two solutions that of lower loss is
    returned. Correlated teachers: continued in the cosine from orthonormal ones.
    """
    if classes.cosine:
        theta = _continue_in_cosine(kernel, classes)
        return None if theta is None else solution(kernel, classes, theta)
    unflipped = Classes(classes.copies + classes.flipped, 0.0, *classes[2:])
    theta = _continue_from_teacher(kernel, unflipped)
    if theta is None:
        return None
    if not classes.flipped:
        return solution(kernel, classes, theta)
    starts = [_minimized(kernel, classes, guess) for guess in _flipped(classes, theta)]
    ends = [critical_point(kernel, classes, start) for start in starts]
    found = [solution(kernel, classes, x) for x in ends if x is not None and _is_flipped(x)]
    return min(found, key=lambda student: student.loss, default=None)


def symmetric_copies(kernel, d, classes):
    """`symmetric_student` as a Network, teachers ordered copied, flipped, others; or ValueError."""
    student = symmetric_student(kernel, classes)
    if student is None:
        raise ValueError(
            f"k, n and flipped must be where such a student exists: none was found for {kernel!r}, "
            f"{classes.copies} copies, {classes.flipped} flipped copies, "
            f"{classes.others} other teachers"
        )
    groups = np.split(np.arange(classes.k), np.cumsum(classes.teachers[:2]))
    return symmetric_network(student, d, *groups)


def checked_flipped(flipped, most, kernel):
    """flipped as an integer up to `most`, the number of copies; for erf 0."""
    flipped = integer("flipped", flipped, least=0)
    if kernel is kernels.erf and flipped:
        raise ValueError(
            f"flipped must be 0 for erf, whose copies have no other sign, got {flipped}"
        )
    if flipped > most:
        raise ValueError(f"flipped must be at most {most}, got {flipped}")
    return flipped


def _flipped(classes, theta):
    """Two guesses: the flipped copies change sign, and all neurons or they alone lean towards their
    teachers.
    """
    theta = theta.copy()
    theta[_OWN[1]] = -theta[_OWN[0]]
    theta[_A[1]] = theta[_A[0]]
    theta[_ACROSS[1]] = theta[_ACROSS[0]]
    theta[_ACROSS[:, 1]] = theta[_ACROSS[:, 0]]
    for helpers in (slice(0, 3), slice(1, 2)):
        guess = theta.copy()
        guess[_ACROSS[helpers, 1]] += 2.0 / (classes.neurons[helpers] @ theta[_A[helpers]])
        yield guess


def _is_flipped(theta):
    """Whether flipped copies are such: negative on their own teacher, and largest there.

    Largest among all weights of such a neuron, and among all neurons' weights on such a teacher.
    """
    return -theta[_OWN[1]] > np.abs(theta[np.append(_ACROSS[1], _ACROSS[:, 1])]).max()


def solution(kernel, classes, theta):
    """theta as a `SymmetricStudent`."""
    theta = np.where(_present(classes), theta, 0.0)
    loss, _, _ = restricted_loss(kernel, classes, theta)
    return SymmetricStudent(theta[_OWN], theta[_ACROSS], theta[_A], loss)


def symmetric_network(student, d, copied, flipped, others):
    """The Network (n, d) of copies of `copied`, then of `flipped`, then an averager, if any."""
    own = [(0, j) for j in copied] + [(1, j) for j in flipped]
    own += [(2, None)] * bool(student.across[2].any())
    W = np.zeros((len(own), d))
    for w, (kind, j) in zip(W, own, strict=True):
        for teachers, weight in zip((copied, flipped, others), student.across[kind], strict=True):
            w[teachers] = weight
        if j is not None:
            w[j] = student.own[kind]
    return Network(W, student.a[[kind for kind, _ in own]])


def class_means(W, a, copied, flipped, others):
    """The theta and `Classes` nearest to W (n, d), a (n,) in the order of `symmetric_network`."""
    counts = len(copied), len(flipped)
    classes = Classes(*map(float, counts), float(len(others)), len(a) - sum(counts))
    theta = np.zeros(14)
    neurons = np.split(np.arange(len(a)), np.cumsum(counts))
    for kind, rows in enumerate(neurons):
        if not len(rows):
            continue
        theta[_A[kind]] = a[rows].mean()
        for c, teachers in enumerate((copied, flipped, others)):
            block = W[np.ix_(rows, teachers)]
            if c == kind and c < 2:
                theta[_OWN[c]] = block.diagonal().mean()
                block = block[~np.eye(len(rows), dtype=bool)]
            theta[_ACROSS[kind, c]] = block.mean() if block.size else 0.0
    return theta, classes


def restricted_loss(kernel, classes, theta):
    """(loss, gradient (14,), Hessian (14, 14)) of the student at theta; 0 for what is absent."""
    first, second, counts, quadratic, linear, constant = _pairs(classes)
    a = np.append(theta[_A], 1.0)  # the last is the teacher's
    slopes = quadratic @ theta + linear
    values = 0.5 * (slopes + linear) @ theta + constant
    pairs = from_entries(*values.T)
    g, g_s, g_p = kernel.jet_at(pairs)
    _, _, g_q = kernel.jet_at(pairs.swapped())
    g_ss, g_sp, g_pp, g_pq = kernel.hessian_at(pairs)
    _, g_sq, g_qq, _ = kernel.hessian_at(pairs.swapped())
    g_pairs = np.array([g_s, g_p, g_q]).T
    dg = (g_pairs[:, None] @ slopes)[:, 0]
    bend = np.array([[g_ss, g_sp, g_sq], [g_sp, g_pp, g_pq], [g_sq, g_pq, g_qq]])
    weight = counts * a[first] * a[second]

    unit = np.eye(4)[:, :3]  # the teacher's outgoing weight does not vary
    d_weight = counts[:, None] * (unit[first] * a[second, None] + unit[second] * a[first, None])
    gradient = weight @ dg
    gradient[_A] = g @ d_weight
    # Sums over the pairs t and their entries s, p, q, as products of matrices.
    bent = (weight * bend).transpose(2, 0, 1) @ slopes
    hessian = slopes.reshape(-1, 14).T @ bent.reshape(-1, 14)
    hessian += ((weight[:, None] * g_pairs).ravel() @ quadratic.reshape(-1, 196)).reshape(14, 14)
    hessian[:, _A] = dg.T @ d_weight
    hessian[_A] = hessian[:, _A].T
    both = np.einsum("t,ti,tj->ij", counts * g, unit[first], unit[second])
    hessian[np.ix_(_A, _A)] = both + both.T
    return float(weight @ g) + _teacher_energy(kernel, classes.k, classes.cosine), gradient, hessian


@functools.lru_cache(16)
def _teacher_energy(kernel, k, cosine):
    own, cross = (float(kernel(s, 1.0, 1.0)) for s in (1.0, cosine))
    return k * own + k * (k - 1) * cross


@functools.lru_cache(16)
def _pairs(classes):
    """The pairs of classes that the loss sums over, with P of them that there are.

    first, second: 0 copies, 1 flipped copies, 2 averager, 3 the teacher; counts (P,) of pairs of
    neurons, those with the teacher times -2. s, p, q of a pair are theta.Q.theta / 2 + l.theta + c
    with quadratic (P, 3, 14, 14), linear (P, 3, 14) and constant (P, 3) parts.
    """
    N, M = classes.neurons, classes.teachers
    norms = [_form(_products_with(i, i, M, same=True)) for i in range(3)] + [np.zeros((14, 14))]
    sums = np.zeros((3, 14))  # of the weights of a neuron
    for i in range(3):
        sums[i, _ACROSS[i]] = _without_own(M, i)
        sums[i, _OWN[i : i + 1]] = 1.0
    table = [(i, i, N[i], norms[i], None) for i in range(3)]
    table += [(i, i, N[i] * (N[i] - 1), _form(_products_with(i, i, M)), None) for i in range(2)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        table.append((i, j, 2 * N[i] * N[j], _form(_products_with(i, j, M)), None))
    table += [(i, 3, -2 * N[i], norms[3], _OWN[i]) for i in range(2)]
    for i in range(3):
        counts = -2 * N[i] * _without_own(M, i)
        table += [(i, 3, count, norms[3], _ACROSS[i, c]) for c, count in enumerate(counts)]
    table = [row for row in table if row[2] != 0.0]
    first, second, counts, products, entries = zip(*table, strict=True)
    linear = np.zeros((len(table), 3, 14))
    x, y = classes.root
    for row, i, entry in zip(linear, first, entries, strict=True):
        if entry is not None:
            row[0] = y * sums[i]
            row[0, entry] += x
    quadratic = np.array([(s, norms[i], norms[j]) for i, j, _, s, _ in table])
    constant = np.outer(np.array(second) == 3, [0.0, 0.0, 1.0])  # teachers have unit length
    return np.array(first), np.array(second), np.array(counts), quadratic, linear, constant


def _products_with(i, j, M, same=False):
    """w.v of neurons of classes i and j, two or one and the same: (count, entry of w, of v)."""
    if same:
        terms = list(zip(_without_own(M, i), _ACROSS[i], _ACROSS[i], strict=True))
        return terms + ([(1.0, _OWN[i], _OWN[i])] if i < 2 else [])
    terms = list(zip(_without_own(_without_own(M, i), j), _ACROSS[i], _ACROSS[j], strict=True))
    terms += [(1.0, _OWN[i], _ACROSS[j, i])] if i < 2 else []
    return terms + ([(1.0, _ACROSS[i, j], _OWN[j])] if j < 2 else [])


def _without_own(M, i):
    """The counts M of teachers of each class, less the one that is a copy's own in class i."""
    return M - np.array([i == 0, i == 1, False])


def _form(terms):
    form = np.zeros((14, 14))
    for count, i, j in terms:
        form[i, j] += count
        form[j, i] += count
    return form


def _present(classes):
    """Which entries of theta the loss depends on; one copy alone has nothing across its class."""
    neurons, teachers = classes.neurons > 0, classes.teachers > 0
    across = np.outer(neurons, teachers)
    across[[0, 1], [0, 1]] &= classes.neurons[:2] != 1
    return np.concatenate((neurons[:2], across.ravel(), neurons))


def _free(kernel, classes):
    """Positions in theta that are solved for: what is present, less the gauge of relu."""
    free = _present(classes)
    if kernel.homogeneous:
        free[_A] = False
    return np.flatnonzero(free)


def critical_point(kernel, classes, theta):
    """theta of the critical point that Newton's method reaches; None if it does not settle."""
    free = _free(kernel, classes)

    def whole(x):
        return _with(theta, free, x)

    def derivatives(x):
        _, gradient, hessian = restricted_loss(kernel, classes, whole(x))
        return gradient[free], hessian[np.ix_(free, free)]

    def size(step, x):
        return np.abs(step).max() / (1.0 + np.abs(whole(x)).max())

    found = newton(derivatives, theta[free], size, _SETTLING)
    return None if found is None else whole(found)


def _with(theta, free, x):
    """theta with the entries x at the positions `free`."""
    theta = theta.copy()
    theta[free] = x
    return theta


def _minimized(kernel, classes, theta):
    free = _free(kernel, classes)

    def restricted(x):
        value, gradient, _ = restricted_loss(kernel, classes, _with(theta, free, x))
        return value, gradient[free]

    return _with(theta, free, minimize(restricted, theta[free], jac=True, method="BFGS").x)


def _continue_in_cosine(kernel, classes):
    """theta at these classes, by secant steps in the cosine from orthonormal teachers, or None."""
    start = symmetric_student(kernel, classes._replace(cosine=0.0))
    if start is None:
        return None
    theta = np.concatenate((start.own, start.across.ravel(), start.a))

    def solve(there, guess):
        return critical_point(kernel, classes._replace(cosine=there), guess)

    return follow(solve, theta, 0.0, classes.cosine, Pace(0.02, 1.5, 0.05, 1e-6), _close)


def _close(found, guess):
    return np.abs(found - guess).max() < 0.05 * (1 + np.abs(guess).max())


def _continue_from_teacher(kernel, classes):
    """theta at unflipped classes, by secant steps in log k from the teacher; None if stuck.

    n neurons are the teacher where one other teacher is left to the averager, or none if there is
    no averager; in the limit of ever fewer others each gives 1 / n to every copy.
    """
    N, averagers = classes.copies, classes.averagers
    theta = np.zeros(14)
    theta[[_OWN[0], _ACROSS[2, 2], *_A]] = 1.0
    if not averagers:
        theta[_ACROSS[0, 2]] = 1.0 / N
    n = N + averagers
    target = math.log(classes.k)

    def solve(there, guess):
        at = classes if there == target else Classes(N, 0.0, math.exp(there) - N, averagers)
        return critical_point(kernel, at, guess)

    return follow(solve, theta, math.log(n), target, Pace(0.1 / n, 2.0, 0.5, 1e-6 / n), _close)
