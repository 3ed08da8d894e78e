"""The loss that a flow takes: compiled where numba works, of NumPy everywhere else.

A missing numba is no matter. One that is installed and does not work, or finds no place for what it
has compiled, costs a RuntimeWarning that says why and what helps, and never a flow.
"""

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

from lib import kernels
from lib.descent.ndf import NDF, integrator_for
from lib.loss import PopulationLoss

# What a process of its own runs; it fails where no folder keeps the code, for then every process
# would compile it again. A numba that does not even load costs no import of lib.
_PREPARE = [
    "-W", "error::RuntimeWarning:lib.fast.compiled_kernels",
    "-c", "import numba; from lib.fast.compiled import prepare; prepare()",
]  # fmt: skip


@functools.cache
def compile_apart():
    """Have the erf loss compiled by a process of its own, so that every other process loads it.

    Not only to compile once: a process that compiles numba functions itself rounds their sums in
    another order than those that load them, and rows of a sweep would differ in the 13th digit.
    Where only numba's cache fails, this process and those that it starts share a temporary one.

    Returns
    -------
    bool
        False where numba is installed and does not work, after a RuntimeWarning that says why:
        then ``compiled=False`` is for `fast.accelerator.loss` and `gradient_flow`.

    Examples
    --------
    >>> from lib.fast import accelerator
    >>> accelerator.compile_apart()
    True
    """
    if not _installed():
        return True
    cause = _failure(os.environ)
    if cause is None:
        return True
    folder = tempfile.mkdtemp(prefix="numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fatal = _failure(os.environ | {"NUMBA_CACHE_DIR": folder})
    if fatal is not None:
        warnings.warn(
            f"numba is installed but does not work ({fatal}): flows take NumPy and are slower. "
            "Install one that does, pip install 'numba>=0.60,<1', or remove it, pip uninstall "
            "numba",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder
    warnings.warn(
        f"numba could not use the compiled code that it keeps on disk ({cause}): it compiles for "
        "this run alone. Set NUMBA_CACHE_DIR to a folder that can be written, "
        "or remove __pycache__ beside lib/fast/compiled_kernels.py",
        RuntimeWarning,
        stacklevel=3,
    )
    return True


def loss(teacher, kernel, compiled=True):
    """The loss given a teacher and a kernel, compiled where that can be.

    Parameters
    ----------
    teacher : Network (k, d)
    kernel : kernels.Kernel
        Only erf is compiled.
    compiled : bool
        False for NumPy everywhere.

    Returns
    -------
    PopulationLoss
        Compiled, it gives the same numbers to 1e-12, several times faster. Without numba it is of
        NumPy; so it is where numba does not work, after a RuntimeWarning.

    Examples
    --------
    >>> from lib.fast import accelerator
    >>> L = accelerator.loss(Network.orthonormal(3), kernels.erf)
    >>> f"{L(copy_average([1, 2])):.6f}"
    '0.023222'
    """
    if compiled and kernel is kernels.erf and (CompiledLoss := _compiled_loss()):
        return CompiledLoss(teacher)
    return PopulationLoss(teacher, kernel)


@integrator_for.register
def _(L: PopulationLoss, W, a, rtol, compiled=True):
    # What derives from PopulationLoss may compute anything.
    plain = type(L) is PopulationLoss and L.kernel is kernels.erf
    if compiled and plain and (CompiledLoss := _compiled_loss()):
        return integrator_for(CompiledLoss(L.teacher), W, a, rtol)
    return NDF(L, W, a, rtol)


@functools.cache
def _compiled_loss():
    """CompiledLoss, ready to run, or None."""
    try:
        from lib.fast.compiled import CompiledLoss, prepare

        prepare()
    except Exception as error:  # whatever a broken numba raises
        if not (isinstance(error, ModuleNotFoundError) and error.name == "numba"):
            warnings.warn(
                f"numba is installed but does not work here ({type(error).__name__}: {error}): "
                "flows take NumPy",
                RuntimeWarning,
                stacklevel=4,
            )
        return None
    return CompiledLoss


def _installed():
    try:
        return importlib.util.find_spec("numba") is not None
    except ValueError:  # blocked: None in sys.modules
        return False


def _failure(environment):
    """Why a process of its own cannot compile, in one line; None if it can."""
    try:
        done = subprocess.run(
            [sys.executable, *_PREPARE], env=environment, capture_output=True, check=False
        )
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stderr.decode(errors="replace").split("\n")
    return next(
        (line.strip() for line in reversed(lines) if line.strip()), f"exit status {done.returncode}"
    )
