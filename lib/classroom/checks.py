"""Checks that students call: each prints one line, or says what it got, what it expected, and why.

They know no solution. What they expect is computed on the spot from the exact kernels and losses of
this library, by finite differences or by quadrature, or is passed in together with its reason.

A value counts only if its type is exactly what it should be: a subclass of float may answer ``==``
as it likes. What a check of an answer has to say is printed, not returned: nbgrader takes a number
that a cell shows for its score.
"""

import sys

import numpy as np

from lib.arguments import finite_array, function, instance, real, shown, whole_number
from lib.kernels import Kernel
from lib.loss import PopulationLoss
from lib.networks import Network

_INTEGERS, _REALS = (int, np.int64, np.int32), (float, np.float64)
_POINTS = 10  # at which functions are compared
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)


def choice(name, yours, options, questions=1):
    """An answer is there, of the right form; whether it is right is not checked.

    Parameters
    ----------
    name : str
    yours : str
        One letter of the options for each question, small or capital; None if not answered yet.
    options : str
    questions : int

    Examples
    --------
    >>> checks.choice("Question 1", "b", "abcd")
    ok  Question 1: answered; whether it is right is not checked here
    """
    instance("options", options, str)
    questions = whole_number("questions", questions, least=1)
    if yours is None:
        raise AssertionError(
            f"{name}: not answered yet. Write a string of {questions} letter(s) out of {options!r}"
        )
    chosen = type(yours) is str and len(yours) == questions and set(yours.lower()) <= set(options)
    expected = f"{questions} letter(s) out of {options!r}"
    _expect(chosen, name, yours, expected, "each question has these options")
    _passed(name, "answered; whether it is right is not checked here")


def number(name, yours, integer=False):
    """A finite plain number, or integer.

    Parameters
    ----------
    name : str
    yours : int or float
    integer : bool

    Returns
    -------
    float, or int if integer

    Examples
    --------
    >>> checks.number("answer", 3)
    3.0
    """
    kinds = _INTEGERS if integer else _INTEGERS + _REALS
    expected = "an integer" if integer else "a number, such as 1.5"
    _expect(type(yours) in kinds, name, yours, expected, f"the type is {type(yours).__name__}")
    finite = abs(yours) <= sys.float_info.max
    _expect(finite, name, yours, "a finite number", "look for an overflow or a division by zero")
    return int(yours) if integer else float(yours)


def array(name, yours, shape):
    """A float64 array of a given shape; lists and tuples of numbers are arrays, too.

    Parameters
    ----------
    name : str
    yours : array
    shape : tuple of int

    Returns
    -------
    array of this shape

    Examples
    --------
    >>> checks.array("answer", [1, 2], (2,))
    array([1., 2.])
    """
    expected = f"an array of shape {shape}"
    if type(yours) in (list, tuple):
        yours = np.array([number(f"an entry of {name}", entry) for entry in yours])
    real = type(yours) is np.ndarray and yours.dtype.kind in "if"
    _expect(real, name, yours, expected, "it holds real numbers")
    shapes = f"shape {yours.shape}", f"shape {tuple(shape)}"
    _expect(yours.shape == tuple(shape), name, *shapes, "one entry for each")
    finite = np.isfinite(yours).all()
    _expect(finite, name, yours, "finite entries", "look for an overflow or a division by zero")
    return yours.astype(np.float64)


def network(name, yours, n=None, d=None):
    """A Network, of n neurons and d inputs where these are given.

    Parameters
    ----------
    name : str
    yours : Network
    n, d : int

    Returns
    -------
    Network

    Examples
    --------
    >>> checks.network("student", copy_average([1, 2]), n=2)
    Network(n=2, d=3)
    """
    expected = f"a Network of {n or 'some'} neurons and {d or 'some'} inputs"
    _expect(type(yours) is Network, name, yours, expected, "Network(W, a) makes one")
    fits = (yours.n, yours.d) == (n or yours.n, d or yours.d)
    _expect(fits, name, yours, expected, "W has a row for each neuron")
    return yours


def close(name, yours, expected, why, rtol=1e-9, atol=0.0):
    """A number or an array is what is expected, up to ``atol + rtol |expected|``.

    Parameters
    ----------
    name : str
    yours, expected : float or array
        Of one shape.
    why : str
        The reason for what is expected, for the message.
    rtol, atol : float

    Examples
    --------
    >>> checks.close("loss of a copy", copy_average_loss([1]), 0.0, "a copy of the teacher")
    ok  loss of a copy: 0
    """
    expected = finite_array("expected", expected)
    rtol, atol = real("rtol", rtol, least=0.0), real("atol", atol, least=0.0)
    if expected.ndim == 0:
        expected, value = float(expected), number(name, yours)
        text = f"{value:.6g}"
    else:
        value = array(name, yours, np.shape(expected))
        text = np.array2string(value, precision=6, threshold=6)
    near = np.allclose(value, expected, rtol=rtol, atol=atol)
    _expect(near, name, yours, expected, why)
    _passed(name, text)


def mean_is(name, samples, expected, why):
    """Independent samples have the expected mean, up to 5 standard errors.

    Parameters
    ----------
    name : str
    samples : array (m,)
    expected : float
    why : str

    Examples
    --------
    >>> samples = np.random.default_rng(0).standard_normal(100)
    >>> checks.mean_is("samples", samples, 0.0, "standard normal numbers")
    ok  samples: 0 agrees with 100 samples
    """
    expected = float(finite_array("expected", expected, ndim=0))
    if type(samples) in (list, np.ndarray):
        samples = array(name, samples, (len(np.ravel(samples)),))
    many = type(samples) is np.ndarray and len(samples) > 1
    _expect(many, name, samples, "an array of numbers", "a mean and its error need at least two")
    mean, error = samples.mean(), samples.std(ddof=1) / np.sqrt(len(samples))
    wanted = f"{expected:.6g} up to 5 standard errors of {error:.1g}"
    _expect(abs(mean - expected) <= 5.0 * error, name, float(mean), wanted, why)
    _passed(name, f"{expected:.6g} agrees with {len(samples)} samples")


def kernel_matches(name, kernel, activation, rtol=1e-7, kinks=None):
    """A function is the kernel ``E[activation(X) activation(Y)]``, by quadrature at three points.

    Parameters
    ----------
    name : str
    kernel : callable
        Of s, p, q: the covariance of the Gaussians X and Y, and their variances.
    activation : callable
        Elementwise. Smooth but for the kinks: then the quadrature is good to 1e-10.
    rtol : float
    kinks : sequence of float, optional
        Where the activation is not smooth. Unless given, those of a Kernel, and 0.

    Examples
    --------
    >>> checks.kernel_matches("relu", kernels.relu, kernels.relu.activation)
    ok  relu: agrees with quadrature at 3 points
    """
    function("activation", activation, "of an array")
    rtol = real("rtol", rtol, least=0.0)
    _expect(callable(kernel), name, kernel, "a function of s, p, q", "a kernel is one")
    if kinks is None:
        kinks = (0.0, *getattr(kernel, "kinks", ()))
    kinks = np.unique(finite_array("kinks", kinks, ndim=1))
    for s, p, q in [(0.3, 1.0, 1.0), (-0.5, 0.7, 1.3), (0.2, 0.4, 0.6)]:
        slope, rest = s / np.sqrt(p), np.sqrt(q - s * s / p)
        x, weight = _gaussian_nodes(kinks / np.sqrt(p))
        inner = np.empty(len(x))
        for i, outer in enumerate(x):
            z, inner_weight = _gaussian_nodes((kinks - slope * outer) / rest)
            inner[i] = inner_weight @ activation(slope * outer + rest * z)
        expected = float(weight @ (activation(np.sqrt(p) * x) * inner))
        yours = number(name, kernel(s, p, q))
        place = f"quadrature of the definition at s = {s}, p = {p}, q = {q}, with kinks at "
        place += f"{shown(kinks.tolist())}; kinks=[...] names others"
        _expect(abs(yours - expected) <= rtol * abs(expected), name, yours, expected, place)
    _passed(name, "agrees with quadrature at 3 points")


def gradient_matches(name, loss, gradient, at, rtol=1e-5):
    """A function is the gradient of a loss, by central differences.

    Parameters
    ----------
    name : str
    loss, gradient : callable
        Of an array.
    at : array
    rtol : float

    Examples
    --------
    >>> checks.gradient_matches("gradient", lambda x: x @ x, lambda x: 2 * x, [1.0, 2.0])
    ok  gradient: agrees with differences of the loss in 2 directions
    """
    at, rtol = finite_array("at", at), real("rtol", rtol, least=0.0)
    function("loss", loss, "of an array")
    _expect(callable(gradient), name, gradient, "a function of an array", "a gradient is one")
    yours = array(name, gradient(at), at.shape)
    expected = np.empty(at.shape)
    step = 1e-5
    for place in np.ndindex(at.shape):
        shift = np.zeros(at.shape)
        shift[place] = step
        expected[place] = (loss(at + shift) - loss(at - shift)) / (2 * step)
    near = np.allclose(yours, expected, rtol=rtol, atol=rtol * max(1.0, np.abs(expected).max()))
    _expect(near, name, yours, expected, "central differences of the loss")
    _passed(name, f"agrees with differences of the loss in {at.size} directions")


def is_critical(L, student, tolerance=1e-10):
    """The gradient of a loss vanishes at a student.

    Parameters
    ----------
    L : PopulationLoss
    student : Network
    tolerance : float
        On the largest entry of the gradient.

    Examples
    --------
    >>> L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    >>> checks.is_critical(L, copy_average([1, 2]))
    ok  student: critical
    """
    instance("L", L, PopulationLoss)
    tolerance = real("tolerance", tolerance, least=0.0)
    network("student", student, d=L.teacher.d)
    gradient = L.gradient(student)
    in_W, in_a = np.abs(gradient.W).max(), np.abs(gradient.a).max()
    why = f"at a critical point all of it vanishes; yours is up to {in_W:.3g} in W, {in_a:.3g} in a"
    largest = max(in_W, in_a)
    name, expected = "largest entry of the gradient", f"at most {tolerance:.0e}"
    _expect(largest <= tolerance, name, f"{largest:.3g}", expected, why)
    _passed("student", "critical")


def same_function(first, second, kernel, rng):
    """Two networks have the same outputs, at random inputs.

    Parameters
    ----------
    first, second : Network (n, d)
        n may differ.
    kernel : kernels.Kernel
    rng : numpy.random.Generator

    Examples
    --------
    >>> doubled = Network([[2.0, 0.0]], [0.5])
    >>> rng = np.random.default_rng(0)
    >>> checks.same_function(Network([[1.0, 0.0]], [1.0]), doubled, kernels.relu, rng)
    ok  networks: the same function at 10 random inputs
    """
    instance("first", first, Network)
    network("second network", second, d=first.d)
    instance("kernel", kernel, Kernel)
    instance("rng", rng, np.random.Generator)
    x = rng.standard_normal((_POINTS, first.d))
    outputs = first(x, kernel), second(x, kernel)
    worst = np.abs(outputs[0] - outputs[1]).argmax()
    near = np.allclose(*outputs, rtol=1e-9, atol=1e-12)
    at = np.round(x[worst], 3)
    why = f"both networks get the same input x = {at} and the activation {kernel.name}"
    _expect(near, "output", f"{outputs[1][worst]:.6g}", f"{outputs[0][worst]:.6g}", why)
    _passed("networks", f"the same function at {_POINTS} random inputs")


def _gaussian_nodes(kinks):
    """Nodes and weights of a standard Gaussian, Gauss-Legendre between its kinks."""
    ends = np.concatenate(([-9.0], np.clip(kinks, -9.0, 9.0), [9.0]))
    half = np.diff(ends)[:, None] / 2
    z = ((ends[:-1, None] + half) + half * _NODES).ravel()
    weights = (half * _WEIGHTS).ravel()
    return z, weights * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _expect(condition, name, yours, expected, why):
    if not condition:
        yours, expected = _text(yours), _text(expected)
        raise AssertionError(f"{name}: yours {yours}, expected {expected}, why: {why}")


def _text(value):
    if type(value) is str:
        return value
    return shown(value)


def _passed(name, what):
    print(f"ok  {name}: {what}")
