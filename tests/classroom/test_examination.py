"""Values pass between tests and student code as text and come out plain; and what a test knows of its notebook."""

import base64
import json
import sys
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from nbformat import v4
from simulated_class import question, small_set
from small_course import ASSIGNMENTS
from sweeping import wait_for

from lib import Network, PopulationLoss, certify, copy_average, kernels, one_neuron

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import examination, sandbox  # noqa: E402
from grading.behind_walls import plain  # noqa: E402


def passed_on(value):
    return plain.from_text(plain.to_text(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        10**300,
        -0.1,
        1e-320,
        "ü\n\ud83d",
        2 - 3j,
        [1, (2.0, "x")],
        {"a": (1, 2), 3: None},
        {1, 2},
        range(3, 9, 2),
        np.float64(0.1),
        np.int32(7),
        np.bool_(True),
    ],
)
def test_plain_values_stay_what_they_are(value):
    again = passed_on(value)
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    "array", [np.eye(3), np.zeros((0, 4)), np.array(2.0), np.arange(6.0).reshape(2, 3).T, np.array([1j, np.nan])]
)
def test_arrays_stay_what_they_are_and_are_copies(array):
    again = passed_on(array)
    np.testing.assert_array_equal(again, array)
    assert type(again) is np.ndarray and again.dtype == array.dtype and again.flags.writeable


def test_not_a_number_and_infinity_stay():
    assert np.isnan(passed_on(float("nan"))) and passed_on(float("-inf")) == -np.inf


def test_what_the_library_has_is_made_anew_by_the_library():
    L = PopulationLoss(Network.orthonormal(3, 4), kernels.relu)
    again = passed_on(L)
    assert again.teacher == L.teacher and again.kernel is kernels.relu and again is not L
    assert passed_on(copy_average([1, 2])) == copy_average([1, 2])
    assert passed_on(certify) is certify and passed_on(kernels.erf) is kernels.erf
    assert passed_on(one_neuron(kernels.erf, 3)) == one_neuron(kernels.erf, 3)
    drawn = [passed_on(np.random.default_rng(5)).random(), np.random.default_rng(5).random()]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["float16", "float32", "longdouble", "complex64"])
def test_numbers_of_few_digits_are_compared_in_many(kind):
    """A float16 less a float is rounded to three digits, so a wrong answer would agree with the right one."""
    again = passed_on(np.dtype(kind).type(5.0))
    assert again == 5.0 and abs(again - 5.0001) > 9e-5 and again.dtype in (float, complex)


def test_truth_values_are_true_or_false():
    forged = ["array", "|b1", [3], base64.b64encode(bytes([0, 1, 2])).decode()]
    again = plain.from_text(json.dumps(forged))
    assert again.dtype == bool and again.view("u1").tolist() == [0, 1, 1]


class Agreeable(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __hash__ = float.__hash__


class Text(str):
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class Array(np.ndarray):
    def __array_ufunc__(self, *arguments, **named):
        return True


@pytest.mark.parametrize(
    "value, same",
    [
        (Agreeable(2.5), 2.5),
        (Text("x"), "x"),
        (Fraction(1, 4), 0.25),
        (Decimal("0.5"), 0.5),
        ([Agreeable(1)], [1.0]),
        (np.array([Fraction(1, 2), 3], dtype=object), np.array([0.5, 3.0])),
        (np.zeros(2).view(Array), np.zeros(2)),
        (np.ma.masked_array([1.0, 2.0], [True, False]), np.array([1.0, 2.0])),
    ],
)
def test_a_subclass_arrives_plain(value, same):
    again = passed_on(value)
    assert type(again) is type(same) and np.array_equal(again, same)
    if isinstance(again, list):
        assert [type(part) for part in again] == [float]


@pytest.mark.parametrize("value", [print, iter([1]), object(), lambda: 1, np.array(["x"]), 1 < 2 and open, b"x"])
def test_what_is_no_value_is_refused(value):
    with pytest.raises(TypeError, match="cannot be handed on"):
        plain.to_text(value)


@pytest.mark.parametrize("value", [np.zeros(10**6), "x" * 2**23])
def test_what_is_too_large_is_refused(value):
    with pytest.raises(ValueError, match="too large"):
        plain.to_text(value)


@pytest.mark.parametrize(
    "forged",
    [
        ["lib", "os", "system"],
        ["lib", "lib", "_x"],
        ["lib", "lib", "__builtins__"],
        ["result", "Network", [1]],
        ["array", "O", [1], "AAAAAAAAAAA="],
        ["array", "<f8", [-1], ""],
        ["array", "<f8", [10**9], ""],
        ["array", "<f8", [2], "AAAA"],
        ["Network", 1, 2],
        ["dict", [[["list", []], 1]]],
        ["eval", "1"],
        [],
        {"a": 1},
    ],
)
def test_a_forged_value_is_refused(forged):
    with pytest.raises((ValueError, TypeError, AttributeError, KeyError)):
        plain.from_text(json.dumps(forged))


def test_a_test_knows_its_answers_and_what_they_define():
    found = examination.tests(small_set())
    assert {name: (test.answers, test.names) for name, test in found.items()} == {
        "small-square-test": (["small-square"], ["square"]),
        "small-norm-test": (["small-norm"], ["norm"]),
        "small-cube-test": (["small-cube"], ["cube"]),
    }
    assert [code.strip() for name, code in found["small-square-test"].cells if name is None] == ["import numpy as np"]


def test_tests_that_follow_each_other_share_their_answers():
    source = small_set()
    source.cells.insert(4, question("small-square-more", "assert square(0.0) == 0.0", points=1))
    found = examination.tests(source)
    assert found["small-square-more"].names == ["square"] and found["small-square-more"].cells == []


@pytest.mark.parametrize(
    "tested, own, names",
    [
        ([], "square", []),
        (["small-square-test"], "return square(x)", ["square"]),
        (["small-square-test"], "return squares(x)", []),
        (["small-norm-test"], "square and norm", ["norm"]),
        (["small-square-test", "small-square-more"], "square", ["square"]),
        (["small-square-more", "small-norm-test"], "square and norm", ["norm"]),
    ],
)
def test_no_right_answer_is_lent_while_its_own_test_is_to_come(tested, own, names):
    source = small_set()
    if any("more" in name for name in tested):
        source.cells.insert(4, question("small-square-more", "assert square(0.0) == 0.0", points=1))
    tests = examination.tests(source)
    notebook = v4.new_notebook(cells=[question("small-cube", own, solution=True)])
    grader = SimpleNamespace(tests=tests, tested=set(tested), nb=notebook)
    lent, cells = sandbox.SandboxedExecute.right_answers(grader, tests["small-cube-test"])
    assert lent == names
    defined = {name for code in cells for name in examination.defined(code)} & {"square", "norm", "cube"}
    done = [test for test in tests if test not in tested]
    assert defined == {"square", "norm"} - {name for test in done for name in tests[test].names}


@pytest.mark.parametrize(
    "check, later, needed",
    [
        ("x = 1", "print(x)", True),
        ("x = 1", "x = 2\nprint(x)", False),
        ("x, y = f(1)", "def g():\n    return y", True),
        ("for x in f(1):\n    pass", "z = x", True),
        ("x = 1", "def (", False),
        ("x = 1", "print(z)", False),
        ("x = 1", "%time 1\nprint(x)", True),
        ("x = 1", "!ls {x}", False),
        ("x = 1", "y = %timeit -o f(x)", True),
        ("f(1)", "f(2)", False),
    ],
)
def test_a_visible_check_runs_in_the_kernel_only_for_what_later_cells_use(check, later, needed):
    assert examination.is_needed(check, [later]) is needed


@pytest.mark.parametrize("code", [500 * "x?\n", 500 * "%%x\n", 10**5 * "\n", 10**5 * "(", 10**4 * "x+", 10**4 * "a."])
def test_what_a_later_cell_uses_is_found_at_once(code):
    """IPython's own way through such a cell takes minutes, outside of all limits."""
    began = time.monotonic()
    examination.is_needed("y = 1", [10 * code])
    assert time.monotonic() - began < 10


def test_hidden_parts_are_cut_out():
    code = "a\n### BEGIN HIDDEN TESTS\nb\n### END HIDDEN TESTS\nc\n### BEGIN HIDDEN TESTS\nd\n### END HIDDEN TESTS"
    assert examination.visible(code) == "a\nc\n"


@pytest.fixture(scope="module")
def examiner():
    with sandbox.examiner(no_sandbox=True) as process:
        yield process


def copy_of(examiner, *cells):
    return examination.Copy(examiner.address, {"RLIMIT_CORE": 0, "RLIMIT_NPROC": 5000}, list(cells))


def verdict(copy, code, names=(), ask=None, seconds=20):
    return copy.verdict(examination.Test(code, [], list(names), []), seconds, ask)


def test_copies_share_nothing_that_a_test_changes(examiner):
    first, second = copy_of(examiner, "import numpy\nx = [1]"), copy_of(examiner, "import numpy\nx = [1]")
    assert verdict(first, "numpy.pi = 3\nx.append(2)") == {}
    assert verdict(first, "assert numpy.pi == 3 and x == [1, 2]") == {}
    assert verdict(second, "assert numpy.pi > 3 and x == [1]") == {}
    third = copy_of(examiner, "import numpy")
    assert verdict(third, "assert numpy.pi > 3") == {}
    assert len({first.number, second.number, third.number}) == 3
    for copy, code in [(first, "open('x', 'w').write(os.getcwd())"), (second, "assert not os.listdir()")]:
        assert verdict(copy, f"import os, tempfile\n{code}\nassert tempfile.gettempdir() == os.getcwd()") == {}
    folder = psutil.Process(first.number).cwd()
    for copy in (first, second, third):
        copy.end()
    wait_for(lambda: not Path(folder).exists())


def test_a_copy_that_does_not_listen_is_ended_and_no_other(examiner):
    busy, other = copy_of(examiner, ""), copy_of(examiner, "")
    assert verdict(busy, "while True: pass", seconds=1) is None
    processes = [psutil.Process(copy.number) for copy in (busy, other) if verdict(other, "") == {}]
    busy.end()
    processes[0].wait(5)
    assert processes[1].is_running()
    assert verdict(other, "") == {}
    other.end()
    assert psutil.wait_procs(processes, timeout=5)[1] == []


def test_with_the_examiner_all_copies_end():
    with sandbox.examiner(no_sandbox=True) as examiner:
        busy = copy_of(examiner, "")
        assert verdict(busy, "while True: pass", seconds=1) is None
        process = psutil.Process(busy.number)
    assert psutil.wait_procs([process], timeout=5)[1] == []
    busy.end()  # nobody is there any more


def test_the_cells_run_once_for_all_copies_and_each_finds_what_they_wrote(examiner):
    cells = ["import os", "open('x', 'w').write('1')", "where = os.getpid(), os.getcwd()"]
    first, second = copy_of(examiner, *cells), copy_of(examiner, *cells)
    for copy in (first, second):
        assert verdict(copy, "assert open('x').read() == '1'\nopen('x', 'w').write('2')") == {}
        assert verdict(copy, "assert os.getpid() != where[0] and os.getcwd() != where[1]") == {}
    told = [verdict(copy, "_kind = where\nassert False")["kind"] for copy in (first, second)]
    assert told[0] == told[1]
    other = copy_of(examiner, *cells[:-1], "where = ''")
    assert verdict(other, "assert open('x').read() == '1'") == {}
    for copy in (first, second, other):
        copy.end()


def test_a_copy_finds_the_state_of_the_cells(examiner):
    """Random numbers, limits, links that lead nowhere; only the number of processes is no limit of theirs."""
    cells = ["import os, random, resource\nrandom.seed(3)\nos.symlink('nowhere', 'x')"]
    cells += ["assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)"]
    cells += ["assert resource.getrlimit(resource.RLIMIT_NPROC) != (5000, 5000)"]
    for _ in range(2):
        copy = copy_of(examiner, *cells)
        assert verdict(copy, "assert random.random() == random.Random(3).random() and os.path.islink('x')") == {}
        assert verdict(copy, "assert resource.getrlimit(resource.RLIMIT_NPROC) == (5000, 5000)") == {}
        copy.end()


def test_a_copy_that_ends_is_noticed_at_once_the_first_one_too(examiner):
    first, second = copy_of(examiner, "import os"), copy_of(examiner, "import os")
    begin = time.monotonic()
    for copy in (first, second):
        assert verdict(copy, "os._exit(1)", seconds=60) is None
        copy.end()
    assert time.monotonic() - begin < 30


def test_where_each_student_has_other_cells_their_process_ends_with_its_copy():
    """As many are kept as are of use to a class with the same cells for all."""
    with sandbox.examiner(no_sandbox=True) as fresh:
        own = psutil.Process(fresh.running.pid)
        copies = [copy_of(fresh, f"x = {number}") for number in range(11)]
        for number, copy in enumerate(copies):
            assert verdict(copy, f"assert x == {number}") == {}
        assert len(own.children()) == 11
        unasked = copy_of(fresh, "x = 11")
        folders = Path(psutil.Process(copies[0].number).cwd()).parent
        for copy in [*copies, unasked]:
            copy.end()
        wait_for(lambda: len(own.children(recursive=True)) == len(list(folders.iterdir())) == 8)
        again = [copy_of(fresh, "x = 3"), copy_of(fresh, "x = 10")]
        assert verdict(again[0], "assert x == 3") == verdict(again[1], "assert x == 10") == {}
        assert len(own.children()) == 9
        processes = own.children(recursive=True)
    for copy in again:
        copy.end()
    assert psutil.wait_procs(processes, timeout=5)[1] == [] and not folders.exists()


@pytest.mark.parametrize("ending, said", [("os.kill(os.getpid(), 9)", "come to their end"), ("1 / 0", "division")])
def test_cells_that_failed_run_again_for_the_next(examiner, tmp_path, ending, said):
    cells = ["import os, pathlib", f"been = pathlib.Path({str(tmp_path / 'been')!r})"]
    cells += [f"if not been.exists():\n    been.touch()\n    {ending}"]
    failed = copy_of(examiner, *cells)
    with pytest.raises(RuntimeError, match=said):
        verdict(failed, "")
    failed.end()
    again = copy_of(examiner, *cells)
    assert verdict(again, "assert been.exists()") == {}
    again.end()


def test_cells_without_end_are_ended_and_nobody_else_waits_for_them(monkeypatch):
    monkeypatch.setattr(examination, "PATIENCE", 5)
    with sandbox.examiner(no_sandbox=True) as examiner:
        own = psutil.Process(examiner.running.pid)
        endless = copy_of(examiner, "while True: pass")
        wait_for(own.children)
        (process,) = own.children()
        monkeypatch.undo()
        for _ in range(60):  # more than a channel holds that nobody reads
            copy = copy_of(examiner, "")
            assert verdict(copy, "") == {}
            copy.end()
        with pytest.raises(RuntimeError, match="come to their end"):
            verdict(endless, "")
        process.wait(5)
        endless.end()


def test_with_the_process_of_their_cells_all_copies_end(examiner):
    busy = copy_of(examiner, "x = 1")
    assert verdict(busy, "while True: pass", seconds=1) is None
    copy = psutil.Process(busy.number)
    copy.parent().kill()
    wait_for(lambda: not copy.is_running() or copy.status() == psutil.STATUS_ZOMBIE)
    busy.end()


def test_a_process_of_the_tests_that_does_not_run_says_why(examiner):
    failing = copy_of(examiner, "x = 1", "what = is_this")
    with pytest.raises(RuntimeError, match="(?s)cells of the problem set do not run.*'is_this' is not defined"):
        verdict(failing, "")
    failing.end()
    with examination.Examiner([sys.executable, "-c", "raise SystemExit('no room')"]) as nothing:
        nothing.running.wait()
        with pytest.raises(RuntimeError, match="process of the tests does not run: no room"):
            copy_of(nothing, "")


def test_a_student_function_is_asked_and_its_time_does_not_count(examiner):
    copy, asked = copy_of(examiner, "square = lambda x: x * x"), []

    def ask(question):
        asked.append(question["call"])
        time.sleep(1.5)
        return json.dumps({"value": plain.to_text(9)})

    assert verdict(copy, "assert square(-3) == 9", ["square"], ask, seconds=1) == {}
    assert verdict(copy, "assert square(-3) == 4", ["square"], ask)["name"] == "AssertionError"
    assert asked == ["square", "square"]
    copy.end()
