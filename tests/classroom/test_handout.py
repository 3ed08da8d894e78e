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
def stored(tmp_path_factory):
    """A course that has one of our sets."""
    stored = tmp_path_factory.mktemp("stored")
    for part in ("grading", "grade.py", "release.py", "collect.py", "export.py", "handout.py", "nbgrader_config.py"):
        copy = shutil.copytree if (ASSIGNMENTS / part).is_dir() else shutil.copyfile
        copy(ASSIGNMENTS / part, stored / part)
    shutil.copyfile(ASSIGNMENTS / "course.toml", stored / "course.toml")
    (stored / "source" / SET).mkdir(parents=True)
    shutil.copyfile(SOURCE, stored / "source" / SET / SOURCE.name)
    return stored


@pytest.fixture(scope="module")
def course(stored, tmp_path_factory):
    """The course of a class, made from the stored one."""
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


PEOPLE = {"Doe Jane": "jane@x.org", "=Roe, Rick": "rick@x.org"}


@pytest.fixture(scope="module")
def each_their_own(stored, tmp_path_factory):
    """A course in which each student of a roster has numbers of their own."""
    made = tmp_path_factory.mktemp("classes") / "autumn"
    roster = made.with_name("participants.csv")
    people = [f'"{name}",{email}' for name, email in PEOPLE.items()]
    roster.write_text("\n".join(["Full name,Email address", *people]), "utf-8")
    run(stored / "handout.py", made, "--roster", roster)
    return made


def numbers(course):
    return {who: variants.number_of(SET, row["seed"]) for who, row in variants.listed(course).items()}


def test_a_student_version_shows_what_is_released_of_the_same_number(course, stored, each_their_own):
    """Made without the solution, it is the one that nbgrader makes of the solved set with this number."""
    without = nbformat.read(each_their_own / "release" / SET / f"{SET}.ipynb", as_version=4)
    released = nbformat.read(course / "release" / SET / f"{SET}.ipynb", as_version=4)
    made = variants.student_version(without, SET, "summer 2027")
    assert [cell.source for cell in made.cells] == [cell.source for cell in released.cells]
    assert [cell.source for cell in made.cells] != [cell.source for cell in without.cells]


def test_each_student_gets_their_own_numbers(each_their_own):
    drawn = numbers(each_their_own)
    assert len(drawn) == 2 == len(set(drawn.values()))
    for who, number in drawn.items():
        folder = each_their_own / "handouts" / who
        shown = (folder / f"{SET}.ipynb").read_text("utf-8")
        assert number in shown and not any(other in shown for other in {*drawn.values()} - {number})
        assert folder.with_name(f"{who}.zip").is_file() and "BEGIN SOLUTION" not in shown
    assert "'=" in (each_their_own / "students.csv").read_text("utf-8")  # for spreadsheets


def test_full_marks_are_for_ones_own_numbers(each_their_own, tmp_path):
    """Who hands in the right solution of another student's numbers loses points; who is not listed is noted."""
    solved = nbformat.read(SOURCE, as_version=4)
    (one, its), (other, others) = variants.listed(each_their_own).items()
    for student, seed in ((one, its["seed"]), (other, its["seed"]), ("a stranger", None)):
        (tmp_path / student).mkdir()
        notebook = variants.variant(solved, SET, seed) if seed else solved
        nbformat.write(notebook, tmp_path / student / f"{SET}.ipynb")
    assert others["seed"] != its["seed"]
    run(each_their_own / "grade.py", tmp_path, *FLAGS)
    with open(each_their_own / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["student"].removeprefix("'"): row for row in csv.DictReader(file)}
    assert rows[one]["automatic"] == rows[one]["automatic_max"] and rows[one]["note"] == ""
    assert float(rows[other]["automatic"]) < float(rows[other]["automatic_max"])
    assert rows["a stranger"]["automatic"] == rows["a stranger"]["automatic_max"]
    assert "not in students.csv" in rows["a stranger"]["note"]
    page = (each_their_own / "feedback" / one / SET / f"{SET}.html").read_text("utf-8")
    assert numbers(each_their_own)[one] in page


def test_who_comes_later_gets_numbers_and_nobody_others(stored, each_their_own):
    before = numbers(each_their_own)
    roster = each_their_own.with_name("participants.csv")
    roster.write_text(roster.read_text("utf-8") + "\nNew Nora,nora@x.org\n", "utf-8")
    run(stored / "handout.py", each_their_own, "--roster", roster)
    after = numbers(each_their_own)
    assert len(after) == 3 and before.items() <= after.items()


@pytest.mark.parametrize("kind, words", [("class", "leave out the roster"), ("students", "give its roster")])
def test_a_class_keeps_its_kind_of_numbers(kind, words, course, each_their_own, stored):
    roster = ["--roster", each_their_own.with_name("participants.csv")]
    made, options = (course, roster) if kind == "class" else (each_their_own, [])
    result = subprocess.run([sys.executable, stored / "handout.py", made, *options], capture_output=True, text=True)
    assert result.returncode and words in result.stderr
