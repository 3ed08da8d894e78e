"""What a flow does where relu's loss has no gradient: neurons may die on the way.

A gradient flow conserves a_i^2 - |w_i|^2 for every neuron. Where it is positive a_i keeps its sign, and w_i
may reach 0 in a finite time. There the loss, as a function of w_i, has a kink instead of a gradient: in
the direction u it rises at the rate 2 a_i E[(f - f_teacher) relu(u.x)]. If that is positive for every u,
w_i = 0 is a local minimum and the neuron stays there: it is dead, and the loss does not depend on its a_i.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from lib.descent.ndf import NDF
from lib.networks import split

# A neuron this much shorter than its outgoing weight, and shrinking, is taken for dead: it turns to the direction
# of least resistance as fast as it shrinks, and what it still does to the others in the time left is 1e-10.
_DEAD = 1e-5


class LivingLoss:
    """What `NDF` asks of a PopulationLoss, for students whose neurons outside `living` (n,) are dead: w_i = 0.

    They have no share in the loss, and a gradient and Hessian of zero.
    """

    def __init__(self, loss, living):
        self._loss, self._living = loss, living

    def value_and_gradient(self, W, a):
        gradient = np.zeros(W.size + a.size)
        if not self._living.any():
            return float(self._loss.teacher_energy), gradient
        at = self._positions(W)
        value, gradient[at] = self._loss.value_and_gradient(W[self._living], a[self._living])
        return value, gradient

    def operator(self, W, a):
        operator = self._loss.operator(W[self._living], a[self._living])
        return _LivingOperator(operator, self._positions(W), W.size + a.size)

    def _positions(self, W):
        """Positions of the living neurons' weights in `Network.ravel()`."""
        return np.flatnonzero(np.concatenate((np.repeat(self._living, W.shape[1]), self._living)))


class _LivingOperator(LinearOperator):
    def __init__(self, operator, positions, size):
        super().__init__(np.dtype(np.float64), (size, size))
        self._operator, self._positions = operator, positions
        self.value, self.gradient = operator.value, self._embedded(operator.gradient)

    def _matvec(self, direction):
        return self._embedded(self._operator @ np.ravel(direction)[self._positions])

    def _adjoint(self):
        return self

    def solve(self, shift, b, tolerance):
        x, products = self._operator.solve(shift, b[self._positions], tolerance)
        return (None if x is None else self._embedded(x)), products

    def _embedded(self, vector):
        full = np.zeros(self.shape[0])
        full[self._positions] = vector
        return full


def dying(L, W, a, living):
    """Which of the living neurons of a PopulationLoss L are as good as dead, (n,) of bool."""
    lengths = np.sqrt(np.einsum("ij,ij->i", W, W))
    short = living & (lengths <= _DEAD * np.abs(a))
    if not short.any():
        return short
    _, gradient = LivingLoss(L, living).value_and_gradient(W, a)
    return short & (np.einsum("ij,ij->i", W, split(gradient, *W.shape)[0]) > 0.0)


def without_dying(integrator, loss, W, a, living, rtol):
    """The integrator of the flow that goes on where `integrator` is, with w_i = 0 for all who are not living."""
    goes_on = NDF(LivingLoss(loss, living), W * living[:, None], a, rtol)
    goes_on.point = goes_on.point._replace(time=integrator.point.time)
    for count in ("steps", "gradients", "products"):
        setattr(goes_on, count, getattr(goes_on, count) + getattr(integrator, count))
    return goes_on
