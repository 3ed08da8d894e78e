"""A class made by code, one student of each kind, is graded: every score, status and file is what it has to be."""

import html.parser
import socket
from pathlib import Path
from types import SimpleNamespace

import browser
import nbformat
import psutil
import pytest
from simulated_class import KINDS, SMALL, expected_score, hand_in, small_set
from small_course import WALLS, contents, grade, new_course, released, strange_account

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")

TRACE = "written-by-a-submission"
needs_walls = pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here: nothing outside is protected")
# Without walls these would reach what they should not, on the machine that runs the tests.
UNSAFE = {"writes_outside", "starts_others", "spies", "calls_home"}
pytestmark = [pytest.mark.slow, pytest.mark.other]


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
    assert "a hidden test fails for this kind of input: more than two entries" in pages["hard_coded"]
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
    assert "<mo>&lt;</mo><mi>y</mi>" in page and "<em>square</em>" in page
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
