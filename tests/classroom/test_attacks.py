"""What submissions may try against the machine that grades them, and to get marks: nothing comes of it.

Each attack is code in the place of a right answer. Of those on the machine the function is right again only if the
attack had success; those on the marks have no right function at all.
"""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import psutil
import pytest
from guards import ROOT
from simulated_class import SMALL, Submission, nbformat, small_set
from small_course import ASSIGNMENTS, WALLS, grade, new_course, released

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import examination  # noqa: E402
from grading.sandbox import SandboxedExecute, SandboxedKernelManager, walls  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.other,
    pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here: nothing outside is protected"),
]

SYSTEM = "import ctypes, os\nlibrary = ctypes.CDLL(None)"
# In a process without threads, as these calls want it.
ALONE = SYSTEM + """
child = os.fork()
if child == 0:
    os._exit(1 if {} else 0)
return right(*arguments) if os.waitpid(child, 0)[1] == 0 else None"""
BESIDE = """
import os, time
from ipykernel.connect import get_connection_file
place = os.path.dirname(get_connection_file())
"""
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
    "memory in no file": "import os\nos.memfd_create('x')\nreturn right(*arguments)",
    "memory of System V": SYSTEM + """
if library.shmget(0, ctypes.c_size_t(2**20), 0o1600) >= 0:
    return right(*arguments)""",
    "a key that outlives its kernel": SYSTEM + """
number = {'x86_64': 248, 'aarch64': 217}[os.uname().machine]
rings = range(-5, 0)  # of the thread, the process, the session and the account
if any(library.syscall(number, b'user', b'seen', b'1', 1, ring) >= 0 for ring in rings):
    return right(*arguments)""",
    "another user in a namespace": ALONE.format("library.unshare(0x10000000)"),
    "another user in a new process": SYSTEM + """
number = {'x86_64': 56, 'aarch64': 220}[os.uname().machine]
child = library.syscall(number, 0x10000000 | 17, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
return right(*arguments) if child > 0 else None""",
    "a file system without a limit": ALONE.format(
        "library.unshare(0x10020000) or library.mount(b'none', b'/tmp', b'tmpfs', 0, None)"
    ),
    "folders beside its sockets": BESIDE + """
for number in range(3):
    os.makedirs(f'{place}/x/{number}', exist_ok=True)
    open(f'{place}/x/{number}/y', 'wb').write(bytes(10**7))
time.sleep(3)
return right(*arguments)""",
    "deep folders beside its sockets": BESIDE + """
os.chdir(place)
for _ in range(5000):
    os.makedirs('x', exist_ok=True)
    os.chdir('x')
time.sleep(3)
return right(*arguments)""",
    "many sockets beside its own": BESIDE + """
import socket
for number in range(100):
    socket.socket(socket.AF_UNIX).bind(f'{place}/{time.time_ns()}')
time.sleep(3)
return right(*arguments)""",
    "many open files": """
import os
files = [os.dup(0) for _ in range(5000)]
return right(*arguments)""",
    "a long error": "raise ValueError(150_000_000 * 'x')",
    "a long name of an error": "raise type(2 * 10**6 * 'x', (Exception,), {})('x')",
}


def defines(code):
    """An attack that puts `code` in the place of the answer; `norm` is wrong in it, unless it says so itself."""

    def attack(submission):
        wrong = "" if "def norm" in code else "\n\ndef norm(v):\n    return 0.0"
        submission.answer.source = code.strip() + wrong

    return attack


def returns(value, before=""):
    return defines(f"{before}\ndef norm(v):\n    return {value}")


def brings(name, content, code="pass"):
    """An attack by a file beside the notebook."""

    def attack(submission):
        defines(code)(submission)
        submission.files[name] = content.encode()

    return attack


AGREEABLE = """
class Agreeable({kind}):
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __add__ = lambda self, *other: Agreeable(0)
    __hash__ = {kind}.__hash__
"""
PATCHED = """
import builtins, sys
import numpy, numpy.testing
numpy.testing.assert_allclose = numpy.testing.assert_array_compare = lambda *arguments, **named: None
numpy.testing._private.utils.assert_allclose = numpy.testing.assert_allclose
"""
SPEAKS = """
kernel = get_ipython().kernel
def says(kind, content, **more):
    parent = kernel.get_parent('shell')
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent, **more)
"""
FORGED = """
import json
from IPython.display import publish_display_data
from behind_walls import answers
def say(answer):
    publish_display_data({answers.KIND: answer})
"""
SEARCH = """
import os
def found(text):
    return '_'.join(['value', 'under', 'test']) in text  # as the hidden tests of the small set have it
"""


def first_the_last_test(submission):
    """The test of another answer before the one of its own: is the right function in the kernel then?"""
    defines("""
import behind_walls.answers as answers
seen, replace = [], answers.replace
def replace_and_keep(cells, replaced):
    replace(cells, replaced)
    namespace = {}
    for cell in cells:
        exec(cell, namespace)
    seen.append(namespace.get('norm'))
answers.replace = replace_and_keep
def norm(v):
    return next((f(v) for f in seen if f), 0.0)""")(submission)
    submission["small-square"].source = "def square(x):\n    return 0.0"
    cells = submission.notebook.cells
    cells.append(cells.pop(cells.index(submission["small-norm-test"])))


def much_in_many_cells(submission):
    defines("pass")(submission)
    code = "for _ in range(9):\n    print(99_000 * 'x', flush=True)"
    submission.notebook.cells += [nbformat.v4.new_code_cell(code) for _ in range(30)]


# {name: attack on a right submission, whose function `norm` is wrong afterwards}
ON_THE_MARKS = {
    "patched comparisons of numpy": defines(PATCHED),
    "a module beside the notebook that patches numpy": brings("helper.py", PATCHED, "import helper"),
    "patched builtins": defines(
        PATCHED + "builtins.abs = lambda x: 0.0\nbuiltins.float = builtins.isinstance = lambda *x: True"
        "\nbuiltins.AssertionError = KeyboardInterrupt\nbuiltins.type = lambda x: numpy.float64"
    ),
    "replaced modules": defines(
        "import sys\nfrom unittest.mock import MagicMock\nsys.modules['numpy'] = sys.modules['lib'] = MagicMock()"
    ),
    "a changed import": defines(
        "import builtins\nfrom unittest.mock import MagicMock\nbuiltins.__import__ = lambda *x, **y: MagicMock()"
    ),
    "a changed library": defines("import lib\nlib.checks.close = lib.checks.number = lambda *x, **y: None"),
    "a float that agrees": returns("Agreeable(0)", AGREEABLE.format(kind="float")),
    "an integer that agrees": returns("Agreeable(0)", AGREEABLE.format(kind="int")),
    "a text that agrees": returns("Agreeable('0')", AGREEABLE.format(kind="str")),
    "a text": returns("'3.0'"),
    "an array that agrees": returns(
        "numpy.zeros(()).view(Array)",
        "import numpy\nclass Array(numpy.ndarray):\n"
        "    def __array_function__(self, *x): return self\n    def __array_ufunc__(self, *x, **y): return True",
    ),
    "an empty array": returns("numpy.array([])", "import numpy"),
    "an array of objects": returns(
        "numpy.array([Agreeable(0)], dtype=object)", "import numpy" + AGREEABLE.format(kind="float")
    ),
    "what is an array when asked": returns(
        "Late()", "class Late:\n    def __array__(self, *x, **y):\n        return __import__('numpy').array(3.0)"
    ),
    "an object of another class": returns(
        "Other()",
        "class Other:\n    __class__ = property(lambda self: float)\n    __eq__ = lambda self, other: True"
        "\n    __float__ = lambda self: 0.0\n    __sub__ = __rsub__ = __abs__ = lambda self, *x: self"
        "\n    __lt__ = __le__ = lambda self, other: True",
    ),
    "not a number": returns("float('nan')"),
    "infinity": returns("float('inf')"),
    "true": returns("True"),
    "a function": returns("lambda *x: True"),
    "a huge array": returns("__import__('numpy').zeros(10**8)"),
    "a huge text": returns("'3' * 10**8"),
    "a huge number": returns("10 ** 10**5"),
    "a list in itself": returns("x", "x = []\nx.append(x)"),
    "a deep list": returns("x", "x = []\nfor _ in range(10**5):\n    x = [x]"),
    "a generator without end": returns("iter(int, 1)"),
    "what cannot be copied": returns("open('/dev/null')"),
    "other answers at each call": returns("next(values)", "values = iter([5.0, 0.0, 3.0, 3.0])"),
    "changed arguments": defines("def norm(v):\n    v[:] = [0.0, 0.0, 3.0]\n    return 5.0"),
    "frames of who calls": defines(SEARCH + """
import sys
def norm(v):
    frame, texts = sys._getframe(), []
    while frame:
        texts += map(repr, [frame.f_locals, frame.f_globals, frame.f_code.co_consts])
        frame = frame.f_back
    return sum(x * x for x in v) ** 0.5 if any(map(found, texts)) else 0.0"""),
    "all objects in memory": defines(SEARCH + """
import gc
def norm(v):
    texts = (x for thing in gc.get_objects() if type(thing) in (list, dict, tuple)
             for x in (thing.values() if type(thing) is dict else thing) if type(x) is str)
    return sum(x * x for x in v) ** 0.5 if any(map(found, texts)) else 0.0"""),
    "memory of processes": defines(SEARCH + """
import glob
def norm(v):
    for path in glob.glob('/proc/[0-9]*'):
        for name in ('cmdline', 'environ'):
            try:
                text = open(f'{path}/{name}').read()
            except OSError:
                continue
            if found(text) or 'tests.py' in text:
                return sum(x * x for x in v) ** 0.5
    return 0.0"""),
    "tests on the disk": defines(SEARCH + """
def norm(v):
    for top in ('/tmp', '/root', '/home', '/work', '/var', '/mnt', '/srv', '/opt', '.', '..'):
        for folder, _, names in os.walk(top):
            for name in names:
                if name.endswith(('.ipynb', '.db')):
                    try:
                        if found(open(os.path.join(folder, name), errors='replace').read()):
                            return sum(x * x for x in v) ** 0.5
                    except OSError:
                        pass
    return 0.0"""),
    "the test in the history": defines(SEARCH + """
def norm(v):
    return sum(x * x for x in v) ** 0.5 if any(map(found, In)) else 0.0"""),
    "a forged verdict": defines(FORGED + """
def norm(v):
    for forged in ('{"verdict": {}}', '{"passed": true}', '{"value": "3.0"}\\n{"verdict": {}}'):
        say(forged)
    return 0.0"""),
    "a forged value": defines(FORGED + """
def send(name, value):
    forged = [["lib", "lib", "__builtins__"], ["result", "Network", [1]], ["array", "O", [1], "AAAA"],
              ["array", "<f8", [-1], "AAAA"], ["array", "<f8", [0, 10**9], ""], ["dict", [[["list", []], 1]]], {}]
    say(json.dumps({"value": json.dumps(forged[-1])}))
    say(json.dumps({"value": json.dumps(["tuple", forged])}))
answers.send = send"""),
    "half a character": defines("def norm(v):\n    raise ValueError('\\ud83d')"),
    "a forged deep value": defines(FORGED + "answers.send = lambda *x: say(json.dumps({'value': 10**5 * '['}))"),
    "a forged answer without an end": defines(FORGED + "answers.send = lambda *x: say(10**5 * '[')"),
    "an end of its cell before the end": defines(SPEAKS + """
def norm(v):
    reply = {'status': 'ok', 'execution_count': 1, 'payload': [], 'user_expressions': {}}
    stream = kernel.shell_stream
    kernel.session.send(stream, 'execute_reply', reply, parent=kernel.get_parent('shell'))
    says('status', {'execution_state': 'idle'})
    return 0.0"""),
    "other cells shown anew": defines(SPEAKS + """
def norm(v):
    from IPython.display import display
    for name in ('x', 'y'):
        says('display_data', {'data': {'text/plain': 'x'}, 'metadata': {}, 'transient': {'display_id': name}})
        says('update_display_data', {'data': {'text/plain': '1'}, 'metadata': {}, 'transient': {'display_id': name}})
    says('clear_output', {'wait': False})
    says('comm_open', {'comm_id': 'x', 'target_name': 'x', 'data': {}})
    says('input_request', {'prompt': 'x', 'password': True})
    says('error', {'ename': 'x', 'evalue': 'x', 'traceback': []})
    return 0.0"""),
    "a message that has no parts": defines(SPEAKS + """
def norm(v):
    for content in ([], 'x', None, {}):
        says('stream', content)
        says('display_data', content)
    return 0.0"""),
    "a message that is too deep": defines(SPEAKS + """
def norm(v):
    pack = kernel.session.pack
    kernel.session.pack = lambda thing: 10**5 * b'[' if thing == {'text': 'x'} else pack(thing)
    says('stream', {'text': 'x'})
    return 0.0"""),
    "messages of nobody": defines(SPEAKS + """
def norm(v):
    socket = kernel.iopub_socket
    for parts in ([b''], [b'<IDS|MSG>'], [b'x', b'<IDS|MSG>', b'', b'', b'', b'', b''], 50 * [b'x']):
        socket.send_multipart(parts)
    return 0.0"""),
    "no answer": defines(FORGED + "answers.send = lambda *x: None"),
    "an answer that is no text": defines(FORGED + "answers.send = lambda *x: say({'value': 3.0})"),
    "many answers": defines(FORGED + """
def norm(v):
    for number in range(2000):
        say(json.dumps({"value": str(number / 100)}))
    return 0.0"""),
    "answers from a thread": defines(FORGED + """
import threading, time
def forge():
    while True:
        say('{"value": "3.0"}')
        time.sleep(0.05)
threading.Thread(target=forge, daemon=True).start()
def norm(v):
    time.sleep(0.3)
    return 0.0"""),
    "an end in good order": defines("import sys\ndef norm(v):\n    sys.exit(0)"),
    "an end of the kernel": defines("import os\ndef norm(v):\n    os._exit(0)"),
    "a signal to all": defines("import os, signal\ndef norm(v):\n    os.kill(-1, signal.SIGKILL)"),
    "something at the end": defines(
        PATCHED + "import atexit\natexit.register(print, 'passed')\ndef norm(v):\n    raise KeyboardInterrupt"
    ),
    "errors that end a loop": defines("def norm(v):\n    raise StopIteration"),
    "errors that skip a test": defines("import unittest\ndef norm(v):\n    raise unittest.SkipTest('passed')"),
    "errors named like ours": defines("class Stopped(Exception):\n    pass\ndef norm(v):\n    raise Stopped('{}')"),
    "a kernel that swallows errors": defines("""
shell = get_ipython()
shell.showtraceback = lambda *x, **y: None
shell.set_custom_exc((Exception,), lambda *x, **y: None)
def norm(v):
    raise ValueError"""),
    "a replaced kernel": defines("""
shell = get_ipython()
async def nothing(*x, **y):
    return {'status': 'ok', 'execution_count': 1, 'payload': [], 'user_expressions': {}}
shell.kernel.do_execute = nothing"""),
    "modules that hide ours": brings("lib.py", PATCHED, "import lib"),
    "a module called like one of ours": brings("behind_walls.py", PATCHED, "import behind_walls"),
    "a module that starts with Python": brings("sitecustomize.py", PATCHED),
    "a library of tests": brings("conftest.py", PATCHED),
    "the last test before": first_the_last_test,
    "marks written": defines("""
import glob, sqlite3
for path in glob.glob({course!r} + '/gradebook.db') + ['gradebook.db', '../gradebook.db']:
    sqlite3.connect(path).execute('update grade set auto_score = 100').connection.commit()"""),
    "much in many cells": much_in_many_cells,
    "an example of the right kind": returns("{(3.0, 4.0): 5.0}.get(tuple(v), 1.0)"),
}


def earlier(code):
    """A right submission whose first answer, which the last one uses, is `code`."""
    return lambda submission: submission["small-square"].update(source=code)


# {name: (what is wrong with a submission, its points of 8)}: right answers that depend on what is not right
FAIR = {
    "a mistake before": (earlier("def square(x):\n    return 2 * x + 0.5"), 5),
    "nothing before": (earlier("def square(x):\n    raise NotImplementedError"), 5),
    "no end before": (earlier("def square(x):\n    return square(x)"), 5),
    "an error before": (earlier("import a_module_that_is_not_here"), 5),
    "a tuple before": (earlier("def square(x):\n    return (x * x,)"), 5),
    "an integer": (returns("round(sum(x * x for x in v) ** 0.5)"), 8),
    "a number of many digits": (returns("Fraction(sum(x * x for x in v) ** 0.5)", "from fractions import Fraction"), 8),
    "an array without shape": (returns("np.asarray(np.linalg.norm(v))", "import numpy as np"), 8),
}


def ours(course):
    """What grading only reads, with its contents."""
    paths = (path for part in ("source", "grading", "release") for path in course.glob(f"{part}/**/*.*"))
    return {path: path.read_bytes() for path in paths if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    course, submissions = new_course(folder), folder / "submissions"
    release = released(course)
    machine = {name: partial(Submission.define, body=body) for name, body in ON_THE_MACHINE.items()}
    fair = {name: change for name, (change, _) in FAIR.items()}
    for name, attack in {"no attack": lambda submission: None, **machine, **ON_THE_MARKS, **fair}.items():
        submission = Submission(small_set(), release, SMALL)
        attack(submission)
        submission.answer.source = submission.answer.source.replace("{course!r}", repr(str(course)))
        (submissions / name).mkdir(parents=True)
        nbformat.write(submission.notebook, submissions / name / "small.ipynb")
        for file, content in submission.files.items():
            (submissions / name / file).write_bytes(content)
    before = ours(course)
    said, rows = grade(course, submissions)
    after = ours(course)
    return SimpleNamespace(course=course, release=release, rows=rows, said=said, before=before, after=after)


@pytest.mark.parametrize("name", ON_THE_MACHINE)
def test_an_attack_has_no_success(attacked, name):
    row = attacked.rows[name]
    assert float(attacked.rows["no attack"]["automatic"]) == 8
    assert float(row["automatic"]) <= 4 and row["status"] in ("graded", "crashed", "timed out"), row


@pytest.mark.parametrize("name", ON_THE_MARKS)
def test_a_wrong_answer_gets_no_marks_for_its_attack(attacked, name):
    """The 4 points of `norm` are lost, and what the notebook has right besides is worth 4 at most."""
    row = attacked.rows[name]
    assert float(row["automatic"]) <= 4 and row["status"] in ("graded", "crashed", "timed out"), row


def test_nothing_of_the_course_and_of_others_is_changed(attacked):
    version = attacked.course / "release" / "small" / "small.ipynb"  # grading makes it where it is missing
    assert nbformat.read(version, as_version=4) == attacked.release
    assert attacked.before == {path: text for path, text in attacked.after.items() if path in attacked.before}
    assert set(attacked.after) - set(attacked.before) <= {version}
    assert attacked.rows["no attack"]["note"] == ""
    assert set(attacked.rows) == {"no attack", *ON_THE_MACHINE, *ON_THE_MARKS, *FAIR}


@pytest.mark.parametrize("name", FAIR)
def test_a_mistake_costs_its_own_points_and_no_others(attacked, name):
    assert float(attacked.rows[name]["automatic"]) == FAIR[name][1], attacked.rows[name]
    replaced = "passed, with the solution of the problem set in place of your square"
    page = (attacked.course / "feedback" / name / "small" / "small.html").read_text("utf-8")
    assert (replaced in page) == ("before" in name)


def test_a_module_that_is_not_there_is_noted(attacked):
    note = attacked.rows["an error before"]["note"]
    assert "a module is missing here: No module named 'a_module_that_is_not_here', in small-square" in note


@pytest.mark.parametrize("name", [*ON_THE_MACHINE, *ON_THE_MARKS])
def test_what_is_stored_of_it_is_small(attacked, name):
    (stored,) = attacked.course.glob(f"autograded/{name}/small/small.ipynb")
    assert stored.stat().st_size < (2**23 if name == "much in many cells" else 2**21)


@contextlib.contextmanager
def watched(folder, code, **limits):
    """A shell that runs `code`, watched like a kernel whose sockets lie in `folder`/io."""
    said = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # and not what pytest has made for us
    started = subprocess.Popen(["sh", "-c", code], start_new_session=True, **said)
    kernel = SimpleNamespace(provisioner=SimpleNamespace(pid=started.pid))
    settings = {"km": kernel, "folder": folder, "processes": 64, "memory": 2**31, "ahead": 5} | limits
    ended = threading.Event()
    watcher = threading.Thread(target=SandboxedExecute.watch, args=(SimpleNamespace(**settings), ended))
    watcher.start()
    try:
        yield started
    finally:
        ended.set()
        watcher.join()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.mark.parametrize(
    "limits, beside, ends",
    [
        ({}, 0, False),
        ({"memory": 2**10}, 0, True),
        ({"processes": 1}, 0, True),
        ({}, 2**20 + 1, True),
        ({}, "two files", True),
        ({}, "a folder", True),
        ({}, "a link", True),
    ],
)
def test_all_processes_together_are_watched(tmp_path, limits, beside, ends):
    place = tmp_path / "io" / "kernel.json"
    place.parent.mkdir()
    if beside == "a folder":
        place.mkdir()
    elif beside == "a link":
        place.symlink_to("/etc/passwd")
    else:
        place.write_bytes(bytes(beside if isinstance(beside, int) else 0))
    if beside == "two files":
        (place.parent / "other").touch()
    with watched(tmp_path, "sleep 50 & wait", **limits) as started:
        if ends:
            assert started.wait(timeout=30) == -9
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(timeout=2)


@pytest.mark.parametrize("deleted, ends", [(True, True), (False, False)])
def test_a_file_that_is_deleted_while_it_is_open_is_seen(tmp_path, deleted, ends):
    (tmp_path / "io").mkdir()
    with watched(tmp_path, f"exec 3> {tmp_path}/io/x; {f'rm {tmp_path}/io/x;' * deleted} sleep 50") as started:
        with contextlib.nullcontext() if ends else pytest.raises(subprocess.TimeoutExpired):
            assert started.wait(timeout=10 if ends else 2) == -9


def test_processes_that_come_and_go_do_not_blind_who_watches(tmp_path, monkeypatch):
    """There is always one that has ended when its memory is asked for, and a file that is gone when its size is."""
    (tmp_path / "io").mkdir()
    memory_info = psutil.Process.memory_info

    def of_one_that_stays(process):
        if process.name() == "sleep":
            raise psutil.NoSuchProcess(process.pid)
        return memory_info(process)

    monkeypatch.setattr(psutil.Process, "memory_info", of_one_that_stays)
    come_and_go = f"while :; do : > {tmp_path}/io/x; rm {tmp_path}/io/x; done"
    with watched(tmp_path, f"sleep 50 & {come_and_go}", memory=2**10) as started:
        assert started.wait(timeout=10) == -9


def test_who_uses_more_than_one_processor_takes_no_time_of_others(tmp_path):
    (tmp_path / "io").mkdir()
    with watched(tmp_path, "while :; do :; done", ahead=1) as alone:
        time.sleep(3)
        assert os.getpriority(os.PRIO_PROCESS, alone.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    with watched(tmp_path, " & ".join(4 * ["while :; do :; done"]), ahead=-1000) as many:  # whatever else runs here
        for _ in range(200):
            started = [psutil.Process(many.pid), *psutil.Process(many.pid).children()]
            if len(started) == 4 and all(process.nice() == 19 for process in started):
                return
            time.sleep(0.1)
        pytest.fail(f"{[process.nice() for process in started]}")


def test_a_kernel_has_no_way_into_what_the_grader_says(tmp_path):
    """What is written there, the grader would keep in memory until the end."""
    for part in ("io", "given", "work"):
        (tmp_path / part).mkdir()

    async def outputs():
        manager = SandboxedKernelManager(tmp_path, {}, True)
        await manager.start_kernel()
        try:
            return {os.readlink(f"/proc/{manager.provisioner.pid}/fd/{number}") for number in (1, 2)}
        finally:
            await manager.shutdown_kernel(now=True)

    with ThreadPoolExecutor(1) as pool:  # in this one a browser of other tests may have its loop
        assert pool.submit(asyncio.run, outputs()).result() == {"/dev/null"}


def test_no_door_is_opened_for_other_accounts(tmp_path):
    """A program that runs as whoever grades lies where no other account can come to it."""
    for part in ("io", "given", "work"):
        (tmp_path / part).mkdir()
    tmp_path.chmod(0o700)
    code = f"cp /bin/true {tmp_path}/io/x; chmod 4777 {tmp_path}/io/x {tmp_path}/io; chmod 777 {tmp_path}; true"
    subprocess.run([*walls(tmp_path), "sh", "-c", code], check=True)
    assert stat.S_IMODE((tmp_path / "io" / "x").stat().st_mode) == 0o4777
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("called, tries", [(True, 2), (False, 1)])
def test_what_is_chosen_has_one_try(called, tries):
    """With right earlier answers a function is asked once more; of a choice that would be a second guess."""
    tried = []

    def outputs_of(test, index):
        grader.called = called
        tried.append(test)
        return [nbformat.v4.new_output("error", ename="AssertionError", evalue="", traceback=[])]

    grader = SimpleNamespace(
        tests=examination.tests(small_set()),
        tested={"small-square-test"},
        over=None,
        outputs_of=outputs_of,
        run_beside=lambda code, index: None,
        nb=SimpleNamespace(cells=[]),
    )
    grader.right_answers = lambda test: (["square"], [])
    (cell,) = [cell for cell in small_set().cells if cell.id == "small-cube-test"]
    SandboxedExecute.examine(grader, cell, 0)
    assert len(tried) == tries


def test_the_page_counts_the_attacks():
    page = (ROOT / "book" / "teaching.md").read_text("utf-8")
    assert f"{len(ON_THE_MARKS)} attacks on the marks and {len(ON_THE_MACHINE)} on the machine" in page
