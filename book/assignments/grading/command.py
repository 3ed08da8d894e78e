"""Run nbgrader in a process of its own, and end all of it when it takes too long or we are interrupted."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from . import room

# nbgrader, without a package that takes longer to import than all others and checks web addresses in JSON. The path of
# its scripts for the database goes into a file in which a % means something.
NBGRADER = """
import sys
sys.modules["rfc3987_syntax"] = None
from nbgrader import dbutil
from nbgrader.apps.nbgraderapp import main
dbutil.ALEMBIC_DIR = dbutil.ALEMBIC_DIR.replace("%", "%%")
main()
"""


def nbgrader(course, *arguments, patience=None):
    """Run one nbgrader command on the folder `course`: its exit code, or None when it was ended, and what it said."""
    course = Path(course).resolve()
    root = room.plain_path(course)
    bin_folder = str(Path(sys.executable).parent)  # nbgrader calls alembic, which lies there
    places = [f"--CourseDirectory.root={root}", f"--CourseDirectory.db_url={room.database(course)}"]
    process = subprocess.Popen(
        [*room.PYTHON, "-c", NBGRADER, *arguments, *places],
        cwd=root,
        env=os.environ
        | {"PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
    )
    try:
        said, _ = process.communicate(timeout=patience)
    except BaseException as stop:
        for started in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                started.kill()
        process.wait()
        if not isinstance(stop, subprocess.TimeoutExpired):
            raise
        return None, f"ended after {patience} s"
    return process.returncode, said
