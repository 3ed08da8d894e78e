"""What numba has compiled of `lib`, once for all sandboxes: they keep nothing, and each would compile a long time.

It lies in the environment of Python that grades. A name of its own has all that numba would compile again for: another
version, Python or processor, or other sources.
"""

import atexit
import functools
import hashlib
import os
import shutil
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
    """The folder for `NUMBA_CACHE_DIR`, filled the first time; None where numba is missing or does not work."""
    try:
        parts = [sys.version, version("numba")]
    except PackageNotFoundError:
        return None
    sources = sorted((Path(lib.__file__).parent / "fast").glob("*.py"))
    parts += [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources]
    digest = hashlib.sha256("\n".join([*parts, *processor()]).encode()).hexdigest()[:16]
    ready = Path(sys.prefix, "compiled", digest)
    if ready.is_dir():
        return ready
    try:
        ready.parent.mkdir(parents=True, exist_ok=True)
        making = tempfile.mkdtemp(prefix="making-", dir=ready.parent)
    except OSError:  # the environment is of somebody else, or the disk full
        ready, making = None, tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, making, ignore_errors=True)
    print("Compiling the gradient flow: half a minute, the first time ...", file=sys.stderr, flush=True)
    environment = {**os.environ, "NUMBA_CACHE_DIR": making}
    if subprocess.run([sys.executable, "-P", "-c", PREPARE], env=environment, capture_output=True).returncode:
        return None
    if ready is None:
        return Path(making)
    with suppress(OSError):  # somebody else was faster
        os.rename(making, ready)
    return ready


def processor():
    """What of the processor decides on its code, as Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []
    return sorted({line for line in lines if line.startswith(("model name", "flags"))})
