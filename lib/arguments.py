"""Checks of arguments: every ValueError names the argument, its value and what was expected."""

import numbers

import numpy as np


def finite_array(name, value, ndim=None):
    """Return `value` as a float64 array with `ndim` dimensions and finite entries."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of real numbers, got {value!r}") from error
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return array


def integer(name, value, least):
    """Return `value` as an int that is at least `least`; 3.0 and True are not integers."""
    if not isinstance(value, numbers.Integral) or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def instance(name, value, kind):
    """Return `value` if it is a `kind`, a class or a tuple of classes."""
    if not isinstance(value, kind):
        expected = kind.__name__ if isinstance(kind, type) else " or ".join(k.__name__ for k in kind)
        raise ValueError(f"{name} must be a {expected}, got {value!r}")
    return value


def number(name, value, least, most=np.inf):
    """Return `value` as a float with least <= value <= most; infinite only where `most` is."""
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be a number between {least} and {most}, got {value}")
    return float(value)
