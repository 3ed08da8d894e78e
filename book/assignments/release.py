"""Make the student versions of all problem sets from their sources, check them, and only then replace the old ones.

    python book/assignments/release.py

Checked by grading, in a course of its own: the source gets every point of its automatic tests, the untouched student
version none, and each of its tests says what is missing. What a student version must not show is searched for in it.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from grading import command
from grading.repair import grade_id, is_test

COURSE = Path(__file__).resolve().parent
MARKERS = {"SOLUTION": "solutions", "HIDDEN TESTS": "hidden tests", "MARK SCHEME": "mark schemes"}


def main():
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
    command.release(course)
    complaints = []
    sources = {path.stem: nbformat.read(path, as_version=4) for path in sorted(course.glob("source/*/*.ipynb"))}
    for name, source in sources.items():
        release = course / "release" / name / f"{name}.ipynb"
        for student, path in (("source", course / "source" / name / f"{name}.ipynb"), ("untouched", release)):
            (submissions / student).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, submissions / student)
        complaints += [f"{name}: {leak}" for leak in leaks(source, nbformat.read(release, as_version=4))]

    print("Grading the sources and the untouched student versions ...", flush=True)
    graded = subprocess.run([sys.executable, course / "grade.py", submissions], capture_output=True, text=True)
    if graded.returncode:
        sys.exit(f"They cannot be graded:\n{graded.stdout}{graded.stderr}")
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {(row["student"], row["set"]): row for row in csv.DictReader(file)}
    for name in sources:
        solved, untouched = rows["source", name], rows["untouched", name]
        ran = {
            student: nbformat.read(course / "autograded" / student / name / f"{name}.ipynb", as_version=4)
            for student in ("source", "untouched")
        }
        if solved["status"] != "graded" or solved["automatic"] != solved["automatic_max"]:
            failed = ", ".join(grade_id(cell) for cell in ran["source"].cells if is_test(cell) and error_of(cell))
            complaints.append(
                f"{name}: the source gets {solved['automatic']} of {solved['automatic_max']} points, it fails {failed}"
            )
        if untouched["status"] != "graded" or float(untouched["score"]):
            complaints.append(f"{name}: the untouched student version gets {untouched['score']}, {untouched}")
        complaints += [f"{name}: {complaint}" for complaint in unhelpful(ran["untouched"])]
    return complaints


def leaks(source, release):
    """What of the solutions, hidden tests and mark schemes of `source` is still in `release`."""
    shown = {cell.source for cell in release.cells}
    lines = {line.strip() for text in shown for line in text.split("\n")}
    for cell in source.cells:
        for marker, what in MARKERS.items():
            if any(marker in text for text in shown):
                yield f"a marker of {what} is left"
            _, begin, hidden = cell.source.partition(f"### BEGIN {marker}")
            hidden = hidden.partition(f"### END {marker}")[0]
            # short lines, such as an import, stand in the open as well
            for line in (line.strip() for line in hidden.split("\n")):
                if begin and len(line) > 40 and line in lines:
                    yield f"of the {what} of {grade_id(cell)} this is left: {line}"


def unhelpful(graded):
    """The tests of an executed untouched student version that pass, or fail without saying what is to be written."""
    for cell in graded.cells:
        if is_test(cell):
            error = error_of(cell)
            if error is None:
                yield f"{grade_id(cell)} passes without an answer"
            elif error.ename not in ("NotImplementedError", "AssertionError") or len(error.evalue) < 20:
                yield f"{grade_id(cell)} fails without saying what to write: {error.ename}: {error.evalue}"


def error_of(cell):
    return next((output for output in cell.outputs if output.output_type == "error"), None)


if __name__ == "__main__":
    main()
