"""What numba has compiled of `lib`, once for all sandboxes: they keep nothing, and each would compile a long time.

It lies in the environment of Python that grades. A name of its own has all that numba would compile again for: another
version, Python or processor, or other sources.
"""

import functools
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lib

# What lies beside the sources is taken where it is of use; numba looks whether it is.
PREPARE = """
import shutil
from pathlib import Path
from lib.fast import compiled, compiled_kernels
folder = Path(compiled_kernels.solve.stats.cache_path)
for known in Path(compiled_kernels.__file__).parent.glob("__pycache__/*.nb[ic]"):
    shutil.copy2(known, folder)
compiled.prepare()
"""


@functools.cache
def folder():
    """The folder to copy to where `NUMBA_CACHE_DIR` says; None where numba is missing or does not work."""
    try:
        parts = [sys.version, version("numba")]
    except PackageNotFoundError:
        return None
    sources = sorted((Path(lib.__file__).parent / "fast").glob("*.py"))
    parts += [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources]
    ready = kept_in() / hashlib.sha256("\n".join([*parts, *processor()]).encode()).hexdigest()[:16]
    if ready.is_dir():
        return ready
    print("Compiling the gradient flow, once: up to half a minute ...", file=sys.stderr, flush=True)
    making = tempfile.mkdtemp(prefix="making-", dir=ready.parent)
    environment = {**os.environ, "NUMBA_CACHE_DIR": making}
    ran = subprocess.run([sys.executable, "-P", "-c", PREPARE], env=environment, capture_output=True)
    if ran.returncode == 0:
        with suppress(OSError):  # somebody else was faster
            os.rename(making, ready)
    shutil.rmtree(making, ignore_errors=True)
    return ready if ready.is_dir() else None


def kept_in():
    """A folder in the environment of Python; where that is of somebody else, in the room of this run, for it alone."""
    place = Path(sys.prefix, "share", "copy-average-book", "compiled")
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    if os.access(place, os.W_OK):
        return place
    place = Path(tempfile.gettempdir(), f"compiled-{os.getuid()}")
    place.mkdir(mode=0o700, exist_ok=True)
    about = place.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise PermissionError(f"{place} is not a folder of yours alone: remove it")
    return place


def processor():
    """What of the processor decides on its code, as Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []
    return sorted({line for line in lines if line.startswith(("model name", "flags"))})
