"""Commands of nbgrader run in copies of one process that knows nothing of a course."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
from small_course import ASSIGNMENTS, new_course
from sweeping import wait_for

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import command  # noqa: E402
from grading.command import nbgrader, original  # noqa: E402

pytestmark = pytest.mark.slow
LONG = 30  # seconds, of which the test waits for one


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    original().kill()
    original().communicate()
    original.cache_clear()


def test_exit_codes_and_words_are_those_of_the_command(tmp_path):
    code, said = nbgrader(new_course(tmp_path), "--version")
    assert code == 0 and "nbgrader version" in said
    code, said = nbgrader(tmp_path / "course", "autograde", "ä_set_that_is_not_there")
    assert code == 1 and "ä_set_that_is_not_there" in said


def test_commands_at_a_time_have_one_original_and_their_own_words_and_folders(tmp_path):
    courses = [new_course(tmp_path / name) for name in ("one", "two")]
    before, names = original().pid, ("first", "second")
    with ThreadPoolExecutor(2) as pool:
        codes = pool.map(lambda course, name: nbgrader(course, "db", "assignment", "add", name)[0], courses, names)
        assert list(codes) == [0, 0]
        said = pool.map(lambda course: nbgrader(course, "db", "assignment", "list")[1], courses)
        assert ["first" in words and "second" not in words for words in said] == [True, False]
    assert original().pid == before and all((course / "gradebook.db").is_file() for course in courses)


def test_a_command_without_end_is_ended_with_all_that_it_started(monkeypatch, tmp_path):
    copy, started, course, told = command.copy, [], new_course(tmp_path), tmp_path / "child"
    child = f"import pathlib, time; time.sleep({LONG}); pathlib.Path({str(tmp_path / 'slept')!r}).touch()"
    with open(course / "nbgrader_config.py", "a") as settings:
        settings.write(f"\nimport subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}])\n")
        settings.write(f"open({str(told)!r}, 'w').write(f'{{child.pid}}\\n')\nchild.wait()\n")

    def with_a_child(command):
        """Patience begins when the child has."""
        started.append(copy(command))
        wait_for(lambda: told.exists() and told.read_text().endswith("\n"))
        return started[-1]

    monkeypatch.setattr(command, "copy", with_a_child)
    assert nbgrader(course, "db", "assignment", "list", patience=1) == (None, "ended after 1 s")
    assert not started[0].is_running()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(told.read_text())).wait(5)  # whoever inherits it may take a moment to notice
    assert not (tmp_path / "slept").exists()


def test_after_its_end_another_original_is_started(tmp_path):
    first = original()
    psutil.Process(first.pid).kill()
    first.wait()
    code, _ = nbgrader(new_course(tmp_path), "--version")
    assert code == 0 and original().pid != first.pid
