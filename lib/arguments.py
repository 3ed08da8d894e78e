"""Checks of arguments: every ValueError names the argument, its value and what was expected."""

import functools
import inspect
import numbers
import os
import pathlib
import reprlib

import numpy as np

# Whole numbers up to here are float64s, and no table of this library reaches it.
LARGEST_INTEGER = 2**53
# Weights up to here, and under relu vectors longer than its inverse, keep every product in a loss
# and its derivatives within float64.
LARGEST_WEIGHT = 1e30

# What to type where an argument is of another type.
_FOR_EXAMPLE = {
    "Generator": "np.random.default_rng(0) is one",
    "Kernel": "kernels.erf is one, as are relu, gelu, tanh, sigmoid, softplus, sin and quadratic; "
    "kernels.Kernel.from_activation(f) makes one of your own",
    "Network": "Network(W, a) is one",
    "PopulationLoss": "PopulationLoss(teacher, kernels.erf) is one",
}
_DEEPEST = 32  # lists within lists: the dimensions that an array of NumPy 1 may have
_WHAT_IT_IS = {
    "b": "truth values: np.where({name}, 1.0, 0.0) makes numbers of them",
    "c": "complex numbers: np.real({name}) is their real part",
    "O": "Python objects: np.array({name}, dtype=float) makes numbers of them, if they are numbers",
    "M": "dates: their differences, divided by np.timedelta64(1, 's'), are numbers",
    "m": "times with units: {name} / np.timedelta64(1, 's') are numbers",
    "U": "text: np.array({name}, dtype=float) reads numbers from it",
    "S": "bytes: np.array({name}, dtype=float) reads numbers from them",
}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


class OutOfRange(ValueError):
    """Vectors longer than those for which a kernel was integrated."""


def shown(value):
    """The value as a short text for a message, however large it is."""
    try:
        if isinstance(value, np.ndarray) and value.ndim:
            if value.size <= 12 and value.dtype != object:
                return " ".join(repr(value).split())
            return f"array of {value.dtype}, shape {value.shape}"
        return _SHORT.repr(value.item() if isinstance(value, (np.generic, np.ndarray)) else value)
    except Exception:  # a value without a text of its own, such as an integer of 5000 digits
        return f"a {type(value).__name__}"


def finite_array(name, value, ndim=None):
    """`value` as a float64 array with `ndim` dimensions and finite entries.

    Taken are real numbers, lists and tuples of them, and plain arrays of any real or integer type,
    also of other packages. float16, float32 and integers up to 2^53 keep their value exactly;
    larger integers and longdouble become the nearest float64. What has more to it than its numbers
    is refused, not stripped of the rest: masked arrays, np.matrix, tables with labels, truth
    values, complex numbers, dates, texts, objects.

    >>> from lib.arguments import finite_array
    >>> finite_array("x", [1, 2.5], ndim=1)
    array([1. , 2.5])
    """
    _refuse_more_than_numbers(name, value)
    try:
        array = np.asarray(value)
        if array.dtype == object and not isinstance(value, np.ndarray):  # large integers, fractions
            array = np.array([_as_float(entry) for entry in array.flat]).reshape(array.shape)
    except OverflowError as error:
        raise ValueError(
            f"{name} must be finite, got {shown(value)}, which float64 cannot hold"
        ) from error
    except Exception as error:  # an array of another package may raise anything
        raise ValueError(
            f"{name} must be an array of real numbers, rows of one length, got {shown(value)}"
        ) from error
    _refuse_more_than_numbers(name, array)
    with np.errstate(over="ignore"):
        floats = array.astype(np.float64, copy=False)
    if ndim is not None and floats.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {floats.shape}")
    if not np.isfinite(floats).all():
        raise ValueError(f"{name} must be finite, got {shown(array[~np.isfinite(floats)].flat[0])}")
    return floats


def _refuse_more_than_numbers(name, value, depth=0):
    """ValueError for what np.asarray would take, but strip of something or guess at."""
    if isinstance(value, (list, tuple)):
        if depth == _DEEPEST:
            raise ValueError(
                f"{name} must be an array of real numbers, got lists within lists, {depth} deep"
            )
        for entry in value:
            if type(entry) is not float:
                _refuse_more_than_numbers(name, entry, depth + 1)
    elif isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name} must be a plain array, got a masked one: {name}.filled(number) fills its gaps"
        )
    elif isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
        what = type(value).__name__
        raise ValueError(
            f"{name} must be a plain array, got a {what}: np.asarray({name}) is one of its numbers"
        )
    elif isinstance(value, (np.ndarray, np.generic, bool, complex)):
        kind = np.asarray(value).dtype.kind
        if kind not in "fiu":
            what = _WHAT_IT_IS.get(kind, "something else").format(name=name)
            raise ValueError(f"{name} must be an array of real numbers, got {shown(value)}, {what}")
    else:
        for method in ("to_numpy", "toarray"):  # of tables with labels, and of sparse matrices
            if hasattr(value, method):
                what = type(value).__name__
                raise ValueError(
                    f"{name} must be a plain array, got a {what}: {name}.{method}() may be one"
                )


def _as_float(value):
    if not _is_number(value, numbers.Real):
        raise TypeError
    return float(value)


def _is_number(value, kind):
    """Whether it is a number of this kind, among which truth values and time spans do not count."""
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_, np.timedelta64))


def whole_number(name, value, least):
    """`value` as an int, as `integer` has it, but 1e5 is a number of things, too.

    >>> from lib.arguments import whole_number
    >>> whole_number("samples", 1e5, least=2)
    100000
    """
    if isinstance(value, (float, np.floating)) and value.is_integer():
        value = int(value)
    return integer(name, value, least)


def integer(name, value, least, most=LARGEST_INTEGER):
    """`value` as an int with least <= value <= most; 3.0 and True are not integers.

    >>> from lib.arguments import integer
    >>> integer("n", 0, least=1)
    Traceback (most recent call last):
    ValueError: n must be at least 1, got 0
    """
    if not _is_number(value, numbers.Integral):
        raise ValueError(f"{name} must be an integer, got {shown(value)}")
    value = int(value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {shown(value)}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {shown(value)}")
    return value


def instance(name, value, kind):
    """`value` if it is a `kind`, a class or a tuple of classes."""
    if not isinstance(value, kind):
        kinds = (kind,) if isinstance(kind, type) else kind
        expected = " or ".join(each.__name__ for each in kinds)
        raise ValueError(f"{name} must be a {expected}, got {shown(value)}{_hint(kinds[0])}")
    return value


def _hint(kind):
    hint = _FOR_EXAMPLE.get(kind.__name__)
    return f": {hint}" if hint else ""


def neurons(k, n, least=1, most=LARGEST_INTEGER):
    """k and n as ints with least <= n <= k, teacher and student neurons.

    >>> from lib.arguments import neurons
    >>> neurons(3, 5)
    Traceback (most recent call last):
    ValueError: n must be at most k = 3, got 5
    """
    n, k = integer("n", n, least), integer("k", k, least=1, most=most)
    if n > k:
        raise ValueError(f"n must be at most k = {shown(k)}, got {n}")
    return k, n


def function(name, value, call):
    """`value` if it can be called. call: what it is, such as 'f(x) of an array'."""
    if not callable(value):
        raise ValueError(f"{name} must be a function {call}, got {shown(value)}")
    return value


def file_name(name, value):
    """`value` as a pathlib.Path; numbers, which `open` would take for open files, are refused."""
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "\0" in str(value):
        raise ValueError(f"{name} must be the name of a file, got {shown(value)}")
    return pathlib.Path(value)


def real(name, value, least, most=np.inf):
    """`value` as a float with least <= value <= most; infinite only where `most` is."""
    if not _is_number(value, numbers.Real):
        raise ValueError(f"{name} must be a number, got {shown(value)}")
    try:
        inside = least <= float(value) <= most
    except OverflowError:  # an integer that float64 cannot hold
        inside = False
    if not inside:
        raise ValueError(f"{name} must be a number between {least} and {most}, got {shown(value)}")
    return float(value)


def first_argument(name, kind, call):
    """A decorator: a function or __init__ called with another first argument, or with arguments
    that it does not have, says how to call it. kind: a class or a tuple of classes, of which the
    first is named.

    >>> from lib.arguments import first_argument
    >>> double = first_argument("x", float, "double(1.5)")(lambda x: 2 * x)
    >>> double("1.5")
    Traceback (most recent call last):
    ValueError: x must be a float and come first, as in double(1.5), got '1.5'
    """
    kinds = (kind,) if isinstance(kind, type) else kind

    def decorate(function):
        signature = inspect.signature(function)
        place = list(signature.parameters).index(name)

        @functools.wraps(function)
        def checked(*arguments, **options):
            given = arguments[place] if len(arguments) > place else options.get(name)
            if not isinstance(given, kinds):
                raise ValueError(
                    f"{name} must be a {kinds[0].__name__} and come first, as in {call}, "
                    f"got {shown(given)}{_hint(kinds[0])}"
                )
            try:
                signature.bind(*arguments, **options)
            except TypeError as error:
                raise TypeError(f"{error}: a call is like {call}") from None
            return function(*arguments, **options)

        return checked

    return decorate
