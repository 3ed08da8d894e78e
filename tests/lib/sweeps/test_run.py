"""lib.sweeps: the same table whatever the workers, and after whatever accident; and the committed ones."""

import concurrent.futures
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from guards import ROOT
from scipy.optimize import minimize
from sweeping import in_process, said, wait_for

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average_like,
    copy_average_loss,
    gradient_flow,
    identify,
    kernels,
    perturbed_copies,
)
from lib.sweeps import __main__ as command_line
from lib.sweeps import run
from lib.sweeps.experiment import from_settings
from lib.sweeps.table import DTYPE, read

pytestmark = pytest.mark.usefixtures("compiled_apart")

# The tables of book/data by k: widths, seeds, how many rows are no strict minima, how many to run again.
COMMITTED = {
    10: (range(1, 11), 20, 1, 3),
    20: (range(1, 21), 20, 2, 5),
    50: (range(1, 51), 20, 0, 10),
    100: (range(2, 101, 2), 10, 0, 3),
}
RELU_SEEDS = {6: 20, 8: 100, 10: 20, 12: 100, 20: 20, 50: 10}
RUN_AGAIN = [pytest.param(k, marks=[pytest.mark.long] * (k > 12)) for k in RELU_SEEDS]
RELU_UNNAMED = {50: [(50, 7)]}  # k: (n, seed); beside copies and flipped copies one neuron that copies nobody
SMALL = dict(L=6, widths=[2, 4], seeds=range(3))


@pytest.fixture(scope="module")
def small_table(compiled_apart):
    return run.sweep(**SMALL, executor=in_process())


def same(found, expected):
    assert found.dtype == expected.dtype == DTYPE
    np.testing.assert_array_equal(found, expected)


def test_rows_say_what_the_flows_found(small_table):
    """Witness: the closed form of the loss, and the public gradient flow from the stated seed."""
    assert list(small_table["n"]) == [2, 2, 2, 4, 4, 4] and list(small_table["seed"]) == [0, 1, 2] * 2
    for row in small_table:
        assert row["status"] == "converged" and row["certificate"] == "strict minimum"
        assert row["gradient_norm"] <= 1e-8 and row["smallest_eigenvalue"] > 0
        if row["kind"] == "copy-average":
            sizes = [1] * (row["n"] - 1) + [7 - row["n"]]
            assert row["sizes"] == {2: "1+5", 4: "3*1+3"}[row["n"]]
            assert abs(row["loss"] - copy_average_loss(sizes)) < 1e-10


@pytest.mark.parametrize(
    "executor", [None, concurrent.futures.ThreadPoolExecutor(3)], ids=["default pool", "three threads"]
)
def test_any_executor_gives_the_same_table(small_table, executor, tmp_path):
    same(run.sweep(**SMALL, executor=executor, path=tmp_path / "table.csv"), small_table)
    same(read(tmp_path / "table.csv")[0], small_table)


def test_widths_are_started_longest_first():
    started = []

    class Recording(concurrent.futures.Executor):
        def submit(self, function, n, seed, settings):
            started.append((n, seed))
            return in_process().submit(function, n, seed, settings)

    run.sweep(3, [1, 3, 2], [0, 1], executor=Recording())
    assert started == [(3, 0), (3, 1), (2, 0), (2, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("cut", [1, 40, 200, 400, 700])
def test_a_torn_file_is_continued(small_table, tmp_path, cut):
    """Whatever part of the last line a dying process wrote: nothing is lost, nothing is there twice."""
    path = tmp_path / "table.csv"
    run.sweep(**SMALL, executor=in_process(), path=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    same(run.sweep(**SMALL, executor=in_process(), path=path), small_table)
    assert path.read_bytes() == whole


def test_finished_flows_are_not_repeated(small_table, tmp_path):
    path = tmp_path / "table.csv"
    run.sweep(6, [2], range(3), executor=in_process(), path=path)
    counted = in_process()
    calls = []
    plain, counted.submit = counted.submit, lambda *arguments: calls.append(arguments) or plain(*arguments)
    same(run.sweep(**SMALL, executor=counted, path=path), small_table)
    assert len(calls) == 3
    same(run.sweep(**SMALL, executor=None, path=path), small_table)


@pytest.mark.slow
@pytest.mark.other
def test_killed_and_continued(tmp_path):
    """kill -9 of the parent in the middle, several times; its workers end too, and the same command goes on."""
    path = tmp_path / "table.csv"
    lines = 0
    for _ in range(3):
        process = start("--k", "12", "--widths", "4-9", "--seeds", "0-4", path)
        wait_for(lambda: process.poll() is not None or rows(path) >= lines + 3)
        process.kill()
        process.communicate()
        assert rows(path) >= min(lines + 3, 30)
        lines = rows(path)
        wait_for(lambda: not group_is_alive(process.pid))
    _, errors = start("--k", "12", "--widths", "4-9", "--seeds", "0-4", path).communicate()
    table, _ = read(path)
    assert [(row["n"], row["seed"]) for row in table] == [(n, seed) for n in range(4, 10) for seed in range(5)], errors
    same(table, run.sweep(12, range(4, 10), range(5), executor=in_process()))


def start(*arguments, **options):
    """The sweep of a command line, in a process group of its own, which Ctrl-C reaches.

    A shell's background jobs ignore interruptions, and what they start does too.
    """
    command = [sys.executable, "-m", "lib.sweeps", *map(str, arguments)]
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) | options
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, start_new_session=True, **options)


def group_is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# Many sweeps from one process, so that each does not import everything again; `moments` are fractions of one of them.
KILLS = """
import os, signal, sys, time
from pathlib import Path
from sweeping import in_process
from lib.fast import accelerator
from lib.sweeps import run
from lib.sweeps.table import read

path, runs = Path({path!r}), (2, [1, 2], range(15))

def child(path):
    pid = os.fork()
    if pid == 0:
        run.sweep(*runs, executor=in_process(), path=path)
        os._exit(0)
    return pid

run.compile_apart = lambda: True  # the test run has it done, as every process of a sweep would
accelerator._compiled_loss()
begin = time.monotonic()
assert os.waitpid(child(path.with_name("whole.csv")), 0)[1] == 0
whole = time.monotonic() - begin
before, killed = set(), 0
for moment in {moments}:
    pid = child(path)
    time.sleep(moment * whole)
    os.kill(pid, signal.SIGKILL)
    killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    if path.exists() and path.stat().st_size:
        rows = read(path)[0].tolist()
        assert len(set(rows)) == len(rows) and before <= set(rows), "a row was lost"
        before = set(rows)
assert killed > 10, "no kill came in time"
assert os.waitpid(child(path), 0)[1] == 0
assert read(path)[0].tolist() == read(path.with_name("whole.csv"))[0].tolist()
assert path.read_bytes().split(b"\\n")[3:] == path.with_name("whole.csv").read_bytes().split(b"\\n")[3:]
"""


def test_killed_at_twenty_random_moments(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    moments = np.random.default_rng(20).uniform(0.0, 0.2, 20).tolist()
    code = KILLS.format(path=str(tmp_path / "table.csv"), moments=moments)
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tools", "tests/helpers"))  # as pyproject.toml has it
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_two_sweeps_on_one_file(tmp_path):
    """The second one is told so in one line, whatever the first does meanwhile; afterwards it has its turn."""
    path = tmp_path / "table.csv"

    class Rival(type(in_process())):
        def submit(self, *arguments):
            with pytest.raises(ValueError, match="another one is writing"):
                run.sweep(2, [1], [2, 3], executor=in_process(), path=path)
            return super().submit(*arguments)

    run.sweep(2, [1], [0, 1], executor=Rival(), path=path)
    run.sweep(2, [1], [2, 3], executor=in_process(), path=path)
    assert list(read(path)[0]["seed"]) == [0, 1, 2, 3]


def test_an_interrupted_flow_is_no_row(tmp_path, monkeypatch):
    """Ctrl-C in a flow of this very process: `gradient_flow` keeps what it has, the table does not."""
    path = tmp_path / "table.csv"
    calls, flow = [], run.gradient_flow

    def interrupted(*arguments, **options):
        calls.append(None)
        return flow(*arguments)._replace(status="interrupted") if len(calls) == 2 else flow(*arguments)

    monkeypatch.setattr(run, "gradient_flow", interrupted)
    with pytest.raises(KeyboardInterrupt), concurrent.futures.ThreadPoolExecutor(1) as thread:
        run.sweep(2, [1, 2], [0, 1], executor=thread, path=path)
    assert len(read(path)[0]) <= 1
    table = run.sweep(2, [1, 2], [0, 1], executor=in_process(), path=path)
    assert set(table["status"]) == {"converged"}
    path.write_text(path.read_text().replace("converged", "interrupted", 1))
    same(run.sweep(2, [1, 2], [0, 1], executor=in_process(), path=path), table)
    same(read(path)[0], table)


def test_ctrl_c_ends_in_one_line_and_waits_for_no_flow(tmp_path):
    """As a terminal sends it: to all processes of the command at once, before and after the first row."""
    path = tmp_path / "table.csv"
    slow = (["--k", "60", "--widths", "60", "--seeds", "0-1", "--kernel", "tanh"], path.exists, 1)
    many = (["--k", "4", "--widths", "3", "--seeds", "0-29999", "--kernel", "relu"], lambda: rows(path) > 0, 30000)
    for arguments, begun, fewer in (slow, many):
        path.unlink(missing_ok=True)
        process = start(*arguments, path)
        wait_for(begun)
        time.sleep(0.3)
        before = rows(path)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 130
        goes_on = "interrupted; the same command goes on with the flows that are missing"
        assert said(errors) == ["python -m lib.sweeps: " + goes_on]
        wait_for(lambda: not group_is_alive(process.pid))
        assert before <= rows(path) < fewer
    assert len(read(path)[0]) > 0


def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"from lib import *\n{RELU_TWO}\nsweep(L, [1], [0, 1])\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=ROOT)
    (line,) = said(done.stderr)
    assert done.returncode == 1 and 'call sweep below `if __name__ == "__main__":`' in line


RELU_TWO = "L = PopulationLoss(Network.orthonormal(2, 3), kernels.relu)"


def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)


RELU = PopulationLoss(Network.orthonormal(2, 3), kernels.relu)


def test_a_worker_that_dies_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "flow_row", die)
    with pytest.raises(RuntimeError, match="a process of the sweep died, .* the same call goes on"):
        run.sweep(RELU, [1], [0], path=tmp_path / "table.csv")
    monkeypatch.undo()
    assert len(run.sweep(RELU, [1], [0], executor=in_process(), path=tmp_path / "table.csv")) == 1


def command(capsys, *arguments):
    """(exit status, lines on the error stream) of a command line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command_line.main([str(argument) for argument in arguments])
    return ended.value.code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing/table.csv"], "path must lie in a folder that exists, got .*missing/table.csv"),
        (["."], "path must be an ordinary file"),
        ([""], "path must be the name of a file"),
        (["notes.csv"], "path must be a table of lib.sweep, got a file that begins 'my notes"),
        (["other.csv"], "path must hold flows of the same settings"),
        (["t.csv", "--widths", "3-1"], "argument --widths: must be like 1-50, 2-50:2 or 5,10, got '3-1'"),
        (["t.csv", "--widths", "a"], "argument --widths: must be like .*, got 'a'"),
        (["t.csv", "--widths", ""], "argument --widths: must be like .*, got ''"),
        (["t.csv", "--widths", "1-5:0"], "argument --widths: must be like .*, got '1-5:0'"),
        (["t.csv", "--seeds", "0-99999999999"], "argument --seeds: must be like"),
        (["t.csv", "--widths", "1,1"], "widths must be distinct, got \\[1, 1\\]"),
        (["t.csv", "--widths", "0"], "widths must be at least 1, got 0"),
        (["t.csv", "--k", "0"], "k must be at least 1, got 0"),
        (["t.csv", "--k", "x"], "argument --k: invalid int value: 'x'"),
        (["t.csv", "--rtol", "1"], "rtol must be a number between 1e-11 and 0.0001, got 1.0"),
        (["t.csv", "--k", "3", "--end-points", "4"], "argument --end-points: must be one of the widths, got 4"),
        (["t.npz", "--k", "3", "--end-points", "3"], "path must not end in .npz"),
        ([], "the following arguments are required: path"),
    ],
)
def test_bad_input_of_the_command_line_is_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.csv").write_text("my notes\n")
    run.sweep(3, [1], [0], executor=in_process(), path="other.csv")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    code, lines = command(capsys, *arguments)
    assert code == 2 and len(lines) == 1 and re.match("python -m lib.sweeps: " + message, lines[0]), lines
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_other_troubles_of_the_command_line_are_one_line(tmp_path, capsys, monkeypatch):
    for trouble, code in [
        (OSError(28, "No space left on device", "t.csv"), 2),
        (RuntimeError("a process of the sweep died,\nperhaps"), 2),
        (RuntimeWarning("numba does not work"), 2),
    ]:
        monkeypatch.setattr(command_line, "sweep", lambda *arguments, **options: (_ for _ in ()).throw(trouble))
        ended, lines = command(capsys, tmp_path / "t.csv")
        assert ended == code and lines == ["python -m lib.sweeps: " + " ".join(str(trouble).split())]


def test_the_command_needs_no_descriptions():
    """PYTHONOPTIMIZE=2 leaves no docstring."""
    command = [sys.executable, "-OO", "-m", "lib.sweeps", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Gradient flows from many random students" in done.stdout


def test_end_points_are_written_at_one_stroke(tmp_path, monkeypatch):
    path = tmp_path / "table.npz"
    table = run.sweep(3, [2], range(2), executor=in_process(), path=tmp_path / "table.csv")
    settings = read(tmp_path / "table.csv")[1]
    with pytest.raises(ValueError, match="n must be a width of the table, got 3"):
        run.save_end_points(path, table, settings, 3)
    assert not path.exists()
    run.save_end_points(path, table, settings, 2)
    whole = path.read_bytes()
    with np.load(path) as arrays:
        assert arrays["seed_copy-average"] == 0 and arrays["W_copy-average"].shape == (2, 4)
        student = Network(arrays["W_copy-average"], arrays["a_copy-average"])
    # The point is that of the certificate, and not where the flow of row 0 stopped.
    gradient = PopulationLoss(Network.orthonormal(3, 4), kernels.erf).gradient(student).ravel()
    assert np.linalg.norm(gradient) < 1e-13 < table["gradient_norm"][0]

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lib.sweeps.table.os.fsync", full)
    with pytest.raises(OSError, match="table.npz"):
        run.save_end_points(path, table, settings, 2)
    assert path.read_bytes() == whole
    assert {file.name for file in tmp_path.iterdir()} == {"table.csv", "table.npz"}


@pytest.mark.parametrize(
    ("certificate", "status", "tolerances"),
    [
        (("strict minimum", 0.1), "converged", [1e-8]),
        (("saddle", -0.1), "converged", [1e-8, 1e-10, 1e-12]),
        (("not critical", -0.1), "converged", [1e-8, 1e-10, 1e-12]),
        (("not critical", 0.1), "converged", [1e-8]),  # a valley: a smaller gradient is only farther away
        (("not critical", 0.1, 1), "converged", [1e-8, 1e-10, 1e-12]),  # a dead neuron may come back
        (("flat", -1e-20), "converged", [1e-8]),
        (("saddle", -0.1), "out of range", [1e-8]),
    ],
)
def test_flows_that_stop_beside_a_saddle_are_run_on(monkeypatch, certificate, status, tolerances):
    kind, smallest, dead = (*certificate, 0)[:3]
    common, asked = run.experiment(RELU, "normal", 1e-5, 1e-8), []
    start = common.start(np.random.default_rng([2, 1, 7]), 1)
    flow = gradient_flow(RELU, start, max_steps=0)._replace(status=status)

    def stopped(L, student, rtol, gradient_tol, progress, compiled):
        assert student == start and rtol == 1e-5 and not progress and not compiled
        asked.append(gradient_tol)
        return flow

    found = certify(RELU, start)._replace(kind=kind, smallest_eigenvalue=smallest, dead=dead)
    monkeypatch.setattr(run, "gradient_flow", stopped)
    monkeypatch.setattr(run, "certify", lambda L, student: found)
    assert run.certified_flow(1, 7, common, compiled=False) == (flow, found)
    assert asked == pytest.approx(tolerances, rel=1e-9, abs=0.0)


def rows(path):
    """How many rows a sweep that is running has written."""
    return max(0, path.read_text("utf-8").count("\n") - 4) if path.exists() else 0


@pytest.mark.slow
@pytest.mark.other
def test_a_dask_cluster_survives_a_killed_worker(tmp_path):
    """Two worker processes, one of them killed half-way: nothing lost, nothing twice."""
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "table.csv"
    killed = []
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        submit = executor.submit

        def submit_and_kill(*arguments):
            future = submit(*arguments)
            future.add_done_callback(lambda _: kill_one())
            return future

        def kill_one():
            if not killed and rows(path) > 4:
                killed.append(list(cluster.workers.values())[0].process.process.pid)
                os.kill(killed[0], signal.SIGKILL)

        executor.submit = submit_and_kill
        table = run.sweep(10, range(3, 8), range(5), executor=executor, path=path)
    assert killed
    lines = path.read_text("utf-8").splitlines()[4:]
    assert len(lines) == len({tuple(line.split(",")[:3]) for line in lines}) == 25
    same(table, run.sweep(10, range(3, 8), range(5), executor=in_process()))


@pytest.mark.other
def test_an_mpi_pool_makes_the_same_table(tmp_path, small_table):
    """As the description of lib.sweeps.run says it, on one process that hands out flows and two that run them."""
    pytest.importorskip("mpi4py", exc_type=ImportError)
    launcher = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))
    if launcher is None:
        pytest.skip("needs mpiexec")
    script = tmp_path / "run.py"
    script.write_text(
        "import mpi4py.futures\nfrom lib import sweep\n"
        "if __name__ == '__main__':\n"
        "    with mpi4py.futures.MPIPoolExecutor() as pool:\n"
        f"        sweep(6, [2, 4], range(3), path={str(tmp_path / 'table.csv')!r}, executor=pool)\n"
    )
    command = [launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=os.environ | {"PYTHONPATH": path})
    table, _ = read(tmp_path / "table.csv")
    same(table, small_table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(L=0, widths=[1], seeds=[0]), "k must be at least 1, got 0"),
        (dict(L=2.0, widths=[1], seeds=[0]), "L must be a PopulationLoss and come first, as in sweep.Pop.*, got 2.0"),
        (dict(L=2, widths=[0], seeds=[0]), "widths must be at least 1, got 0"),
        (dict(L=2, widths=[1], seeds=[-1]), "seeds must be at least 0, got -1"),
        (dict(L=2, widths=10, seeds=[0]), "widths must be integers, such as range\\(10\\) or \\[3, 5\\], got 10"),
        (dict(L=2, widths=[1], seeds=0), "seeds must be at least 1, got 0"),
        (dict(L=2, widths=[1], seeds="10"), "seeds must be integers, such as range.* got '10'"),
        (dict(L=2, widths="1-2", seeds=[0]), "widths must be integers, such as range.* got '1-2'"),
        (dict(L=2, widths=[1], seeds=[0], path=5), "path must be the name of a file, got 5"),
        (dict(L=2, widths=[1], seeds=[0], rtol="small"), "rtol must be a number, got 'small'"),
        (dict(L=2, widths=[1], seeds=[0], gradient_tol=-1), "gradient_tol must be a number between .*, got -1"),
        (dict(L=2, widths=[1], seeds=[3, 3]), "seeds must be distinct, got \\[3, 3\\]"),
        (dict(L=2, widths=[1], seeds=[0], init=kernels.relu), "the kernel belongs to the loss, sweep.PopulationLoss"),
        (dict(L=2, widths=[1], seeds=[0], init="cauchy"), "init must be 'normal' or 'uniform', .* got 'cauchy'"),
        (dict(L=2, widths=[1], seeds=[0], init=lambda rng, n, d: 1), "Network of n = 2 .* d = 3 inputs, got 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        run.sweep(**arguments)


def test_a_file_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    run.sweep(3, [1], [0], executor=in_process(), path=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="path must hold flows of the same settings"):
        run.sweep(3, [1], [0], executor=in_process(), path=path, init="uniform")
    assert path.read_bytes() == before
    path.write_text("my notes\n")
    with pytest.raises(ValueError, match="path must be a table of lib.sweep, got a file that begins 'my notes"):
        run.sweep(3, [1], [0], executor=in_process(), path=path)
    assert path.read_text() == "my notes\n"


def committed(k):
    return ROOT / "book" / "data" / f"sweep_erf_k{k}.csv"


@pytest.mark.parametrize("k", COMMITTED)
def test_the_committed_tables_are_complete_and_certified(k):
    widths, seeds, exceptions, _ = COMMITTED[k]
    table, settings = read(committed(k))
    assert settings == dict(k=k, kernel="erf", law="normal", rtol=1e-5, gradient_tol=1e-8)
    assert [(row["n"], row["seed"]) for row in table] == [(n, seed) for n in widths for seed in range(seeds)]
    certified = table["certificate"] == "strict minimum"
    assert (~certified).sum() == exceptions and set(table["status"][certified]) == {"converged"}
    assert committed(k).stat().st_size < 1e6


@pytest.mark.parametrize("k", COMMITTED)
def test_committed_rows_are_reproduced(k):
    """A random sample of the strict minima, one for each of several ranges of widths, run again from its seed."""
    table, settings = read(committed(k))
    rng, kinds = np.random.default_rng(0), []
    for rows in np.array_split(table[table["certificate"] == "strict minimum"], COMMITTED[k][-1]):
        row = rng.choice(rows)
        again = run.flow_row(int(row["n"]), int(row["seed"]), from_settings(settings))
        assert abs(again["loss"] - row["loss"]) < 1e-9, row
        assert (again["kind"], again["sizes"], again["certificate"]) == (row["kind"], row["sizes"], row["certificate"])
        kinds.append(again["kind"])
    assert set(kinds) == {"copy-average", "perturbed-copies"}


def test_a_flow_that_slows_down_at_a_saddle_is_followed_beyond(monkeypatch):
    """n = 49, seed 9: on the way |grad L| falls to 9.6e-9 with an eigenvalue of -3e-7 left.

    Newton's method finds the saddle too far away to call the point critical.
    """
    table, settings = read(committed(50))
    row = table[(table["n"] == 49) & (table["seed"] == 9)][0]
    flows, certificates = [], []
    monkeypatch.setattr(run, "gradient_flow", lambda *args, **kw: flows.append(gradient_flow(*args, **kw)) or flows[-1])
    monkeypatch.setattr(run, "certify", lambda *args: certificates.append(certify(*args)) or certificates[-1])
    again = run.flow_row(49, 9, from_settings(settings))
    assert len(flows) == len(certificates) == 2
    assert flows[0].status == "converged" and 1e-9 < flows[0].gradient_norms[-1] <= 1e-8
    assert certificates[0].kind == "not critical" and certificates[0].smallest_eigenvalue < -1e-7
    assert (again["kind"], again["certificate"]) == (row["kind"], "strict minimum")
    assert again["status"] == "converged" and abs(again["loss"] - row["loss"]) < 1e-9


def test_ranges_of_the_command_line():
    for text, values in (("3", [3]), ("1-4,7", [1, 2, 3, 4, 7]), ("2-7:2", [2, 4, 6])):
        assert command_line._range(text) == values


def test_committed_end_points():
    """Both kinds of end at n = 25, critical and of the loss in their row."""
    table, _ = read(committed(50))
    L = PopulationLoss(Network.orthonormal(50, 51), kernels.erf)
    with np.load(committed(50).with_suffix(".npz")) as arrays:
        for kind in ("copy-average", "perturbed-copies"):
            student = Network(arrays[f"W_{kind}"], arrays[f"a_{kind}"])
            row = table[(table["n"] == 25) & (table["seed"] == arrays[f"seed_{kind}"])][0]
            assert identify(L, student).kind == row["kind"] == kind
            assert abs(L(student) - row["loss"]) < 1e-9
            assert np.linalg.norm(L.gradient(student).ravel()) < 1e-10


def relu_table(k):
    return read(ROOT / "book" / "data" / f"sweep_relu_k{k}.csv")


@pytest.mark.parametrize("k", RELU_SEEDS)
def test_the_committed_relu_tables_are_complete_and_certified(k):
    table, settings = relu_table(k)
    assert settings == dict(k=k, kernel="relu", law="normal", rtol=1e-5, gradient_tol=1e-8)
    runs = [(n, seed) for n in range(1, k + 1) for seed in range(RELU_SEEDS[k])]
    assert [(row["n"], row["seed"]) for row in table] == runs
    assert set(table["status"]) <= {"converged", "dead neuron"} and (table["gradient_norm"] <= 1e-8).all()
    dead = table["kind"] == "dead"
    assert set(table["certificate"]) <= {"strict minimum", "flat minimum"}
    assert set(table["certificate"][table["status"] == "dead neuron"]) <= {"flat minimum"}
    assert (table["smallest_eigenvalue"][~dead] > 1e-4).all()
    assert (table["smallest_eigenvalue"][dead] == 0.0).all()
    named = {"copy-average", "copy-average-like", "perturbed-copies", "wrong-sign", "dead"}
    assert [(row["n"], row["seed"]) for row in table if row["kind"] not in named] == RELU_UNNAMED.get(k, [])


def sizes_of(row):
    parts = [part.rpartition("*") for part in str(row["sizes"]).split("+")]
    return [int(size) for count, _, size in parts if size for _ in range(int(count or 1))]


@pytest.mark.parametrize("k", [8, 12])
def test_committed_relu_losses_are_those_of_the_symmetric_students(k):
    """Witness: Newton's method on a handful of numbers, which knows nothing of flows."""
    table, _ = relu_table(k)
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.relu)
    named = table[table["sizes"] != ""]
    for kind, text in sorted({(str(row["kind"]), str(row["sizes"])) for row in named}):
        rows = named[(named["kind"] == kind) & (named["sizes"] == text)]
        sizes = sizes_of(rows[0])
        make = copy_average_like if kind == "copy-average-like" else perturbed_copies
        student = make(kernels.relu, k, len(sizes), k + 1, flipped=sizes.count(-1))
        assert np.abs(rows["loss"] - L(student)).max() < 1e-9, (kind, text)


def relu_sample(k):
    """Random rows of a table, the same for all the tests that run them again, by what they ended with.

    Up to two of each, but one of a student whose neurons are all dead; narrow students, beside two of any wider ones.
    """
    table, settings = relu_table(k)
    rng, dead, narrow = np.random.default_rng(k), table["kind"] == "dead", table["n"] <= 12
    kinds = {
        "all dead": dead,
        "dead": (table["status"] == "dead neuron") & ~dead & narrow,
        "flat": (table["certificate"] == "flat minimum") & (table["status"] == "converged") & ~dead & narrow,
        "strict": (table["certificate"] == "strict minimum") & narrow,
        "wide": ~narrow & ~dead,
    }
    most = {"all dead": 1}
    chosen = {kind: table[rng.permutation(np.flatnonzero(of))[: most.get(kind, 2)]] for kind, of in kinds.items()}
    return chosen, from_settings(settings)


followed = functools.cache(run.certified_flow)  # the flows of `relu_sample`, which three tests look at


@pytest.mark.parametrize("k", RUN_AGAIN)
def test_committed_relu_rows_are_reproduced(k, monkeypatch):
    """A random sample of the rows, of each kind of end, run again from their seeds."""
    monkeypatch.setattr(run, "certified_flow", followed)
    sample, common = relu_sample(k)
    assert len(sample["all dead"]) == 1 and len(sample["flat"]) == len(sample["strict"]) == 2
    for row in np.concatenate(list(sample.values())):
        again = run.flow_row(int(row["n"]), int(row["seed"]), common)
        assert abs(again["loss"] - row["loss"]) < 1e-9, row
        names = ("status", "kind", "sizes", "certificate")
        assert [again[name] for name in names] == [str(row[name]) for name in names]


def angular_loss(W, a, k):
    """Witness of the relu loss: E[relu(w.x) relu(v.x)] by the angle between w and v."""
    V, b = np.concatenate((W, np.eye(k, W.shape[1]))), np.concatenate((a, -np.ones(k)))
    lengths = np.linalg.norm(V, axis=1)
    V, b = V[lengths > 0.0] / lengths[lengths > 0.0, None], (b * lengths)[lengths > 0.0]
    half = np.linalg.norm(V[:, None] - V, axis=2) / 2.0, np.linalg.norm(V[:, None] + V, axis=2) / 2.0
    angle = 2.0 * np.arctan2(*half)
    return b @ (np.sin(angle) + (np.pi - angle) * np.cos(angle)) @ b / (2.0 * np.pi)


@pytest.mark.parametrize("k", RUN_AGAIN[1:5])  # 8, 10, 12, 20
def test_no_move_lowers_a_committed_relu_minimum(k):
    """Ends with dead neurons, and others, of a random sample. Witness: another formula of the loss.

    Neurons at w = 0 are put anywhere, all others are nudged; and what a flat minimum may exchange
    changes nothing.
    """
    (sample, common), rng = relu_sample(k), np.random.default_rng(k)
    assert len(sample["dead"]) == len(sample["flat"]) == len(sample["strict"]) == 2
    for kind in ("dead", "flat", "strict", "wide"):
        for row in sample[kind]:
            _, found = followed(int(row["n"]), int(row["seed"]), common, True)
            W, a = found.student.W, found.student.a
            lowest, zero = angular_loss(W, a, k), ~W.any(axis=1)
            assert abs(lowest - row["loss"]) < 1e-9 and zero.sum() == found.dead, row
            moved = np.concatenate((W[~zero], np.eye(*W.shape), rng.standard_normal((200, k + 1))))
            for u in np.concatenate((moved, -moved)) if found.dead else []:
                there = W + zero[:, None] * 1e-4 * u / np.linalg.norm(u)
                assert angular_loss(there, a, k) > lowest - 1e-13, row
            for _ in range(200):
                step = 10.0 ** rng.uniform(-5, -2) * rng.standard_normal((len(W), k + 2))
                there = W + step[:, :-1], a + step[:, -1]
                assert angular_loss(*there, k) > lowest - 1e-13, row


def angular_gradient(W, a, k):
    """Witness of the relu gradient, by the angles as well; no w is 0. Rows (w-part, a-part)."""
    V, b = np.concatenate((W, np.eye(k, W.shape[1]))), np.concatenate((a, -np.ones(k)))
    lengths = np.linalg.norm(V, axis=1)
    U, r = V / lengths[:, None], lengths[: len(W)]
    half = [np.linalg.norm(U[: len(W), None] + sign * U, axis=2) / 2.0 for sign in (-1, 1)]
    angle = 2.0 * np.arctan2(*half)
    pulls = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) * r[:, None] @ (lengths * b)
    to_W = ((np.pi - angle) * b) @ V + (np.sin(angle) @ (lengths * b))[:, None] * U[: len(W)]
    return np.column_stack((a[:, None] * to_W, pulls)) / np.pi


def lowest_rate(W, a, k, rng):
    """Least dL / d eta over unit vectors u of a neuron (eta u, -1) beside W, a, none of which is 0."""

    def rate(u):
        length = np.linalg.norm(u)
        u = u / length
        slope = angular_gradient(np.vstack((W, u)), np.append(a, -1.0), k)[-1, :-1] - u
        return slope @ u, (slope - (slope @ u) * u) / length

    random = rng.standard_normal((5, k + 1))
    starts = np.concatenate((W + 1e-2 * rng.standard_normal(W.shape), -W, random))
    return min(minimize(rate, u, jac=True, options={"gtol": 1e-9}).fun for u in starts)


@pytest.mark.parametrize("k", RUN_AGAIN)
def test_committed_relu_minima_have_the_zero_modes_of_their_names(k):
    """Random rows. Witness: another formula of the gradient, and its differences.

    Strict: one zero eigenvalue for each neuron, its scaling. Flat: more, or dead neurons. None is
    negative, and no direction leads a dead neuron down.
    """
    (sample, common), rng = relu_sample(k), np.random.default_rng(k)
    for kind in ("dead", "flat", "strict"):
        for row in sample[kind]:
            student = followed(int(row["n"]), int(row["seed"]), common, True)[1].student
            living = student.W.any(axis=1)
            assert (student.a[~living] < 0.0).all(), row
            ratio = np.sqrt(np.abs(student.a[living]) / np.linalg.norm(student.W[living], axis=1))
            W, a = student.W[living] * ratio[:, None], student.a[living] / ratio
            theta, hessian = np.column_stack((W, a)), []
            for e in np.eye(theta.size).reshape(-1, *theta.shape) * 1e-5:
                both = [angular_gradient(at[:, :-1], at[:, -1], k) for at in (theta + e, theta - e)]
                hessian.append((both[0] - both[1]).ravel() / 2e-5)
            hessian = np.array(hessian)  # symmetric to 1e-4: third derivatives jump at collinear neurons
            eigenvalues = np.linalg.eigvalsh((hessian + hessian.T) / 2.0)
            zero = np.abs(eigenvalues) < 1e-5
            more = zero.sum() - living.sum() + (~living).sum()
            assert np.linalg.norm(angular_gradient(W, a, k)) < 1e-10, row
            assert eigenvalues[~zero].min() > 1e-4 and (more > 0) == (row["certificate"] == "flat minimum"), row
            if not living.all():
                assert lowest_rate(W, a, k, rng) > -1e-9, row


def test_a_dead_neuron_with_a_way_down_has_a_negative_rate():
    """k = 10: six copy-average-like neurons, with which a flow was once said to end. See above."""
    average = copy_average_like(kernels.relu, 10, 6, 11)
    assert lowest_rate(average.W, average.a, 10, np.random.default_rng(0)) < -1e-4
