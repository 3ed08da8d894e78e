"""Run nbgrader in a process of its own, and end all of it when it takes too long or we are interrupted."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil

from . import room

_asking = threading.Lock()


def nbgrader(course, *arguments, patience=None):
    """Run one nbgrader command on the folder `course`: its exit code, or None when it was ended, and what it said."""
    course = Path(course).resolve()
    root = room.plain_path(course)
    places = [f"--CourseDirectory.root={root}", f"--CourseDirectory.db_url={room.database(course)}"]
    with tempfile.TemporaryDirectory("", "nbgrader", room.short_folder()) as folder:
        said, code = Path(folder, "said"), Path(folder, "code")
        process = copy({"arguments": [*arguments, *places], "folder": root, "said": str(said), "code": str(code)})
        try:
            if process:
                process.wait(patience)
        except BaseException as stop:
            with suppress(psutil.NoSuchProcess):
                for started in [*process.children(recursive=True), process]:
                    with suppress(psutil.NoSuchProcess):
                        started.kill()
                process.wait()
            if not isinstance(stop, psutil.TimeoutExpired):
                raise
            return None, f"ended after {patience} s"
        text = said.read_text("utf-8", "backslashreplace") if said.is_file() else ""
        return (int(code.read_text("utf-8")) if code.is_file() else None), text


def copy(command):
    """Start a process for this command, as copies.py says; None if it has ended already."""
    with _asking:
        if original().poll() is not None:
            original().communicate()  # closes its pipes
            original.cache_clear()
        original().stdin.write(json.dumps(command) + "\n")
        original().stdin.flush()
        number = original().stdout.readline()
    if not number:
        raise RuntimeError("nbgrader does not start; what it said stands above")
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(int(number))
    return None


@functools.cache
def original():
    """The process of copies.py. It has one thread, since others would not be in the copies."""
    bin_folder = str(Path(sys.executable).parent)  # nbgrader calls alembic, which lies there
    path = os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)])
    return subprocess.Popen(
        [*room.PYTHON, str(Path(__file__).with_name("copies.py"))],
        env=os.environ | {"PATH": path, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
