"""The erf loss and its gradient flow compiled by numba: the same numbers, several times faster.

    L = CompiledLoss(teacher)

is a PopulationLoss and behaves like one to 1e-12 (tests/lib/fast/test_compiled.py). What makes it
fast: no temporary arrays, symmetric pairs are computed once, teachers that are unit vectors cost no
matrix product, and a step of a flow is one call. This module and compiled_kernels.py are the only
ones that need numba (`pip install -e ".[fast]"`); the compiler takes up to half a minute the first
time and keeps its work on disk, beside this file or where NUMBA_CACHE_DIR says. accelerator.py does
without where it fails.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from lib import kernels
from lib.descent.ndf import (
    ALPHA,
    GAMMA,
    LAST_CORRECTION,
    LEFT_OVER,
    NDF,
    NEWTON_ITERATIONS,
    integrator_for,
)
from lib.fast import compiled_kernels
from lib.loss import MOST_PRODUCTS, PopulationLoss
from lib.networks import Network
from lib.pairs import squared_norms


def prepare():
    """Compile now, unless it is on disk already."""
    L = CompiledLoss(Network.orthonormal(1))
    student = Network([[0.5]], [1.0])
    hessian = L.hessian_operator(student)
    hessian.solve(1.0, hessian @ np.ones(2), 1e-3)
    L.value_and_gradient(student.W, student.a)
    CompiledNDF(L, student.W, student.a, 1e-5).step()


class CompiledLoss(PopulationLoss):
    """PopulationLoss of the erf kernel with compiled derivatives."""

    def __init__(self, teacher, kernel=kernels.erf):
        if kernel is not kernels.erf:
            raise ValueError(f"kernel must be kernels.erf, the only compiled one, got {kernel!r}")
        super().__init__(teacher, kernel)
        V, Q = teacher.W, 1.0 + squared_norms(teacher.W)
        self._compiled_teacher = (*_writable(V, teacher.a), Q, np.array_equal(V, np.eye(*V.shape)))
        self._short_teacher = _is_short(V)

    def value_and_gradient(self, W, a):
        if not (self._short_teacher and _is_short(W)):
            return super().value_and_gradient(W, a)
        value, gradient = compiled_kernels.value_and_gradient(
            *_writable(W, a), *self._compiled_teacher
        )
        return value + self.teacher_energy, gradient

    def operator(self, W, a):
        if not (self._short_teacher and _is_short(W)):
            return super().operator(W, a)
        return _CompiledOperator(self, W, a)

    def __reduce__(self):
        return CompiledLoss, (self.teacher, self.kernel)


class _CompiledOperator(LinearOperator):
    """The Hessian at a fixed student, with the loss and the gradient there."""

    def __init__(self, loss, W, a):
        size = W.size + a.size
        super().__init__(np.dtype(np.float64), (size, size))
        V, _, _, unit = loss._compiled_teacher
        value, self.gradient, at = compiled_kernels.linearise(
            *_writable(W, a), *loss._compiled_teacher
        )
        self.value = value + loss.teacher_energy
        self._work = _empty_workspace(*W.shape)
        compiled_kernels.enter(at, self._work)
        self._at_student = at, V, unit, self._work

    def _matvec(self, direction):
        product = np.empty(self.shape[0])
        self._work.both[-product.size :] = np.ravel(direction)
        compiled_kernels.multiply(*self._at_student, product)
        return product

    def _adjoint(self):
        return self

    def solve(self, shift, b, tolerance, most=MOST_PRODUCTS):
        """As the operator of `PopulationLoss.hessian_operator` does it."""
        (b,) = _writable(b)
        solved, x, products = compiled_kernels.solve(
            *self._at_student, float(shift), b, float(tolerance), most
        )
        return (x if solved else None), products


class CompiledNDF(NDF):
    """NDF whose steps are compiled, a second copy of `_correct` and `_extend_differences`.

    It is kept for small flows: a step of NDF is 50 to 90 microseconds of Python, which makes whole
    flows 2.5 times as long at k = 50, n = 5, 1.6 times at n = 25, and no longer from k = 200 on
    (`make bench`).
    """

    def __init__(self, L, W, a, rtol):
        super().__init__(L, W, a, rtol)
        self._predicted = _empty_weights(*W.shape)
        self._work = _empty_workspace(*W.shape)

    def _correct(self):
        order = self._order
        corrected = _empty_weights(*self._shape)  # a new one: it becomes the point of the flow
        how, change, value, gradient, iterations, products = compiled_kernels.correct(
            self._differences, GAMMA[: order + 1] / ALPHA[order], self._h / ALPHA[order],
            self._atol, self._rtol, LEFT_OVER, LAST_CORRECTION, NEWTON_ITERATIONS, MOST_PRODUCTS,
            self._predicted, corrected, self._work, *self._L._compiled_teacher,
        )  # fmt: skip
        if how == compiled_kernels.LONG:
            return super()._correct()
        self.products += products
        self.gradients += 1 + iterations
        if how == compiled_kernels.FAILED:
            return None
        return corrected.theta, change, value + self._L.teacher_energy, gradient, iterations

    def _extend_differences(self, change):
        compiled_kernels.extend_differences(self._differences, self._order, change)

    def _size(self, vector, theta):
        return compiled_kernels.scaled_size(vector, theta, self._atol, self._rtol)


@integrator_for.register
def _(L: CompiledLoss, W, a, rtol, compiled=True):
    return (CompiledNDF if compiled and L._short_teacher else NDF)(L, W, a, rtol)


# Two views of one array are made here and not in compiled code: numba is slow to compile `reshape`.


def _empty_workspace(n, d):
    both = np.empty(2 * n * d + n)
    rows = both[: 2 * n * d].reshape(2 * n, d)
    return compiled_kernels.Workspace(
        both, rows, np.empty((n, 2 * n)), np.empty((n, n)), np.empty((n, d))
    )


def _empty_weights(n, d):
    theta = np.empty(n * (d + 1))
    return compiled_kernels.Weights(theta, theta[: n * d].reshape(n, d), theta[n * d :])


def _is_short(W):
    # The sum of all squared norms bounds the largest, and is known sooner.
    limit = compiled_kernels.LARGEST_SQUARED_NORM
    return np.vdot(W, W) <= limit or squared_norms(W).max() <= limit


def _writable(*arrays):
    """Contiguous arrays, copied if read-only: for those, numba would compile all of it again."""
    return tuple([x if x.flags.carray else np.require(x, requirements="CW") for x in arrays])
