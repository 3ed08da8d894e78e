"""A trial of the problem sets: sources and untouched student versions are graded before the versions are given out."""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from . import room, versions
from .grader import COURSE
from .repair import grade_id, is_test
from .sandbox import without_bubblewrap


def release():
    """Release and grade all sets in a course of its own; take the student versions over when all is right."""
    if not list(COURSE.glob("source/*/*.ipynb")):
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    with tempfile.TemporaryDirectory() as folder:
        course, submissions = Path(folder, "course"), Path(folder, "submissions")
        course.mkdir()
        for part in ("grading", "source"):
            shutil.copytree(COURSE / part, course / part)
        for part in ("nbgrader_config.py", "grade.py"):
            shutil.copy(COURSE / part, course)
        complaints = check(course, submissions)
        if complaints:
            sys.exit("\n".join(["The student versions were not replaced:", *complaints]))
        for path in sorted(course.glob("release/*/*.ipynb")):
            (COURSE / path.parent.relative_to(course)).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, COURSE / path.relative_to(course))
            print(f"{COURSE / path.relative_to(course)}")


def check(course, submissions):
    """Release and grade all sets in `course`; what is wrong with them, a sentence each."""
    versions.release(course)
    complaints = []
    sources = sorted(path.stem for path in course.glob("source/*/*.ipynb"))
    for name in sources:
        release = course / "release" / name / f"{name}.ipynb"
        for student, path in (
            ("source", course / "source" / name / f"{name}.ipynb"),
            ("untouched", release),
        ):
            (submissions / student).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, submissions / student)

    print("Grading the sources and the untouched student versions ...", flush=True)
    graded = subprocess.run(
        # notebooks of our own
        [*room.PYTHON, course / "grade.py", submissions, "--as-root", *["--no-sandbox"] * bool(without_bubblewrap())],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if graded.returncode:
        sys.exit(f"They cannot be graded:\n{graded.stdout}{graded.stderr}")
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {(row["student"], row["set"]): row for row in csv.DictReader(file)}
    for name in sources:
        solved, untouched = rows["source", name], rows["untouched", name]
        ran = {
            student: nbformat.read(
                course / "autograded" / student / name / f"{name}.ipynb", as_version=4
            )
            for student in ("source", "untouched")
        }
        if solved["status"] != "graded" or solved["automatic"] != solved["automatic_max"]:
            failed = ", ".join(
                grade_id(cell) for cell in ran["source"].cells if is_test(cell) and error_of(cell)
            )
            complaints.append(
                f"{name}: the source gets {solved['automatic']} of {solved['automatic_max']} points, it fails {failed}"
            )
        if untouched["status"] != "graded" or float(untouched["score"]):
            complaints.append(
                f"{name}: the untouched student version gets {untouched['score']}, {untouched}"
            )
        complaints += [f"{name}: {complaint}" for complaint in unhelpful(ran["untouched"])]
    return complaints


def unhelpful(graded):
    """The tests of an executed untouched student version that pass, or fail without saying what is to be written."""
    for cell in graded.cells:
        if is_test(cell):
            error = error_of(cell)
            if error is None:
                yield f"{grade_id(cell)} passes without an answer"
            elif (
                error.ename not in ("NotImplementedError", "AssertionError")
                or len(error.evalue) < 20
            ):
                yield f"{grade_id(cell)} fails without saying what to write: {error.ename}: {error.evalue}"


def error_of(cell):
    return next((output for output in cell.outputs if output.output_type == "error"), None)
