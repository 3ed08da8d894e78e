"""Optimisers: how a gradient becomes a change of the weights, for one student or many at once."""

from typing import NamedTuple

import numpy as np

from lib.arguments import real
from lib.records import record


@record
class GradientDescent(NamedTuple):
    """Gradient descent, with Polyak's momentum (the heavy ball) where it is not zero.

    Attributes
    ----------
    rate : float
        The step is ``theta <- theta - rate * gradient`` of L, which has no factor 1/2; rate times
        steps, divided by 1 - momentum, is the time of gradient flow.
    momentum : float
        The part of the last change that is added, 0 <= momentum < 1.

    Examples
    --------
    >>> from lib.training import GradientDescent
    >>> change = GradientDescent(rate=0.1, momentum=0.5).changes()
    >>> change(np.array([1.0])), change(np.array([1.0]))
    (array([-0.1]), array([-0.15]))
    """

    rate: float
    momentum: float = 0.0

    def changes(self):
        """A function that takes the gradients of one training in turn and returns the changes."""
        rate = real("rate", self.rate, least=0.0, most=1e3)
        momentum = real("momentum", self.momentum, least=0.0, most=1.0)
        velocity = 0.0

        def change(gradient):
            nonlocal velocity
            velocity = momentum * velocity - rate * gradient
            return velocity

        return change


@record
class Adam(NamedTuple):
    """Adam, with the corrections of its means for their start at zero.

    Attributes
    ----------
    rate : float
        About the length of a step of each weight.
    mean, square : float
        By how much the means of the gradient and of its squares are kept at each step.
    epsilon : float
        Added to the root of the mean square.

    Notes
    -----
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Examples
    --------
    >>> from lib.training import Adam
    >>> Adam(rate=0.01).changes()(np.array([5.0, -0.1])).round(6)  # whatever the size of a gradient
    array([-0.01,  0.01])
    """

    rate: float
    mean: float = 0.9
    square: float = 0.999
    epsilon: float = 1e-8

    def changes(self):
        """A function that takes the gradients of one training in turn and returns the changes."""
        rate = real("rate", self.rate, least=0.0, most=1e3)
        keep, keep_square = (
            real("mean", self.mean, 0.0, 1.0),
            real("square", self.square, 0.0, 1.0),
        )
        first, second, steps = 0.0, 0.0, 0

        def change(gradient):
            nonlocal first, second, steps
            steps += 1
            first = keep * first + (1.0 - keep) * gradient
            second = keep_square * second + (1.0 - keep_square) * gradient**2
            scale = np.sqrt(second / (1.0 - keep_square**steps)) + self.epsilon
            return -rate / (1.0 - keep**steps) * first / scale

        return change
