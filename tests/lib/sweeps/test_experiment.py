"""lib.sweeps.experiment, and `sweep` for any teacher, kernel and initial students."""

import concurrent.futures
import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from guards import ROOT
from sweeping import in_process, said, wait_for

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average,
    glorot,
    gradient_flow,
    identify,
    kernels,
    load_sweep,
    sweep,
)
from lib.kernels import Kernel
from lib.sweeps.experiment import experiment, from_settings
from lib.sweeps.processes import ending
from lib.sweeps.table import DTYPE, read

pytestmark = pytest.mark.usefixtures("compiled_apart")

WEIGHTS = np.array([3.0, 2.0, 1.0, 0.8, 0.5])


def tenth(rng, n, d):
    """A tenth of what glorot draws."""
    start = glorot(rng, n, d)
    return Network(0.1 * start.W, 0.1 * start.a)


def shifted(rng, n, d):
    return Network(0.1 + tenth(rng, n, d).W, np.ones(n))


@pytest.mark.parametrize(
    ("L", "init"),
    [
        (PopulationLoss(Network(np.eye(5), WEIGHTS), kernels.erf), "normal"),
        (PopulationLoss(Network(np.eye(5), WEIGHTS), kernels.softplus), tenth),
        (PopulationLoss(Network.orthonormal(4, 5), kernels.tanh), "uniform"),
        (PopulationLoss(Network(np.tri(3, 4), [1.0, -1.0, 1.0]), kernels.relu), tenth),
    ],
    ids=["erf", "softplus", "tanh", "relu"],
)
def test_rows_of_any_teacher_say_what_the_flows_found(L, init, tmp_path):
    """Witness: the public functions, from the stated seed."""
    k, d = L.teacher.n, L.teacher.d
    table = sweep(L, [1, 2], 2, init=init, executor=in_process(), path=tmp_path / "table.csv")
    assert table[["n", "seed"]].tolist() == [(1, 0), (1, 1), (2, 0), (2, 1)]
    for row in table:
        rng, n = np.random.default_rng([k, row["n"], row["seed"]]), int(row["n"])
        flow = gradient_flow(L, glorot(rng, n, d, init) if isinstance(init, str) else init(rng, n, d))
        found = certify(L, flow.student)
        assert (row["status"], row["certificate"]) == (flow.status, found.kind)
        assert row["loss"] == pytest.approx(flow.losses[-1], rel=1e-9)
        assert row["kind"] == identify(L, found.student).kind
        assert row["law"] == (init if isinstance(init, str) else "tenth")
    np.testing.assert_array_equal(load_sweep(tmp_path / "table.csv"), table)


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "data").glob("sweep_*.csv")), ids=lambda path: path.stem)
def test_the_tables_of_the_book_keep_their_settings_to_the_byte(path):
    settings = read(path)[1]
    L = PopulationLoss(Network.orthonormal(settings["k"], settings["k"] + 1), getattr(kernels, settings["kernel"]))
    common = experiment(L)
    assert path.read_text("utf-8").splitlines()[2] == "# " + json.dumps(common.settings())
    assert common == from_settings(settings)


class Doubled(Kernel):
    """2 erf under the name of erf."""

    factor = 4.0

    def value_at(self, pairs):
        return self.factor * kernels.erf.value_at(pairs)


def doubled(y):
    return 2.0 * kernels.erf.sigma(y)


def test_a_file_of_another_teacher_kernel_or_init_is_refused(tmp_path):
    """Whatever could be taken for the first: a sign, the order of inputs, a name. Rounding is not another teacher."""
    path, teacher = tmp_path / "table.csv", Network(np.eye(5), WEIGHTS)
    run = dict(widths=[1], seeds=1, executor=in_process(), path=path)
    table = sweep(PopulationLoss(teacher, kernels.erf), init=tenth, **run)
    before = path.read_bytes()
    assert b'"teacher": "' in before and b'"init": "' in before
    V = teacher.W
    others = {
        "weight": Network(V, WEIGHTS + [0, 0, 0, 0, 1e-6]),
        "sign": Network(V, WEIGHTS * [1, 1, 1, 1, -1]),
        "order": Network(V[:, ::-1], WEIGHTS),
        "inputs": Network(np.eye(5, 6), WEIGHTS),
        "scale": Network(2.0 * V, 2.0 * WEIGHTS),
        "book": Network.orthonormal(5, 6),
    }
    for name, other in others.items():
        with pytest.raises(ValueError, match="path must hold flows of the same settings"):
            sweep(PopulationLoss(other, kernels.erf), init=tenth, **run)
        assert path.read_bytes() == before, name
    for L, init in [
        (PopulationLoss(teacher, kernels.tanh), tenth),
        (PopulationLoss(teacher, Doubled("erf", doubled, 1.0)), tenth),
        (PopulationLoss(teacher, kernels.erf), "normal"),
        (PopulationLoss(teacher, kernels.erf), shifted),
    ]:
        with pytest.raises(ValueError, match="path must hold flows of the same settings"):
            sweep(L, init=init, **run)
        assert path.read_bytes() == before
    elsewhere = Network(V + 1e-15 * np.ones_like(V), WEIGHTS * (1 + 1e-15))
    again = sweep(PopulationLoss(elsewhere, kernels.erf), init=tenth, **run)
    np.testing.assert_array_equal(again, table)
    assert path.read_bytes() == before


def test_a_kernel_of_ones_own_has_a_fingerprint():
    teacher, own = Network.orthonormal(2, 3), Doubled("erf", doubled, 1.0)
    other = Doubled("erf", doubled, 1.0)
    other.factor = 4.0001
    named = {experiment(PopulationLoss(teacher, kernel)).settings()["kernel"] for kernel in (own, other, kernels.erf)}
    assert len(named) == 3 and "erf" in named and all(name.startswith("erf") for name in named)


def test_other_programs_read_the_file(tmp_path):
    """As pandas.read_csv(path, comment="#") does: the names in the first line without #, and no # or comma too many."""
    L = PopulationLoss(Network(np.eye(5), WEIGHTS), kernels.erf)
    table = sweep(L, [1, 3], 2, init=lambda *args: tenth(*args), executor=in_process(), path=tmp_path / "table.csv")
    assert set(table["law"]) == {"<lambda>"}
    lines = [line for line in (tmp_path / "table.csv").read_text("utf-8").splitlines() if "#" not in line]
    rows = list(csv.DictReader(lines))
    assert list(rows[0]) == list(DTYPE.names) and len(rows) == 4
    for row, mine in zip(rows, table, strict=True):
        assert float(row["loss"]) == mine["loss"] and row["sizes"] == mine["sizes"] and None not in row


def test_pandas_reads_table_and_file(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = sweep(3, [1, 2], 2, executor=in_process(), path=tmp_path / "table.csv")
    for frame in (pandas.read_csv(tmp_path / "table.csv", comment="#"), pandas.DataFrame(table)):
        assert list(frame) == list(DTYPE.names)
        for name in DTYPE.names:
            assert frame[name].astype(DTYPE[name].type).tolist() == table[name].tolist(), name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (("missing.csv",), "source must be a file that sweep wrote, .* load_sweep.'erf', k=50., .*; got 'missing.csv'"),
        (("erf",), "source must be a file .* got 'erf'"),
        ((5,), "source must be a file .* got 5"),
        (("erf", 7), r"among .*'erf': \[8, 10, 20, 50, 100\].*; got 'erf' and k = 7"),
    ],
)
def test_what_is_no_table_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load_sweep(*source)


@pytest.mark.parametrize("old", [dict(kernel=kernels.relu), dict(law="uniform"), dict(k=3)])
def test_calls_of_earlier_versions_are_told_the_new_one(old):
    with pytest.raises((TypeError, ValueError), match="sweep.PopulationLoss.teacher, kernel., widths, seeds"):
        sweep(*([] if "k" in old else [3]), widths=[1], seeds=[0], **old)


HEAD = """
from lib import Network, PopulationLoss, glorot, kernels, sweep

def init(rng, n, d):
    return Network(0.5 * glorot(rng, n, d).W, [1.0] * n)

"""


def script(path, code):
    path.write_text(HEAD + code)
    return [sys.executable, str(path)]


def test_processes_take_an_init_of_the_script(tmp_path):
    code = """
if __name__ == "__main__":
    L = PopulationLoss(Network([[1.0, 0.5], [0.0, 1.0]], [1.0, 2.0]), kernels.relu)
    print(sweep(L, [1, 2], 2, init=init)["law"])
"""
    command = script(tmp_path / "script.py", code)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "['init' 'init' 'init' 'init']\n"


def test_processes_cannot_take_one_of_a_session(tmp_path):
    """There is no file to import it from: the message says what to do, and the one way that stays here works."""
    L = PopulationLoss(Network.orthonormal(2), kernels.relu)
    with pytest.raises(ValueError, match="mine.py, and `from mine import ...`, or give executor=.*ThreadPoolExecutor"):
        sweep(L, [1], 1, init=lambda rng, n, d: glorot(rng, n, d))
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        assert len(sweep(L, [1], 1, init=lambda rng, n, d: glorot(rng, n, d), executor=thread)) == 1
    code = HEAD + "sweep(PopulationLoss(Network.orthonormal(2), kernels.relu), [1], 1, init=init)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1 and "or give executor=" in said(done.stderr)[-1]


def test_ctrl_c_ends_a_script_in_one_line_and_the_same_call_goes_on(tmp_path):
    path = tmp_path / "table.csv"
    code = f"""
if __name__ == "__main__":
    L = PopulationLoss(Network.orthonormal(4), kernels.tanh)
    table = sweep(L, [3], 200, init=init, path={str(path)!r})
"""
    command = script(tmp_path / "script.py", code)
    options = dict(stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, **options)
    wait_for(lambda: path.exists() and path.read_text("utf-8").count("\n") > 6)  # the last may not have been counted
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    (line,) = said(errors)
    finished = len(load_sweep(path))
    assert line == f"sweep: interrupted after {finished} of 200 flows; the same call goes on"
    assert process.returncode == 1 and 0 < finished < 200
    process = subprocess.Popen(command, **options)
    wait_for(lambda: path.read_text("utf-8").count("\n") > finished + 5)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert finished < len(load_sweep(path)) < 200


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_ends_a_script_in_one_line_ends_no_session(kind, monkeypatch):
    assert isinstance(ending(kind, "why"), kind) and isinstance(ending(kind, "why"), SystemExit)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert type(ending(kind, "why")) is kind and str(ending(kind, "why")) == "why"


def test_an_average_of_a_file_is_the_students(tmp_path):
    """One student neuron for a teacher of equal weights: its loss in the file is the closed form's."""
    L = PopulationLoss(Network(np.eye(3)[::-1], np.full(3, 2.0)), kernels.erf)
    table = sweep(L, [1], 1, executor=in_process(), path=tmp_path / "table.csv")
    student = copy_average([3])
    assert table["loss"][0] == pytest.approx(L(Network(student.W, 2.0 * student.a)), rel=1e-9)
    assert table["kind"][0] == "copy-average" and table["sizes"][0] == "3"


def too_long_for_three(rng, n, d):
    return Network(np.full((n, d), 9.0 if n == 3 else 0.3), np.ones(n))


def test_a_flow_that_cannot_be_followed_costs_no_other_one(tmp_path):
    """A kernel that is known up to a length; the row that fails is the first one to be run."""
    kernel, path = Kernel.from_activation(np.arctan, largest=8.0), tmp_path / "table.csv"
    L = PopulationLoss(Network.orthonormal(2), kernel)
    with pytest.raises(ValueError, match=r"^2 of 4 flows .* are kept: n=3, seed=0: w must be of length at most 8 "):
        sweep(L, [1, 3], 2, too_long_for_three, executor=in_process(), path=path)
    assert load_sweep(path)[["n", "seed"]].tolist() == [(1, 0), (1, 1)]
    with pytest.raises(ValueError, match="not kept without a path"):
        sweep(L, [3], 1, too_long_for_three, executor=in_process())
