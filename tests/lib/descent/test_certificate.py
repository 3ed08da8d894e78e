"""lib.descent.certificate: what a polished student is, smallest eigenvalues, bounds."""

import mpmath
import numpy as np
import pytest
from cases import exact_erf_loss
from scipy.sparse.linalg import ArpackNoConvergence

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average,
    copy_average_like,
    copy_average_spectrum,
    glorot,
    gradient_flow,
    identify,
    kernels,
    load_sweep,
    perturbed_copies,
    perturbed_copies_spectrum,
)
from lib.descent import certificate as module
from lib.descent.certificate import ENTRY_ERROR, exceeds
from lib.descent.polishing import UNIT_ROUNDOFF, polish, zero_modes
from lib.fast import accelerator

K = 8
L8 = PopulationLoss(Network.orthonormal(K, K + 1), kernels.relu)
SPECTRA = {"copy-average": copy_average_spectrum, "perturbed-copies": perturbed_copies_spectrum}


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


def relu_end(k, n, seed):
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.relu)
    return L, gradient_flow(L, start(k, n, seed)).student


def exact_smallest(kind, k, n):
    return min(block.eigenvalues[0] for block in SPECTRA[kind](k, n, k + 1))


# Polishing.


@pytest.mark.usefixtures("compiled_apart")
def test_polishing_ends_where_rounding_does():
    """k = 50: n = 1, seed 6, whose gradient once grew to 1.3e-5, and 14 rows drawn from the table.

    The gradient, by NumPy, is at most what 20 roundings of the weights make of it by the dense
    Hessian, and the smallest eigenvalue that of the exact blocks.
    """
    table = load_sweep("erf", 50)
    narrow = table[table["n"] <= 25]
    drawn = narrow[np.random.default_rng(0).choice(len(narrow), 14, replace=False)]
    L = accelerator.loss(Network.orthonormal(50, 51), kernels.erf)
    plain = PopulationLoss(L.teacher, kernels.erf)
    for row in [table[(table["n"] == 1) & (table["seed"] == 6)][0], *drawn]:
        n = int(row["n"])
        found = certify(L, gradient_flow(L, start(50, n, int(row["seed"]))).student)
        theta = found.student.ravel()
        rounded = UNIT_ROUNDOFF * np.linalg.norm(plain.hessian(found.student) * theta)
        gradient = np.linalg.norm(plain.gradient(found.student).ravel())
        assert gradient < 20.0 * rounded < 1e-10 and gradient < 1e-12, row
        assert found.kind == "strict minimum" and found.bounded and found.newton_step < 0.1
        exact = exact_smallest(str(row["kind"]), 50, n)
        assert abs(found.smallest_eigenvalue / exact - 1.0) < 1e-7, row


def test_a_gradient_of_many_terms_has_more_rounding():
    """Perturbed copies of k = 100 under relu were not critical by the rounding of weights alone."""
    L = PopulationLoss(Network.orthonormal(100, 101), kernels.relu)
    kinds = [certify(L, perturbed_copies(kernels.relu, 100, n, 101)).kind for n in (6, 7)]
    assert kinds == ["saddle", "strict minimum"]


# Eigenvalues and bounds.


@pytest.mark.parametrize("k", [8, 10, 20, 50, 100])
def test_eigenvalues_of_the_erf_tables_are_those_of_the_blocks(k):
    """Witness: the exact blocks, which know nothing of flows, at every row that they describe."""
    table = load_sweep("erf", k)
    minima = table[table["certificate"] == "strict minimum"]
    assert len(minima) >= len(table) - 2
    ends = {(str(row["kind"]), int(row["n"])) for row in minima}
    exact = {(kind, n): exact_smallest(kind, k, n) for kind, n in ends}
    for row in minima:
        smallest = exact[str(row["kind"]), int(row["n"])]
        assert abs(row["smallest_eigenvalue"] / smallest - 1.0) < 1e-6, row


@pytest.mark.usefixtures("compiled_apart")
@pytest.mark.parametrize("n", [2, pytest.param(300, marks=pytest.mark.long)])
def test_a_thousand_teachers_are_not_flat(n):
    """Largest and smallest eigenvalue are 10^15 apart. Witness: the exact blocks, all positive."""
    L = accelerator.loss(Network.orthonormal(1000, 1001), kernels.erf)
    point = copy_average([1] * (n - 1) + [1001 - n], 1001)
    theta = point.ravel()
    noise = np.random.default_rng(0).standard_normal(theta.size) / np.sqrt(theta.size)
    found = certify(L, Network.unravel(theta + 1e-8 * noise, n, 1001))
    assert found.kind == "strict minimum" and found.bounded == (n == 2)
    named, exact = identify(L, found.student), exact_smallest("copy-average", 1000, n)
    assert named[:2] == ("copy-average", (1,) * (n - 1) + (1001 - n,)) and named.deviation < 1e-4
    assert exact > 0.0 and abs(found.smallest_eigenvalue / exact - 1.0) < 1e-4


@pytest.mark.parametrize("n", [3, 20, 24])
@pytest.mark.parametrize("dense", [0, 1000])
def test_both_ways_to_eigenvalues_agree_with_the_blocks(n, dense, monkeypatch):
    """By products and by LAPACK, at minima and at a saddle (copy-average, n = 24)."""
    monkeypatch.setattr(module, "_DENSE", dense)
    L = PopulationLoss(Network.orthonormal(25, 26), kernels.erf)
    points = {"copy-average": copy_average([1] * (n - 1) + [26 - n], 26)}
    points["perturbed-copies"] = perturbed_copies(kernels.erf, 25, n, 26)
    for kind, point in points.items():
        found, exact = certify(L, point), exact_smallest(kind, 25, n)
        assert found.kind == ("strict minimum" if exact > 0 else "saddle")
        assert abs(found.smallest_eigenvalue / exact - 1.0) < 1e-7 and found.bounded == (exact > 0)


def test_large_saddles_need_no_dense_hessian(monkeypatch):
    monkeypatch.setattr(module, "_DENSE", 0)
    monkeypatch.setattr(module, "_LARGEST_DENSE", 0)
    L = PopulationLoss(Network.orthonormal(10, 11), kernels.erf)
    found = certify(L, copy_average([1] * 7 + [1, 2], 11))
    exact = exact_smallest("copy-average", 10, 9)
    assert found.kind == "saddle" and abs(found.smallest_eigenvalue / exact - 1.0) < 1e-4
    minimum = certify(L, copy_average([1, 9], 11))
    assert minimum.kind == "strict minimum" and not minimum.bounded
    L = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
    twins = perturbed_copies(kernels.relu, 6, 5, 7)
    twins = Network(twins.W[[0, 1, 2, 3, 4, 4]], [*twins.a[:4], 0.4, 0.6])
    found = certify(L, twins)
    null, _ = zero_modes(L, twins)
    lifted = L.hessian(twins) + 100.0 * null @ null.T
    assert found.kind == "saddle"
    assert abs(found.smallest_eigenvalue / np.linalg.eigvalsh(lifted)[0] - 1.0) < 1e-6


def second_differences(N):
    """A matrix with the eigenvalues 2 - 2 cos(pi j / (N + 1))."""
    return 2.0 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1), 2.0 - 2.0 * np.cos(np.pi / (N + 1))


@pytest.mark.parametrize("N", [2, 30, 300])
def test_a_factorisation_bounds_the_smallest_eigenvalue(N):
    A, smallest = second_differences(N)
    allowed = 4.0 * (ENTRY_ERROR + (N + 1) * UNIT_ROUNDOFF) * N
    assert exceeds(A, smallest - allowed) and exceeds(A, 0.0) and not exceeds(A, smallest)
    # Positive as it is, but not by more than rounding may have done.
    for shift, positive in ((smallest - 0.3 * allowed / 4.0, False), (smallest - allowed, True)):
        assert exceeds(A - shift * np.eye(N), 0.0) == positive
        assert np.linalg.eigvalsh(A - shift * np.eye(N))[0] > 0.0
    scale = np.logspace(0, 120, N, base=2.0)  # neither do the units of the parameters count
    assert exceeds(scale[:, None] * scale * (A - (smallest - allowed) * np.eye(N)), 0.0)
    assert not exceeds(A - 2.5 * np.eye(N), 0.0) and not exceeds(-A, 0.0)


def test_what_a_factorisation_overlooks_is_less_than_is_allowed():
    """Integer matrices M M^T of rank N - 1, exactly singular: Cholesky alone passes some."""
    rng, passed = np.random.default_rng(0), 0
    for _ in range(20):
        M = rng.integers(-3, 4, (60, 59)).astype(float)
        A = M @ M.T
        try:
            np.linalg.cholesky(A)
            passed += 1
        except np.linalg.LinAlgError:
            pass
        assert not exceeds(A, 0.0)
    assert passed > 0


def test_entries_of_a_hessian_are_as_exact_as_the_bound_assumes():
    """k = 50, n = 1 and 2, the stiffest. Witness: differences of the closed form in 60 digits."""

    rng = np.random.default_rng(0)
    for n in (1, 2):
        student = copy_average([1] * (n - 1) + [51 - n], 51)
        student = Network(student.W * (1 + 1e-9 * rng.standard_normal(student.W.shape)), student.a)
        H = PopulationLoss(Network.orthonormal(50, 51), kernels.erf).hessian(student)
        last = len(H) - 1
        pairs = [(last, last), (0, last), (last - 1, last - 1), (3, 3), (50, 50), (3, 7)]
        pairs += [(n * 51 - 2, last)]
        with mpmath.workdps(60):
            theta, h = [mpmath.mpf(x) for x in student.ravel()], mpmath.mpf(10) ** -15

            def at(*moves, theta=theta, n=n):
                moved = list(theta)
                for i, step in moves:
                    moved[i] += step
                return exact_erf_loss(moved, n, 50, 51)

            for i, j in pairs:
                signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
                exact = sum(s * t * at((i, s * h), (j, t * h)) for s, t in signs) / (4 * h * h)
                assumed = ENTRY_ERROR * np.sqrt(H[i, i] * H[j, j])
                assert abs(H[i, j] - float(exact)) < assumed, (n, i, j)


def test_a_minimum_is_isolated_bounded_and_resolved(monkeypatch):
    """Each of the three is needed: without it the certificate says 'flat'."""
    L, student = PopulationLoss(Network.orthonormal(3, 4), kernels.erf), copy_average([1, 2], 4)
    assert certify(L, student).kind == "strict minimum"
    polish = module.polish
    without = {
        "polish": lambda L, student: polish(L, student)._replace(isolated=False),
        "exceeds": lambda A, s: False,
        "_RESOLVED": 1.0,
    }
    for name, other in without.items():
        with monkeypatch.context() as patch:
            patch.setattr(module, name, other)
            found = certify(L, student)
            assert found.kind == "flat" and found.smallest_eigenvalue > 0.007, name


def test_what_is_told_from_zero_is_what_moves_the_outputs():
    """Witnesses: the eigenvector of the dense Hessian and s^2 = 2 / pi asin(p / (1 + p))."""
    L = PopulationLoss(Network.orthonormal(3, 4), kernels.erf)
    found = polish(L, copy_average([1, 2], 4))
    smallest, resolution, _ = module._smallest_eigenvalue(L, found, np.empty((10, 0)))
    values, vectors = np.linalg.eigh(L.hessian(found.student))
    v, moved = vectors[:, 0], 0.0
    for i, (w, a) in enumerate(zip(found.student.W, found.student.a, strict=True)):
        s_squared = 2.0 / np.pi * np.arcsin(w @ w / (1.0 + w @ w))
        moved += a**2 * np.sum(v[4 * i : 4 * i + 4] ** 2) + s_squared * v[8 + i] ** 2
    assert smallest == pytest.approx(values[0], rel=1e-9) and 0.1 < np.abs(v[8:]).max() < 0.9
    assert resolution == pytest.approx(2e-13 * moved, rel=1e-6, abs=0.0)


@pytest.mark.parametrize("unit", [1e-4, 3e-3, 100.0, 1e4])
@pytest.mark.parametrize(
    ("kernel", "k", "n", "kind"),
    [(kernels.erf, 6, 5, "strict minimum"), (kernels.softplus, 6, 5, "saddle"), (kernels.relu, 8, 7, "saddle")],
)
def test_units_of_the_teacher_decide_nothing(kernel, k, n, kind, unit):
    """Outgoing weights of teacher and student in other units: the same point, no other kind.

    One in which curvatures along a_i and w_i are 10^8 apart. Witness: the certificate where they are alike.
    """
    student = copy_average_like(kernel, k, n)
    moves = np.random.default_rng(0).uniform(-1e-4, 1e-4, student.W.shape)
    student = Network(student.W + moves, student.a)
    found = [
        certify(PopulationLoss(Network(np.eye(k), np.full(k, size)), kernel), Network(student.W, size * student.a))
        for size in (1.0, unit)
    ]
    assert found[0].kind == found[1].kind == kind
    ends = [strengths(f.student, size) for f, size in zip(found, (1.0, unit), strict=True)]
    np.testing.assert_allclose(ends[1], ends[0], rtol=0.0, atol=1e-7)
    assert 1e-5 < found[0].newton_step < 1e-2


def strengths(student, unit):
    """Weights of all neurons as relu's scalings leave them: a_i w_i in units of the teacher's a_i."""
    return student.W * student.a[:, None] / unit


def test_products_find_no_eigenvector_where_an_eigenvalue_is_negative():
    """And the softest where none is. This alone tells saddles from minima in large networks."""
    L = PopulationLoss(Network.orthonormal(10, 11), kernels.erf)
    for student, positive in ((copy_average([1, 9], 11), True), (copy_average([1] * 7 + [1, 2], 11), False)):
        hessian, nothing = L.operator(student.W, student.a), np.empty((12 * student.n, 0))
        values, vectors = np.linalg.eigh(L.hessian(student))
        assert (values[0] > 0.0) == positive and abs(values[0]) < 1.0
        found = module._softest_by_products(hessian, nothing)
        assert (found is not None) == positive
        if positive:
            assert abs(found @ L.hessian(student) @ found - values[0]) < 1e-6 * values[0]


# Zero modes and dead neurons of relu.


@pytest.mark.parametrize(
    ("n", "seed", "kind", "exchanges"),
    [
        (4, 1, "strict minimum", 0),
        (4, 2, "flat minimum", 1),
        (3, 3, "flat minimum", 2),
        (5, 4, "flat minimum", 1),
    ],
)
def test_certificates_name_the_zero_modes(n, seed, kind, exchanges):
    """Witness: the dense spectrum of the living has these zeros, and the stated eigenvalue next."""
    L, student = relu_end(6, n, seed)
    certificate = certify(L, student)
    living = student.W.any(axis=1)
    assert (certificate.kind, certificate.exchanges) == (kind, exchanges)
    assert certificate.scalings == living.sum()
    assert certificate.dead == n - living.sum() and certificate.bounded
    polished = Network(certificate.student.W[living], certificate.student.a[living])
    eigenvalues = np.linalg.eigvalsh(L.hessian(polished))
    zeros = living.sum() + exchanges
    assert np.abs(eigenvalues[:zeros]).max() < 1e-12 < 1e-3 < eigenvalues[zeros]
    assert abs(eigenvalues[zeros] - certificate.smallest_eigenvalue) < 1e-11
    null, counted = zero_modes(L, polished)
    assert counted == exchanges and np.abs(L.hessian(polished) @ null).max() < 1e-12
    np.testing.assert_allclose(null.T @ null, np.eye(zeros), atol=1e-14)
    np.testing.assert_array_equal(certificate.student.W[~living], 0.0)


def test_certificates_by_products_agree_with_dense_ones(monkeypatch):
    student = perturbed_copies(kernels.relu, 20, 17, 21, flipped=2)
    L = PopulationLoss(Network.orthonormal(20, 21), kernels.relu)
    by_products = certify(L, student)
    monkeypatch.setattr(module, "_DENSE", 1000)
    dense = certify(L, student)
    assert by_products.kind == dense.kind == "strict minimum"
    assert abs(by_products.smallest_eigenvalue / dense.smallest_eigenvalue - 1.0) < 1e-6


@pytest.mark.parametrize("seed", [5, 62])
def test_rounding_along_scalings_does_not_spoil_newton(seed):
    """Newton steps that followed the zero modes called these minima of one neuron not critical."""
    certificate = certify(L8, gradient_flow(L8, start(K, 1, seed)).student)
    assert certificate.kind == "strict minimum" and certificate.newton_step < 1e-7


@pytest.mark.parametrize(
    ("a", "kind"),
    [
        ([-1.0, -2.0], "flat minimum"),
        ([-1.0, 2.0], "not critical"),  # the second is drawn towards the teacher
        ([-1.0, 0.0], "saddle"),  # w = t u, a = t lowers the loss by 2 t^2 F(u)
    ],
)
def test_a_network_of_the_dead(a, kind):
    found = certify(L8, Network(np.zeros((2, K + 1)), a))
    assert found[:3] == (kind, 0.0, 0.0) and found.dead == 2
    assert found.scalings == found.exchanges == 0


@pytest.mark.parametrize(("a", "kind"), [(-1.0, "flat minimum"), (1.0, "not critical"), (0.0, "saddle")])
def test_a_dead_neuron_beside_a_minimum(a, kind):
    """The pull F on a further neuron is nowhere negative beside seven perturbed copies of k = 8.

    With a > 0 or = 0 the loss falls; the witnesses are losses. With a < 0 it is constant in a, and
    along the exchange of strength with a neuron that is alive, and no move lowers it.
    """
    copies = perturbed_copies(kernels.relu, K, 7, K + 1)
    assert certify(L8, copies).kind == "strict minimum"
    student = Network(np.vstack((copies.W, np.zeros(K + 1))), np.append(copies.a, a))
    found, lowest = certify(L8, student), L8(student)
    assert (found.kind, found.dead, found.scalings) == (kind, 1, 7)
    w, (u, h) = copies.W[0], (np.eye(K + 1)[K - 1], 1e-3)
    if a < 0.0:
        exchanged = np.vstack((w + 0.2 * w, copies.W[1:], 0.2 * w))
        assert abs(L8(Network(exchanged, student.a)) - lowest) < 1e-14
        assert abs(L8(Network(student.W, np.append(copies.a, 5.0))) - lowest) < 1e-14
        rng = np.random.default_rng(0)
        for _ in range(300):
            move = 1e-3 * rng.standard_normal(student.ravel().size)
            assert L8(Network.unravel(student.ravel() + move, 8, K + 1)) > lowest - 1e-14
    else:
        moved = Network(np.vstack((copies.W, h * u)), np.append(copies.a, a or h))
        assert L8(moved) < lowest - 1e-7


def test_a_living_network_is_judged_before_its_dead():
    """Beside a saddle of the living the dead make no minimum."""
    average = copy_average_like(kernels.relu, K, 7, K + 1)
    student = Network(np.vstack((average.W, np.zeros(K + 1))), np.append(average.a, -1.0))
    assert certify(L8, average).kind == certify(L8, student).kind == "saddle"


def test_where_lanczos_does_not_settle_the_dense_matrix_answers(monkeypatch):
    """Rounding decides whether it does; here it never does."""
    L = PopulationLoss(Network.orthonormal(20, 21), kernels.erf)  # N = 330
    student = copy_average([1] * 14 + [6], 21)
    expected, eigsh = certify(L, student), module.eigsh

    def never_settles(*arguments, **options):
        if options.get("return_eigenvectors", True):
            raise ArpackNoConvergence("no convergence", [], [])
        return eigsh(*arguments, **options)

    monkeypatch.setattr(module, "eigsh", never_settles)
    found = certify(L, student)
    assert found.kind == expected.kind == "strict minimum"
    assert found.smallest_eigenvalue == pytest.approx(expected.smallest_eigenvalue, rel=1e-6)
