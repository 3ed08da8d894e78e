"""lib.networks: a network is two arrays that never change."""

import pickle

import numpy as np
import pytest
from cases import ALL_KERNELS, random_network

from lib import Network, kernels
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
