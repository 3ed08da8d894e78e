"""What the processes of one test run share: the first that needs it makes it, and the others wait."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

VARIABLE = "SHARED_BY_THE_TEST_RUN"


def start():
    """Name a folder to this process and to all that it starts; what removes the folder, or None if there was one."""
    if VARIABLE in os.environ:
        return None
    made = tempfile.TemporaryDirectory(prefix="book-")
    os.environ[VARIABLE] = made.name

    def end():
        del os.environ[VARIABLE]
        made.cleanup()

    return end


def folder():
    return Path(os.environ[VARIABLE])


@contextlib.contextmanager
def one_at_a_time(what):
    """No two processes of the run are in here at once; the lock of a process that is killed ends with it."""
    with open(folder() / f"{what}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
