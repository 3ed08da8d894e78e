"""Implicit multistep integration of theta' = -grad L(theta) without a single dense matrix.

Gradient flows of population losses are stiff: at the end of one, the Hessian's eigenvalues reach
from 1e-6 to 1e3. The numerical differentiation formulas of orders 1 to 5 (Shampine & Reichelt 1997,
the ODE SUITE; SciPy's BDF is the same method) take steps of the length of the slow motion, at the
price of one linear system (H + 1/c) x = b in each. H is symmetric with few clusters of eigenvalues,
so conjugate gradients solve it in a few Hessian-vector products.

Step and order control are those of SciPy's BDF. What differs is that the Hessian is fresh in every
step, so that one Newton iteration mostly suffices, or a second one of few products, and that
nothing of size N x N exists. SciPy's own class, tried with the same linear solver, needed about
three times the products.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from lib.arguments import OutOfRange
from lib.networks import split

GAMMA = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, 6))))
_KAPPA = np.array([0.0, -0.1850, -1.0 / 9.0, -0.0823, -0.0415, 0.0])
ALPHA = (1.0 - _KAPPA) * GAMMA
_ERROR = _KAPPA * GAMMA + 1.0 / np.arange(1, 7)

# What Newton and conjugate gradients leave over, in units of the local error that is tolerated.
LEFT_OVER = 0.3
# Newton ends with a correction of this size. The next one would mostly be far smaller, but in a
# curved valley, where conjugate gradients leave their own share, it was seen to be three times as
# large.
LAST_CORRECTION = LEFT_OVER / 3
NEWTON_ITERATIONS = 4
_SMALLEST_FACTOR, _LARGEST_FACTOR = 0.2, 10.0


class Point(NamedTuple):
    """An accepted point of the flow: time, loss and |grad L| there, and theta (N,)."""

    time: float
    loss: float
    gradient_norm: float
    theta: np.ndarray


class NDF:
    """The flow of the loss L from the weights W (n, d), a (n,), one accepted step at a time.

    Of L it asks `value_and_gradient` and `operator`, as a PopulationLoss has them.

    point: the last accepted Point. steps, gradients, products: how much work it took, where a
    Hessian operator counts as the gradient that comes with it. stuck: steps have become so short
    that they no longer change the time. outside: a thousandth of the step that first did so leads
    to weights for which the kernel is not known.
    """

    def __init__(self, L, W, a, rtol):
        self._L, self._shape = L, W.shape
        self._rtol, self._atol = rtol, 0.1 * rtol
        self.steps, self.gradients, self.products, self.stuck = 0, 0, 0, False
        self.outside, self._shortest = False, 0.0
        theta = np.concatenate((W.ravel(), a))
        loss, gradient = self._value_and_gradient(theta)
        self.point = Point(0.0, loss, math.sqrt(gradient @ gradient), theta)
        # A first step of one unit of tolerated error; the order-1 error test takes it from there.
        self._h = 1.0 / max(self._size(gradient, theta), 1e-300)
        self._order, self._equal_steps = 1, 0
        # Row j holds the j-th backward difference of theta on the grid of the current step length.
        self._differences = np.zeros((8, theta.size))
        self._differences[0], self._differences[1] = theta, -self._h * gradient

    def step(self, end_time=np.inf):
        """Advance by one accepted step, not beyond end_time; `stuck` or `outside` if none is."""
        remaining = end_time - self.point.time
        if self._h > remaining:
            self._change_step(remaining / self._h)
        while True:
            if self._h < 10.0 * np.spacing(self.point.time):
                self.stuck = True
                return
            try:
                corrected = self._correct()
            except OutOfRange:
                self._shortest = max(self._shortest, 1e-3 * self._h)
                self.outside = self._h <= self._shortest
                if self.outside:
                    return
                corrected = None
            if corrected is None:
                self._change_step(0.5)
                continue
            theta, change, loss, gradient, iterations = corrected
            order = self._order
            safety = 0.9 * (2 * NEWTON_ITERATIONS + 1) / (2 * NEWTON_ITERATIONS + iterations)
            error = _ERROR[order] * self._size(change, theta)
            if error <= 1.0:
                break
            self._change_step(max(_SMALLEST_FACTOR, safety * error ** (-1.0 / (order + 1))))
        time = end_time if self._h >= remaining else self.point.time + self._h
        self.point = Point(time, loss, math.sqrt(gradient @ gradient), theta)
        self.steps += 1
        self._extend_differences(change)
        self._equal_steps += 1
        if self._equal_steps > order:
            self._choose_order_and_step(error, safety)

    def interpolate(self, time):
        """theta at a time within the last step, from the polynomial that the method itself uses."""
        weights = np.cumprod([
            (time - self.point.time + j * self._h) / (self._h * (1 + j)) for j in range(self._order)
        ])  # fmt: skip
        return self._differences[0] + weights @ self._differences[1 : self._order + 1]

    def _correct(self):
        """Solve the implicit formula: (theta, its change, loss, gradient, iterations) or None.

        The change is that of the prediction.
        """
        order, D = self._order, self._differences
        c = self._h / ALPHA[order]
        predicted, history = _PREDICTION[order] @ D[: order + 1]
        hessian = self._L.operator(*split(predicted, *self._shape))
        self.gradients += 1
        change, loss, gradient = np.zeros_like(predicted), hessian.value, hessian.gradient
        # A vector of this length has a size of at most LEFT_OVER.
        small, previous = LEFT_OVER * self._atol * math.sqrt(change.size), np.inf
        for iteration in range(NEWTON_ITERATIONS):
            residual = -gradient - (history + change) / c
            # The first correction is nearly all of the change, which has to tell the error of the
            # step: to a tenth.
            tolerance = (
                small / c if iteration else min(small / c, 0.1 * math.sqrt(residual @ residual))
            )
            correction, products = hessian.solve(1.0 / c, residual, tolerance)
            self.products += products
            if correction is None:
                return None  # 1 + c H is not positive definite: too long a step to follow the flow
            if iteration and products == 0:
                return predicted + change, change, loss, gradient, iteration
            size = self._size(correction, predicted)
            if not size < 0.9 * previous:
                return None
            change += correction
            loss, gradient = self._value_and_gradient(predicted + change)
            if iteration and size <= LAST_CORRECTION:
                return predicted + change, change, loss, gradient, iteration + 1
            previous = size
        return None

    def _choose_order_and_step(self, error, safety):
        order, D, theta = self._order, self._differences, self.point.theta
        below = _ERROR[order - 1] * self._size(D[order], theta) if order > 1 else np.inf
        above = _ERROR[order + 1] * self._size(D[order + 2], theta) if order < 5 else np.inf
        errors = np.maximum([below, error, above], 1e-30)
        factors = errors ** (-1.0 / np.arange(order, order + 3))
        self._order += int(np.argmax(factors)) - 1
        self._change_step(min(_LARGEST_FACTOR, safety * factors.max()))

    def _extend_differences(self, change):
        order, D = self._order, self._differences
        D[order + 2] = change - D[order + 1]
        D[order + 1] = change
        for j in reversed(range(order + 1)):
            D[j] += D[j + 1]

    def _change_step(self, factor):
        """Interpolate the differences to a grid that is `factor` times as coarse."""
        rows = slice(0, self._order + 1)
        change = _regrid(self._order, factor) @ _SAME_GRID[self._order]
        self._differences[rows] = change.T @ self._differences[rows]
        self._h *= factor
        self._equal_steps = 0

    def _value_and_gradient(self, theta):
        self.gradients += 1
        return self._L.value_and_gradient(*split(theta, *self._shape))

    def _size(self, vector, theta):
        """Root mean square of the vector in units of the tolerated error of theta."""
        scaled = vector / (self._atol + self._rtol * np.abs(theta))
        return math.sqrt(scaled @ scaled / scaled.size)


@functools.singledispatch
def integrator_for(L, W, a, rtol, compiled=True):
    """The NDF that takes the steps of a flow of L; lib.fast registers those with compiled steps.

    compiled: may they be?
    """
    return NDF(L, W, a, rtol)


def _regrid(order, factor):
    i, j = np.arange(1, order + 1)[:, None], np.arange(1, order + 1)
    matrix = np.zeros((order + 1, order + 1))
    matrix[0] = 1.0
    matrix[1:, 1:] = (i - 1 - factor * j) / i
    return np.cumprod(matrix, axis=0)


# The prediction, and what the formula adds to it, as sums over differences.
_PREDICTION = {
    order: np.stack((np.ones(order + 1), GAMMA[: order + 1] / ALPHA[order]))
    for order in range(1, 6)
}
_SAME_GRID = [_regrid(order, 1.0) for order in range(6)]
