"""lib.pairs: the gap p q - s^2 must keep its digits where neurons are copied."""

import mpmath
import numpy as np
from cases import entries

from lib import pairs


def exact_gap(w, v):
    """Witness: |w|^2 |v|^2 - (w.v)^2 in mpmath with 60 digits, on the same float64 vectors."""
    with mpmath.workdps(60):
        w, v = ([mpmath.mpf(float(value)) for value in vector] for vector in (w, v))
        s, p, q = mpmath.fdot(w, v), mpmath.fdot(w, w), mpmath.fdot(v, v)
        return float(p * q), float(p * q - s * s)


def test_gap_of_entries_is_exact():
    for s, p, q in entries():
        with mpmath.workdps(60):
            exact = float(mpmath.mpf(float(p)) * mpmath.mpf(float(q)) - mpmath.mpf(float(s)) ** 2)
        gap = pairs.from_entries(np.float64(s), np.float64(p), np.float64(q)).gap
        np.testing.assert_allclose(gap, max(exact, 0.0), rtol=1e-14)


def test_gap_between_nearly_parallel_vectors():
    """Within an angle of 1e-10 of parallel and antiparallel, at all lengths, the angle is right to 1e-15."""
    rng = np.random.default_rng(0)
    for length in [1e-8, 1.0, 1e8]:
        for angle in [0.0, 1e-12, 1e-10, 1e-6, 1e-2, 0.3]:
            for sign in [-1.0, 1.0]:
                w = rng.standard_normal(20)
                across = rng.standard_normal(20)
                across -= (across @ w) / (w @ w) * w
                v = sign * length * (w + angle * np.linalg.norm(w) / np.linalg.norm(across) * across)
                products, exact = exact_gap(w, v)
                gap = pairs.between(w[None], v[None], noise=0.0).gap[0, 0]
                sine, exact_sine = np.sqrt(gap / products), np.sqrt(max(exact, 0.0) / products)
                assert abs(sine - exact_sine) <= 1e-15 + 1e-13 * exact_sine, (length, angle, sign)


def test_exact_copies_have_no_gap():
    rng = np.random.default_rng(1)
    for scale in [1e-8, 1.0, 1e8]:
        w = scale * rng.standard_normal(37)
        W = np.array([w, w, -w, w])
        assert (pairs.among(W, noise=0.0).gap == 0.0).all()
        assert (pairs.between(W, W[:2], noise=0.0).gap == 0.0).all()


def test_zero_vectors():
    W = np.zeros((2, 3))
    for part in pairs.among(W, noise=0.0):
        assert (part == 0.0).all()
    assert (pairs.between(W, np.eye(3), noise=0.0).gap == 0.0).all()


def test_swapping_exchanges_the_norms():
    pair = pairs.from_entries(np.array(0.5), np.array(1.0), np.array(2.0))
    assert pair.swapped() == pairs.Pairs(pair.s, pair.q, pair.p, pair.gap)


def test_more_inputs_than_are_taken_at_a_time():
    """By hand: |w| = 1e3, and v at an angle of 1e-9 to it, in a million dimensions."""
    W = np.zeros((2, 2**20 + 1))
    W[:, -1], W[1, 0] = 1e3, 1e-6
    gap = pairs.among(W, noise=1.0).gap
    np.testing.assert_allclose(gap, [[0.0, 1e-6], [1e-6, 0.0]], rtol=1e-9)


def test_joined_pairs_are_those_of_both():
    rng = np.random.default_rng(2)
    W, V = rng.standard_normal((3, 5)), rng.standard_normal((4, 5))
    own, cross = pairs.among(W, noise=1.0), pairs.between(W, V, noise=1.0)
    for part, first, second in zip(pairs.joined(own, cross), own, cross, strict=True):
        whole = np.broadcast_to(part, (3, 7))
        np.testing.assert_allclose(whole[:, :3], np.broadcast_to(first, (3, 3)), rtol=1e-14)
        np.testing.assert_allclose(whole[:, 3:], np.broadcast_to(second, (3, 4)), rtol=1e-14)
