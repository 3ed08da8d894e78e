"""Release and grader start in a clean room, and refuse in one sentence what they cannot do; nothing is run twice."""

import os
import subprocess
import sys
import tempfile

import pytest
from small_course import ASSIGNMENTS, FLAGS, OTHER_MARKERS, WALLS, new_course, strange_account

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import room  # noqa: E402

pytestmark = pytest.mark.slow


def started(script, *arguments, before=(), **variables):
    command = [*before, sys.executable, str(script), *map(str, arguments)]
    environment = os.environ | variables
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, timeout=300
    )


@pytest.fixture
def course(tmp_path):
    return new_course(tmp_path)


def handed_in(course):
    """A folder of submissions; what is in it is not reached."""
    notebook = course.parent / "handed_in" / "a" / "small.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text("{}")
    return notebook.parents[1]


def test_a_student_version_with_hidden_tests_is_refused_whatever_left_them_in(course):
    """Here the settings of the course itself; and before anybody is graded or any student version replaced."""
    with open(course / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(OTHER_MARKERS)
    ended = started(course / "grade.py", handed_in(course), *FLAGS)
    assert (
        ended.returncode == 1
        and "The student versions were not replaced:\nsmall: a marker of" in ended.stderr
    )
    assert (
        "small: of the hidden tests of small-square-test this is left: value_under_test = square"
        in ended.stderr
    )
    assert not (course / "release").exists() and not (course / "graded").exists()


SHOW = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from grading import room
room.enter()
import random
print(sys.argv[1:], sys.flags.isolated, sys.flags.optimize, sys.flags.utf8_mode, sorted(os.environ))
print(os.listdir(os.environ["HOME"]), os.path.dirname(os.environ["HOME"]) == os.environ["TMPDIR"], os.environ["HOME"])
"""


def test_of_account_and_shell_nothing_comes_in(course, tmp_path):
    """Whatever is set, and also where what is set leads nowhere."""
    (course / "show.py").write_text(SHOW)
    strange = strange_account(tmp_path / "home") | {
        "CLASS_SECRET": "token",
        "HOME": str(tmp_path / "home"),
    }
    for variables in (
        strange,
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
        {"GRADING_ROOM_OF_PROCESS": "1"},
    ):
        ended = started(course / "show.py", "Zoë \udcff", **variables)
        first, second = ended.stdout.splitlines()
        variables = ["HOME", "JUPYTER_NO_CONFIG", "LC_ALL", "PATH", "TMPDIR"]
        assert first == f"['Zoë \\udcff'] 1 0 1 {variables}" and second.startswith("[] True "), (
            ended
        )
        assert not os.path.exists(second.split()[-1])  # nothing stays behind


@pytest.mark.parametrize("script", ["grade.py", "release.py"])
@pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here")
def test_a_course_that_cannot_be_written_ends_with_what_to_do(course, script):
    read_only = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(course), str(course)]
    ended = started(
        course / script, *[handed_in(course), *FLAGS] * (script == "grade.py"), before=read_only
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        f"{course} cannot be written to. Copy the folder {course} to one of your own, and start it there.\n"
    )


@pytest.mark.parametrize("name", [95 * "t", "[a]", "what?", "a b", "ü", "none", "50%"])
def test_a_folder_for_sockets_is_short_plain_and_there(monkeypatch, tmp_path, name):
    folder = tmp_path / name
    if name != "none":
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    assert room.short_folder(200 if len(name) < 90 else 80) == "/tmp"


def test_a_good_folder_for_temporary_files_is_used(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        assert room.short_folder() == folder
        monkeypatch.setattr(room.os, "access", lambda *arguments: False)
        with pytest.raises(SystemExit, match="no folder for temporary files"):
            room.short_folder()


def test_root_is_refused_unless_told_so(course):
    if os.geteuid():
        pytest.skip("only root is refused")
    ended = started(course / "grade.py", handed_in(course))
    assert ended.returncode == 2 and "you are root" in ended.stderr and "--as-root" in ended.stderr
    assert not (course / "release").exists()
