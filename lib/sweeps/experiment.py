"""What the flows of a sweep have in common: teacher, kernel, initial students, accuracy.

A table says it in its header, in words where these are the orthonormal teacher of the book, a
kernel of `lib.kernels` and `glorot`, and for anything else by a fingerprint of its numbers.
"""

import functools
import hashlib
import pickle
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lib import kernels
from lib.arguments import real, shown
from lib.descent.flow import glorot
from lib.fast import accelerator
from lib.kernels import Kernel
from lib.networks import Network
from lib.sweeps.table import DTYPE

_LONGEST_NAME = DTYPE["law"].itemsize // np.dtype("U1").itemsize
_SAME_DIGITS = 9  # of numbers with one fingerprint: other processors may round them otherwise


class Experiment(NamedTuple):
    """teacher: None for ``Network.orthonormal(k, d)``. init: a law of `glorot`, or a function."""

    k: int
    d: int
    teacher: Network | None
    kernel: Kernel
    init: str | Callable
    rtol: float
    gradient_tol: float

    @property
    def law(self):
        """The name of the initial students, for the column of the table."""
        if isinstance(self.init, str):
            return self.init
        name = getattr(self.init, "__name__", type(self.init).__name__)
        return re.sub(r"[^\w.<>-]", "_", name)[:_LONGEST_NAME]

    def settings(self):
        """What the header of a table says; raises ValueError where init gives no students."""
        named = getattr(kernels, self.kernel.name, None) is self.kernel
        s = np.array([0.0, 0.4, -0.5, 1.2])
        values = [] if named else [_fingerprint(self.kernel(s, [1.0, 0.5, 1.0, 2.0], 1.5))]
        whose = {"k": self.k}
        if self.teacher is not None:
            whose |= {"d": self.d, "teacher": _fingerprint(self.teacher.W, self.teacher.a)}
        whose |= {"kernel": " ".join([self.kernel.name, *values]), "law": self.law}
        if not isinstance(self.init, str):
            drawn = self.start(np.random.default_rng(0), 2)
            whose |= {"init": _fingerprint(drawn.W, drawn.a)}
        return whose | {"rtol": self.rtol, "gradient_tol": self.gradient_tol}

    def loss(self, compiled):
        """The loss that flows take. compiled: may it be?"""
        teacher = Network.orthonormal(self.k, self.d) if self.teacher is None else self.teacher
        return accelerator.loss(teacher, self.kernel, compiled)

    def start(self, rng, n):
        """The initial student of n neurons; raises ValueError where init gives another thing."""
        if isinstance(self.init, str):
            return glorot(rng, n, self.d, self.init)
        try:
            student = self.init(rng, n, self.d)
        except TypeError as error:  # of arguments, mostly
            raise ValueError(
                f"init must be a function init(rng, n, d), got {shown(self.init)}: {error}"
            ) from error
        if not isinstance(student, Network) or (student.n, student.d) != (n, self.d):
            raise ValueError(
                f"init(rng, n, d) must be a Network of n = {n} neurons and d = {self.d} inputs, "
                f"got {shown(student)}"
            )
        return student


def experiment(L, init="normal", rtol=1e-5, gradient_tol=1e-8):
    """The `Experiment` of these arguments of `sweep`, checked."""
    k, d = L.teacher.n, L.teacher.d
    if isinstance(init, Kernel):
        raise ValueError(
            f"init must be a law or a function, got {init!r}: the kernel belongs to the loss, "
            f"sweep(PopulationLoss(teacher, {init!r}), widths, seeds)"
        )
    if not callable(init) and not (isinstance(init, str) and init in ("normal", "uniform")):
        raise ValueError(
            "init must be 'normal' or 'uniform', the laws of glorot, or a function "
            f"init(rng, n, d), got {shown(init)}"
        )
    standard = d == k + 1 and np.array_equal(L.teacher.ravel(), Network.orthonormal(k, d).ravel())
    rtol = real("rtol", rtol, 1e-11, 1e-4)
    gradient_tol = real("gradient_tol", gradient_tol, 1e-14)
    return Experiment(k, d, None if standard else L.teacher, L.kernel, init, rtol, gradient_tol)


def from_settings(settings):
    """The `Experiment` of a table that comes with the book.

    Examples
    --------
    >>> from lib.sweeps.experiment import from_settings
    >>> from lib.sweeps.table import data_file, read
    >>> from_settings(read(data_file("sweep_relu_k6.csv"))[1]).kernel
    kernels.relu
    """
    k, kernel = settings["k"], getattr(kernels, settings["kernel"])
    return Experiment(k, k + 1, None, kernel, settings["law"], *map(settings.get, _ACCURACY))


_ACCURACY = ("rtol", "gradient_tol")


def packed(experiment):
    """The experiment as bytes, for processes; raises ValueError where it cannot be sent."""
    try:
        return pickle.dumps(experiment)
    except Exception as error:  # whatever a user's object raises
        raise ValueError(_HOW_TO_SEND.format(error=error)) from None


@functools.lru_cache(1)
def unpacked(data):
    """The experiment of such bytes, in a worker."""
    try:
        return pickle.loads(data)
    except Exception as error:
        raise ValueError(_HOW_TO_SEND.format(error=error)) from None


_HOW_TO_SEND = (
    "init and kernel must be such that other processes can import them: write them at the top of a "
    "file, mine.py, and `from mine import ...`, or give "
    "executor=concurrent.futures.ThreadPoolExecutor(1), which stays in this process ({error})"
)


def _fingerprint(*arrays):
    """16 hexadecimal digits that tell arrays apart which differ in their first 9 digits."""
    digest = hashlib.sha256()
    for array in map(np.asarray, arrays):
        largest = np.abs(array).max() or 1.0
        digits = (np.round(array / largest, _SAME_DIGITS) + 0.0).astype("<f8")  # no -0.0
        digest.update(f"{array.shape} {largest:.{_SAME_DIGITS}e} ".encode() + digits.tobytes())
    return digest.hexdigest()[:16]
