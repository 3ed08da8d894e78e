"""A real task for a network of one hidden layer: is a handwritten digit at least 5?

The 1797 images of 8 x 8 pixels in book/data/digits.npz are the test set of E. Alpaydin and C.
Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998 (CC BY
4.0), in the order in which scikit-learn ships them.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from lib.arguments import finite_array, instance, integer, real, whole_number
from lib.kernels import Kernel
from lib.networks import Network, split
from lib.records import record
from lib.sweeps.table import data_file
from lib.training.samples import slopes

_TRAINING = 1200  # images; the others are for the test


@record
class Digits(NamedTuple):
    """Images as whitened inputs, and the centred label of a task with two answers.

    Attributes
    ----------
    x, y : array (1200, d) and (1200,)
        Training inputs of mean 0 and covariance 1; y is +1 for the digits 5 to 9 and -1 for 0 to 4,
        less its mean.
    x_test, y_test : array (597, d) and (597,)
        By the same map, which is made of training images alone.
    mean : float
        What was subtracted from the labels.

    Examples
    --------
    >>> from lib.training import load_digits
    >>> load_digits(d=5).x_test.shape
    (597, 5)
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    mean: float

    def test_error(self, network, kernel):
        """The fraction of test images that a network puts on the wrong side.

        Parameters
        ----------
        network : Network (n, d)
        kernel : kernels.Kernel

        Returns
        -------
        float

        Examples
        --------
        >>> from lib.training import load_digits
        >>> constant = Network(np.zeros((1, 5)), [1.0])
        >>> 0.4 < load_digits(d=5).test_error(constant, kernels.erf) < 0.6
        True
        """
        wrong = (network(self.x_test, kernel) + self.mean > 0) != (self.y_test + self.mean > 0)
        return float(wrong.mean())

    def __repr__(self):
        return f"<Digits: {len(self.x)} for training, {len(self.x_test)} for the test>"


def load_digits(d=20, seed=0):
    """The digits, split at random, in their d leading principal components, each of variance 1.

    Parameters
    ----------
    d : int
        1 to 50.
    seed : int
        Of the split into 1200 training and 597 test images.

    Returns
    -------
    Digits

    Notes
    -----
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998.

    Examples
    --------
    >>> from lib.training import load_digits
    >>> x = load_digits(d=3, seed=1).x
    >>> np.allclose(x.T @ x / len(x), np.eye(3), atol=1e-12)
    True
    """
    d = integer("d", d, least=1, most=50)
    rng = np.random.default_rng([integer("seed", seed, least=0), 5])
    with np.load(data_file("digits.npz")) as file:
        images, labels = file["images"].astype(float), np.where(file["labels"] >= 5, 1.0, -1.0)
    order = rng.permutation(len(images))
    images, labels = images[order], labels[order]
    centre, mean = images[:_TRAINING].mean(axis=0), labels[:_TRAINING].mean()
    _, values, directions = np.linalg.svd(images[:_TRAINING] - centre, full_matrices=False)
    cubes = (directions[:d] ** 3).sum(axis=1, keepdims=True)
    directions[:d] *= np.sign(cubes)  # the signs of singular vectors differ between processors
    x = (images - centre) @ (directions[:d].T * (np.sqrt(_TRAINING) / values[:d]))
    y = labels - mean
    return Digits(x[:_TRAINING], y[:_TRAINING], x[_TRAINING:], y[_TRAINING:], float(mean))


def fit(kernel, student, x, y, decay=1e-3, steps=1000):
    """Train a network on data: the mean squared error plus decay times the sum of squared weights.

    Parameters
    ----------
    kernel : kernels.Kernel
        erf or relu.
    student : Network (n, d)
        Where training starts.
    x, y : array (N, d) and (N,)
    decay : float
    steps : int
        Iterations of L-BFGS at most.

    Returns
    -------
    Network (n, d)

    Examples
    --------
    >>> from lib.training import fit
    >>> x = np.linspace(-2.0, 2.0, 50)[:, None]
    >>> found = fit(kernels.relu, Network([[0.5]], [0.5]), x, np.maximum(x[:, 0], 0.0), decay=0.0)
    >>> f"{found.a[0] * found.W[0, 0]:.4f}"
    '1.0000'
    """
    instance("kernel", kernel, Kernel)
    n, d = instance("student", student, Network).W.shape
    x, y = finite_array("x", x, ndim=2), finite_array("y", y, ndim=1)
    if x.shape != (len(y), d) or len(y) == 0:
        raise ValueError(f"x must have a row of {d} inputs for each of y, got shape {x.shape}")
    decay, steps = real("decay", decay, 0.0, 1e6), whole_number("steps", steps, least=1)

    def objective(theta):
        value, gradient = squared_error(kernel, *split(theta, n, d), x, y)
        return value + decay * (theta @ theta), gradient + 2.0 * decay * theta

    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-13, "gtol": 1e-8}
    found = minimize(objective, student.ravel(), jac=True, method="L-BFGS-B", options=options)
    return Network.unravel(found.x, n, d)


def squared_error(kernel, W, a, x, y):
    """The mean squared error of a network on data, and its gradient in the order of `ravel`."""
    z = x @ W.T
    activity, slope = kernel.sigma(z), slopes(kernel, z)
    error = activity @ a - y
    scaled = 2.0 / len(y) * error
    slope_W = a[:, None] * ((scaled[:, None] * slope).T @ x)
    return float(error @ error / len(y)), np.concatenate((slope_W.ravel(), scaled @ activity))
