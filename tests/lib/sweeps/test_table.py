"""lib.sweeps.table: no accident to the file of a sweep, and no second writer, costs a row or doubles one."""

import contextlib
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from guards import ROOT

from lib import load_sweep
from lib.sweeps import table
from lib.sweeps.table import DTYPE, Table, read

SETTINGS = dict(k=6, kernel="erf", law="normal", rtol=1e-5, gradient_tol=1e-8)
RUNS = [(2, 0), (2, 1), (4, 0)]


def row(n, seed):
    return dict(
        k=6, n=n, seed=seed, law="normal", loss=0.1 * n, gradient_norm=1e-9 / 3, status="converged",
        end_time=100.5, certificate="strict minimum", smallest_eigenvalue=0.25, newton_step=1e-7,
        kind="copy-average", sizes="1+5", steps=12, gradients=34, products=5678,
    )  # fmt: skip


def filled(path, runs=RUNS):
    with Table(path, SETTINGS) as rows:
        for n, seed in runs:
            rows.append(row(n, seed))
        rows.sort()
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


@pytest.fixture
def whole(path):
    return filled(path)


def go_on(path):
    """What a sweep does with a file: run again whatever is not in it, and sort."""
    with Table(path, SETTINGS) as rows:
        missing = {*RUNS, *rows.again} - set(rows.rows)
        for run in sorted(missing):
            rows.append(row(*run))
        rows.sort()
    return missing


DISGUISES = {
    "line ends of Windows": lambda text: text.replace(b"\n", b"\r\n"),
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "both": lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
    "empty lines at the end": lambda text: text + b"\n\r\n\n",
    "rows twice, in disorder": lambda text: text + b"".join(reversed(text.splitlines(True)[4:])),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_what_editors_and_systems_do_to_a_file_is_no_matter(path, whole, disguise):
    path.write_bytes(DISGUISES[disguise](whole))
    assert [(n, seed) for n, seed in read(path)[0][["n", "seed"]]] == RUNS
    assert go_on(path) == set()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("disguise", [lambda text: text, DISGUISES["both"]], ids=["plain", "Windows"])
def test_cut_after_any_byte_it_is_continued(path, whole, disguise, monkeypatch):
    """What is there whole stays, what is not is run again; after the empty file, half a header, half a row."""
    monkeypatch.setattr(table.os, "fsync", lambda descriptor: None)  # 2000 times it takes long
    disguised, reference = disguise(whole), read_rows(path)
    end = len(disguised)
    for size in [0, *range(3, end - 40, 5), *range(end - 40, end)]:  # 3: the byte-order mark
        path.write_bytes(disguised[:size])
        kept = max(0, disguised[:size].count(b"\n") - 4)
        assert go_on(path) == set(RUNS[kept:])
        assert read_rows(path) == reference and path.read_bytes().count(b"\n") == 4 + len(RUNS)


def read_rows(path):
    return read(path)[0].tolist()


def test_a_last_row_without_its_line_end_is_read_and_run_again(path, whole):
    """Its last number may have been cut: 5678 or 567?"""
    path.write_bytes(whole[:-1])
    assert len(read(path)[0]) == 3
    path.write_bytes(whole[:-4])
    assert read(path)[0]["products"][-1] == 5
    with Table(path, SETTINGS) as rows:
        assert set(rows.rows) == set(RUNS[:2]) and rows.again == [RUNS[2]]


def test_of_a_stranger_sixty_signs_are_shown(path):
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="got a file that begins 'x{60}' in"):
        read(path)


def test_half_a_last_row_is_not_read(path, whole):
    path.write_bytes(whole[:-20])
    assert len(read(path)[0]) == 2


def line(number, change):
    def changed(text):
        lines = text.split(b"\n")
        lines[number - 1] = change(lines[number - 1])
        return b"\n".join(lines)

    return changed


STRANGERS = {
    "notes": (lambda text: b"my notes\n", "must be a table of lib.sweep, got a file that begins 'my notes"),
    "half a note": (lambda text: b"# my notes", "got a file that begins '# my notes'"),
    "the number of a foreign format": (lambda text: b"\xff\xfe" + text, "got a file that begins"),
    "half a header with other lines": (lambda text: text[:10] + b"\nx\n", "got a file that begins '# "),
    "more columns": (line(4, lambda names: names + b",more"), "with the columns k,n,seed"),
    "a header of other columns": (
        lambda text: b"".join(text.splitlines(True)[:3]) + b"k,n,seed\n", "k,n,seed,.*, got 'k,n,seed' in .*table.csv"
    ),
    "columns in another order": (line(4, lambda names: names[2:] + b",k"), "with the columns k,n,seed"),
    "settings that are none": (line(3, lambda text: text[:-1]), "with its settings, got '# {"),
    "other settings": (line(3, lambda text: text.replace(b"normal", b"uniform")), "line 5 of .*law is normal, not"),
    "other tolerance": (line(3, lambda text: text.replace(b"1e-05", b"1e-06")), "must hold flows of the same settings"),
    "rows of another k": (line(6, lambda text: b"7" + text[1:]), "line 6 of .*table.csv.*: k is 7, not 6"),
    "two rows in one line": (line(5, lambda text: text[:40] + text), "line 5 of .* values, not 16"),
    "a word for a number": (line(7, lambda text: text.replace(b"5678", b"many")), "line 7 of .*'many'"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_file_that_is_no_table_of_this_sweep_is_refused_and_left_alone(path, whole, stranger):
    change, message = STRANGERS[stranger]
    path.write_bytes(strange := change(whole))
    with pytest.raises(ValueError, match=f"^path {message}" if message.startswith("must") else message):
        go_on(path)
    assert path.read_bytes() == strange
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_names_that_can_be_no_table_are_refused(tmp_path):
    for path, message in [
        (tmp_path / "missing" / "table.csv", "path must lie in a folder that exists"),
        (tmp_path, "path must be an ordinary file"),
        ("/dev/full", "path must be an ordinary file"),
        (5, "path must be the name of a file, got 5"),
    ]:
        if path == "/dev/full" and not os.path.exists(path):
            continue
        with pytest.raises(ValueError, match=message):
            Table(path, SETTINGS)


def test_a_second_writer_is_refused(path, whole):
    """In this process, in another one, and under another name of the same file; afterwards it may."""
    link = path.with_name("link.csv")
    link.symlink_to(path)
    other = f"from lib.sweeps.table import Table\nwith Table({str(path)!r}, {SETTINGS}): pass"
    with Table(path, SETTINGS):
        for name in (path, link):
            with pytest.raises(ValueError, match="one sweep at a time: another one is writing .*table.csv; wait"):
                Table(name, SETTINGS).__enter__()
        done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "another one is writing" in done.stderr
    subprocess.run([sys.executable, "-c", other], check=True)
    assert path.read_bytes() == whole and link.is_symlink()
    assert {file.name for file in path.parent.iterdir()} == {path.name, link.name}


def test_a_lock_file_is_removed_while_it_is_held(path, whole, monkeypatch):
    """And not once more afterwards, when it may be that of another sweep."""
    if table.fcntl is None:
        pytest.skip("Windows keeps a file that is open")
    removed, unlink = [], Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self, *more: removed.append(self.name) or unlink(self, *more))
    with Table(path, SETTINGS):
        assert removed == []
    assert removed == [path.name + ".lock"]


def test_the_lock_of_a_killed_process_ends_with_it(path, whole):
    """Also if a process that it has forked lives on."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    killed = (
        f"import os, time\nfrom lib.sweeps.table import Table\nrows = Table({str(path)!r}, {SETTINGS}).__enter__()\n"
        "if os.fork() == 0: print('held', flush=True)\ntime.sleep(60)"  # the child has let go of it by then
    )
    process = subprocess.Popen([sys.executable, "-c", killed], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="another one is writing"):
            go_on(path)
        process.kill()
        process.wait()
        assert path.with_name("table.csv.lock").exists()
        assert go_on(path) == set() and path.read_bytes() == whole
        assert not path.with_name("table.csv.lock").exists()
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


def test_a_writer_whose_lock_file_was_removed_takes_the_new_one(path, whole, monkeypatch):
    """Between its opening of the file and its lock the last holder may end, and a third one begin."""
    lock, rivals = table._lock, []

    def late(file, path):
        if not rivals:
            path.with_name("table.csv.lock").unlink()
            rivals.append(None)
        return lock(file, path)

    monkeypatch.setattr(table, "_lock", late)
    with Table(path, SETTINGS):
        with pytest.raises(ValueError, match="another one is writing"):
            Table(path, SETTINGS).__enter__()


def test_a_file_system_without_locks_is_said(path, whole, monkeypatch):
    if table.fcntl is None:
        pytest.skip("needs fcntl")

    def unsupported(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(table.fcntl, "flock", unsupported)
    with pytest.warns(RuntimeWarning, match="table.csv is on a file system without locks"):
        assert go_on(path) == set()


@contextlib.contextmanager
def files_of_at_most(size):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_no_row(path, whole):
    """No room for the header, for all of the second row, for the last line end: one error that names the file."""
    begun = filled(path.with_name("begun.csv"), RUNS[:1])
    for size in (100, len(begun) + 30, len(whole) - 1):
        path.write_bytes(begun) if size > 100 else path.unlink()
        with pytest.raises(OSError, match="table.csv'$"), files_of_at_most(size):
            go_on(path)
        if size > 100:
            written = path.read_bytes()
            assert whole.startswith(written) and written.count(b"\n") == (5 if size < len(whole) - 1 else 6)
        assert [file.name for file in path.parent.glob("table*")] == ["table.csv"] * (size > 100)
        go_on(path)
        assert path.read_bytes() == whole


def test_a_disk_that_is_full_when_the_table_is_sorted_leaves_it_unsorted(path, monkeypatch):
    with Table(path, SETTINGS) as rows:
        for run in reversed(RUNS):
            rows.append(row(*run))
        unsorted = path.read_bytes()
        monkeypatch.setattr(table.os, "fsync", full)
        with pytest.raises(OSError, match="No space left.*table.csv"):
            rows.sort()
    monkeypatch.undo()
    assert path.read_bytes() == unsorted and [file.name for file in path.parent.iterdir()] == ["table.csv"]
    assert go_on(path) == set() and [tuple(run) for run in read(path)[0][["n", "seed"]]] == RUNS


def full(descriptor):
    raise OSError(28, "No space left on device")


def interrupted(descriptor):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "fsync, error, message",
    [(full, OSError, "the same call goes on with the others.*table.csv"), (interrupted, KeyboardInterrupt, None)],
)
def test_a_row_that_the_disk_did_not_take_is_not_there(path, whole, monkeypatch, fsync, error, message):
    with Table(path, SETTINGS) as rows:
        monkeypatch.setattr(table.os, "fsync", fsync)
        with pytest.raises(error, match=message):
            rows.append(row(9, 9))
        assert (9, 9) not in rows.rows and path.read_bytes() == whole


@contextlib.contextmanager
def ordinary_user():
    """Root may write everything; nobody may not."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_may_not_be_written_is_left_alone(whole):
    """Read-only: the file, though not its folder; then the folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for content in (whole, b""):
            path.write_bytes(content)
            path.chmod(0o444)
            for mode in (0o777, 0o555):
                os.chmod(folder, mode)
                with ordinary_user(), pytest.raises(PermissionError, match="table.csv'$"):
                    go_on(path)
            os.chmod(folder, 0o777)
            assert path.read_bytes() == content and os.listdir(folder) == ["table.csv"]
            path.chmod(0o666)


def test_a_rewritten_table_keeps_its_permissions(path, whole):
    path.chmod(0o640)
    path.write_bytes(DISGUISES["both"](whole))
    go_on(path)
    assert path.read_bytes() == whole and path.stat().st_mode & 0o777 == 0o640


def test_the_header_is_three_lines_whatever_the_command_held(path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "a\nb\r\u2028\udcff.csv"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", multiprocessing.__spec__)
    filled(path)
    head = path.read_text("utf-8").split("\n")
    assert head[0] == r"# python -m multiprocessing a\nb\r\u2028\udcff.csv"
    assert json.loads(head[2][2:]) == SETTINGS and head[3] == ",".join(DTYPE.names)
    assert len(read(path)[0]) == 3


def test_the_header_holds_the_command_that_was_typed(path, monkeypatch):
    """`python -m lib.sweeps` runs lib.sweeps.__main__."""
    monkeypatch.setattr(sys, "argv", ["", "table.csv"])
    monkeypatch.setattr(
        sys.modules["__main__"], "__spec__", importlib.util.find_spec("lib.sweeps.__main__")
    )
    filled(path)
    assert path.read_text("utf-8").startswith("# python -m lib.sweeps table.csv\n")


def test_a_table_of_the_book_is_loaded_by_its_name():
    rows = load_sweep("erf", k=50)
    table, settings = read(ROOT / "book" / "data" / "sweep_erf_k50.csv")
    assert (rows == table).all() and settings["k"] == 50 and settings["kernel"] == "erf"
    for kernel, k in (("relu", 7), ("tanh", 50), ("../erf", 50)):
        with pytest.raises(ValueError, match="source must be .* a kernel of a table of the book .* got .* and k = "):
            load_sweep(kernel, k)


def test_a_file_is_loaded_by_its_own_name(path, whole):
    for name in (path, str(path)):
        rows = load_sweep(name)
        assert rows.tolist() == read(path)[0].tolist() and rows["seed"].tolist() == [0, 1, 0]


def test_nothing_is_kept_without_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Table(None, SETTINGS) as rows:
        rows.append(row(2, 0))
        rows.sort()
    assert rows.array([(2, 0)])["products"] == [5678] and not list(tmp_path.iterdir())
