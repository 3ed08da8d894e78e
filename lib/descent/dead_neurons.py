"""What a flow does where relu's loss has no gradient: neurons that die, and that come back.

A gradient flow conserves a_i^2 - |w_i|^2 for every neuron. Where it is positive a_i keeps its sign,
and w_i may reach 0 in a finite time. There the loss, as a function of w_i, has a kink instead of a
gradient: in the direction u, |u| = 1, it begins to change at the rate 2 a_i E[(f - f_teacher)
relu(u.x)]. While no rate is negative, w_i = 0 is a local minimum, and the neuron stays there: it is
dead, and the loss does not depend on its a_i. But f goes on changing. Once a rate is negative near
the direction in which the neuron died, it leaves w_i = 0 along that of the steepest descent there.

This is what gradient descent does in the limit of small steps: it throws a dead neuron about within
one step of w_i = 0, in one valley of the rates, until this leads away. As an equation it is the
differential inclusion -theta' in the generalised gradient of L (Clarke 1983), which alone might
also let a neuron stay at w_i = 0 for ever, as a ball may stay on the tip of a cone. Where all else
has come to rest, every direction counts, so that an end of the flow is a minimum in each w_i.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator

from lib.descent.ndf import NDF
from lib.networks import split
from lib.pairs import between, squared_norms

# A neuron this much shorter than its outgoing weight, and shrinking, is taken for dead: it turns to
# the direction of least resistance as fast as it shrinks, and what it still does to the others in
# the time left is 1e-10. One that leaves w_i = 0 starts with this length.
SHORT = 1e-5


class LivingLoss:
    """What `NDF` asks of a PopulationLoss, for students whose neurons outside `living` (n,) are
    dead: w_i = 0.

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


class Fates:
    """The dead neurons of a flow of the PopulationLoss L: who dies, and who comes back.

    living: (n,) of bool. tolerance: a dead neuron comes back when the loss falls at a greater rate.
    """

    def __init__(self, L, student, tolerance):
        self._L, self._tolerance = L, tolerance
        self.living = np.ones(student.n, dtype=bool)
        self._directions = np.array(student.W)  # in which the dead were last pushed to w_i = 0

    def change(self, W, a, thorough):
        """(W, a) with which the flow goes on if a neuron dies or comes back, else None.

        A dead neuron watches the local minimum of the rates around its direction, as gradient
        descent does. thorough: it looks everywhere, as it must before an end is called an end.
        """
        before, dying = self.living, self._dying(W, a)
        living = before & ~dying
        self._directions[dying] = W[dying]
        W, a = W * living[:, None], np.copysign(np.sqrt(a**2 - dying * squared_norms(W)), a)
        others = self._L, W[living], a[living]
        for i in np.flatnonzero(~living & (a != 0.0)):
            start = self._directions[i : i + 1]
            starts = np.concatenate((start, directions(*others[:2]))) if thorough else start
            rate, u = steepest(*others, np.sign(a[i]), starts)
            if 2.0 * abs(a[i]) * rate < -self._tolerance:
                living[i], W[i] = True, SHORT * abs(a[i]) * u
                a[i] *= np.sqrt(1.0 + SHORT**2)
            elif not thorough:
                self._directions[i] = u
        self.living = living
        return (W, a) if dying.any() or (living != before).any() else None

    def _dying(self, W, a):
        """Which of the living neurons are as good as dead, (n,) of bool."""
        short = self.living & (squared_norms(W) <= (SHORT * a) ** 2)
        if not short.any():
            return short
        _, gradient = LivingLoss(self._L, self.living).value_and_gradient(W, a)
        return short & (np.einsum("ij,ij->i", W, split(gradient, *W.shape)[0]) > 0.0)


def error_pull(L, W, a, U):
    """E[(f - f_teacher) relu(u.x)] for directions u, the rows of U (m, d), and its gradient in u.

    f has the weights W (n, d), a (n,); there may be no neurons.
    """
    vectors, weights = np.concatenate((W, L.teacher.W)), np.concatenate((a, -L.teacher.a))
    g, g_s, g_p = L.kernel.jet_at(between(U, vectors, L.kernel.noise))
    return g @ weights, (g_s * weights) @ vectors + 2.0 * (g_p @ weights)[:, None] * U


def steepest(L, W, a, sign, starts):
    """The least value over unit vectors u of sign E[(f - f_teacher) relu(u.x)], and its u (d,).

    All starts, the rows of an array, are taken downhill at once; the least of their ends is the
    answer, which is the global minimum only if a start lies in its basin.
    """

    def total(flat):
        vectors = flat.reshape(-1, starts.shape[1])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        U = vectors / lengths
        rates, slopes = error_pull(L, W, a, U)
        along = np.einsum("ij,ij->i", slopes, U)[:, None]
        return sign * rates.sum(), sign * ((slopes - along * U) / lengths).ravel()

    def downhill(U):
        options = {"maxcor": 30, "maxiter": 1000, "ftol": 0.0, "gtol": 1e-7}
        found = minimize(total, U.ravel(), jac=True, method="L-BFGS-B", options=options).x
        return _units(found.reshape(U.shape))

    U = np.concatenate((_units(starts), downhill(starts)))
    best = np.argmin(sign * error_pull(L, W, a, U)[0])
    U = downhill(U[best : best + 1])  # those that went together stop when their mean does
    return float(sign * error_pull(L, W, a, U)[0][0]), U[0]


def directions(L, W):
    """Unit vectors (m, d) from which to search the sphere: of the neurons of both networks and of
    their sums, both ways, and of the coordinates that none of them sees.

    They are tilted by 0.01, because at the end of a flow its neurons' own directions are critical.
    """
    vectors = np.concatenate((W, L.teacher.W, [W.sum(axis=0), L.teacher.W.sum(axis=0)]))
    vectors = np.concatenate((vectors, -vectors, np.eye(W.shape[1])[~vectors.any(axis=0)]))
    units = _units(vectors[vectors.any(axis=1)])
    tilts = np.random.default_rng(0).standard_normal(units.shape)
    return _units(units + 0.01 * _units(tilts))


def _units(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def restarted(integrator, loss, W, a, rtol):
    """The integrator of a flow that goes on from W and a, at the time of `integrator`."""
    goes_on = NDF(loss, W, a, rtol)
    goes_on.point = goes_on.point._replace(time=integrator.point.time)
    for count in ("steps", "gradients", "products"):
        setattr(goes_on, count, getattr(goes_on, count) + getattr(integrator, count))
    return goes_on
