"""lib.students.spectrum against dense Hessians, and reduced losses that mpmath differentiates in many digits."""

import math

import mpmath
import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_spectrum,
    kernels,
    perturbed_copies,
    perturbed_copies_spectrum,
    phase_boundaries,
)
from lib.students.perturbed import erf_perturbed_copies

LOST, DELTA = math.pi / 6 - 0.5, 1 / math.sqrt(3) - 0.5
SPECTRA = {
    "copy-average": (copy_average_spectrum, lambda k, n, d: copy_average([1] * (n - 1) + [k - n + 1], d), 1),
    "perturbed copies": (perturbed_copies_spectrum, lambda k, n, d: perturbed_copies(kernels.erf, k, n, d), 2),
}


def all_eigenvalues(blocks):
    return np.sort(np.concatenate([np.repeat(block.eigenvalues, block.multiplicity) for block in blocks]))


def dense_eigenvalues(student, k):
    """Witness: the Hessian of the whole loss, which knows nothing of symmetry."""
    return np.linalg.eigvalsh(PopulationLoss(Network.orthonormal(k, student.d), kernels.erf).hessian(student))


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize(("k", "extra"), [(2, 1), (3, 0), (3, 1), (6, 0), (6, 1), (6, 3), (9, 1), (12, 0), (12, 1)])
def test_dense_spectra_at_every_n(kind, k, extra):
    """n = 1, 2, 3, k - 1 and k among them, where blocks are missing."""
    blocks, student, least = SPECTRA[kind]
    for n in range(least, k + 1):
        found = all_eigenvalues(blocks(k, n, k + extra))
        assert len(found) == n * (k + extra + 1)
        np.testing.assert_allclose(found, dense_eigenvalues(student(k, n, k + extra), k), rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPECTRA)
def test_dense_spectra_of_twenty_teachers(kind):
    blocks, student, least = SPECTRA[kind]
    for n in range(least, 21):
        found = all_eigenvalues(blocks(20, n, 21))
        np.testing.assert_allclose(found, dense_eigenvalues(student(20, n, 21), 20), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", SPECTRA)
def test_multiplicities_add_up_and_no_block_is_empty(kind):
    blocks, _, least = SPECTRA[kind]
    for k in (2, 3, 4, 7, 50, 10**6):
        for n in {n for n in (1, 2, 3, 4, k // 2, k - 2, k - 1, k) if least <= n <= k}:
            if k == 10**6 and n == k // 2 or k < 10**6:
                for d in (k, k + 1, k + 5):
                    found = blocks(k, n, d)
                    assert min(block.multiplicity for block in found) > 0
                    assert sum(len(block.eigenvalues) * block.multiplicity for block in found) == n * (d + 1), (k, n, d)
                    assert all(list(block.eigenvalues) == sorted(block.eigenvalues) for block in found)


# Reduced losses for mpmath: students are given by classes of neurons and of teachers with counts, which may be real.


def mp_kernel(w, v, counts):
    """(2/pi) arcsin of y.y' for w and v with the given numbers of equal entries."""

    def dot(x, y):
        return mpmath.fsum(count * p * q for count, p, q in zip(counts, x, y, strict=True))

    return 2 / mpmath.pi * mpmath.asin(dot(w, v) / mpmath.sqrt((1 + dot(w, w)) * (1 + dot(v, v))))


def mp_teacher(w, counts):
    """sum_j g(w, e_j) over all teachers."""
    q = 1 + mpmath.fsum(count * x * x for count, x in zip(counts, w, strict=True))
    return mpmath.fsum(
        2 / mpmath.pi * count * mpmath.asin(x / mpmath.sqrt(2 * q)) for count, x in zip(counts, w, strict=True)
    )


def mp_trivial(k, n, alpha, beta, gamma, a):
    """n perturbed copies, all alike, without the teacher's own term; entries: own, another's, the rest, uncopied."""
    counts = [1, 1, n - 2, k - n]
    first, second = [alpha, beta, beta, gamma], [beta, alpha, beta, gamma]
    own = mp_kernel(first, first, counts) + (n - 1) * mp_kernel(first, second, counts)
    return n * a * a * own - 2 * n * a * mp_teacher(first, counts)


def mp_standard(k, n, alpha, beta, gamma, a, x):
    """Neurons moved by xi = (1, -1, 0, ...); classes of neurons and of copied teachers: 1, 2, two of the rest."""
    x1, x2, x3, x4, x5 = x
    counts = [1, 1, 1, 1, n - 4, k - n]
    one = [alpha + x1, beta + x2 - x3, *[beta + x2] * 3, gamma + x4]
    two = [beta - x2 + x3, alpha - x1, *[beta - x2] * 3, gamma - x4]
    three = [beta + x3, beta - x3, alpha, beta, beta, gamma]
    four = [beta + x3, beta - x3, beta, alpha, beta, gamma]
    neurons = [(1, a + x5, one), (1, a - x5, two), (n - 2, a, three)]
    own = mpmath.fsum(count * size**2 * mp_kernel(w, w, counts) for count, size, w in neurons)
    pairs = 2 * (a + x5) * (a - x5) * mp_kernel(one, two, counts)
    pairs += 2 * (n - 2) * a * ((a + x5) * mp_kernel(one, three, counts) + (a - x5) * mp_kernel(two, three, counts))
    pairs += (n - 2) * (n - 3) * a**2 * mp_kernel(three, four, counts)
    return own + pairs - 2 * mpmath.fsum(count * size * mp_teacher(w, counts) for count, size, w in neurons)


def mp_eigenvalues(function, point, gram):
    """Eigenvalues, ascending, of the Hessian of `function` where the parameters' metric is `gram`."""
    unit = [[int(i == j) for j in range(len(point))] for i in range(len(point))]
    H = mpmath.matrix(len(point))
    for i, e in enumerate(unit):
        for j, f in enumerate(unit[: i + 1]):
            H[i, j] = H[j, i] = mpmath.diff(lambda *at: function(*at), point, tuple(map(sum, zip(e, f, strict=True))))
    inverse = mpmath.inverse(mpmath.cholesky(gram))
    return [float(value) for value in mpmath.eigsy(inverse * H * inverse.T, eigvals_only=True)]


def mp_perturbed_copies(k, n):
    """The four numbers by Newton's method in mpmath, from the library's."""

    def gradient(*at):
        unit = [tuple(int(i == j) for j in range(4)) for i in range(4)]
        return [mpmath.diff(lambda *p: mp_trivial(k, n, *p), at, e) for e in unit]

    start = [mpmath.mpf(x) for x in erf_perturbed_copies(k, n)[:4]]
    point = list(mpmath.findroot(gradient, start, verify=False, maxsteps=6))
    assert max(map(abs, gradient(*point))) < n**2 * mpmath.mpf(10) ** (20 - mpmath.mp.dps)
    return point


def mp_standard_eigenvalues(k, n, point):
    gram = mpmath.diag([2, 2 * (n - 1), 2 * (n - 1), 2 * (k - n), 2])
    gram[1, 2] = gram[2, 1] = -2
    return mp_eigenvalues(lambda *x: mp_standard(k, n, *point, x), [mpmath.mpf(0)] * 5, gram)


@pytest.mark.parametrize(
    ("k", "n", "digits", "accuracy"),
    [(10, 5, 50, 1e-11), (50, 21, 50, 1e-11), (50, 22, 50, 1e-11), (50, 45, 50, 1e-11), (1000, 5, 70, 1e-11),
     (10**6, 1000, 80, 1e-11), (10**6, 9649, 70, 1e-9), (10**6, 500_000, 70, 1e-11), (10**9, 999_999_000, 90, 1e-11),
     (10**6, 3, 120, 1e-5)],
)  # fmt: skip
def test_perturbed_copies_blocks_have_relative_accuracy(k, n, digits, accuracy):
    """Witness: second derivatives of two reduced losses. One eigenvalue is about to change its sign at n = 9649; at
    n = 3 (a = 2e8) one cancels to 10 digits less than the four numbers have.
    """
    blocks = {block.name: block.eigenvalues for block in perturbed_copies_spectrum(k, n)}
    with mpmath.workdps(digits):
        point, n_, m = mp_perturbed_copies(k, n), mpmath.mpf(n), mpmath.mpf(k - n)
        gram = mpmath.diag([n_, n_ * (n_ - 1), n_ * m, n_])
        trivial = mp_eigenvalues(lambda *at: mp_trivial(k, n_, *at), point, gram)
        standard = mp_standard_eigenvalues(k, n_, point)
    np.testing.assert_allclose(blocks["trivial"], trivial, rtol=accuracy)
    np.testing.assert_allclose(blocks["standard"], standard, rtol=accuracy)


def mp_averaging(k, n, alpha, beta, gamma, a, delta, epsilon, b):
    """Copies, all alike, and an averager; teachers: own, another's, the other copied ones, the group."""
    N, m = mpmath.mpf(n - 1), mpmath.mpf(k - n + 1)
    counts = [1, 1, N - 2, m]
    one, two = [alpha, beta, beta, gamma], [beta, alpha, beta, gamma]
    averager = [delta, delta, delta, epsilon]
    own = N * a * a * (mp_kernel(one, one, counts) + (N - 1) * mp_kernel(one, two, counts))
    own += b * b * mp_kernel(averager, averager, counts) + 2 * N * a * b * mp_kernel(one, averager, counts)
    return own - 2 * N * a * mp_teacher(one, counts) - 2 * b * mp_teacher(averager, counts)


def mp_within(k, n, x, y):
    """Copies lean by x, -x and the averager by y, -y towards the first two teachers of its group."""
    N, m = mpmath.mpf(n - 1), mpmath.mpf(k - n + 1)
    counts, e = [1, 1, N - 2, 1, 1, m - 2], 1 / mpmath.sqrt(m * (2 * m - 1))
    one, two = [1, 0, 0, x, -x, 0], [0, 1, 0, x, -x, 0]
    averager = [0, 0, 0, e + y, e - y, e]
    own = N * (mp_kernel(one, one, counts) + (N - 1) * mp_kernel(one, two, counts))
    own += m * m * mp_kernel(averager, averager, counts) + 2 * N * m * mp_kernel(one, averager, counts)
    return own - 2 * N * mp_teacher(one, counts) - 2 * m * mp_teacher(averager, counts)


@pytest.mark.parametrize(
    ("k", "n", "digits"),
    [(10, 4, 50), (50, 3, 50), (50, 44, 50), (50, 45, 50), (1000, 972, 60), (10**6, 3, 120), (10**6, 500_000, 120),
     (10**6, 999_103, 90)],
)  # fmt: skip
def test_copy_average_blocks_have_relative_accuracy(k, n, digits):
    """Witness: second derivatives of two reduced losses; softest and stiffest are 31 orders apart at k = 10^6."""
    blocks = {block.name: block.eigenvalues for block in copy_average_spectrum(k, n)}
    with mpmath.workdps(digits):
        N, m = mpmath.mpf(n - 1), mpmath.mpf(k - n + 1)
        point = [mpmath.mpf(x) for x in (1, 0, 0, 1, 0)] + [1 / mpmath.sqrt(m * (2 * m - 1)), m]
        gram = mpmath.diag([N, N * (N - 1), N * m, N, N, m, 1])
        alike = mp_eigenvalues(lambda *at: mp_averaging(k, n, *at), point, gram)
        within = mp_eigenvalues(lambda *at: mp_within(k, n, *at), [mpmath.mpf(0)] * 2, mpmath.diag([2 * N, 2]))
    np.testing.assert_allclose(sorted(blocks["copied"] + blocks["averaged"]), alike, rtol=1e-12)
    np.testing.assert_allclose(blocks["within the group"], within, rtol=1e-12)


# Boundaries


@pytest.mark.parametrize("k", [3, 4, 5, 6, 7, 8, 10, 13])
def test_boundaries_lie_between_the_right_widths(k):
    """Witness: dense Hessians and losses of students of the two widths beside each boundary, where they exist."""
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    stable, equal, unstable = phase_boundaries(k)
    for n in range(2, k):
        copies, average = perturbed_copies(kernels.erf, k, n), copy_average([1] * (n - 1) + [k - n + 1])
        assert (dense_eigenvalues(copies, k)[0] > 0) == (n > stable), n
        assert (L(copies) < L(average)) == (n > equal), n
        assert (dense_eigenvalues(average, k)[0] > 0) == (n < unstable), n


@pytest.mark.slow
def test_boundaries_lie_between_the_right_widths_at_twenty():
    stable, equal, unstable = phase_boundaries(20)
    L = PopulationLoss(Network.orthonormal(20), kernels.erf)
    for n in (2, 9, 10, 14, 15, 17, 18, 19):
        copies, average = perturbed_copies(kernels.erf, 20, n), copy_average([1] * (n - 1) + [21 - n])
        assert (dense_eigenvalues(copies, 20)[0] > 0) == (n > stable), n
        assert (L(copies) < L(average)) == (n > equal), n
        assert (dense_eigenvalues(average, 20)[0] > 0) == (n < unstable), n


@pytest.mark.parametrize("k", [3, 10, 50, 1000, 10**6, 10**12, 10**18])
def test_perturbed_copies_become_stable_there(k):
    """Witness: the sign, on both sides, of the softest eigenvalue that mpmath finds."""
    boundary = phase_boundaries(k).perturbed_stable
    with mpmath.workdps(60 if k < 10**7 else 90):
        for side in (-1, 1):
            n = mpmath.mpf(boundary * (1 + side * 1e-10))
            point = mp_perturbed_copies(k, n)
            assert np.sign(mp_standard_eigenvalues(k, n, point)[0]) == side


@pytest.mark.parametrize("k", [3, 10, 50, 1000, 10**6, 10**12, 10**18])
def test_losses_are_equal_there(k):
    """Witness: the two closed forms of the loss as they are written down, in 80 digits."""
    boundary = phase_boundaries(k).losses_equal
    with mpmath.workdps(80):
        for side in (-1, 1):
            n = mpmath.mpf(boundary * (1 + side * 1e-10))
            m = k - n + 1
            average = m / 3 - 2 / mpmath.pi * m * m * mpmath.asin(1 / (2 * m))
            copies = mp_trivial(k, n, *mp_perturbed_copies(k, n)) + mpmath.mpf(k) / 3
            assert mpmath.sign(average - copies) == side


@pytest.mark.parametrize(
    ("k", "error"), [(3, 1e-10), (10, 1e-10), (50, 1e-9), (1000, 1e-8), (10**6, 1e-6), (10**12, 1e-3), (10**18, 256)]
)
def test_copy_average_becomes_unstable_there(k, error):
    """Witness: the sign of the determinant of the reduced loss; m = k - n + 1 has ten digits, or n those of float64."""
    boundary = phase_boundaries(k).copy_average_unstable
    with mpmath.workdps(80):
        for side in (-1, 1):
            n = mpmath.mpf(boundary) + side * error
            orders = (2, 0), (1, 1), (0, 2)
            xx, xy, yy = (mpmath.diff(lambda x, y: mp_within(k, n, x, y), (0, 0), order) for order in orders)
            assert mpmath.sign(xx * yy - xy**2) == -side


@pytest.mark.parametrize(
    ("k", "boundaries"),
    [(10, (5.58564, 7.64799, 8.41853)), (50, (21.42824, 37.52573, 44.98154)), (1000, (223.4541, 764.7929, 972.9635))],
)
def test_published_boundaries(k, boundaries):
    """Witness: an independent solution with 20 digits, quoted to seven."""
    np.testing.assert_allclose(phase_boundaries(k), boundaries, rtol=1e-6)


def f(a):
    """Of (pi/2) L, what a single neuron of outgoing weight a pays for orders q >= 3 beside its own teacher."""

    def at(alpha):
        return a**2 * h(alpha**2 / (1 + alpha**2)) - 2 * a * h(alpha / mpmath.sqrt(2 * (1 + alpha**2)))

    return at(mpmath.findroot(lambda alpha: mpmath.diff(at, alpha), 0.77))


def h(t):
    return mpmath.asin(t) - t


def test_three_laws():
    """Witness: the leading orders for k -> infinity, derived by hand; the first is approached very slowly."""
    with mpmath.workdps(40):
        a = mpmath.findroot(lambda a: mpmath.diff(f, a, 2), 1.6)
        law = float((12 * a**5 * mpmath.diff(f, a)) ** (-mpmath.mpf(1) / 5))
    assert abs(law - 1.698874) < 1e-6
    distance = [phase_boundaries(k).perturbed_stable / k**0.6 / law - 1 for k in (10**9, 10**12, 10**15, 10**18)]
    assert np.all(np.diff(distance) < 0) and 0 < distance[-1] < 2e-3
    ratio = phase_boundaries(10**12)
    assert abs(ratio.losses_equal / 10**12 - 1 / (1 + LOST / DELTA)) < 1e-11
    assert abs((10**12 - ratio.copy_average_unstable + 1) / math.sqrt(10**12) / (16 * DELTA) ** -0.5 - 1) < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: copy_average_spectrum(3, 4), "n must be at most k = 3, got 4"),
        (lambda: copy_average_spectrum(3, 0), "n must be at least 1, got 0"),
        (lambda: copy_average_spectrum(3.0, 2), "k must be an integer, got 3.0"),
        (lambda: copy_average_spectrum(3, 2, 2), "d must be at least 3, got 2"),
        (lambda: perturbed_copies_spectrum(3, 1), "n must be at least 2, got 1"),
        (lambda: perturbed_copies_spectrum(3, 4), "n must be at most k = 3, got 4"),
        (lambda: perturbed_copies_spectrum(3, 2, 2.5), "d must be an integer, got 2.5"),
        (lambda: phase_boundaries(2), "k must be a number between 3.0 and 1e"),
        (lambda: phase_boundaries(10**19), "k must be a number between 3.0 and 1e"),
        (lambda: phase_boundaries("50"), "k must be a number, got '50'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
