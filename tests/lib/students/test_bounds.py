"""The lower bound: closed forms, tensors written out, minimisation from many starts, and teachers
of every kind.
"""

import itertools
import math

import numpy as np
import pytest
from guards import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import eval_hermitenorm

from lib import (
    Network,
    PopulationLoss,
    copy_average_loss,
    kernels,
    loss_lower_bound,
    perturbed_copies,
)
from lib.students import bounds
from lib.sweeps.table import read

NAMES = ["erf", "tanh", "sigmoid", "relu", "softplus", "gelu"]
PER_NEURON = 1 / 3 - 1 / math.pi  # erf's


PAGE = (ROOT / "book" / "proofs" / "lower_bound.md").read_text("utf-8")


def table_of(page, heading):
    """The rows of the Markdown table in whose head `heading` stands, as lists of cells."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|") and heading in line)
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


THREE = PopulationLoss(Network.orthonormal(3), kernels.erf)


def bound_of(teacher, n, kernel):
    return loss_lower_bound(PopulationLoss(teacher, kernel), n)


def energy(teacher, kernel):
    """E[f_teacher^2]."""
    return bound_of(teacher, 0, kernel)


def moment(kernel, q):
    """E[sigma(z) h_q(z)], by adaptive quadrature."""

    def integrand(z):
        hermite = eval_hermitenorm(q, z) / math.sqrt(math.factorial(q))
        return (
            float(kernel.activation(z)) * hermite * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        )

    return sum(
        quad(integrand, *ends, epsabs=1e-14, epsrel=1e-13, limit=200)[0]
        for ends in ((-12, 0), (0, 12))
    )


@pytest.mark.parametrize("name", NAMES)
def test_orthonormal_teachers_have_the_closed_form(name):
    """(k - n) (E s^2 - (E s)^2 - (E s')^2), where E s' = E[z s]; the number is never above it."""
    kernel = getattr(kernels, name)
    square = sum(
        quad(
            lambda z: float(kernel.activation(z)) ** 2 * math.exp(-(z**2) / 2), *ends, epsabs=1e-14
        )[0]
        for ends in ((-12, 0), (0, 12))
    ) / math.sqrt(2 * math.pi)
    bracket = square - moment(kernel, 0) ** 2 - moment(kernel, 1) ** 2
    (printed,) = [tau for label, tau in table_of(PAGE, r"$\tau$") if label.lower() == name]
    assert abs(float(printed) - bracket) < 1e-7
    for k, n in [(2, 1), (3, 2), (10, 4), (50, 25), (50, 49)]:
        teacher = Network.orthonormal(k, k + 1)
        exact = (k - n) * bracket
        assert (
            0.0 <= exact - bound_of(teacher, n, kernel) < 1e-10 * energy(teacher, kernel)
        ), (k, n)


def test_erf_and_relu_in_figures():
    assert abs(bound_of(Network.orthonormal(50), 25, kernels.erf) - 25 * PER_NEURON) < 1e-9
    assert (
        abs(bound_of(Network.orthonormal(4), 3, kernels.relu) - (1 / 4 - 1 / (2 * math.pi)))
        < 1e-11
    )
    for row in table_of(PAGE, "copy-average over bound"):
        k, n, ratio = int(row[0]), int(row[1]), float(row[2])
        loss = copy_average_loss([1] * (n - 1) + [k - n + 1])
        assert abs(loss / ((k - n) * PER_NEURON) - ratio) < 5e-5
        assert loss <= (k - n + 1) * PER_NEURON


LONG_NEURON = [
    -0.12,
    0.56,
    0.56,
    160.0,
    17.0,
    17.0,
    1.5,
    0.008,
]  # GELU's best has one that grows without end


@pytest.mark.parametrize(("name", "ratio"), table_of(PAGE, "best found over bound"))
def test_best_known_students_of_three_teachers(name, ratio):
    """The smallest case, as the page tells it."""
    kernel, teacher = getattr(kernels, name.lower()), Network.orthonormal(3)
    starts = (
        [LONG_NEURON] if name == "GELU" else random_starts(np.random.default_rng(0), teacher, 2, 4)
    )
    assert (
        abs(
            best_found(teacher, 2, kernel, starts) / bound_of(teacher, 2, kernel)
            - float(ratio)
        )
        < 6e-4
    )


def random_starts(rng, teacher, n, count):
    return [
        np.concatenate((0.7 * rng.standard_normal(n * teacher.d), rng.standard_normal(n)))
        for _ in range(count)
    ]


def best_found(teacher, n, kernel, starts):
    L = PopulationLoss(teacher, kernel)

    def value_and_slope(theta):
        student = Network.unravel(theta, n, teacher.d)
        return L(student), L.gradient(student).ravel()

    options = {"maxiter": 300}
    return min(
        minimize(value_and_slope, start, jac=True, method="BFGS", options=options).fun
        for start in starts
    )


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_minimisation_finds_no_better_student(name):
    """Random teachers, d < k among them, and the page's table of them: two starts find what ten
    did, or less good.
    """
    kernel = getattr(kernels, name)
    for k, d, n, *ratios in table_of(PAGE, "input dimension"):
        k, d, n, printed = int(k), int(d), int(n), float(ratios[name == "relu"])
        rng = np.random.default_rng([k, d, n])
        teacher = Network(rng.standard_normal((k, d)), rng.standard_normal(k))
        found = best_found(
            teacher, n, kernel, random_starts(rng, teacher, n, 2)
        ) / bound_of(teacher, n, kernel)
        assert found > max(1.0, 0.99 * printed), (k, d, n)
        assert found < 1.01 * printed, (k, d, n)


def tensor(teacher, coefficients, q):
    """T_q as a d x ... x d array, neuron by neuron."""
    total = 0.0
    for v, b, c in zip(teacher.W, teacher.a, coefficients[:, q], strict=True):
        u, power = v / np.linalg.norm(v), np.ones(())
        for _ in range(q):
            power = np.multiply.outer(power, u)
        total = total + b * c * power
    return total


@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_those_of_the_tensors_unfolded(name):
    """Orders up to 10 written out, short vectors, so that hardly anything is left above them."""
    rng, kernel, d, k = np.random.default_rng(9), getattr(kernels, name), 3, 5
    teacher = Network(0.7 * rng.standard_normal((k, d)), rng.standard_normal(k))
    coefficients, errors = bounds.hermite_coefficients(
        kernel, np.linalg.norm(teacher.W, axis=1), 10
    )
    assert (errors < 1e-14).all()
    orders = bounds._Orders(teacher.W, teacher.a, kernel)
    tensors = [tensor(teacher, coefficients, q) for q in range(11)]
    left_out = energy(teacher, kernel) - sum((T**2).sum() for T in tensors)
    assert -1e-12 < left_out < (0.05 if name == "relu" else 0.01) * energy(teacher, kernel)

    def rest(matrix, n):
        return (np.linalg.svd(matrix, compute_uv=False)[n:] ** 2).sum()

    for n in (1, 2, 4):
        for q in (2, 3, 4, 5):
            unfolded = max(rest(tensors[q].reshape(d**a, -1), n) for a in range(1, q // 2 + 1))
            assert abs(orders.single(q, n) - unfolded) < 1e-10, (n, q)
        for a in (1, 2, 3, 4):
            side_by_side = rest(np.hstack([T.reshape(d**a, -1) for T in tensors[a:]]), n)
            assert -1e-11 < orders.from_order(a, n) - side_by_side < left_out + 1e-11, (n, a)


def test_coefficients_are_those_of_the_kernels():
    """arcsin and ReLU's kernel as power series of the cosine; lengths from 1e-8 to 1e8."""
    for r in (1e-8, 1e-3, 0.5, 1.0, 7.0, 1e3, 1e8):
        found, errors = bounds.hermite_coefficients(kernels.erf, np.array([r]), 5)
        y = r / math.hypot(1.0, r)
        series = [
            0,
            math.sqrt(2 / math.pi) * y,
            0,
            math.sqrt(1 / (3 * math.pi)) * y**3,
            0,
            math.sqrt(3 / (20 * math.pi)) * y**5,
        ]
        assert np.allclose(np.abs(found[0]), series, rtol=0, atol=2e-15) and errors[0] < 1e-14, r
        found, errors = bounds.hermite_coefficients(kernels.relu, np.array([r]), 4)
        series = r * np.sqrt([1 / (2 * math.pi), 1 / 4, 1 / (4 * math.pi), 0, 1 / (48 * math.pi)])
        assert (
            np.allclose(np.abs(found[0]), series, rtol=0, atol=2e-15 * r) and errors[0] < 1e-14 * r
        ), r


def test_an_activation_that_the_quadrature_does_not_resolve_costs_the_bound():
    """A step at 0.3 is seen by the error estimate, which is subtracted."""

    class Step(kernels.Kernel):
        """Only its activation is asked for."""

    kernel = Step("step", lambda x: np.where(np.asarray(x) > 0.3, 1.0, 0.0), 0.0)
    assert bounds.hermite_coefficients(kernel, np.array([1.0]), 20)[1] > 1e-4


def test_a_kernel_of_few_digits_costs_the_bound():
    """What it differs from its activation by is subtracted."""

    class Rough(kernels.Kernel):
        def value_at(self, pairs):
            return kernels.erf.value_at(pairs) * (1 + 1e-6)

    rough, teacher = Rough("rough", kernels.erf.activation, 1.0), Network.orthonormal(8)
    for n in (1, 4, 7):
        exact = (8 - n) * PER_NEURON
        assert exact * (1 - 1e-2) < bound_of(teacher, n, rough) < exact


def test_a_function_of_two_projections_obeys_the_bound():
    """E[f* | P x], the best function of n measurements of any kind: L = (2/pi) (k pi/6 - sum
    arcsin(P_ij / 2)).
    """
    rng, k = np.random.default_rng(3), 7
    for n in (2, 4, 6):
        bound = bound_of(Network.orthonormal(k), n, kernels.erf)
        for _ in range(200):
            Q = np.linalg.qr(rng.standard_normal((k, n)))[0]
            assert k / 3 - 2 / math.pi * np.arcsin((Q @ Q.T) / 2).sum() > bound


weights = st.floats(-3, 3, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-3 else x)


@st.composite
def teachers(draw):
    """Up to 6 vectors in up to 4 dimensions; some are zero, equal or opposite to others, long or
    short.
    """
    d, k = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    rows = [draw(st.lists(weights, min_size=d, max_size=d)) for _ in range(k)]
    V = np.array(rows) * draw(st.sampled_from([1e-4, 1.0, 1.0, 1e4]))
    for j in range(1, k):
        kind = draw(
            st.sampled_from(
                ["own", "own", "own", "equal", "opposite", "parallel", "nearly equal", "zero"]
            )
        )
        factor = {
            "equal": 1.0,
            "opposite": -1.0,
            "parallel": 2.5,
            "nearly equal": 1.0 + 1e-9,
            "zero": 0.0,
        }.get(kind)
        if factor is not None:
            V[j] = factor * V[j - 1]
        if kind == "nearly equal":
            V[j, 0] += 1e-9
    return Network(V, np.array(draw(st.lists(weights, min_size=k, max_size=k))))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    teachers(),
    st.sampled_from(["erf", "relu", "gelu"]),
    st.integers(0, 6),
    st.randoms(use_true_random=False),
)
def test_no_student_is_below_the_bound(teacher, name, n, random):
    """Students that should do well: parts of the teacher, with the outgoing weights refitted, and
    perturbed.
    """
    kernel = getattr(kernels, name)
    bound, total = bound_of(teacher, n, kernel), energy(teacher, kernel)
    assert 0.0 <= bound <= total * (1 + 1e-12)
    assert bound >= bound_of(teacher, n + 1, kernel) - 1e-12 * total
    if n == 0 or n >= teacher.n:
        return
    L = PopulationLoss(teacher, kernel)
    scale = (
        np.abs(teacher.a)
        @ np.abs(teacher.a)
        * float(L.kernel.value_at(bounds.pairs.among(teacher.W, 0.0)).max())
    )
    rng = np.random.default_rng(random.randrange(2**32))
    for spread in (0.0, 0.1):
        W = teacher.W[rng.permutation(teacher.n)[:n]]
        W = W + spread * np.abs(teacher.W).max() * rng.standard_normal(W.shape)
        own = kernel.value_at(bounds.pairs.among(W, kernel.noise))
        cross = kernel.value_at(bounds.pairs.between(W, teacher.W, kernel.noise))
        student = Network(W, np.linalg.lstsq(own, cross @ teacher.a, rcond=1e-12)[0])
        sizes = np.abs(student.a)
        assert L(student) >= bound - 1e-13 * max(scale, sizes @ np.abs(own) @ sizes)


def test_equal_opposite_and_zero_vectors():
    """They may be merged, or left out, without changing the bound."""
    rng = np.random.default_rng(4)
    V, b = rng.standard_normal((5, 4)), np.array([1.0, -0.7, 0.5, 1.2, 0.8])
    for name in NAMES:
        kernel = getattr(kernels, name)
        bound = bound_of(Network(V, b), 2, kernel)
        split = Network(
            np.vstack((V, V[:2], 0 * V[:1])), np.append(b * [0.5, 2, 1, 1, 1], [0.5, 0.7, 3.0])
        )
        assert abs(bound_of(split, 2, kernel) - bound) < 1e-10, name
        rotated = Network(np.hstack((V, 0 * V)) @ np.linalg.qr(rng.standard_normal((8, 8)))[0], b)
        assert abs(bound_of(rotated, 2, kernel) - bound) < 1e-10, name
        if name in ("erf", "tanh"):
            turned = Network(V * [[1], [-1], [1], [-1], [1]], b * [1, -1, 1, -1, 1])
            assert abs(bound_of(turned, 2, kernel) - bound) < 1e-10, name


def test_rounding_is_subtracted():
    """Where a student is exact, or nearly, nothing above its loss may be left of rounding."""
    rng = np.random.default_rng(6)
    for name in NAMES:
        kernel = getattr(kernels, name)
        for scale in (1e-8, 1.0, 1e8):
            V = scale * rng.standard_normal((6, 5))
            V = np.vstack((V, V))
            V[6:] *= 1 + 1e-10 * rng.standard_normal((6, 5))
            assert bound_of(Network(V, np.ones(12)), 6, kernel) == 0.0, (name, scale)
        assert bound_of(Network.orthonormal(5), 5, kernel) == 0.0
        assert bound_of(Network(np.zeros((3, 2)), np.ones(3)), 1, kernel) == 0.0
        least = 1e-29 if kernel.homogeneous else 1e-300
        tiny = Network(np.vstack((np.eye(4), np.full((2, 4), least))), np.ones(6))
        four = bound_of(Network.orthonormal(4), 2, kernel)
        assert abs(bound_of(tiny, 2, kernel) - four) < 1e-10


def test_errors_are_subtracted_as_they_may_add_up():
    """A sum of eigenvalues rises by up to 16 roundings of the largest each, and by the trace norm of an error."""
    tail, eps = bounds._tail(np.array([1.0, 2.0, 5.0, 9.0]), 1, 1e9, 0.01), np.finfo(float).eps
    assert tail == pytest.approx(8.0 - 48.0 * eps * 1e9 - 0.01 * math.sqrt(3.0), rel=1e-13)
    assert 48.0 * eps * 1e9 > 1e-5 and bounds._tail(np.ones(3), 1, 1.0, 2.0) == 0.0


def test_an_error_of_a_kernel_counts_for_vectors_that_are_not_orthogonal():
    """K + E in place of K, for an E of this size in any direction: its eigenvalues move by |C| |E| at most.

    """
    k, size = 4, 1e-3
    C = 0.6 * np.eye(k) + 0.4
    orders = bounds._Orders(np.linalg.cholesky(C), np.ones(k), kernels.erf)
    orders.errors[:] = 0.0
    plain = orders.from_order(1, 1)
    orders.errors[:] = size / k
    loss = plain - orders.from_order(1, 1)
    assert loss == pytest.approx(math.sqrt(k - 1) * size * np.linalg.eigvalsh(C)[-1], rel=1e-6)


def test_the_energy_is_that_of_the_teacher():
    teacher = Network.orthonormal(5)
    assert (
        abs(bound_of(teacher, 0, kernels.erf) - 5 / 3) < 1e-12
        and energy(teacher, kernels.erf) <= 5 / 3
    )
    assert abs(energy(teacher, kernels.relu) - (5 / 2 + 20 / (2 * math.pi))) < 1e-11


def projection_loss(Q):
    """Lambda of the projection Q Q^T, and its gradient on orthonormal Q (k, n)."""
    P = Q @ Q.T
    slope = -np.linalg.multi_dot((np.eye(len(Q)) - P, 1 / np.sqrt(1 - P**2 / 4), Q)) * 2 / math.pi
    return len(Q) / 3 - 2 / math.pi * np.arcsin(np.clip(P / 2, -0.5, 0.5)).sum(), slope


def smallest_projection_loss(k, n, rng, starts):
    def value_and_slope(theta):
        Q, R = np.linalg.qr(theta.reshape(k, n))
        value, slope = projection_loss(Q)
        return value, np.linalg.solve(R, slope.T).T.ravel()

    best = np.inf
    for i in range(starts):
        start = np.eye(k, n) * (i % 2) + rng.standard_normal((k, n)) * 0.6 ** (i % 2)
        start = np.linalg.qr(start)[0].ravel()
        best = min(best, minimize(value_and_slope, start, jac=True, method="BFGS").fun)
    return best


def test_smallest_losses_of_projections():
    """The table of the page; the claims on the best known students beside it."""
    rng = np.random.default_rng(11)
    for k, n, smallest, name, ratio in table_of(PAGE, r"smallest $L_\Pi$ found"):
        k, n = int(k), int(n)
        found = smallest_projection_loss(k, n, rng, starts=12)
        assert abs(found - float(smallest)) < 6e-8, (k, n, found)
        copies = PopulationLoss(Network.orthonormal(k), kernels.erf)(
            perturbed_copies(kernels.erf, k, n)
        )
        losses = {
            "copy-average": copy_average_loss([1] * (n - 1) + [k - n + 1]),
            "perturbed copies": copies,
        }
        assert (
            name == min(losses, key=losses.get) and abs(losses[name] / found - float(ratio)) < 6e-5
        ), (k, n)


def test_copy_average_is_the_conditional_expectation():
    for sizes in [(1, 1, 6), (2, 3), (8,), (1, 2, 4)]:
        k = sum(sizes)
        Q = np.zeros((k, len(sizes)))
        Q[np.arange(k), np.repeat(np.arange(len(sizes)), sizes)] = 1
        assert abs(projection_loss(Q / np.sqrt(sizes))[0] - copy_average_loss(sizes)) < 1e-13


def test_constants_of_the_proof_for_one_projection():
    """arcsin's coefficients, the sum of the Taylor bounds, and the claim at random vectors."""
    q = np.arange(3, 60, 2)
    c = np.cumprod((q - 2.0) ** 2 / (q * (q - 1.0)))
    assert abs(c @ 0.5**q - (math.pi / 6 - 0.5)) < 1e-12 and math.pi / 6 - 0.5 < 0.0236
    assert math.sqrt(0.0472) + 1 < 1.2173
    x = q * (q - 1) / 2 * 1.2173 ** (q - 2)
    assert (c * 0.5**q * 2.0 ** (1 - q) * x * (2 + 0.0236 * x)).sum() < 0.048
    rng = np.random.default_rng(12)
    for k in (2, 3, 10, 100):
        for _ in range(300):
            u = np.sqrt(1 / k) * (1 + rng.choice([0.01, 0.3, 3.0]) * rng.standard_normal(k))
            loss = projection_loss(u[:, None] / np.linalg.norm(u))[0]
            assert loss > copy_average_loss([k]), (k, u)


def test_perturbed_copies_and_copy_average_lie_above():
    for k, n in [(6, 5), (10, 8), (20, 15)]:
        teacher = Network.orthonormal(k)
        loss = PopulationLoss(teacher, kernels.erf)(perturbed_copies(kernels.erf, k, n))
        assert bound_of(teacher, n, kernels.erf) < min(
            loss, copy_average_loss([1] * (n - 1) + [k - n + 1])
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((THREE, 1.0), "n must be an integer, got 1.0"),
        ((THREE, -1), "n must be at least 0, got -1"),
        ((THREE.teacher, 1, kernels.erf), "come first, as in loss_lower_bound.PopulationLoss.t.*, n., got"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        loss_lower_bound(*arguments)


def test_ten_thousand_random_students_lie_above():
    """Of all scales, half of them near copies of the teacher neurons."""
    rng, drawn = np.random.default_rng(17), 0
    for kernel in (kernels.erf, kernels.relu):
        for k, n in ((3, 1), (3, 2), (5, 4), (8, 4), (8, 7)):
            teacher = Network.orthonormal(k)
            L, bound = PopulationLoss(teacher, kernel), bound_of(teacher, n, kernel)
            for scale in 10.0 ** rng.uniform(-2, 1, 1000):
                W, drawn = scale * rng.standard_normal((n, k)), drawn + 1
                if drawn % 2:
                    W = teacher.W[:n] + 0.1 * W
                assert L(Network(W, 1 + 0.3 * scale * rng.standard_normal(n))) > bound, (kernel, k, n)
    assert drawn == 10_000


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "data").glob("sweep_*.csv")), ids=lambda path: path.stem)
def test_no_end_of_a_flow_lies_below(path):
    rows, settings = read(path)
    k, tau = settings["k"], bound_of(Network.orthonormal(2), 1, getattr(kernels, settings["kernel"]))
    smaller = rows[rows["n"] < k]
    assert (smaller["loss"] > (k - smaller["n"]) * tau).all()
