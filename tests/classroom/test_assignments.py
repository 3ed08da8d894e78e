"""Grading from end to end: what is graded again and what is not, late submissions, and grading without walls."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unicodedata

import nbformat
import pytest
import simulated_class
from guards import ROOT
from simulated_class import KINDS, SMALL, expected_score, hand_in, small_set
from small_course import ASSIGNMENTS, grade, grader, grades, make_student_versions, new_course, released

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course_of_three(tmp_path_factory):
    """A course and its submissions, graded until the run was interrupted; and the students that were done by then.

    Of the answers one is right, one fails the visible tests, and one the hidden ones alone.
    """
    folder = tmp_path_factory.mktemp("three")
    course, submissions = new_course(folder), folder / "submissions"
    hand_in(submissions, "small", small_set(), released(course), SMALL, ["correct", "empty", "hard_coded"])
    command, settings = grader(course, submissions)
    process = subprocess.Popen(
        [*command, "--workers=1"],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        **settings,
    )
    deadline = time.monotonic() + 300
    while not list(course.glob("graded/small/*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)  # it ends what is running and starts no more
    assert process.returncode != 0
    return course, submissions, {path.stem for path in course.glob("graded/small/*.json")}


def students_that_ran(said):
    return {line.split(":")[0].split()[-1] for line in said.splitlines() if line.startswith("small  ")}


@pytest.mark.other
def test_an_interrupted_run_goes_on_where_it_stopped(course_of_three):
    course, submissions, done = course_of_three
    assert 0 < len(done) < 3
    said, rows = grade(course, submissions)
    assert students_that_ran(said) == set(rows) - done and len(rows) == 3
    for kind, row in rows.items():
        assert float(row["automatic"]) == expected_score(small_set(), SMALL, kind)


@pytest.mark.other
def test_another_folder_adds_to_the_table(course_of_three):
    """A late submission, by a student whose name no folder of nbgrader may have, in the letters of a Mac or of none."""
    course, submissions, _ = course_of_three
    name, late = "Zoë O'Brien " + 200 * "x", submissions.parent / "late"
    home = os.fsencode(late / unicodedata.normalize("NFD", name)) + b"M\xfcller"
    os.makedirs(home)
    shutil.copy(submissions / "correct" / "small.ipynb", os.fsdecode(home))
    (late / "absent").mkdir()
    before = grades(course)
    said, rows = grade(course, late)
    absent = rows.pop("absent")
    assert (absent["status"], absent["score"]) == ("missing", "0.0")
    (line,) = [line for line in said.splitlines() if line.startswith("small  ")]
    student = re.fullmatch(r"small  (Zoë O_Brien x+-\w{6}): graded", line)[1]
    assert len(said.splitlines()) == 2
    row = rows.pop(f"{name}M\\xfcller")
    assert float(row["automatic"]) == 8 and row["note"] == f"feedback in {student}"
    assert (course / "feedback" / student / "small" / "small.html").is_file()
    assert rows == before and len(before) == 3


@pytest.mark.other
def test_a_second_run_grades_what_changed_and_collects_marks_given_by_hand(course_of_three):
    """And leaves all other rows as they were, those of the other folder too."""
    course, submissions, _ = course_of_three
    before = grades(course)
    shutil.copy(submissions / "correct" / "small.ipynb", submissions / "empty" / "small (1).ipynb")
    as_the_formgrader_does = f"""
from nbgrader.api import Gradebook
with Gradebook("sqlite:///{course / "gradebook.db"}") as gradebook:
    grade = gradebook.find_grade("small-words", "small", "small", "hard_coded")
    grade.manual_score, grade.needs_manual_grade = 2, False
    gradebook.find_comment("small-words", "small", "small", "hard_coded").manual_comment = "Why not zero?"
    gradebook.db.commit()
"""
    subprocess.run([sys.executable, "-c", as_the_formgrader_does], check=True)
    said, rows = grade(course, submissions)
    assert students_that_ran(said) == {"empty"}
    assert rows.pop("empty")["automatic"] == rows["correct"]["automatic"] == "8.0"
    marked = rows.pop("hard_coded")
    assert (marked["score"], marked["by_hand"], marked["needs_marking"]) == ("6.0", "2.0", "no")
    assert "Why not zero?" in (course / "feedback" / "hard_coded" / "small" / "small.html").read_text("utf-8")
    assert len(before) == 5 and rows == {student: before[student] for student in rows} and len(rows) == 3


@pytest.mark.other
def test_without_bubblewrap_it_stops_and_goes_on_only_when_told_so(tmp_path):
    course, submissions = new_course(tmp_path), tmp_path / "submissions"
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no namespaces >&2\nexit 1\n")
    broken.chmod(0o755)
    kinds = ["correct", "dies", "endless", "memory_hog", "wants_secrets"]
    hand_in(submissions, "small", small_set(), released(course), SMALL, kinds)
    path = f"{broken.parent}{os.pathsep}{os.environ['PATH']}"
    command, settings = grader(course, submissions, PATH=path)
    command = [word for word in command if word != "--no-sandbox"]
    stopped = subprocess.run(command, capture_output=True, timeout=300, **settings)
    assert stopped.returncode == 1 and not (course / "graded").exists()
    for words in ("NO SANDBOX: bubblewrap does not work here: no namespaces", "apt-get install", "--no-sandbox"):
        assert words in stopped.stderr
    subprocess.run([*command, "--no-sandbox"], check=True, timeout=900, **settings)
    rows = grades(course)
    for kind in kinds:
        assert rows[kind]["status"] == KINDS[kind].status, rows[kind]
        assert float(rows[kind]["automatic"]) == expected_score(small_set(), SMALL, kind), rows[kind]


def test_every_kind_is_counted():
    assert set(simulated_class.CLASS) <= set(KINDS) and len(simulated_class.CLASS) * 6 >= 60
    page = (ROOT / "book" / "teaching.md").read_text("utf-8")
    assert f"{len(KINDS)} simulated students" in page and f"{len(simulated_class.CLASS)} kinds of submission" in page


SOURCES = sorted(ASSIGNMENTS.glob("source/*/*.ipynb"))


@pytest.mark.skipif(not SOURCES, reason="the sources are kept elsewhere")
def test_stored_student_versions_are_what_the_sources_give(tmp_path):
    """`make assignments` also grades both; here it is enough that nobody changed one without the other."""
    course = new_course(tmp_path)
    shutil.rmtree(course / "source")
    shutil.copytree(ASSIGNMENTS / "source", course / "source")
    make_student_versions(course)
    made = {path.relative_to(course): nbformat.read(path, as_version=4) for path in course.glob("release/*/*")}
    stored = {path.relative_to(ASSIGNMENTS): nbformat.read(path, 4) for path in ASSIGNMENTS.glob("release/*/*")}
    assert made.keys() == stored.keys() and len(made) == len(SOURCES)
    for path, notebook in made.items():
        assert notebook == stored[path], f"{path} is not what its source gives: run `make assignments`"


def test_student_versions_show_no_solution():
    releases = sorted(ASSIGNMENTS.glob("release/*/*.ipynb"))
    assert releases
    for path in releases:
        for cell in nbformat.read(path, as_version=4).cells:
            assert not [word for word in ("SOLUTION", "HIDDEN", "MARK SCHEME") if word in cell.source], path.name
            assert not cell.get("outputs"), path.name
