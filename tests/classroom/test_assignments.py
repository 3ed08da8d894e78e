"""Grading from end to end: a class made by code is graded, and every score, status and file is what it has to be."""

import html.parser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import browser
import nbformat
import psutil
import pytest
import simulated_class
from guards import ROOT
from simulated_class import KINDS, SMALL, expected_score, hand_in, small_set
from small_course import (
    ASSIGNMENTS,
    WALLS,
    contents,
    grade,
    grader,
    make_student_versions,
    new_course,
    released,
    strange_account,
)

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")

TRACE = "written-by-a-submission"
needs_walls = pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here: nothing outside is protected")
# Without walls these would reach what they should not, on the machine that runs the tests.
UNSAFE = {"writes_outside", "starts_others", "spies", "calls_home"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    """A class with one student of each kind, graded once, in a folder with a bad name and from a strange account."""
    folder = tmp_path_factory.mktemp("classroom") / "[WS26] what? 50 %, #2 für Zoë"
    account = strange_account(folder / "home")
    course, submissions = new_course(folder), folder / "submissions"
    release = released(course)
    kinds = [kind for kind in KINDS if WALLS or kind not in UNSAFE]
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {"course": course, "home": folder / "home", "port": server.getsockname()[1]}
        hand_in(submissions, "small", small_set(), release, SMALL, kinds, **facts)
        before = contents(submissions), contents(course / "source"), set(folder.iterdir())
        _, rows = grade(course, submissions, **account)
    return SimpleNamespace(course=course, submissions=submissions, release=release, rows=rows, before=before)


@pytest.mark.parametrize("kind", KINDS)
def test_score_and_status(classroom, kind):
    if not WALLS and kind in UNSAFE:
        pytest.skip("bubblewrap does not work here")
    row = classroom.rows[kind]
    assert row["status"] == KINDS[kind].status, row
    automatic = row["automatic"] if row["automatic"] else row["score"]
    assert float(automatic) == expected_score(classroom.release, SMALL, kind), row
    assert float(row["max_score"]) == 11


def test_an_answer_in_words_waits_for_its_marks(classroom):
    assert classroom.rows["correct"]["needs_marking"] == "yes"
    assert classroom.rows["empty"]["needs_marking"] == "no"  # nothing was written
    assert float(classroom.rows["correct"]["by_hand_max"]) == 3


def test_notes_tell_what_to_look_at(classroom):
    assert classroom.rows["correct"]["note"] == ""
    for kind, words in {
        "copied_cells": "copied cells: small-norm, small-norm-test",
        "deleted_tests": "deleted cells put back: small-square-test, small-norm-test",
        "float_subclass": "__sub__",
        "dies": "KernelDied in small-norm",
        "endless": "CellTimeoutError in small-norm-test",
        "unreadable": "no notebook",
        "battered": "left behind: timestamp.txt (no date)",
        "folder_instead": "not taken: small.ipynb (a folder), small.ipynb/read me.txt (its name)",
    }.items():
        assert words in classroom.rows[kind]["note"], kind


def test_submissions_and_sources_are_untouched(classroom):
    submissions, source, _ = classroom.before
    assert contents(classroom.submissions) == submissions
    assert contents(classroom.course / "source") == source


@needs_walls
def test_nothing_is_written_outside(classroom):
    everywhere = [Path("/tmp"), Path("/var/tmp"), Path.home(), Path.cwd(), *classroom.course.parent.rglob("*/")]
    assert [place for place in everywhere if (place / TRACE).exists()] == []
    assert set(classroom.course.parent.iterdir()) - classroom.before[2] <= {classroom.course.parent / "home"}


@needs_walls
def test_no_process_outlives_its_submission(classroom):
    assert not [process for process in psutil.process_iter(["cmdline"]) if "98765" in (process.info["cmdline"] or [])]


def test_feedback_holds_verdicts_and_no_hidden_test(classroom):
    found = classroom.course.glob("feedback/*/*/small.html")
    pages = {path.parent.parent.name: path.read_text("utf-8") for path in found}
    assert set(pages) == set(classroom.rows) - {"unreadable", "missing", "folder_instead"}
    for student, page in pages.items():
        for secret in ("HIDDEN", "value_under_test", b"value_under_test".hex(), "<script", "Traceback (most"):
            assert secret not in page, (student, secret)
    for name in ("small-square-test", "small-words"):
        assert f'<a href="#{name}">{name}</a> (Score' in pages["correct"]
    assert pages["correct"].count("passed") == 3 and "not passed" not in pages["correct"]
    assert "a hidden test fails" in pages["hard_coded"]
    assert pages["empty"].count("not passed: NotImplementedError; run the notebook") == 2
    assert "not passed: CellTimeoutError" in pages["endless"] and "not passed: KernelDied" in pages["dies"]


class Elements(html.parser.HTMLParser):
    """All elements of a page, (tag, attributes)."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def feedback_page(course, student):
    return course / "feedback" / student / "small" / "small.html"


def test_feedback_shows_words_and_pictures_and_nothing_that_runs_or_loads(classroom):
    page = feedback_page(classroom.course, "decorates").read_text("utf-8")
    elements = Elements(page).found
    forbidden = {"script", "iframe", "object", "svg", "form", "details", "link", "base", "embed"}
    assert not forbidden & {tag for tag, _ in elements}
    assert [attributes for tag, attributes in elements if tag == "meta"] == [{"charset": "utf-8"}]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    loaded = [attributes["src"] for _, attributes in elements if "src" in attributes]
    assert loaded == ["proof.png"] and feedback_page(classroom.course, "decorates").with_name(loaded[0]).is_file()
    assert "javascript:" not in [attributes.get("href", "").partition("document")[0] for _, attributes in elements]
    assert "$x^2&lt;y$" in page and "<em>square</em>" in page
    assert "@import" not in "".join(part.partition("</style>")[0] for part in page.split("<style")[1:])


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)")
def test_feedback_runs_nothing_in_a_browser(classroom, look):
    page = look(feedback_page(classroom.course, "decorates"))
    page.wait_for_timeout(1000)
    assert page.requests == [] and page.url.endswith("small.html") and page.title() == "small"


def test_words_in_another_cell_are_not_lost(classroom):
    row = classroom.rows["words_elsewhere"]
    assert row["needs_marking"] == "yes" and "words in cells of the student's own" in row["note"]
    assert classroom.rows["correct"]["note"] == ""


def test_no_setting_of_the_account_reaches_what_students_get(classroom):
    versions = list(classroom.course.glob("release/*/*"))
    assert [path.name for path in versions] == ["small.ipynb"] and "HIDDEN" not in versions[0].read_text("utf-8")
    assert nbformat.read(versions[0], as_version=4) == classroom.release


@pytest.fixture(scope="module")
def course_of_four(tmp_path_factory):
    """A course and its submissions, graded until the run was interrupted; and the students that were done by then."""
    folder = tmp_path_factory.mktemp("four")
    course, submissions = new_course(folder), folder / "submissions"
    hand_in(submissions, "small", small_set(), released(course), SMALL, ["correct", "empty", "hard_coded", "wrong"])
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


def test_an_interrupted_run_goes_on_where_it_stopped(course_of_four):
    course, submissions, done = course_of_four
    assert 0 < len(done) < 4
    said, rows = grade(course, submissions)
    assert students_that_ran(said) == set(rows) - done and len(rows) == 4
    for kind, row in rows.items():
        assert float(row["automatic"]) == expected_score(small_set(), SMALL, kind)


def test_a_second_run_grades_what_changed_and_collects_marks_given_by_hand(course_of_four):
    course, submissions, _ = course_of_four
    shutil.copy(submissions / "correct" / "small.ipynb", submissions / "wrong" / "small (1).ipynb")
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
    assert students_that_ran(said) == {"wrong"}
    assert rows["wrong"]["automatic"] == rows["correct"]["automatic"] == "8.0"
    marked = rows["hard_coded"]
    assert (marked["score"], marked["by_hand"], marked["needs_marking"]) == ("6.0", "2.0", "no")
    assert "Why not zero?" in (course / "feedback" / "hard_coded" / "small" / "small.html").read_text("utf-8")


def test_another_folder_adds_to_the_table(course_of_four):
    """A late submission, by a student whose name no folder of nbgrader may have, in the letters of a Mac or of none."""
    course, submissions, _ = course_of_four
    name, late = "Zoë O'Brien " + 200 * "x", submissions.parent / "late"
    home = os.fsencode(late / unicodedata.normalize("NFD", name)) + b"M\xfcller"
    os.makedirs(home)
    shutil.copy(submissions / "correct" / "small.ipynb", os.fsdecode(home))
    (late / "absent").mkdir()
    _, before = grade(course, submissions)
    said, rows = grade(course, late)
    assert grade(course, submissions)[1] == rows
    absent = rows.pop("absent")
    assert (absent["status"], absent["score"]) == ("missing", "0.0")
    (line,) = [line for line in said.splitlines() if line.startswith("small  ")]
    student = re.fullmatch(r"small  (Zoë O_Brien x+-\w{6}): graded", line)[1]
    assert len(said.splitlines()) == 2 + (not WALLS)
    row = rows.pop(f"{name}M\\xfcller")
    assert float(row["automatic"]) == 8 and row["note"] == f"feedback in {student}"
    assert (course / "feedback" / student / "small" / "small.html").is_file()
    assert rows == before


def test_without_bubblewrap_it_says_so_and_limits_what_it_can(tmp_path):
    course, submissions = new_course(tmp_path), tmp_path / "submissions"
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no namespaces >&2\nexit 1\n")
    broken.chmod(0o755)
    kinds = ["correct", "dies", "endless", "memory_hog", "wants_secrets"]
    hand_in(submissions, "small", small_set(), released(course), SMALL, kinds)
    said, rows = grade(course, submissions, PATH=f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    assert "NO SANDBOX: bubblewrap does not work here: no namespaces" in said
    for kind in kinds:
        assert rows[kind]["status"] == KINDS[kind].status, rows[kind]
        assert float(rows[kind]["automatic"]) == expected_score(small_set(), SMALL, kind), rows[kind]


def test_every_kind_is_counted():
    assert set(simulated_class.CLASS) <= set(KINDS) and len(simulated_class.CLASS) * 5 >= 60
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
