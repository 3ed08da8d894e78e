"""A class of its own, made by one command: its students get no solution, and its solution has full marks there."""

import csv
import json
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from small_course import ASSIGNMENTS, FLAGS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.other]
SET = "relu"
SOURCE = ASSIGNMENTS / "source" / SET / f"{SET}.ipynb"
if not SOURCE.is_file():
    pytest.skip("the sources are kept elsewhere", allow_module_level=True)
sys.path.append(str(ASSIGNMENTS))
from grading import variants  # noqa: E402


def run(*command):
    result = subprocess.run([sys.executable, *command], capture_output=True, encoding="utf-8", timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course of a class, made from a course that has one of our sets."""
    stored = tmp_path_factory.mktemp("stored")
    for part in ("grading", "grade.py", "release.py", "collect.py", "export.py", "handout.py", "nbgrader_config.py"):
        copy = shutil.copytree if (ASSIGNMENTS / part).is_dir() else shutil.copyfile
        copy(ASSIGNMENTS / part, stored / part)
    shutil.copyfile(ASSIGNMENTS / "course.toml", stored / "course.toml")
    (stored / "source" / SET).mkdir(parents=True)
    shutil.copyfile(SOURCE, stored / "source" / SET / SOURCE.name)
    made = tmp_path_factory.mktemp("classes") / "summer 2027"
    said = run(stored / "handout.py", made)
    assert variants.number_of(SET, "summer 2027") in said
    return made


def test_students_get_what_they_need_and_nothing_of_the_sources(course):
    folder = course / "handout"
    assert {path.name for path in folder.iterdir()} == {f"{SET}.ipynb", "lib", "README.txt", "requirements.txt"}
    with zipfile.ZipFile(course / "handout.zip") as archive:
        packed = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert packed == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    text = b"\n".join(packed.values())
    for secret in (b"BEGIN SOLUTION", b"HIDDEN TESTS", b"MARK SCHEME"):
        assert secret not in text
    solved = nbformat.read(course / "source" / SET / f"{SET}.ipynb", as_version=4)
    given = json.loads(packed[f"{SET}.ipynb"])
    number = variants.number_of(SET, "summer 2027")
    assert any(number in "".join(cell["source"]) for cell in given["cells"])
    shown = {line.strip() for cell in given["cells"] for line in "".join(cell["source"]).split("\n")}
    (answer,) = variants.cells_of(solved, SET, "answer")
    inside = answer.source.partition("### BEGIN SOLUTION")[2].partition("### END SOLUTION")[0]
    assert [line for line in inside.split("\n") if line.strip() in shown - {""}] == []


def test_a_notebook_of_the_handout_runs_on_the_library_in_it(course):
    """The cells that need no answer, in a Python that finds no other `lib`."""
    given = nbformat.read(course / "handout" / f"{SET}.ipynb", as_version=4)
    code = [cell.source for cell in given.cells if cell.cell_type == "code" and "%pip" not in cell.source]
    until = next(place for place, source in enumerate(code) if "NotImplementedError" in source)
    script = "\n".join(["import lib", "print(lib.__file__)", *(source for source in code[:until])])
    where = subprocess.run(
        [sys.executable, "-c", script], cwd=course / "handout", capture_output=True, encoding="utf-8", check=True
    )
    assert where.stdout.startswith(str(course / "handout" / "lib"))


def test_the_solution_of_the_class_has_full_marks_and_the_stored_one_has_not(course, tmp_path):
    for student, notebook in (("theirs", course / "source" / SET / f"{SET}.ipynb"), ("stored", SOURCE)):
        (tmp_path / student).mkdir()
        shutil.copyfile(notebook, tmp_path / student / f"{SET}.ipynb")
    run(course / "grade.py", tmp_path, *FLAGS)
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows["theirs"]["automatic"] == rows["theirs"]["automatic_max"], rows["theirs"]
    assert float(rows["stored"]["automatic"]) < float(rows["stored"]["automatic_max"]), rows["stored"]


def test_a_class_that_is_there_keeps_its_sources(course):
    before = (course / "source" / SET / f"{SET}.ipynb").read_bytes()
    said = run(ASSIGNMENTS / "handout.py", course)
    assert "its sources stay as they are" in said
    assert (course / "source" / SET / f"{SET}.ipynb").read_bytes() == before
