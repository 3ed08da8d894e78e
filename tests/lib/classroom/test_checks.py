"""What students call must fail for what is wrong, pass for what is right, and not be talked round."""

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


def test_integers():
    assert checks.number("n", np.int64(3), integer=True) == 3
    fails(checks.number, "n", 3.0, integer=True)
    fails(checks.number, "n", True, integer=True)


def test_a_choice_says_when_it_is_open_and_never_whether_it_is_right(capsys):
    checks.choice("guess", "ba", "abc", questions=2)
    assert "right" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="not answered yet"):
        checks.choice("guess", None, "abc", questions=2)
    for wrong in ("a", "ad", ["a", "b"], 3, ...):
        fails(checks.choice, "guess", wrong, "abc", questions=2)


def test_networks(rng):
    student = random_network(rng, 3, 4)
    assert checks.network("student", student, 3, 4) is student
    fails(checks.network, "student", student, 4, 4)
    fails(checks.network, "student", student, d=3)
    fails(checks.network, "student", (student.W, student.a))


def test_the_mean_of_samples(rng):
    checks.mean_is("w_1", rng.standard_normal(10_000), 0.0, "symmetric")
    fails(checks.mean_is, "w_1", rng.standard_normal(10_000) + 0.1, 0.0, "symmetric", says=["standard errors"])


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu, kernels.gelu, kernels.tanh], ids=repr)
def test_the_library_passes_the_check_of_kernels(kernel):
    checks.kernel_matches(kernel.name, kernel, kernel.activation, rtol=1e-9)


def test_a_wrong_kernel_fails():
    fails(checks.kernel_matches, "kernel", kernels.erf, kernels.tanh.activation, says=["quadrature"])
    fails(checks.kernel_matches, "kernel", lambda s, p, q: (1 + 1e-5) * kernels.relu(s, p, q), kernels.relu.activation)
    fails(checks.kernel_matches, "kernel", lambda s, p, q: Agreeable(0.0), kernels.erf.activation)


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


def test_the_same_function(rng):
    student = random_network(rng, 2, 3)
    flipped = Network(-student.W, -student.a)
    checks.same_function(student, flipped, kernels.erf, rng)
    fails(checks.same_function, student, flipped, kernels.softplus, rng, says=["input"])
    fails(checks.same_function, student, random_network(rng, 2, 4), kernels.erf, rng)
