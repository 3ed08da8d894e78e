"""That the ends of stored flows lie in balls which the exact flow cannot leave: the balls, and the
ends.
"""

import numpy as np
import pytest
from guards import ROOT
from scipy.special import erf

from lib import Network, PopulationLoss, copy_average, kernels, perturbed_copies
from lib.proofs import ends
from lib.sweeps.experiment import from_settings
from lib.sweeps.run import certified_flow
from lib.sweeps.table import read


def weights(net):
    """The norm's weights, in the order of `Network.ravel()`."""
    return np.append(np.repeat(net.a**2, net.d), ends.output_sizes(net) ** 2)


def known(kind, k, n, d):
    if kind == "copy-average":
        return copy_average([1] * (n - 1) + [k - n + 1], d)
    return perturbed_copies(kernels.erf, k, n, d)


@pytest.mark.parametrize("kind", ["copy-average", "perturbed-copies"])
@pytest.mark.parametrize(("k", "d"), [(3, 4), (6, 6), (9, 10)])
def test_softest_eigenvalue_is_that_of_the_dense_hessian(kind, k, d):
    L = PopulationLoss(Network.orthonormal(k, d), kernels.erf)
    for n in range(1, k + 1) if kind == "copy-average" else range(2, k):
        net = known(kind, k, n, d)
        scale = 1 / np.sqrt(weights(net))
        dense = np.linalg.eigvalsh(scale[:, None] * L.hessian(net) * scale)[0]
        found = ends._SOFTEST[kind](k, n, d)
        if kind == "copy-average":
            assert abs(found - dense) < 1e-11, n
        else:  # a bound
            assert found < dense + 1e-12 if dense > 0 else found < 0, n


def test_third_derivatives_stay_below_their_bound():
    """Central differences of the Hessian, along the directions in which it changes most."""
    rng, step = np.random.default_rng(0), 1e-4
    for kind, k, n in [("copy-average", 6, 1), ("copy-average", 9, 4), ("perturbed-copies", 6, 5)]:
        net, L = (
            known(kind, k, n, k + 1),
            PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf),
        )
        bound = ends.third_derivatives(net.a, ends.output_sizes(net), L(net))
        scale, largest = 1 / np.sqrt(weights(net)), 0.0
        for u in rng.standard_normal((20, len(scale))):
            for _ in range(3):
                move = scale * u / np.linalg.norm(u) * step
                fore, aft = (
                    L.hessian(Network.unravel(net.ravel() + s * move, n, k + 1)) for s in (1, -1)
                )
                values, vectors = np.linalg.eigh(scale[:, None] * (fore - aft) * scale / (2 * step))
                largest = max(largest, np.abs(values).max())
                u = vectors[:, np.abs(values).argmax()]
        assert bound / 60 < largest < bound, (kind, k, n, largest, bound)


@pytest.mark.parametrize(
    ("a", "s", "second", "third"),
    [  # c (1 / s + 1.0505419) / a and c (3.1516258 / s + 3.872983) / a^2 with c = sqrt(2 / pi), the larger of each
        ([1.0], [1.0], 1.6360957, 5.6048271),
        ([2.0], [0.5], 1.2169901, 2.0298652),
        ([2.0, 1.0], [0.5, 1.0], 1.6360957, 5.6048271),
        ([2.0, 4.0], [0.5, 0.1], 2.2042642, 2.0298652),
    ],
)
def test_bound_on_third_derivatives_by_hand(a, s, second, third):
    first = np.sqrt(len(a) * (1 + 2 / np.pi))
    for loss in (0.0, 4.0):
        found = ends.third_derivatives(np.array(a), np.array(s), loss)
        assert found == pytest.approx(2.06 * (np.sqrt(loss) * third + 3 * first * second), rel=1e-5)


@pytest.mark.parametrize("kind", ["copy-average", "perturbed-copies"])
def test_radius_and_excess_are_those_of_the_module(kind):
    """The radius by its formula, with the loss of a student that is zero; the excess from the losses themselves."""
    k, n, d = 8, 6, 9
    net, L = known(kind, k, n, d), PopulationLoss(Network.orthonormal(k, d), kernels.erf)
    steepest = ends.third_derivatives(net.a, ends.output_sizes(net), L.teacher_energy)
    radius = ends._SOFTEST[kind](k, n, d) / (2 * steepest)
    assert ends.nearest_minimum(net, k).radius == pytest.approx(radius, rel=1e-9)
    rng = np.random.default_rng(9)
    for _ in range(5):
        move = rng.standard_normal(net.ravel().size)
        move *= 20 * radius / np.sqrt(weights(net) @ move**2)
        student = Network.unravel(net.ravel() + move, n, d)
        found, excess = ends.nearest_minimum(student, k), L(student) - L(net)
        assert excess < found.excess < 1.05 * excess


def test_bounds_on_the_derivatives_of_the_activation():
    """sigma(x) = erf(x / sqrt 2): sigma'' = -x sigma', sigma''' = (x^2 - 1) sigma'."""
    x, c = np.linspace(-9, 9, 20001), np.sqrt(2 / np.pi)
    first = c * np.exp(-(x**2) / 2)
    assert np.allclose(np.gradient(erf(x / np.sqrt(2)), x)[1:-1], first[1:-1], atol=1e-6)
    assert first.max() <= c and np.abs(x * first).max() <= c / np.sqrt(np.e)
    assert np.abs((x**2 - 1) * first).max() <= c


def sample():
    """Rows of the tables drawn at random, and those of the softest minima."""
    rng, chosen = np.random.default_rng(3), []
    for k, count, most in ((10, 5, 9), (20, 4, 19), (50, 3, 40), (100, 1, 10)):
        table, _ = read(ROOT / "book" / "data" / f"sweep_erf_k{k}.csv")
        table = table[(table["certificate"] == "strict minimum") & (table["n"] <= most)]
        rows = [*table[rng.choice(len(table), count, replace=False)], table[table["n"] == 2][0]]
        chosen += [(k, int(row["n"]), int(row["seed"]), str(row["kind"])) for row in rows]
    return chosen


def test_ends_of_flows_are_proven_minima():
    kinds = set()
    for k, n, seed, kind in sample():
        end = ends.end_of_flow(k, n, seed)
        assert end.proven and end.kind == kind, (k, n, seed, end)
        kinds.add(kind)
    assert kinds == {"copy-average", "perturbed-copies"}


@pytest.mark.parametrize(("k", "n", "seed"), [(20, 2, 0), (50, 25, 6)])
def test_a_flow_stops_outside_the_ball_that_its_polished_end_lies_in(k, n, seed):
    _, settings = read(ROOT / "book" / "data" / f"sweep_erf_k{k}.csv")
    flow, certificate = certified_flow(n, seed, from_settings(settings))
    stopped, polished = (ends.nearest_minimum(net, k) for net in (flow.student, certificate.student))
    assert not stopped.proven and polished.proven and stopped.kind == polished.kind


def test_stored_end_points_are_proven_minima():
    with np.load(ROOT / "book" / "data" / "sweep_erf_k50.npz") as arrays:
        for kind in ("copy-average", "perturbed-copies"):
            end = ends.nearest_minimum(Network(arrays[f"W_{kind}"], arrays[f"a_{kind}"]), 50)
            assert end.kind == kind and end.proven, end


def test_the_committed_ends_are_those_of_the_tables():
    lines = (ROOT / "book" / "data" / "proofs_ends.csv").read_text("utf-8").splitlines()
    assert lines[1] == "k,n,seed,kind,distance,excess"
    proven = [line.split(",") for line in lines[2:]]
    wanted = []
    for k in (10, 20, 50, 100):
        table, _ = read(ROOT / "book" / "data" / f"sweep_erf_k{k}.csv")
        wanted += [
            [str(k), str(row["n"]), str(row["seed"]), str(row["kind"])]
            for row in table
            if row["certificate"] == "strict minimum"
        ]
    assert [row[:4] for row in proven] == wanted and len(wanted) == 2097
    assert max(float(share) for row in proven for share in row[4:]) < 0.5


def test_neurons_and_teachers_may_be_in_any_order_and_sign():
    rng, k, d = np.random.default_rng(7), 7, 9
    for kind, n in (("copy-average", 4), ("copy-average", 1), ("perturbed-copies", 6)):
        net = known(kind, k, n, d)
        W = net.W[rng.permutation(n)]
        W[:, :k] = W[:, rng.permutation(k)]
        # The averager's outgoing weight follows its row: the longest sum of weights relative to its
        # length.
        a = np.array(
            [net.a[np.abs(np.linalg.norm(net.W, axis=1) - np.linalg.norm(w)).argmin()] for w in W]
        )
        signs = rng.choice([-1.0, 1.0], n)
        end = ends.nearest_minimum(Network(signs[:, None] * W, signs * a), k)
        assert end.kind == kind and end.distance < 1e-12 and end.proven, (kind, n, end)


def test_what_is_far_or_no_minimum_is_not_proven():
    k, n, d = 8, 6, 9
    net = known("perturbed-copies", k, n, d)
    radius = ends.nearest_minimum(net, k).radius
    assert 0.0 < radius < 0.01
    rng = np.random.default_rng(8)
    for size, proven in ((0.1, True), (0.6, False), (3.0, False)):
        move = rng.standard_normal(net.ravel().size) / np.sqrt(weights(net))
        move *= size * radius / np.sqrt(weights(net) @ move**2)
        end = ends.nearest_minimum(Network.unravel(net.ravel() + move, n, d), k)
        assert abs(end.distance / radius - size) < 1e-6
        assert not end.proven or proven
    for saddle, k in ((known("copy-average", 8, 7, 9), 8), (known("perturbed-copies", 8, 3, 9), 8)):
        end = ends.nearest_minimum(saddle, k)
        assert end.distance < 1e-12 and end.radius == 0.0 and not end.proven
    assert not ends.nearest_minimum(Network(rng.standard_normal((5, 9)), np.ones(5)), 8).proven
