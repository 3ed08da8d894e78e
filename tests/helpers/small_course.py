"""A course of its own with the small problem set, in a folder of the test, and the command that grades it."""

import csv
import os
import shutil
import subprocess
import sys

import nbformat
import shared
from guards import ROOT
from simulated_class import small_set

ASSIGNMENTS = ROOT / "book" / "assignments"
WALLS = (
    subprocess.run(
        ["sh", "-c", "bwrap --unshare-all --ro-bind / / true"], capture_output=True
    ).returncode
    == 0
)
FLAGS = ["--as-root"] * (os.geteuid() == 0) + ["--no-sandbox"] * (not WALLS)
# Settings of nbgrader with which it leaves everything in the student versions.
OTHER_MARKERS = """
c = get_config()
c.ClearHiddenTests.begin_test_delimeter = "### BEGIN SECRETS"
c.ClearHiddenTests.end_test_delimeter = "### END SECRETS"
c.ClearHiddenTests.enforce_metadata = False
"""


def new_course(folder, limits="timeout = 10; total = 40"):
    """A course of its own in `folder`: our grading, the small problem set, no patience with endless loops."""
    course = folder / "course"
    shutil.copytree(ASSIGNMENTS / "grading", course / "grading")
    for name in ("grade.py", "release.py", "nbgrader_config.py", "collect.py", "export.py", "course.toml"):
        shutil.copy(ASSIGNMENTS / name, course)
    settings = [f"c.SandboxedExecute.{setting.strip()}" for setting in limits.split(";")]
    with open(course / "nbgrader_config.py", "a") as file:
        file.write("\n" + "\n".join(settings) + "\n")
    (course / "source" / "small").mkdir(parents=True)
    nbformat.write(small_set(), course / "source" / "small" / "small.ipynb")
    return course


def grader(course, submissions, **variables):
    """The command that grades, as a process to start: with a secret, and without a home unless the test made one."""
    environment = os.environ | {
        "CLASS_SECRET": "token",
        "HOME": str(course.parent / "home"),
        **variables,
    }
    return [sys.executable, str(course / "grade.py"), str(submissions), *FLAGS], {
        "env": environment,
        "encoding": "utf-8",
    }


def grade(course, submissions, **variables):
    """Grade; what was said, and {student: row of the table}."""
    command, settings = grader(course, submissions, **variables)
    home = course.parent / "home"
    settings |= {"cwd": home, "umask": 0o077} if home.is_dir() else {}
    result = subprocess.run(command, capture_output=True, timeout=1800, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, grades(course)


def grades(course):
    """{student: row of the table}, as the last run has left it."""
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def strange_account(home):
    """Make the home of somebody who has set everything that can be set; the variables of their shell."""
    files = {
        ".jupyter/nbgrader_config.py": OTHER_MARKERS,
        ".ipython/profile_default/ipython_config.py": "c.InteractiveShell.ast_node_interactivity = 'all'",
        ".ipython/profile_default/startup/00.py": "raise SystemExit('the startup file of an account')",
        ".config/matplotlib/matplotlibrc": "backend: none at all",
        "matplotlibrc": "axes.prop_cycle: nonsense",
    }
    # modules that Python itself does not need to start
    for module in ("nbgrader", "random", "psutil"):
        files[f"modules/{module}.py"] = "raise ImportError('a module of the account')"
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    temporary = home / ("t" * (94 - len(str(home))) if len(str(home)) < 90 else "temporary")
    temporary.mkdir()
    folders = {
        name: str(home / ".jupyter")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH")
    }
    folders |= {
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": "/proc/none",
        "TMPDIR": str(temporary),
    }
    folders |= {
        "IPYTHONDIR": str(home / ".ipython"),
        "MATPLOTLIBRC": str(home),
        "PYTHONPATH": str(home / "modules"),
    }
    python = {
        "PYTHONOPTIMIZE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONUTF8": "0",
    }
    python |= {"PYTHONSTARTUP": "/none", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    return folders | python | {"LC_ALL": "POSIX", "LANG": "de_DE", "JUPYTER_PREFER_ENV_PATH": "0"}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_student_versions(course):
    script = """
from grading.versions import release
release(".")
"""
    subprocess.run([sys.executable, "-c", script], cwd=course, check=True)


def released(course):
    """The small problem set as students see it; the first course of the run makes it, and the gradebook, for all."""
    version, gradebook = shared.folder() / "small.ipynb", shared.folder() / "gradebook.db"
    with shared.one_at_a_time("release"):
        if not version.exists():
            make_student_versions(course)
            shutil.copy(course / "gradebook.db", gradebook)
            shutil.copy(course / "release" / "small" / "small.ipynb", version)
    shutil.copy(gradebook, course)
    return nbformat.read(version, as_version=4)
