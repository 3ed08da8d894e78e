"""lib.networks: a network is two arrays that never change."""

import pickle

import numpy as np
import pytest
from cases import ALL_KERNELS, random_network

from lib import Network, PopulationLoss, kernels
from lib.networks import split


def test_a_network_is_the_sum_it_says():
    """Witness: the double loop over samples and neurons."""
    rng = np.random.default_rng(0)
    net, x = random_network(rng, 3, 4), rng.standard_normal((5, 4))
    for kernel in ALL_KERNELS:
        slow = [sum(net.a[i] * kernel.activation(net.W[i] @ point) for i in range(3)) for point in x]
        np.testing.assert_allclose(net(x, kernel), slow, rtol=1e-13)


def test_orthonormal_teacher():
    teacher = Network.orthonormal(3, 5)
    assert (teacher.n, teacher.d) == (3, 5)
    np.testing.assert_array_equal(teacher.W @ teacher.W.T, np.eye(3))
    np.testing.assert_array_equal(teacher.a, np.ones(3))
    assert Network.orthonormal(4).d == 4


def test_ravel_is_row_by_row_then_outgoing():
    net = Network([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [7.0, 8.0, 9.0])
    np.testing.assert_array_equal(net.ravel(), np.arange(1.0, 10.0))
    again = Network.unravel(net.ravel(), 3, 2)
    np.testing.assert_array_equal(again.W, net.W)
    np.testing.assert_array_equal(again.a, net.a)


def test_immutable_and_independent_of_its_sources():
    W, a = np.ones((2, 2)), np.ones(2)
    net = Network(W, a)
    W[0, 0] = 5.0
    assert net.W[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        net.W[0, 0] = 5.0
    with pytest.raises(AttributeError, match="immutable"):
        net.a = a
    with pytest.raises(AttributeError, match="immutable"):
        del net.a
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.W, net.W)
    with pytest.raises(ValueError, match="read-only"):
        copy.a[0] = 5.0


def test_integers_become_float64():
    net = Network([[1, 2]], [3])
    assert net.W.dtype == net.a.dtype == np.float64


@pytest.mark.parametrize(
    ("W", "a", "message"),
    [
        ([1.0, 2.0], [1.0], r"W must have 2 dimension\(s\), got shape \(2,\)"),
        ([[1.0, 2.0]], 1.0, r"a must have 1 dimension\(s\), got shape \(\)"),
        ([[1.0, 2.0]], [1.0, 2.0], r"a must have one entry for each of the 1 rows of W, got shape \(2,\)"),
        (np.zeros((0, 2)), [], r"W must have at least one row and one column, got shape \(0, 2\)"),
        ([[np.nan, 2.0]], [1.0], "W must be finite, got nan"),
        ([[1.0, 2.0]], [np.inf], "a must be finite, got inf"),
        ([["x", 2.0]], [1.0], "W must be an array of real numbers"),
        ([[1.0], [1.0, 2.0]], [1.0, 1.0], "W must be an array of real numbers"),
    ],
)
def test_bad_weights_are_named(W, a, message):
    with pytest.raises(ValueError, match=message):
        Network(W, a)


def test_split_undoes_ravel_for_one_vector_and_for_many():
    net = Network([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [7.0, 8.0])
    W, a = split(net.ravel(), 2, 3)
    assert (W == net.W).all() and (a == net.a).all()
    many = np.arange(5.0)[:, None] + net.ravel()
    W, a = split(many, 2, 3)
    assert W.shape == (5, 2, 3) and (W[4] == net.W + 4.0).all() and (a[4] == net.a + 4.0).all()
    assert split(many[:0], 2, 3)[0].shape == (0, 2, 3) and np.shares_memory(W, many)


def test_networks_of_one_shape_are_vectors():
    """Witness: the same operations on all weights as one vector."""
    rng = np.random.default_rng(1)
    u, v = random_network(rng, 3, 4), random_network(rng, 3, 4)
    for found, expected in [
        (u + v, u.ravel() + v.ravel()),
        (u - v, u.ravel() - v.ravel()),
        (-u, -u.ravel()),
        (2 * u, 2 * u.ravel()),
        (u * np.float64(0.3), u.ravel() * 0.3),
        (np.float64(0.3) * u, u.ravel() * 0.3),
        (np.int64(3) * u, 3 * u.ravel()),
        (u / 4, u.ravel() / 4),
    ]:
        assert type(found) is Network and found.W.shape == (3, 4)
        np.testing.assert_array_equal(found.ravel(), expected)
    L = PopulationLoss(Network.orthonormal(4), kernels.erf)
    assert L(u - 1e-3 * L.gradient(u)) < L(u) < L(u + 1e-3 * L.gradient(u))


@pytest.mark.parametrize(
    "call",
    [lambda u: u + 1, lambda u: 1 + u, lambda u: u - 1.0, lambda u: u * u, lambda u: u * "2", lambda u: u / u,
     lambda u: 1 / u, lambda u: np.ones(2) * u, lambda u: u * np.ones(2), lambda u: np.ones(3) + u],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(call):
    with pytest.raises(TypeError):
        call(Network.orthonormal(2, 3))


def test_sums_of_other_shapes_and_beyond_float64_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got Network\(n=2, d=3\) and Network\(n=2, d=2\)"):
        Network.orthonormal(2, 3) + Network.orthonormal(2)
    with pytest.raises(ValueError, match="W must be finite"), np.errstate(over="ignore"):
        1e308 * Network([[10.0]], [0.0])
    for call in (lambda net: net / 0, lambda net: np.inf * net, lambda net: 10**400 * net, lambda net: net * np.nan):
        with pytest.raises(ValueError, match="(factor|divisor) must"):
            call(Network.orthonormal(2))


def test_equality_is_that_of_all_weights():
    net, same = Network([[0.0, 1.0]], [2.0]), Network([[-0.0, 1.0]], [2])
    assert net == same and hash(net) == hash(same) and {net: 1}[same] == 1
    others = [Network([[0.0, 1.0]], [2 + 1e-15]), Network([[1e-300, 1.0]], [2.0]), Network([[0.0], [1.0]], [2.0, 2.0])]
    assert all(net != other for other in others) and net != "net" and net is not None
    assert len({net, same, *others}) == 4


def test_a_network_is_saved_and_loaded_to_the_last_bit(tmp_path):
    for name in ("net.npz", "net", "net.weights"):
        net = random_network(np.random.default_rng(2), 3, 4)
        net.save(tmp_path / name)
        again = Network.load(str(tmp_path / name))
        assert again == net and not again.W.flags.writeable
    with np.load(tmp_path / "net.npz") as arrays:
        np.testing.assert_array_equal(arrays["W"], net.W)


def written(path, what):
    with open(path, "wb") as file:
        what(file)
    return path


@pytest.mark.parametrize(
    "what",
    [
        lambda file: file.write(b"W,a\n1,2\n"),
        lambda file: None,
        lambda file: np.save(file, np.eye(2)),
        lambda file: np.savez(file, W=np.eye(2)),
        lambda file: np.savez(file, W=np.eye(2), a=np.ones(2), b=np.ones(2)),
        lambda file: np.savez(file, W=np.array([{}]), a=np.ones(1)),
        lambda file: file.write(b"PK\x03\x04 and so on"),
        lambda file: pickle.dump(Network.orthonormal(2), file),
    ],
)
def test_other_files_are_refused(tmp_path, what):
    with pytest.raises(ValueError, match="path must be a file of Network.save, with arrays W and a alone, got .*other"):
        Network.load(written(tmp_path / "other", what))


def test_a_file_of_wrong_weights_names_them(tmp_path):
    path = written(tmp_path / "net.npz", lambda file: np.savez(file, W=np.eye(2), a=np.ones(3)))
    with pytest.raises(ValueError, match="a must have one entry for each of the 2 rows of W"):
        Network.load(path)
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Network.orthonormal(0), "k must be at least 1, got 0"),
        (lambda: Network.orthonormal(3, 2), "d must be at least 3, got 2"),
        (lambda: Network.orthonormal(3.0), "k must be an integer, got 3.0"),
        (lambda: Network.orthonormal(True), "k must be an integer, got True"),
        (lambda: Network.unravel(np.ones(5), 2, 2), r"theta must have n \(d \+ 1\) = 6 entries, got 5"),
        (lambda: Network.unravel(np.ones((6, 1)), 2, 2), r"theta must have 1 dimension\(s\)"),
        (lambda: Network.unravel(np.ones(6), 0, 2), "n must be at least 1, got 0"),
        (lambda: Network.unravel(np.ones(6), 6, 0), "d must be at least 1, got 0"),
        (lambda: Network.orthonormal(2)(np.ones(2), kernels.erf), r"x must have 2 dimension\(s\)"),
        (lambda: Network.orthonormal(2)(np.ones((1, 3)), kernels.erf), "x must have 2 columns"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
