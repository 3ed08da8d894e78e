"""Optimisers against their recursions written out, and against what is known of them."""

import numpy as np
import pytest

from lib.training import Adam, GradientDescent


def test_gradient_descent_and_the_heavy_ball():
    gradients = np.random.default_rng(0).standard_normal((6, 3))
    change = GradientDescent(rate=0.3, momentum=0.7).changes()
    for m in range(6):  # the closed sum over all gradients so far
        weights = 0.7 ** (m - np.arange(m + 1))
        assert np.allclose(change(gradients[m]), -0.3 * weights @ gradients[: m + 1], atol=1e-14)


def test_momentum_zero_forgets():
    change = GradientDescent(rate=0.5).changes()
    change(np.array([9.0]))
    assert change(np.array([2.0])) == -1.0


def test_adam_against_the_sums_over_all_gradients():
    gradients = np.random.default_rng(1).standard_normal((5, 4))
    change = Adam(rate=0.01, mean=0.8, square=0.95, epsilon=1e-3).changes()
    for m in range(1, 6):
        past = m - 1 - np.arange(m)
        first = 0.2 * 0.8**past @ gradients[:m] / (1 - 0.8**m)
        second = 0.05 * 0.95**past @ gradients[:m] ** 2 / (1 - 0.95**m)
        expected = -0.01 * first / (np.sqrt(second) + 1e-3)
        assert np.allclose(change(gradients[m - 1]), expected, rtol=1e-12, atol=0)


def test_each_training_begins_anew():
    rule = Adam(rate=0.1)
    assert rule.changes()(np.ones(1)) == rule.changes()(np.ones(1))


@pytest.mark.parametrize(
    "rule",
    [
        GradientDescent(-0.1), GradientDescent(0.1, 1.5), Adam(np.nan), Adam(0.1, mean=2.0),
        Adam(0.1, square=-1.0),
    ],
)  # fmt: skip
def test_bad_numbers_are_refused(rule):
    with pytest.raises(ValueError, match="rate must|momentum must|mean must|square must"):
        rule.changes()


@pytest.mark.parametrize("rule", [GradientDescent, Adam])
def test_rates_up_to_a_thousand_are_taken(rule):
    assert rule(1000.0).changes()(np.ones(2)).max() < 0.0
    with pytest.raises(ValueError, match=r"rate must be a number between 0\.0 and 1000\.0, got 1000\.5"):
        rule(1000.5).changes()
