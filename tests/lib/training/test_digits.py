"""The digits, and training on them: gradients by finite differences."""

import numpy as np
import pytest

from lib import Network, kernels
from lib.descent.flow import glorot
from lib.sweeps.table import data_file
from lib.training import fit, load_digits, load_teacher
from lib.training.digits import squared_error


def test_digits_are_split_and_whitened_by_the_training_images():
    digits = load_digits(6, seed=3)
    assert digits.x.shape == (1200, 6) and digits.x_test.shape == (597, 6)
    assert np.allclose(digits.x.mean(axis=0), 0.0, atol=1e-12)
    assert np.allclose(digits.x.T @ digits.x / 1200, np.eye(6), atol=1e-12)
    assert abs(digits.y.mean()) < 1e-12 and abs(digits.y_test.mean()) > 1e-6
    assert set(np.round(digits.y_test + digits.mean, 12)) == {-1.0, 1.0}
    images = np.load(data_file("digits.npz"))["images"]
    assert images.shape == (1797, 64) and 0 <= images.min() < images.max() == 16
    assert not np.array_equal(load_digits(6, seed=4).y, digits.y)


def test_signs_of_inputs_do_not_depend_on_the_singular_vectors(monkeypatch):
    """Other processors give other signs, and stored networks would then see other images."""
    expected, svd = load_digits(20, seed=1), np.linalg.svd

    def flipped(matrix, **options):
        U, values, V = svd(matrix, **options)
        return U, values, V * np.resize([1.0, -1.0, -1.0], len(V))[:, None]

    monkeypatch.setattr(np.linalg, "svd", flipped)
    assert np.allclose(load_digits(20, seed=1).x, expected.x, atol=1e-12)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu], ids=["erf", "relu"])
def test_gradient_by_finite_differences(kernel):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    W, a, h = rng.standard_normal((2, 3)), rng.standard_normal(2), 1e-6
    value, gradient = squared_error(kernel, W, a, x, y)
    assert value == pytest.approx(np.mean((Network(W, a)(x, kernel) - y) ** 2), rel=1e-12)
    theta = Network(W, a).ravel()
    for i, slope in enumerate(gradient):
        ends = []
        for sign in (1.0, -1.0):
            moved = Network.unravel(theta + sign * h * np.eye(8)[i], 2, 3)
            ends.append(squared_error(kernel, moved.W, moved.a, x, y)[0])
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu], ids=["erf", "relu"])
def test_fit_ends_where_its_objective_is_flat(kernel):
    """The gradient with the decay of the weights, by finite differences of the objective."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 2))
    y, decay, h = np.sin(x[:, 0]), 0.01, 1e-5
    theta = fit(kernel, glorot(rng, 2, 2), x, y, decay=decay).ravel()

    def objective(at):
        return np.mean((Network.unravel(at, 2, 2)(x, kernel) - y) ** 2) + decay * at @ at

    slopes = [(objective(theta + h * e) - objective(theta - h * e)) / (2 * h) for e in np.eye(len(theta))]
    assert np.abs(slopes).max() < 1e-4
    assert objective(theta) < np.mean(y**2)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_stored_teachers_know_digits(name):
    kernel = {"erf": kernels.erf, "relu": kernels.relu}[name]
    errors = [load_digits(20, s).test_error(load_teacher(name, s), kernel) for s in range(10)]
    assert max(errors) < 0.04 and 0.012 < np.median(errors) < 0.025


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="d must be"):
        load_digits(51)
    with pytest.raises(ValueError, match="'erf' or 'relu'"):
        load_teacher("gelu", 0)
    with pytest.raises(ValueError, match="kernel must be erf or relu"):
        fit(kernels.gelu, Network(np.eye(2), np.ones(2)), np.ones((3, 2)), np.ones(3))
