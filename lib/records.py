"""Named tuples whose `help` and `dir` say what they hold, and not what every tuple can do."""


class _OwnNames(type):
    def __dir__(cls):
        kinds = [kind for kind in cls.__mro__ if kind not in (tuple, object)]
        return sorted({name for kind in kinds for name in vars(kind) if not name.startswith("_")})


def record(named_tuple):
    """A decorator of a NamedTuple: the same class, listed by `help` with its fields alone.

    >>> from typing import NamedTuple
    >>> from lib.records import record
    >>> @record
    ... class Point(NamedTuple):
    ...     x: float
    ...     y: float
    >>> dir(Point), Point(1.0, 2.0)
    (['x', 'y'], Point(x=1.0, y=2.0))
    """
    names = ("__module__", "__qualname__", "__doc__")
    own = {name: getattr(named_tuple, name) for name in names}
    return _OwnNames(named_tuple.__name__, (named_tuple,), {"__slots__": (), **own})
