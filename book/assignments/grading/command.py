"""Run nbgrader in a process of its own, and end all of it when it takes too long or we are interrupted."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

# nbgrader, without a package that takes longer to import than all others and checks web addresses in JSON
NBGRADER = "import sys; sys.modules['rfc3987_syntax'] = None; from nbgrader.apps.nbgraderapp import main; main()"


def nbgrader(course, *arguments, patience=None):
    """Run one nbgrader command in the folder `course`: its exit code, or None when it was ended, and what it said."""
    bin_folder = str(Path(sys.executable).parent)  # nbgrader calls alembic, which lies there
    process = subprocess.Popen(
        [sys.executable, "-c", NBGRADER, *arguments],
        cwd=course,
        env=os.environ | {"PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
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


def release(course):
    """Write the student versions of all problem sets of `course` and tell its gradebook about them."""
    code, said = nbgrader(course, "generate_assignment", "--assignment=*", "--force")
    if code:
        sys.exit(f"The problem sets cannot be released:\n{said}")
