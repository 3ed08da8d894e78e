"""lib.descent.polishing: Newton's method to rounding, and directions in which nothing changes."""

import mpmath
import numpy as np
import pytest
from cases import exact_erf_loss
from scipy.sparse.linalg import LinearOperator

from lib import Network, PopulationLoss, copy_average, kernels
from lib.arguments import OutOfRange
from lib.descent.polishing import (
    UNIT_ROUNDOFF,
    _stiff_step,
    newton_step,
    polish,
    rounding_level,
    zero_modes,
)


@pytest.mark.parametrize("n", [1, 4])
def test_the_rounding_level_is_that_of_weights_and_gradient(n):
    """Witness of the first, u H diag(theta) of the dense Hessian; of the second, 40 digits."""
    L = PopulationLoss(Network.orthonormal(6, 6), kernels.erf)
    student = copy_average([1] * (n - 1) + [7 - n], 6)
    theta, error = student.ravel(), 0.0
    of_weights = UNIT_ROUNDOFF * np.linalg.norm(L.hessian(student) * theta)
    for signs in np.random.default_rng(1).choice([-1.0, 1.0], (4, theta.size)):
        near = Network.unravel(theta * (1.0 + 2.0**-43 * signs), n, 6)
        error += ((L.gradient(near).ravel() - exact_gradient(near)) ** 2).sum() / 4.0
    level = rounding_level(L, student, L.operator(student.W, student.a)) / 20.0
    assert 0.6 * of_weights < level < 1.5 * of_weights + 3.0 * np.sqrt(error) < 1e-13


def exact_gradient(student):
    """Of the erf loss of six orthonormal teacher neurons, by differences in 40 digits."""
    with mpmath.workdps(60):
        theta, h = [mpmath.mpf(x) for x in student.ravel()], mpmath.mpf(10) ** -20

        def at(i, step):
            moved = list(theta)
            moved[i] += step
            return exact_erf_loss(moved, student.n, 6, 6)

        return np.array([float((at(i, h) - at(i, -h)) / (2 * h)) for i in range(len(theta))])


class Valley(PopulationLoss):
    """A loss of one weight, its second one staying where it is, with given derivatives."""

    def __init__(self, slope, curvature):
        super().__init__(Network([[1.0]], [1.0]), kernels.erf)
        self._slope, self._curvature = slope, curvature

    def operator(self, W, a):
        valley, (x,) = self, W[0]

        class Hessian(LinearOperator):
            gradient = np.array([valley._slope(x), a[0] - 1.0])

            def __init__(self):
                super().__init__(np.dtype(float), (2, 2))

            def _matvec(self, v):
                return np.array([valley._curvature(x), 1.0]) * np.ravel(v)

            def solve(self, shift, b, tolerance):
                return b / (np.array([valley._curvature(x), 1.0]) + shift), 1

        return Hessian()


@pytest.mark.parametrize(
    ("slope", "curvature", "x", "end"),
    [
        (lambda x: -np.exp(-x), lambda x: np.exp(-x), 20.0, None),
        (lambda x: -(x**-2.0), lambda x: 2 * x**-3.0, 1e4, None),
        (lambda x: x + x**2, lambda x: 1 + 2 * x, 0.04, 0.0),
        (lambda x: x + x**2, lambda x: 1 + 2 * x, 0.2, None),  # too far from its minimum
        (lambda x: x**3, lambda x: 3 * x**2, 1e-2, None),  # converges, but not as Newton's method
        (lambda x: -x + x**2, lambda x: -1 + 2 * x, 0.02, 0.0),  # uphill
    ],
    ids=["exponential", "1/x", "minimum", "far", "quartic", "maximum"],
)
def test_newtons_method_settles_at_minima_and_not_in_valleys(slope, curvature, x, end):
    """A valley to infinity leaves Newton steps that do not shrink, whatever its gradient is."""
    L, student = Valley(slope, curvature), Network([[x]], [1.0])
    found = polish(L, student)
    assert found.isolated == (end is not None)
    np.testing.assert_allclose(found.first_step, [-slope(x) / curvature(x), 0.0])
    if end is not None:
        assert abs(found.student.W[0, 0] - end) < 1e-15
    step = newton_step(L.operator(student.W, student.a), np.empty((2, 0)))
    np.testing.assert_allclose(step, [-slope(x) / curvature(x), 0.0])
    along = np.array([[1.0], [0.0]])
    assert not newton_step(L.operator(student.W, student.a), along).any()


def test_nothing_but_the_weights_is_rounded_where_numbers_are_powers_of_two():
    """4 x and a - 1 are then exact at all points that are tried: the level is 20 u |H theta|."""
    L, student = Valley(lambda x: 4.0 * x, lambda x: 4.0), Network([[0.125]], [1.0])
    level = rounding_level(L, student, L.operator(student.W, student.a))
    assert level == pytest.approx(20.0 * 2.0**-53 * np.hypot(4.0 * 0.125, 1.0), rel=1e-12, abs=0.0)


def test_a_last_step_is_taken_only_where_the_gradient_falls():
    for curvature, end in ((1.0, 0.0), (0.01, 0.25)):  # the other would lead to -24.75
        L, student = Valley(lambda x: x, lambda x, c=curvature: c), Network([[0.25]], [1.0])
        found, hessian = _stiff_step(L, student, L.operator(student.W, student.a))
        assert abs(found.W[0, 0] - end) < 1e-8 and hessian.gradient[0] == found.W[0, 0]


def test_where_steps_leave_what_a_kernel_was_made_for_nothing_is_found():
    """The minimum is at 1; there is no loss beyond 0.5."""

    class Short(Valley):
        def operator(self, W, a):
            if np.abs(W).max() > 0.5:
                raise OutOfRange("too long")
            return super().operator(W, a)

    student = Network([[0.25]], [1.0])
    found = polish(Short(lambda x: x - 1.0, lambda x: 1.0), student)
    assert not found.critical and not found.isolated and found.student is student
    assert found.first_step.tolist() == [0.75, 0.0]


def test_newton_steps_where_the_hessian_is_indefinite():
    """Witness: LAPACK."""
    L, student = PopulationLoss(Network.orthonormal(5, 6), kernels.erf), copy_average([2, 3], 6)
    moves = np.random.default_rng(0).uniform(-1e-3, 1e-3, student.W.shape)
    student = Network(student.W + moves, student.a)
    assert np.linalg.eigvalsh(L.hessian(student))[0] < -1e-3
    step = newton_step(L.operator(student.W, student.a), np.empty((14, 0)))
    exact = -np.linalg.solve(L.hessian(student), L.gradient(student).ravel())
    np.testing.assert_allclose(step, exact, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1.0, 1e4, 1e9])
def test_units_of_a_loss_make_no_step_longer_or_shorter(scale):
    """A saddle's Hessian diag(1, -1/2, 1/8) and a gradient, both in other units, by least squares."""
    curvatures = scale * np.array([1.0, -0.5, 0.125])

    class Saddle(LinearOperator):
        gradient = scale * np.ones(3)

        def __init__(self):
            super().__init__(np.dtype(float), (3, 3))

        def _matvec(self, v):
            return curvatures * np.ravel(v)

        _rmatvec = _matvec

        def solve(self, shift, b, tolerance):
            return None, 1

    np.testing.assert_allclose(newton_step(Saddle(), np.empty((3, 0))), [-1.0, 2.0, -8.0], rtol=1e-9)


def test_zero_modes_leave_out_the_dead():
    student = Network([[0.0, 0.0], [1.0, 2.0]], [3.0, 4.0])
    null, exchanges = zero_modes(PopulationLoss(Network.orthonormal(2), kernels.relu), student)
    scaling = np.array([0.0, 0.0, 1.0, 2.0, 0.0, -4.0]) / np.sqrt(21.0)
    assert exchanges == 0 and null.shape == (6, 1) and abs(abs(scaling @ null[:, 0]) - 1.0) < 1e-14
    erf_loss = PopulationLoss(Network.orthonormal(2), kernels.erf)
    null, exchanges = zero_modes(erf_loss, student)
    assert null.shape == (6, 0) and exchanges == 0


def test_strength_is_exchanged_between_neurons_of_one_direction_only():
    """The third is at 45 degrees to the first two, the fourth opposite to them; all outputs stay."""
    u, v = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, 1.0])
    student = Network([u, 3.0 * u, u + v, -u], [1.0, 2.0, 3.0, 4.0])
    null, exchanges = zero_modes(PopulationLoss(Network.orthonormal(3), kernels.relu), student)
    assert exchanges == 1 and null.shape == (16, 5)
    exchange = np.zeros(16)
    exchange[12:14] = 3.0, -1.0
    assert np.linalg.norm(null.T @ exchange) == pytest.approx(np.linalg.norm(exchange), rel=1e-12)
    x = np.random.default_rng(0).standard_normal((100, 3))
    for mode in null.T:
        ahead, behind = (
            Network.unravel(student.ravel() + h * mode, 4, 3)(x, kernels.relu) for h in (1e-6, -1e-6)
        )
        assert np.abs(ahead - behind).max() < 1e-11
