"""What students call must fail for what is wrong, pass for what is right, and not be talked round."""

import functools
import sys

import numpy as np
import pytest
from cases import random_network

from lib import Network, PopulationLoss, checks, copy_average, kernels


class Agreeable(float):
    """A number that claims to equal, undercut and exceed everything."""

    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True
    __hash__ = float.__hash__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: Agreeable(0.0)


class Disguised(np.ndarray):
    """An array that might answer as it likes."""


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def fails(check, *arguments, says=(), **named):
    """The check fails, and its message holds yours, expected, why and the words of `says`."""
    with pytest.raises(AssertionError) as failure:
        check(*arguments, **named)
    text = str(failure.value)
    assert all(word in text for word in ("yours", "expected", "why", *says)), text


def test_a_right_number_passes_and_says_so_in_one_line(capsys):
    checks.close("loss", 0.1 + 0.2, 0.3, "a sum")
    assert capsys.readouterr().out == "ok  loss: 0.3\n"


def test_checks_return_nothing_because_a_shown_number_would_be_a_score():
    L = PopulationLoss(Network.orthonormal(2), kernels.erf)
    assert checks.close("x", 1.0, 1.0, "equal") is None
    assert checks.is_critical(L, copy_average([2])) is None


def test_a_wrong_number_is_told_all_three_things():
    fails(checks.close, "loss", 0.31, 0.3, "the exact sum", says=["loss", "0.31", "0.3", "the exact sum"])
    fails(checks.close, "loss", 1.0 + 1e-6, 1.0, "too far")
    fails(checks.close, "weights", np.array([1.0, 2.0]), np.array([1.0, 2.5]), "an array", says=["2.5"])


@pytest.mark.parametrize("value", [Agreeable(5.0), True, None, "0.3", 0.3 + 0j, np.float32(0.3), [0.3], np.nan, np.inf])
def test_only_a_plain_finite_number_is_a_number(value):
    fails(checks.close, "loss", value, 0.3, "the sum")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_value_that_is_not_finite_is_named(value):
    fails(checks.number, "slope", value, says=["finite"])
    fails(checks.array, "slopes", np.array([1.0, value]), (2,), says=["finite"])


def test_a_disguised_number_inside_an_array_does_not_count():
    disguised = np.array([Agreeable(5.0), 1.0], dtype=object)
    fails(checks.close, "weights", disguised, np.ones(2), "an array")
    fails(checks.close, "weights", [Agreeable(5.0), 1.0], np.ones(2), "a list")
    fails(checks.close, "weights", np.ones(2).view(Disguised), np.ones(2), "another class")
    fails(checks.close, "weights", np.ones(3), np.ones(2), "another shape", says=["(3,)", "(2,)"])
    checks.close("weights", [1, 1.0], np.ones(2), "a list of numbers is fine")


def test_the_largest_float_is_finite_and_what_is_larger_is_not():
    assert checks.number("x", sys.float_info.max) == sys.float_info.max
    assert type(checks.number("x", 2)) is float and type(checks.number("x", np.int32(2), integer=True)) is int
    fails(checks.number, "x", 10**400, says=["finite"])
    fails(checks.number, "x", -(10**400), integer=True, says=["finite"])


def test_integers():
    assert checks.number("n", np.int64(3), integer=True) == 3
    fails(checks.number, "n", 3.0, integer=True)
    fails(checks.number, "n", True, integer=True)


def test_a_choice_says_when_it_is_open_and_never_whether_it_is_right(capsys):
    checks.choice("guess", "ba", "abc", questions=2)
    assert "right" in capsys.readouterr().out
    checks.choice("guess", "b", "abc")
    checks.choice("guess", "Ba", "abc", questions=2)
    for questions in (1, 2):
        with pytest.raises(AssertionError, match=f"not answered yet. Write a string of {questions} letter"):
            checks.choice("guess", None, "abc", questions)
    for wrong in ("a", "ad", ["a", "b"], 3, ...):
        fails(checks.choice, "guess", wrong, "abc", questions=2)


def test_networks(rng):
    student = random_network(rng, 3, 4)
    assert checks.network("student", student, 3, 4) is student
    fails(checks.network, "student", student, 4, 4)
    fails(checks.network, "student", student, d=3)
    fails(checks.network, "student", (student.W, student.a))
    fails(checks.network, "student", student, n=2, says=["2 neurons and some inputs"])
    fails(checks.network, "student", student, d=2, says=["some neurons and 2 inputs"])
    assert checks.network("student", student) is student


def test_the_mean_of_samples(rng):
    checks.mean_is("w_1", rng.standard_normal(10_000), 0.0, "symmetric")
    fails(checks.mean_is, "w_1", rng.standard_normal(10_000) + 0.1, 0.0, "symmetric", says=["standard errors"])


def test_a_mean_may_be_five_standard_errors_away():
    """By hand: the samples -1 and 1 have the mean 0, the variance 2, and so the standard error 1."""
    checks.mean_is("x", [-1.0, 1.0], 4.999, "near")
    checks.mean_is("x", [-1.0, 1.0], -4.999, "near")
    fails(checks.mean_is, "x", [-1.0, 1.0], 5.001, "far", says=["5.001 up to 5 standard errors of 1"])
    fails(checks.mean_is, "x", [-1.0, 1.0], -5.001, "far")


@pytest.mark.parametrize(("relative", "passes"), [(0.9e-9, True), (1.1e-9, False), (-1.1e-9, False)])
def test_close_is_a_part_in_a_billion(relative, passes):
    check = checks.close if passes else functools.partial(fails, checks.close)
    check("x", -3.0 * (1 + relative), -3.0, "relative")
    check("x", np.array([1e-3, -3e5 * (1 + relative)]), np.array([1e-3, -3e5]), "each entry")
    fails(checks.close, "x", 1e-300, 0.0, "no absolute error, if none is allowed")
    checks.close("x", 1e-300, 0.0, "allowed", atol=1e-299)


def test_a_line_shows_six_digits(capsys):
    checks.close("x", np.array([1.23456789, 2.0]), np.array([1.23456789, 2.0]), "two")
    checks.close("x", 1.23456789, 1.23456789, "one")
    checks.close("x", np.arange(6.0), np.arange(6.0), "just as many as are shown")
    checks.close("x", np.arange(7.0), np.arange(7.0), "too many to show")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["ok  x: [1.234568 2.      ]", "ok  x: 1.23457"]
    assert lines[2:] == ["ok  x: [0. 1. 2. 3. 4. 5.]", "ok  x: [0. 1. 2. ... 4. 5. 6.]"]


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu, kernels.gelu, kernels.tanh], ids=repr)
def test_the_library_passes_the_check_of_kernels(kernel):
    checks.kernel_matches(kernel.name, kernel, kernel.activation, rtol=1e-9)


def test_a_wrong_kernel_fails():
    fails(checks.kernel_matches, "kernel", kernels.erf, kernels.tanh.activation, says=["quadrature"])
    fails(checks.kernel_matches, "kernel", lambda s, p, q: (1 + 1e-5) * kernels.relu(s, p, q), kernels.relu.activation)
    fails(checks.kernel_matches, "kernel", lambda s, p, q: Agreeable(0.0), kernels.erf.activation)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s, p, q: kernels.erf(abs(s), p, q),
        lambda s, p, q: kernels.erf(-abs(s), p, q),
        lambda s, p, q: kernels.erf(s, 1.0, q),
        lambda s, p, q: kernels.erf(s, p, 1.0),
        lambda s, p, q: kernels.erf(s, min(p, 0.9), q) if p == 1.0 else kernels.erf(s, p, q),
        lambda s, p, q: kernels.erf(s, p, q) * (1 + 1.1e-7),
        lambda s, p, q: kernels.erf(s, p, q) * (1 - 1.1e-7),
    ],
    ids=["sign", "other sign", "first variance", "second variance", "unit variance", "above", "below"],
)
def test_a_kernel_that_is_wrong_in_one_argument_fails(wrong):
    fails(checks.kernel_matches, "kernel", wrong, kernels.erf.activation)


def test_a_kernel_may_be_off_by_less_than_the_tolerance():
    checks.kernel_matches("kernel", lambda s, p, q: kernels.erf(s, p, q) * (1 + 0.9e-7), kernels.erf.activation)


def test_a_gradient_that_vanishes_is_right_up_to_rounding():
    L, minimum = PopulationLoss(Network.orthonormal(2), kernels.erf), copy_average([2])
    rounding = 1e-9 * np.ones(3)
    checks.gradient_matches("gradient", lambda x: L(Network.unravel(x, 1, 2)), lambda x: rounding, minimum.ravel())


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_gradient_is_right_up_to_a_part_in_10_5_of_its_largest_entry_or_of_one(size):
    """By hand: the loss size (x^2 + y) at (3, 4) has the gradient size (6, 1), and differences are exact."""
    at, exact = np.array([3.0, 4.0]), size * np.array([6.0, 1.0])

    def loss(x):
        return size * (x[0] ** 2 + x[1])

    allowed = 1e-5 * (exact[1] + max(1.0, exact[0]))
    for part in (0.98, -0.98):
        checks.gradient_matches("gradient", loss, lambda x: exact + [0.0, part * allowed], at)
        fails(checks.gradient_matches, "gradient", loss, lambda x: exact + [0.0, part / 0.96 * allowed], at)


def test_gradients_are_compared_with_differences(rng):
    L = PopulationLoss(Network.orthonormal(3), kernels.tanh)
    at = random_network(rng, 2, 3).ravel()

    def loss(theta):
        return L(Network.unravel(theta, 2, 3))

    def gradient(theta):
        return L.gradient(Network.unravel(theta, 2, 3)).ravel()

    checks.gradient_matches("gradient", loss, gradient, at)
    fails(checks.gradient_matches, "gradient", loss, lambda theta: -gradient(theta), at, says=["differences"])
    fails(checks.gradient_matches, "gradient", loss, lambda theta: 1.001 * gradient(theta), at)
    fails(checks.gradient_matches, "gradient", loss, lambda theta: gradient(theta)[:-1], at)


def test_critical_students():
    L = PopulationLoss(Network.orthonormal(5), kernels.erf)
    checks.is_critical(L, copy_average([2, 3]))
    fails(checks.is_critical, L, Network.orthonormal(4, 5), says=["gradient"])
    fails(checks.is_critical, L, copy_average([2, 2]))  # four inputs, not five
    fails(checks.is_critical, L, None)


@pytest.mark.parametrize("which", ["W", "a"])
def test_a_critical_student_has_no_entry_of_the_gradient_above_the_tolerance(which):
    """Witness: the Hessian says how far from the minimum an entry of the gradient is what it is."""
    L, minimum = PopulationLoss(Network.orthonormal(5), kernels.erf), copy_average([2, 3])
    entry = 0 if which == "W" else 10
    wanted = np.zeros(12)
    wanted[entry] = 1e-8
    moved = Network.unravel(minimum.ravel() + np.linalg.solve(L.hessian(minimum), wanted), 2, 5)
    checks.is_critical(L, moved, tolerance=1.02e-8)
    fails(checks.is_critical, L, moved, tolerance=0.98e-8, says=[f"1e-08 in {which}"])
    fails(checks.is_critical, L, moved, says=["at most 1e-10"])


def test_the_same_function(rng):
    student = random_network(rng, 2, 3)
    flipped = Network(-student.W, -student.a)
    checks.same_function(student, flipped, kernels.erf, rng)
    fails(checks.same_function, student, flipped, kernels.softplus, rng, says=["input"])
    fails(checks.same_function, student, random_network(rng, 2, 4), kernels.erf, rng)


def test_how_many_inputs_are_tried_is_said_and_true(capsys):
    class Counting(np.random.Generator):
        """A Generator that says of what shape its numbers are."""

        def standard_normal(self, size):
            shapes.append(size)
            return super().standard_normal(size)

    shapes, student = [], Network.orthonormal(3)
    checks.same_function(student, student, kernels.erf, Counting(np.random.PCG64(0)))
    assert shapes == [(10, 3)]
    assert capsys.readouterr().out == "ok  networks: the same function at 10 random inputs\n"


def test_functions_that_differ_are_shown_at_the_input_where_they_differ_most(rng):
    student = random_network(rng, 2, 3)
    other = Network(student.W, -student.a)
    x = np.random.default_rng(5).standard_normal((10, 3))
    values = student(x, kernels.erf)
    worst = np.abs(values).argmax()  # they differ by twice the output
    shown = [str(np.round(x[worst], 3)), f"yours {-values[worst]:.6g}", f"expected {values[worst]:.6g}", "erf"]
    fails(checks.same_function, student, other, kernels.erf, np.random.default_rng(5), says=shown)


@pytest.mark.parametrize(("relative", "passes"), [(0.9e-9, True), (1.1e-9, False)])
def test_outputs_are_compared_to_a_part_in_a_billion(rng, relative, passes):
    student = random_network(rng, 2, 3)
    other = Network(student.W, (1 + relative) * student.a)
    check = checks.same_function if passes else functools.partial(fails, checks.same_function)
    check(other, student, kernels.erf, rng)


def test_silent_networks_are_the_same_function(rng):
    """Outputs of 1e-13 are zero within rounding; of 1e-11 they are not."""
    silent, faint = Network([[1.0, 2.0]], [0.0]), Network([[1.0, 2.0]], [1e-13])
    checks.same_function(silent, faint, kernels.erf, rng)
    fails(checks.same_function, silent, Network([[1.0, 2.0]], [1e-11]), kernels.erf, rng)
