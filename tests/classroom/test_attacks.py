"""What submissions may try against the machine that grades them, and what they get of it: nothing.

Each attack is code in the place of a right answer, whose function is right again only if the attack had success.
"""

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from simulated_class import SMALL, Submission, nbformat, small_set
from small_course import ASSIGNMENTS, WALLS, grade, new_course, released

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading.sandbox import SandboxedExecute  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.other,
    pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here: nothing outside is protected"),
]

# {name: body of the function}; `right` is the right function. What raises has no success either.
ON_THE_MACHINE = {
    "the environment of the first process": """
text = open('/proc/1/environ').read()
return right(*arguments) if 'SECRET' in text or 'HOME=' in text else None""",
    "the environment of any process": """
import glob
texts = [open(path).read() for path in glob.glob('/proc/[0-9]*/environ')]
return right(*arguments) if any('SECRET' in text for text in texts) else None""",
    "settings of the kernel": """
open('/proc/sys/kernel/core_pattern', 'a').close()
return right(*arguments)""",
    "much in shared memory": """
for number in range(3):
    open(f'/dev/shm/{number}', 'wb').write(bytes(60 * 2**20))
return right(*arguments)""",
    "a file among the devices": "open('/dev/file', 'w').close()\nreturn right(*arguments)",
    "a file in the root": "open('/file', 'w').close()\nreturn right(*arguments)",
    "much in its folder": """
for number in range(6):
    open(str(number), 'wb').write(bytes(60 * 2**20))
return right(*arguments)""",
    "many processes": """
import subprocess
started = [subprocess.Popen(['sleep', '60']) for _ in range(200)]
import time
time.sleep(2)
return right(*arguments) if all(process.poll() is None for process in started) else None""",
    "a long error": "raise ValueError(150_000_000 * 'x')",
    "a long name of an error": "raise type(2 * 10**6 * 'x', (Exception,), {})('x')",
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    course, submissions = new_course(folder), folder / "submissions"
    release = released(course)
    for name, body in {"no attack": "return right(*arguments)", **ON_THE_MACHINE}.items():
        submission = Submission(small_set(), release, SMALL)
        submission.define(body)
        (submissions / name).mkdir(parents=True)
        nbformat.write(submission.notebook, submissions / name / "small.ipynb")
    said, rows = grade(course, submissions)
    return SimpleNamespace(course=course, rows=rows, said=said)


@pytest.mark.parametrize("name", ON_THE_MACHINE)
def test_an_attack_has_no_success(attacked, name):
    row = attacked.rows[name]
    assert float(attacked.rows["no attack"]["automatic"]) == 8
    assert float(row["automatic"]) <= 4 and row["status"] in ("graded", "crashed", "timed out"), row


@pytest.mark.parametrize("name", ON_THE_MACHINE)
def test_what_is_stored_of_it_is_small(attacked, name):
    (stored,) = attacked.course.glob(f"autograded/{name}/small/small.ipynb")
    assert stored.stat().st_size < 2**21


@pytest.mark.parametrize(
    "limits, beside, ends",
    [({}, 0, False), ({"memory": 2**10}, 0, True), ({"processes": 1}, 0, True), ({}, 2**20 + 1, True)],
)
def test_all_processes_together_are_watched(tmp_path, limits, beside, ends):
    (tmp_path / "beside").write_bytes(bytes(beside))
    started = subprocess.Popen(["sh", "-c", "sleep 50 & wait"])
    kernel = SimpleNamespace(provisioner=SimpleNamespace(pid=started.pid))
    settings = {"km": kernel, "folder": tmp_path, "processes": 64, "memory": 2**31} | limits
    ended = threading.Event()
    watcher = threading.Thread(target=SandboxedExecute.watch, args=(SimpleNamespace(**settings), ended))
    watcher.start()
    try:
        if ends:
            assert started.wait(timeout=30) == -9
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(timeout=2)
    finally:
        ended.set()
        watcher.join()
        for process in (["pkill", "-P", str(started.pid)], ["kill", "-9", str(started.pid)]):
            subprocess.run(process, stderr=subprocess.DEVNULL)
        started.wait()
