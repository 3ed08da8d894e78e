"""What a folder of submissions may hold: everything is taken, or named, and nothing ends the grading of the others."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat import v3, v4
from simulated_class import small_set
from small_course import ASSIGNMENTS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import feedback, grader, repair, sandbox, submissions, table, versions, whole_class  # noqa: E402

SETS = ["small"]


def written(path, content=b"{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


TAKEN = [
    "small.ipynb",
    "Copy of small.ipynb",
    "Mueller_small.ipynb",
    "SMALL (2).ipynb",
    "week 1/small.ipynb",
    "small.ipynb/small.ipynb",
    "small.IPYNB",
    "small.ipynb ",
    "small .ipynb",
    "small.ipynb.json",
    "small.ipynb.txt",
    "small\udcfc.ipynb",
    "small\n.ipynb",
]
NOT_TAKEN = [
    "smaller.ipynb",
    "other.ipynb",
    "dismall.ipynb",
    "small.pdf",
    "small.zip",
    "small.html",
]


def test_notebooks_are_taken_by_their_names(tmp_path):
    expected = {
        f"student {i}": written(tmp_path / f"student {i}" / name) for i, name in enumerate(TAKEN)
    }
    found = submissions.find(tmp_path, SETS)
    assert {student: what.notebook for (student, _), what in found.items()} == expected
    assert {what.note for what in found.values()} == {""}


def test_what_is_not_taken_is_named(tmp_path, capsys):
    written(tmp_path / "somebody" / "small.ipynb")
    for name in NOT_TAKEN:
        written(tmp_path / "others" / name)
    written(tmp_path / "others" / ".ipynb_checkpoints" / "small.ipynb")
    strange = tmp_path / "strange"
    (strange / "a small.ipynb").mkdir(parents=True)
    os.mkfifo(strange / "b small.ipynb")
    (strange / "c small.ipynb").symlink_to(tmp_path / "somebody" / "small.ipynb")
    (strange / "d").symlink_to(tmp_path / "somebody")
    (tmp_path / "empty").mkdir()
    written(tmp_path / "loose small\udcff.ipynb")
    found = submissions.find(tmp_path, SETS)
    assert [student for (student, _), what in found.items() if what.notebook] == ["somebody"]
    named = ", ".join(f"{name} (its name)" for name in sorted(NOT_TAKEN))
    assert found["others", "small"].note == f"not taken: {named}"
    assert found["strange", "small"].note == (
        "not taken: a small.ipynb (a folder), b small.ipynb (no ordinary file), c small.ipynb (a link), d (a link)"
    )
    assert found["empty", "small"].note == ""
    assert "in no folder of a student: loose small\\xff.ipynb" in capsys.readouterr().out


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    written(tmp_path / "somebody" / "small.ipynb")
    walk = os.walk

    def closed(home, onerror):
        if home.name == "closed":
            onerror(PermissionError(13, "Permission denied", str(home / "week 1")))
        return walk(home, onerror=onerror)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(submissions.os, "walk", closed)
    note = submissions.find(tmp_path, SETS)["closed", "small"].note
    assert note == "not taken: week 1 (cannot be opened: Permission denied)"


def test_the_newest_of_several_counts_and_the_table_says_so(tmp_path):
    newest = written(tmp_path / "deep" / "week 1" / "small.ipynb")
    os.utime(written(tmp_path / "deep" / "old_small.ipynb"), (0, 0))
    assert submissions.find(tmp_path, SETS)["deep", "small"] == (
        "deep",
        newest,
        "the newest of 2, week 1/small.ipynb",
    )


def test_a_folder_without_any_notebook_ends_with_a_sentence(tmp_path):
    written(tmp_path / "others" / "other.ipynb")
    with pytest.raises(SystemExit, match="No notebook called after a problem set"):
        submissions.find(tmp_path, SETS)


def test_different_names_stay_different(tmp_path):
    """Also those that nbgrader cannot have as they are, are no UTF-8, or differ in capitals only."""
    names = [
        "O'Brien",
        "O_Brien",
        'O"Brien',
        "anna",
        "Anna",
        "M\udcfcller",
        "M\\xfcller",
        "M_xfcller",
        250 * "x",
    ]
    names += [250 * "x" + "y", "Zoë ", "Zoë", "0123", "-x", "a,b", "a;b", "[ab]", "{a}"]
    for name in names:
        written(tmp_path / name / "small.ipynb", name.encode("utf-8", "surrogateescape"))
    found = submissions.find(tmp_path, SETS)
    assert len(found) == len(names) - 1  # what is written M\xfcller, and what is shown so
    for (student, _), what in found.items():
        assert len(student.encode()) <= 100 and submissions.identifier(student) == student
        assert what.name.encode() and (student == what.name) == (what.note == "")
    assert found["O_Brien", "small"].notebook.parent.name == "O_Brien"


def test_one_name_in_two_ways_of_writing_is_one_student(tmp_path):
    written(tmp_path / "Zo\u00eb" / "small.ipynb")
    os.utime(written(tmp_path / "Zoe\u0308" / "small.ipynb"), (0, 0))
    ((key, what),) = submissions.find(tmp_path, SETS).items()
    assert key == ("Zo\u00eb", "small") and what.note == "the newest of 2, small.ipynb"


def stored(cells, **more):
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more


def cell(source="x = 1", **more):
    return {"cell_type": "code", "source": source, "metadata": {}} | more


DAMAGED = {
    "utf-8 with a mark": (json.dumps(stored([cell()])).encode("utf-8-sig"), ["x = 1"]),
    "utf-16": (json.dumps(stored([cell()])).encode("utf-16"), ["x = 1"]),
    "half a character": (stored([cell("s = '\ud83d'")]), ["s = '\ufffd'"]),
    "a character in two lines": (stored([cell(["s = '\ud83d", "\ude00'"])]), ["s = '\U0001f600'"]),
    "a heading": (stored([cell("Title", cell_type="heading", level=1)]), ["# Title"]),
    "an unknown kind": (
        stored([cell(cell_type="poem"), cell(cell_type=None), cell(cell_type=[])]),
        3 * ["x = 1"],
    ),
    "no text": (stored([cell(None), cell(7), cell({}), cell(["a", 7])]), ["", "", "", "a"]),
    "no cell": (stored([None, "x", cell()]), ["x = 1"]),
    "null": (stored([cell(metadata=None)], metadata=None, nbformat=None), ["x = 1"]),
    "odd ids": (
        stored([cell(metadata={"nbgrader": {"grade_id": []}}), cell(id=[]), cell(id="a b")]),
        3 * ["x = 1"],
    ),
    "one id": (stored([cell(id="a"), cell("y", id="a")]), ["x = 1", "y"]),
    "odd attachments": (
        stored(
            [
                cell(
                    "x",
                    cell_type="markdown",
                    attachments={"a\ud83d": {"a/b": ["c", 7], "d": 1}, "e": None},
                )
            ]
        ),
        ["x"],
    ),
    "numbers that are none": (stored([cell(metadata={"points": float("nan")})]), ["x = 1"]),
    "version 3": (
        v3.new_notebook(worksheets=[v3.new_worksheet(cells=[v3.new_code_cell("x = 1")])]),
        ["x = 1"],
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_notebook_is_read_and_can_be_stored(tmp_path, what):
    content, sources = DAMAGED[what]
    path = written(
        tmp_path / "small.ipynb",
        content if isinstance(content, bytes) else json.dumps(content).encode(),
    )
    submitted = repair.read(path)
    assert [cell.source for cell in submitted.cells] == sources
    rebuilt, _ = repair.repaired(submitted, small_set())
    nbformat.validate(rebuilt)
    nbformat.write(rebuilt, tmp_path / "rebuilt.ipynb")
    answers = [
        cell for cell in small_set().cells if cell.metadata.get("nbgrader", {}).get("points")
    ]
    assert len(nbformat.read(tmp_path / "rebuilt.ipynb", as_version=4).cells) == len(sources) + len(
        answers
    )


@pytest.mark.parametrize(
    "content, note",
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"null", "no cells are in it"),
        (b"[1]", "no cells are in it"),
        (b'{"cells": {}}', "no cells are in it"),
        (b'{"cells": [', "JSONDecodeError"),
        (b'{"cells": ' + 10**5 * b"[", "nested too deeply"),
        (b'{"cells": [{"source": "caf\xe9"}]}', "UnicodeDecodeError"),
        (b'{"cells": 7}', "TypeError"),
        (b'{"worksheets": 7}', "no notebook"),
        (b"%PDF-1.5 \x00\xff", "no notebook"),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_sentence(tmp_path, content, note):
    with pytest.raises(ValueError, match="no notebook: ") as refused:
        repair.read(written(tmp_path / "small.ipynb", content))
    assert note in str(refused.value)


@pytest.mark.parametrize(
    "content, note",
    [
        (b'{"cells": [' + 1000 * b"{}," + b"{}]}", "more than 1000 cells"),
        (b'{"cells": [{}], "a": [' + 10**6 * b"[],[],[]," + b"1]}", "more than 3000000 parts"),
        (json.dumps(stored([cell(cell_type="code", source=10**6 * "x" + "y")])).encode(), "in its code cells"),
        (json.dumps(stored(150 * [cell(cell_type="raw", source=1001 * "x")])).encode(), "in its other cells"),
    ],
    ids=["cells", "parts", "code", "words"],
)
def test_what_would_take_too_much_of_memory_or_time_is_refused_at_once(tmp_path, content, note):
    path, began = written(tmp_path / "small.ipynb", content), time.monotonic()
    with pytest.raises(ValueError, match="no notebook: more than ") as refused:
        repair.read(path)
    assert note in str(refused.value) and time.monotonic() - began < 5


@pytest.mark.parametrize(
    "piece", ["np.", "np.a ", "x.np.a =", "checks.a", ".assert_a", "sys.modules.", "a.", " ", "_", "=", "In["]
)
def test_code_is_looked_at_in_time_that_grows_like_its_length(piece):
    """`np.np.np...` took 14 s for 40 kB, four times as long for twice as much, and nothing else went on meanwhile."""
    began = time.monotonic()
    notes = repair.to_read("its code", piece * (500_000 // len(piece)))
    assert time.monotonic() - began < 5 and len("".join(notes)) < 2000


def test_a_note_is_short_and_commands_no_terminal(course, monkeypatch, capsys):
    """In it are words of the student: names of modules that are missing, names that are given values."""
    notebook = course / "handed_in" / "a" / "small.ipynb"
    nbformat.write(small_set(), written(notebook))
    hostile = "\x1b]0;mine\x07 \x9b2J \u202egnp.exe \u2066 \ud83d " + 10**6 * "x"
    new = {"status": "graded", "note": hostile, "digest": ""}
    monkeypatch.setattr(grader, "graded_now", lambda *arguments: new)
    record = grader.grade("a", "small", submissions.Found("a", notebook, ""))
    said = capsys.readouterr().out
    assert record["note"].startswith("\\x1b]0;mine\\x07 \\x9b2J \\x202egnp.exe \\x2066 \\xd83d xxx")
    assert len(record["note"]) < 3000 > len(said) and said.strip().isprintable()


def test_names_of_any_language_stay_and_those_that_turn_the_line_do_not():
    assert submissions.readable("علی\u200cرضا Zoë 李") == "علی\u200cرضا Zoë 李"
    assert submissions.readable("a\u202efdp.ipynb") == "a\\x202efdp.ipynb"


def test_a_long_date_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "parse_utc", lambda text: pytest.fail("read"))
    assert not grader.is_date(written(tmp_path / "timestamp.txt", 10**6 * b"1 "))


def test_a_huge_file_is_not_read(tmp_path):
    path = written(tmp_path / "small.ipynb")
    os.truncate(path, repair.LARGEST + 1)
    with pytest.raises(ValueError, match="no notebook: larger than 100 MB"):
        repair.read(path)


def test_of_two_copies_with_one_id_the_first_counts():
    release, submitted = small_set(), small_set()
    place = [cell.get("id") for cell in submitted.cells].index("small-norm")
    twin = v4.new_code_cell("copy", id="small-norm", metadata=submitted.cells[place].metadata)
    submitted.cells.insert(place + 1, twin)
    rebuilt, notes = repair.repaired(submitted, release)
    (kept,) = [cell for cell in rebuilt.cells if repair.grade_id(cell) == "small-norm"]
    assert kept.source == submitted.cells[place].source and "copied cells: small-norm" in notes


@pytest.mark.parametrize(
    "text, taken",
    [
        ("2026-02-03 10:00:00 UTC", True),
        ("last night", False),
        ("", False),
        ("9" * 500, False),
        ("\udcff", False),
    ],
)
def test_only_a_date_is_taken_for_one(tmp_path, text, taken):
    """nbgrader takes timestamp.txt for the time of handing in, and stops when it is none."""
    notebook = written(tmp_path / "small.ipynb")
    date = written(tmp_path / "timestamp.txt", text.encode("utf-8", "surrogateescape"))
    assert grader.attached(notebook) == (
        ([date], []) if taken else ([], ["timestamp.txt (no date)"])
    )


def test_files_beside_the_notebook_come_along_or_are_named(tmp_path, monkeypatch):
    notebook, module = written(tmp_path / "small.ipynb"), written(tmp_path / "helper.py")
    os.mkfifo(tmp_path / "pipe")
    written(tmp_path / "other.ipynb.txt")
    written(tmp_path / "fast.so")
    os.truncate(written(tmp_path / "video.mp4"), grader.LARGEST + 1)
    closed = written(tmp_path / "secret.py")
    monkeypatch.setattr(grader.os, "access", lambda path, mode: path != closed)
    assert grader.attached(notebook) == (
        [module],
        ["fast.so (a module that nobody can read)", "secret.py (cannot be opened)", "video.mp4 (too large)"],
    )


def test_a_module_that_is_missing_here_is_noted_and_the_first_stop_gives_the_status():
    cells = [v4.new_code_cell(source) for source in ("import mpmath", "exit()", "1 / 0")]
    names = [("ModuleNotFoundError", "No module\nnamed 'mpmath'"), ("KernelDied", ""), ("CellTimeoutError", "")]
    for cell, (ename, evalue) in zip(cells, names, strict=True):
        cell.outputs = [v4.new_output("error", ename=ename, evalue=evalue, traceback=[])]
    status, notes = grader.ending(v4.new_notebook(cells=cells))
    assert status == "crashed" and notes[1:] == ["KernelDied in 'exit()'"]
    assert notes[0].startswith("a module is missing here: No module named 'mpmath', in 'import mpmath'; install")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The folder of a course in which nothing was graded yet."""
    for module in (feedback, grader, table):
        monkeypatch.setattr(module, "COURSE", tmp_path)
    for part in ("source", "release"):
        nbformat.write(small_set(), written(tmp_path / part / "small" / "small.ipynb"))
    return tmp_path


@pytest.mark.parametrize(
    "error, note",
    [
        (
            PermissionError(13, "Permission denied", "/home/x/sm\udcffall.ipynb"),
            "Permission denied: sm\\xffall.ipynb",
        ),
        (KeyError("heading"), "KeyError: 'heading'"),
        (
            UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"),
            "UnicodeEncodeError",
        ),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError"),
    ],
)
def test_an_error_of_one_submission_becomes_its_row(course, monkeypatch, error, note):
    def fails(path):
        raise error

    notebook = written(course / "handed_in" / "a" / "small.ipynb")
    monkeypatch.setattr(
        grader.repair, "read", fails if not isinstance(error, ValueError) else repair.read
    )
    monkeypatch.setattr(grader, "attached", fails)
    record = grader.grade("a", "small", submissions.Found("a", notebook, ""))
    assert record["status"] == "failed" and record["note"].startswith(note)
    assert "more in graded/small/a.log" in record["note"] and "\n" not in record["note"]
    assert "Traceback" in (course / "graded" / "small" / "a.log").read_text("utf-8")
    assert grader.stored_record(course / "graded" / "small" / "a.json") == record


def test_a_failed_nbgrader_leaves_a_note_and_what_it_said(course, monkeypatch):
    notebook = course / "handed_in" / "a" / "small.ipynb"
    nbformat.write(small_set(), written(notebook))
    monkeypatch.setattr(
        grader, "nbgrader", lambda *arguments, **options: (1, "one\n[ERROR] two\nthree")
    )
    record = grader.grade("a", "small", submissions.Found("a", notebook, ""))
    assert (record["status"], record["note"]) == (
        "failed",
        "[ERROR] two; more in graded/small/a.log",
    )
    assert "three" in (course / "graded" / "small" / "a.log").read_text("utf-8")


def test_the_table_is_written_whatever_a_record_holds(course, monkeypatch):
    class Gradebook:
        def __init__(self, address):
            self.db = SimpleNamespace(rollback=lambda: None)

        __enter__, __exit__ = lambda self: self, lambda self, *error: None

        def find_assignment(self, name):
            raise LookupError(f"no set {name}")

    monkeypatch.setattr(table, "Gradebook", Gradebook)
    written(course / "graded" / "small" / "broken.json", b'{"status": ')
    written(course / "graded" / "small" / "list.json", b"[]")
    record = {"student": "a", "set": "small", "name": "\ud83d", "status": "graded", "note": "read"}
    assert table.write_table([record]) == 3
    rows = (course / "grades.csv").read_text("utf-8")
    assert (
        "\\ud83d,small,graded" in rows
        and "read; its marks cannot be read: LookupError: no set small" in rows
    )
    assert rows.count("is damaged: delete it") == 2


def test_one_page_that_cannot_be_written_is_missing_alone(course, monkeypatch, capsys):
    for student in ("a", "b"):
        written(course / "autograded" / student / "small" / "small.ipynb")
    calls = []

    def nbgrader(course, *arguments, patience):
        calls.append(arguments)
        if "--student=a" in arguments:
            return None, f"ended after {patience} s"
        written(course / "feedback" / "b" / "small" / "small.html", b"<script>x</script>page")
        written(course / "feedback" / "b" / "small" / "own.html", b"<script>caf\xe9")
        return 0, ""

    monkeypatch.setattr(feedback, "nbgrader", nbgrader)
    monkeypatch.setattr(feedback, "Gradebook", contextlib.nullcontext)
    monkeypatch.setattr(feedback, "remarks", lambda gradebook, student, name: [])
    assert feedback.write_feedback() == 1
    assert calls == [("generate_feedback", "--assignment=small", f"--student={student}") for student in "ab"]
    assert "No feedback could be written for a, small:" in capsys.readouterr().out
    assert (course / "feedback" / "b" / "small" / "small.html").read_text("utf-8") == "page"


@pytest.mark.parametrize(
    ("waits", "mark", "empty"), [(False, None, True), (True, None, False), (False, 2.0, False)]
)
def test_an_answer_is_empty_until_somebody_wrote_or_marked_it(waits, mark, empty):
    answer = SimpleNamespace(name="words", manual_score=mark, needs_manual_grade=waits)
    test = SimpleNamespace(name="test", manual_score=None, needs_manual_grade=False)
    cells = SimpleNamespace(solution_cells=[SimpleNamespace(name="words")])
    submission = SimpleNamespace(notebooks=[SimpleNamespace(grades=[answer, test], notebook=cells)])
    assert table.left_empty(submission) == empty


STUB = 'raise NotImplementedError("Write your answer here, in place of this line.")'


def student_version():
    """The small set as students get it, made by hand."""
    version = small_set()
    for question in version.cells:
        for what, instead in (("SOLUTION", STUB), ("HIDDEN TESTS", "")):
            before, begin, rest = question.source.partition(f"### BEGIN {what}")
            question.source = (
                before + instead + rest.partition(f"### END {what}")[2] if begin else before
            )
    return version


def test_a_student_version_without_secrets_has_no_leak():
    assert list(versions.leaks(small_set(), student_version())) == []


@pytest.mark.parametrize(
    "place, text, leak",
    [
        (
            3,
            "\n_np.testing.assert_allclose(float(value_under_test), 9.0, rtol=1e-12)",
            "hidden tests of small-square-test",
        ),
        (3, "\nvalue_under_test = square(-3.0)", "hidden tests of small-square-test"),
        (2, "\n    return x * x", "solution of small-square"),
        (6, "\nA square is never negative.", "solution of small-words"),
        (0, "\n### BEGIN HIDDEN TESTS", "a marker"),
        (0, "\n### END MARK SCHEME", "a marker"),
        (0, "\n# begin hidden tests", "a marker"),
    ],
)
def test_whatever_is_left_in_a_student_version_is_found(place, text, leak):
    version = student_version()
    version.cells[place].source += text
    assert any(leak in sentence for sentence in versions.leaks(small_set(), version))


@pytest.mark.parametrize("secret", ["", "### BEGIN HIDDEN TESTS"])
def test_student_versions_are_replaced_only_by_good_ones(course, monkeypatch, secret):
    def nbgrader(course, command, *options):
        (made,) = [
            option.partition("release_directory=")[2]
            for option in options
            if "release_directory" in option
        ]
        version = student_version()
        version.cells[0].source += secret
        nbformat.write(version, written(Path(made, "small", "small.ipynb")))
        written(Path(made, "small", "data.csv"))
        return 0, ""

    monkeypatch.setattr(versions.command, "nbgrader", nbgrader)
    before = (course / "release" / "small" / "small.ipynb").read_bytes()
    if secret:
        with pytest.raises(
            SystemExit, match="small: a marker of solutions, hidden tests or mark schemes is left"
        ):
            versions.release(course)
        assert (course / "release" / "small" / "small.ipynb").read_bytes() == before
    else:
        versions.release(course)
        made = nbformat.read(course / "release" / "small" / "small.ipynb", as_version=4)
        assert [cell.source for cell in made.cells] == [
            cell.source for cell in student_version().cells
        ]
        assert (course / "release" / "small" / "data.csv").is_file()


def test_an_output_left_in_a_student_version_is_found():
    version = student_version()
    version.cells[1].outputs = [v4.new_output("stream", text="9.0")]
    assert list(versions.leaks(small_set(), version)) == ["outputs are left"]


@pytest.mark.parametrize("name, score", [("small-words", 4.0), ("small-norm-test", 4.5), ("small-norm-test", -1.0)])
def test_points_above_the_maximum_of_the_source_are_no_marks(course, monkeypatch, name, score):
    """Whatever the gradebook says the maximum is: student code may have written there."""
    given = {"small-square-test": 3.0, "small-norm-test": 4.0, "small-words": 3.0, "small-cube-test": 1.0}

    class Gradebook:
        db = SimpleNamespace(rollback=lambda: None)
        __init__, __enter__ = lambda self, address: None, lambda self: self
        __exit__, find_assignment = lambda self, *error: None, lambda self, name: SimpleNamespace(max_score=11.0)

        def find_submission(self, problem_set, student):
            grades = [SimpleNamespace(name=cell, score=points, max_score=396.0) for cell, points in given.items()]
            cells = SimpleNamespace(solution_cells=[SimpleNamespace(name="small-words")])
            notebooks = [SimpleNamespace(grades=grades, notebook=cells)]
            return SimpleNamespace(notebooks=notebooks, score=sum(given.values()), needs_manual_grade=False)

    monkeypatch.setattr(table, "Gradebook", Gradebook)
    record = {"student": "a", "set": "small", "name": "a", "status": "graded", "note": ""}
    (row,) = table.table([record])
    assert (row["status"], row["score"]) == ("graded", 11.0)
    given[name] = score
    (row,) = table.table([record])
    assert row["status"] == "failed" and "score" not in row
    assert row["note"].startswith(f"more points than there are: {name} {score:g} of ")


@pytest.mark.parametrize(
    "code, word",
    [
        ("import numpy\nnumpy.testing.assert_allclose = print", "numpy.testing.assert_allclose ="),
        ("np.abs = lambda x: 0", "np.abs ="),
        ("setattr(x, 'y', 1)", "setattr"),
        ("ok = np.abs(x) == 1 and lib.x == 2", None),
    ],
)
def test_a_module_handed_in_is_read_like_a_cell(course, monkeypatch, code, word):
    notebook = course / "handed_in" / "a" / "small.ipynb"
    nbformat.write(small_set(), written(notebook))
    written(notebook.with_name("helper.py"), code.encode())
    monkeypatch.setattr(grader, "nbgrader", lambda *arguments, **options: (1, ""))
    record = grader.grade("a", "small", submissions.Found("a", notebook, ""))
    in_a_cell, in_the_module = ([f"read {what}, it uses {word}"] * bool(word) for what in ("its code", "helper.py"))
    assert repair.to_read("its code", code) == in_a_cell
    assert record["note"].startswith(in_the_module[0] if word else ";"), record["note"]


def test_student_versions_are_made_again_only_when_something_has_changed(course, monkeypatch):
    """A source, a student version that somebody touched, a setting; or a gradebook that was deleted."""
    made = []
    monkeypatch.setattr(versions, "release", made.append)
    (course / "nbgrader_config.py").write_text("")
    written(course / "gradebook.db")

    def runs():
        before = len(made)
        versions.release_changed(course)
        return len(made) - before

    assert [runs(), runs()] == [1, 0]
    for path in (course / "source" / "small" / "small.ipynb", course / "release" / "small" / "small.ipynb"):
        path.write_text(path.read_text() + " ")
        assert [runs(), runs()] == [1, 0]
    (course / "nbgrader_config.py").write_text("c = 1")
    assert [runs(), runs()] == [1, 0]
    (course / "gradebook.db").unlink()
    assert runs() == 1


def test_the_tests_of_a_class_run_in_copies_of_one_process(monkeypatch, tmp_path):
    """Every submission is told where it listens, and it has ended when all are graded.

    By then the gradebook knows all students: of two sets of one student, at a time, one would fail to enter them.
    """
    told, running, entered = [], [], []

    def examiner(no_sandbox):
        running.append(sandbox.examiner(no_sandbox))
        return running[-1]

    def grade(student, name, found, options):
        told.append((options, running[-1].running.poll(), sorted(entered)))

    @contextlib.contextmanager
    def gradebook(address):
        yield SimpleNamespace(update_or_create_student=entered.append)

    found = {(student, "small"): SimpleNamespace(notebook=tmp_path / student) for student in "ab"}
    found["nothing", "small"] = SimpleNamespace(notebook=None)
    monkeypatch.setattr(whole_class, "COURSE", tmp_path)
    written(tmp_path / "source" / "small" / "small.ipynb")
    for module, function in [("versions", "release_changed"), ("by_hand", "marked"), ("by_hand", "confirm")]:
        monkeypatch.setattr(getattr(whole_class, module), function, lambda given: None)
    monkeypatch.setattr(whole_class, "wanted", lambda found_in, student, name: found)
    monkeypatch.setattr(whole_class.submissions, "find", lambda folder, sets: found)
    monkeypatch.setattr(whole_class.table, "write_table", lambda records: 2)
    monkeypatch.setattr(whole_class.feedback, "write_feedback", lambda workers: 0)
    monkeypatch.setattr(whole_class, "examiner", examiner)
    monkeypatch.setattr(whole_class, "Gradebook", gradebook)
    monkeypatch.setattr(whole_class.grader, "grade", grade)
    whole_class.grade(tmp_path, 2, no_sandbox=True)
    (process,) = running
    options = ["--SandboxedExecute.no_sandbox=True", f"--SandboxedExecute.examiner={process.address}"]
    assert told == 3 * [(options, None, ["a", "b"])]
    assert process.running.poll() is not None and not Path(process.address).exists()
