"""What interval arithmetic proves of perturbed copies: its formulas, its verdicts, and its
refusals.
"""

import math
import re

import numpy as np
import pytest
from guards import ROOT

from lib import Network, PopulationLoss, copy_average_loss, kernels, phase_boundaries
from lib.students.perturbed import erf_perturbed_copies, perturbed_network

pytest.importorskip("flint", exc_type=ImportError)

from flint import arb, ctx  # noqa: E402

from lib.proofs import boundaries, enclosures, perturbed, projections, table  # noqa: E402
from lib.proofs.enclosures import Undecided  # noqa: E402

PAIRS, BOUNDARIES = table.all_proofs()
SMALL = [(k, n) for k in range(3, 21) for n in range(2, k)]


@pytest.fixture(scope="module")
def committed():
    rows = table.read(ROOT / "book" / "data" / PAIRS.name, PAIRS.columns)
    return {(int(row["k"]), int(row["n"])): row for row in rows}


@pytest.fixture(scope="module")
def committed_boundaries():
    rows = table.read(ROOT / "book" / "data" / BOUNDARIES.name, BOUNDARIES.columns)
    return {int(row["k"]): [float(row[name]) for name in BOUNDARIES.columns[1:]] for row in rows}


def test_committed_verdicts_are_proven_again(committed):
    """All pairs up to k = 20 and 30 others, drawn at random."""
    rng = np.random.default_rng(0)
    others = [pair for pair in PAIRS.keys if pair[0] > 20]
    for k, n in [*SMALL, *(others[i] for i in rng.choice(len(others), 30, replace=False))]:
        verdict, row = perturbed.prove(k, n), committed[k, n]
        for name in ("kind", "negative", "block", "better"):
            assert str(getattr(verdict, name)) == row[name], (k, n)
        for name in ("A", "B", "G", "a", "difference"):
            ball = getattr(verdict, name)
            assert (arb(float(row[name])) * (1 + arb(0, 2.0**-52))).contains(ball), (k, n, name)


def test_the_committed_table_is_whole_and_each_sign_changes_once(committed, committed_boundaries):
    assert list(committed) == list(PAIRS.keys) and len(committed) == 4851
    for k in range(3, 101):
        rows = [committed[k, n] for n in range(2, k)]
        minimum = [row["kind"] == "strict minimum" for row in rows]
        wins = [row["better"] == "perturbed copies" for row in rows]
        stable, equal, _ = committed_boundaries[k]
        assert minimum == [n > stable for n in range(2, k)], k
        assert wins == [n > equal for n in range(2, k)], k
        for n, row in zip(range(2, k), rows, strict=True):
            saddle = row["kind"] == "saddle"
            assert (int(row["negative"]), row["block"]) == (
                (n - 1, "standard") if saddle else (0, "")
            ), (k, n)


def test_committed_boundaries_are_those_of_the_library_and_proven_again(committed_boundaries):
    assert list(committed_boundaries) == list(range(3, 101))
    for k in (3, 22, 50, 97):
        assert np.allclose(committed_boundaries[k], phase_boundaries(k), rtol=1e-11, atol=0)
        assert tuple(committed_boundaries[k]) == boundaries.near_boundaries(k)
        for n, boundary in zip(
            committed_boundaries[k], boundaries.enclose_boundaries(k), strict=True
        ):
            assert float(arb(boundary.low)) < n < float(arb(boundary.high)) < n * (1 + 2e-10)


def test_there_are_no_boundaries_below_three_teacher_neurons():
    with pytest.raises(ValueError, match="k must be at least 3, got 2"):
        boundaries.enclose_boundaries(2)


def test_a_boundary_that_is_off_by_one_part_in_a_billion_is_refused(monkeypatch):
    exact = phase_boundaries(12)
    for i in range(3):
        off = [n * (1 + 1e-9 * (i == j)) for j, n in enumerate(exact)]
        monkeypatch.setattr(boundaries, "phase_boundaries", lambda k, off=off: off)
        with pytest.raises(Undecided, match="does not change"):
            boundaries.enclose_boundaries(12)


# The formulas, held to the library's gradient, Hessian and loss.


def network(x, k, n, d):
    """The student with the ball coordinates x = (A, B, G, a)."""
    A, B, G, a = x
    Y = np.full((n, d), B)
    Y[:, n:k], Y[:, k:] = G, 0.0
    np.fill_diagonal(Y, A)
    return Network(Y / np.sqrt(1 - (Y**2).sum(axis=1, keepdims=True)), np.full(n, a))


def test_equations_are_the_derivatives_of_the_loss():
    """Central differences of the complete loss, at points that are not critical."""
    rng, step = np.random.default_rng(1), 1e-6
    for k, n in [(3, 2), (5, 4), (7, 3)]:
        L = PopulationLoss(Network.orthonormal(k), kernels.erf)
        x = np.array([0.5, -0.05, 0.1, 1.3]) + 0.05 * rng.standard_normal(4)
        values, jacobian = perturbed.equations([arb(t) for t in x], arb(k), arb(n))
        factors = np.array([2 * n * x[3], 2 * n * (n - 1) * x[3], 2 * n * (k - n) * x[3], 2 * n])
        for i, e in enumerate(np.eye(4) * step):
            slope = (
                math.pi / 2 * (L(network(x + e, k, n, k)) - L(network(x - e, k, n, k))) / (2 * step)
            )
            assert abs(slope - factors[i] * float(values[i])) < 1e-8, (k, n, i)
            ahead, behind = (
                perturbed.equations([arb(t) for t in x + sign * e], arb(k), arb(n))[0]
                for sign in (1, -1)
            )
            for row, fore, aft in zip(jacobian, ahead, behind, strict=True):
                assert abs(float(row[i]) - float(fore - aft) / (2 * step)) < 1e-8, (k, n, i)


def moved(student, dY, da):
    """The direction in the parameters of `student` that moves its ball coordinates by dY and its a
    by da.
    """
    scale = np.sqrt(1 + (student.W**2).sum(axis=1, keepdims=True))
    Y = student.W / scale
    return np.concatenate(
        ((scale * dY + scale**3 * Y * (Y * dY).sum(axis=1, keepdims=True)).ravel(), da)
    )


@pytest.mark.parametrize(("k", "n"), [(4, 2), (5, 3), (7, 4), (8, 5), (7, 6)])
def test_blocks_are_those_of_the_dense_hessian(k, n):
    """Second derivatives along directions written out neuron by neuron, and that different blocks
    do not mix.
    """
    rng, d = np.random.default_rng(k), k + 1
    point, _ = perturbed.enclosure(k, n)
    student = perturbed_network(erf_perturbed_copies(k, n), d, np.arange(k), np.arange(n))
    H = math.pi / 2 * PopulationLoss(Network.orthonormal(k, d), kernels.erf).hessian(student)

    def unit(count):  # of sum zero
        xi = rng.standard_normal(count)
        xi -= xi.mean()
        return xi / np.linalg.norm(xi)

    def direction(copied=0.0, uncopied=0.0, outside=0.0, a=0.0):
        dY = np.zeros((n, d))
        dY[:, :n] += copied
        dY[:, n:k] += uncopied
        dY[:, k] += outside
        return moved(student, dY, np.broadcast_to(a, n))

    off, ones = 1.0 - np.eye(n), np.ones(n)
    xi = unit(n)
    spaces = {
        "trivial": (
            [direction(np.eye(n)), direction(off), direction(uncopied=1.0), direction(a=1.0)],
            perturbed.trivial(point),
        ),
        "standard": (
            [
                direction(np.diag(xi)),
                direction(off * xi[:, None]),
                direction(off * xi),
                direction(uncopied=xi[:, None]),
                direction(a=xi),
            ],
            perturbed.standard(point),
        ),
    }
    if n == 2:
        spaces["standard"][0].pop(2)
    within = rng.standard_normal((n, n))
    antisymmetric = within - within.T
    for _ in range(200):  # alternating projections: zero rows, antisymmetric
        antisymmetric -= antisymmetric.mean(axis=1, keepdims=True)
        antisymmetric = (antisymmetric - antisymmetric.T) / 2
    symmetric = within + within.T
    for _ in range(2000):
        symmetric -= symmetric.mean(axis=1, keepdims=True)
        symmetric = (symmetric + symmetric.T) / 2 * off
    single = {
        "outside": direction(outside=ones / math.sqrt(n)),
        "outside x standard": direction(outside=xi),
    }
    if n >= 3:
        single["antisymmetric"] = direction(antisymmetric / np.linalg.norm(antisymmetric))
    if n >= 4:
        single["symmetric"] = direction(symmetric / np.linalg.norm(symmetric))
    if k - n >= 2:
        other = unit(k - n)
        single["uncopied"] = direction(uncopied=np.outer(ones, other) / math.sqrt(n))
        single["uncopied x standard"] = direction(uncopied=np.outer(xi, other))
    scalars = {name: (value, often) for name, value, often in perturbed.scalars(point, k, n)}
    assert set(single) == {name for name, (_, often) in scalars.items() if often}
    spaces |= {name: ([move], [[scalars[name][0]]]) for name, move in single.items()}
    for name, (moves, block) in spaces.items():
        U = np.array(moves)
        exact = np.array([[float(entry) for entry in row] for row in block])
        assert np.allclose(U @ H @ U.T, exact, rtol=1e-10, atol=1e-11 * np.abs(H).max()), name
        for other, (others, _) in spaces.items():
            assert (
                other == name or np.abs(U @ H @ np.array(others).T).max() < 1e-10 * np.abs(H).max()
            ), (name, other)
    found = sorted(perturbed.signs(point))
    counted = sum(len(spaces[name][0]) * often for name, _, often in found if often)
    assert counted == n * (d + 1)
    eigenvalues = np.linalg.eigvalsh(H)
    assert sum(below * often for _, below, often in found) == (eigenvalues < 0).sum()


def test_difference_of_the_losses():
    for k, n in [(3, 2), (6, 5), (9, 7)]:
        L = PopulationLoss(Network.orthonormal(k), kernels.erf)
        copies = L(perturbed_network(erf_perturbed_copies(k, n), k, np.arange(k), np.arange(n)))
        average = copy_average_loss([1] * (n - 1) + [k - n + 1])
        assert abs(float(perturbed.prove(k, n).difference) - (copies - average)) < 1e-13


# A wrong formula, a wrong claim, a wide ball: each is refused.

BROKEN = {
    "slope": lambda t: (1 - t**2) ** -1,
    "curvature": lambda t: -t * (1 - t**2).rsqrt() ** 3,
    "products": lambda point: (
        point.A**2 + (point.n - 1) * point.B**2 + (point.k - point.n) * point.G**2,
        point.A * point.B
        + (point.n - 2) * point.B**2
        + (point.k - point.n) * point.G**2,  # 2 A B halved
        tuple(arb(0.5).sqrt() * y for y in (point.A, point.B, point.G)),
    ),
    "standard": lambda point: [[-entry for entry in row] for row in STANDARD(point)],
}
STANDARD = perturbed.standard


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_formula_is_noticed(name, committed, monkeypatch):
    monkeypatch.setattr(perturbed, name, BROKEN[name])
    noticed = 0
    for k, n in [(6, 4), (6, 5), (12, 7)]:
        try:
            verdict = perturbed.prove(k, n)
        except Undecided:
            noticed += 1
        else:
            noticed += any(
                str(getattr(verdict, field)) != committed[k, n][field]
                for field in ("kind", "better")
            )
    assert noticed == 3


def test_krawczyk_refuses_what_is_not_one_zero():
    def square(shift):
        return lambda x: ([x[0] ** 2 - shift], [[2 * x[0]]])

    (root,), _ = enclosures.krawczyk(square(2), [arb(1.41421356)])
    assert root**2 - 2 == 0 or (root**2).contains(2) and root.rad() < 1e-12
    for equations, center in [
        (square(0), 0.0),
        (square(0), 1e-9),
        (square(-1), 0.5),
        (square(2), 3.0),
    ]:
        with pytest.raises(Undecided):
            enclosures.krawczyk(equations, [arb(center)])


def test_pivots_and_signs_refuse_zero():
    rng = np.random.default_rng(2)
    for _ in range(20):
        M = rng.standard_normal((5, 5))
        M += M.T
        found = enclosures.pivots([[arb(x) for x in row] for row in M])
        assert sum(pivot < 0 for pivot in found) == (np.linalg.eigvalsh(M) < 0).sum()
    with pytest.raises(Undecided):
        enclosures.pivots([[arb(1), arb(1)], [arb(1), arb(1, 1e-30)]])
    for zero in (arb(0), arb(1, 1), arb(-1, 1)):  # exactly, or at an end
        with pytest.raises(Undecided):
            enclosures.pivots([[zero]])
        with pytest.raises(Undecided):
            enclosures.sign(zero)
    with pytest.raises(Undecided):
        enclosures.sign(arb(1e-20, 1e-19))
    with pytest.raises(Undecided):
        table.nearest(arb(1, 1e-15))
    assert table.nearest(arb(2) / 3) == 2 / 3


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((3, 1), "n must be at least 2, got 1"),
        ((3, 3), "k must be at least 4, got 3"),
        ((4.0, 2), "k must be an int"),
    ],
)
def test_bad_pairs_are_named(pair, message):
    with pytest.raises(ValueError, match=message):
        perturbed.prove(*pair)


def test_an_interrupted_table_is_continued(tmp_path):
    before = ctx.prec
    table.main([str(tmp_path), "--largest", "5"])
    assert ctx.prec == before
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(whole) == {PAIRS.name, BOUNDARIES.name}
    for name, text in whole.items():
        (tmp_path / name).write_bytes(text[: len(text) * 2 // 3])  # in the middle of a line
    calls = []
    for proofs in table.all_proofs(5):
        table.write(proofs, tmp_path, lambda keys: calls.append(len(keys)) or keys)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    assert 0 < calls[0] < 6 and 0 < calls[1] < 3
    (tmp_path / PAIRS.name).write_text("my notes\n\n")
    with pytest.raises(ValueError, match="path must be a table with columns k,n,kind"):
        table.write(PAIRS, tmp_path)


# The page.

PAGE = (ROOT / "book" / "proofs" / "perturbed_copies.md").read_text("utf-8")


def test_the_page_counts_what_the_table_holds(committed):
    kinds = [row["kind"] for row in committed.values()]
    wins = [row["better"] == "perturbed copies" for row in committed.values()]
    assert f"each of the {len(committed)} pairs $2\\le n<k\\le100$" in PAGE
    assert (
        f"in {kinds.count('strict minimum')} pairs" in PAGE
        and f"in the other {kinds.count('saddle')};" in PAGE
    )
    assert f"in {sum(wins)} pairs, and worse in the other {len(wins) - sum(wins)}." in PAGE
    first = min(pair for pair, won in zip(committed, wins, strict=True) if won)
    assert first == (6, 5) and "for the first time at $k=6$, $n=5$" in PAGE
    low, high = map(float, re.findall(r"\$(-9\.41\d\d)\\cdot10\^\{-4\}\$", PAGE))
    assert arb((low + high) / 2e4, (high - low) / 2e4).contains(perturbed.prove(6, 5).difference)


def test_the_page_shows_the_boundaries_of_the_table(committed_boundaries):
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [6, 10, 20, 50, 100]
    for k, *shown in rows:
        assert np.allclose(
            list(map(float, shown)), committed_boundaries[int(k)], rtol=5e-10, atol=0
        ), k


# The best function of k - 1 projections.


def test_no_function_of_two_projections_is_better_than_copy_average():
    assert projections.prove_best_of_projections(3) > 100


def test_for_five_teachers_that_is_false_and_refused(monkeypatch):
    """q = (1, -0.244, ..., -0.244) is better than copy-average, by a tenth of a percent of the
    loss.
    """
    value, _ = projections.value_and_slope([arb(-0.244)] * 4)
    assert value > projections.copy_average_psi(5)
    monkeypatch.setattr(projections, "_MOST_BOXES", 300)
    monkeypatch.setattr(projections, "_NEAR", 0.001)
    with pytest.raises(Undecided):
        projections.prove_best_of_projections(5)


def test_psi_is_the_sum_over_the_projection():
    """Values from the matrix, derivatives from differences, and the critical point that the proof
    starts from.
    """
    rng, step = np.random.default_rng(4), 1e-5

    def plain(t):
        u = np.append(1.0, t)
        return np.arcsin((np.eye(len(u)) - np.outer(u, u) / (u @ u)) / 2).sum()

    for size in (1, 2, 3):
        t = rng.uniform(-1, 1, size)
        jet, (value, slope) = (
            projections.psi(list(map(arb, t))),
            projections.value_and_slope(list(map(arb, t))),
        )
        assert abs(float(jet.value) - plain(t)) < 1e-14 and abs(float(value) - plain(t)) < 1e-14
        for i, e in enumerate(np.eye(size) * step):
            difference = (plain(t + e) - plain(t - e)) / (2 * step)
            assert (
                abs(difference - float(slope[i])) < 1e-9
                and abs(difference - float(jet.gradient[i])) < 1e-9
            )
            ahead, behind = (projections.psi(list(map(arb, t + s * e))).gradient for s in (1, -1))
            for found, fore, aft in zip(jet.hessian[i], ahead, behind, strict=True):
                assert abs(float(found) - float(fore - aft) / (2 * step)) < 1e-8
    at = projections.psi([arb(0), arb(0), arb(-1)])
    assert at.value.overlaps(projections.copy_average_psi(4)) and all(
        abs(x) < 1e-15 for x in at.gradient
    )


def test_balls_hold_what_they_should():
    """Random points of a box lie in what is computed for the box."""
    rng = np.random.default_rng(5)
    box = [arb(0.3, 0.1), arb(-0.2, 0.1)]
    jet, (value, slope) = projections.psi(box), projections.value_and_slope(box)
    largest = -np.inf
    for _ in range(50):
        t = [arb(x) for x in (0.3 + rng.uniform(-0.1, 0.1), -0.2 + rng.uniform(-0.1, 0.1))]
        point = projections.psi(t)
        assert jet.value.overlaps(point.value) and value.overlaps(point.value)
        largest = max(largest, float(point.value))
        for wide, narrow in zip(
            jet.gradient + slope + sum(jet.hessian, []),
            point.gradient * 2 + sum(point.hessian, []),
            strict=True,
        ):
            assert wide.overlaps(narrow)
    assert not projections.is_smaller(box, arb(largest)) and projections.is_smaller(
        box, arb(largest + 1.0)
    )
    assert not projections.is_smaller([arb(-0.2, 0.1)] * 4, projections.copy_average_psi(5))
