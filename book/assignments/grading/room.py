"""A clean room: nothing of the account or shell of whoever starts a script changes what it does.

Settings of Python, IPython, Jupyter and matplotlib, other modules on the path, the locale and the
home stay outside. A script calls `enter` before it imports anything of ours. Imported here is only
what every Python loads early: among the caller's modules may be one called `random`.
"""

import functools
import os
import sys

PYTHON = [
    sys.executable,
    "-I",
    "-X",
    "utf8",
]  # isolated: no PYTHON* variables, no modules of the account or the folder
ENTERED = "GRADING_ROOM_OF_PROCESS"


def enter():
    """Start the script that runs again, with only PATH and TMPDIR, and give it an empty home."""
    if os.environ.pop(ENTERED, None) != str(os.getpid()):
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        sys.stdout.flush()
        os.execve(
            sys.executable,
            [*PYTHON, *sys.argv],
            {**kept, "LC_ALL": "C.UTF-8", ENTERED: str(os.getpid())},
        )
    from importlib.util import find_spec

    if not find_spec("nbgrader"):
        sys.exit(
            f"{sys.executable} has no nbgrader: use the Python that `make grade` installs, .venv/bin/python"
        )
    import tempfile

    tempfile.tempdir = os.environ["TMPDIR"] = temporary("room", 50).name
    os.environ["HOME"] = temporary("home").name
    os.environ["JUPYTER_NO_CONFIG"] = "1"  # none of the machine either


@functools.cache
def temporary(name, longest=80):
    """A folder that is there as long as this process."""
    import tempfile

    return tempfile.TemporaryDirectory(
        prefix=f"{name}-", dir=short_folder(longest), ignore_cleanup_errors=True
    )


def short_folder(longest=80):
    """A folder for temporary files whose path is short, for sockets: theirs may have 107 bytes.

    And plain, since nbgrader takes [, ? and * in a path for patterns.
    """
    for folder in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm"):
        plain = folder.startswith("/") and folder.isascii() and not set(folder) & set("[]?*#%{} ")
        if (
            plain
            and len(folder) <= longest
            and os.path.isdir(folder)
            and os.access(folder, os.W_OK | os.X_OK)
        ):
            return folder
    sys.exit(
        "There is no folder for temporary files: neither /tmp nor what TMPDIR says can be written to."
    )


def check_writable(course):
    """End with a word on what to do when not everything in the folder `course` can be written."""
    for name in (None, "release", "graded", "repaired", "autograded", "feedback", "gradebook.db"):
        place = os.path.join(course, name) if name else course
        if os.path.exists(place) and not os.access(place, os.W_OK):
            sys.exit(
                f"{place} cannot be written to. Copy the folder {course} to one of your own, and start it there."
            )


@functools.cache
def plain_path(course):
    """Another path of the folder `course`, without letters that nbgrader or SQLite interpret."""
    import tempfile

    link = os.path.join(tempfile.mkdtemp(prefix="course", dir=temporary("courses").name), "course")
    os.symlink(course, link)
    return link


def database(course):
    """The address of the gradebook of `course`; submissions that run at a time wait for each other."""
    return f"sqlite:///{plain_path(course)}/gradebook.db?timeout=60"
