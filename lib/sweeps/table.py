"""The table of a sweep: a CSV file that holds every finished row, whole, at every moment.

Three comment lines open it: the command, date and versions, the settings as JSON. Then come the
names of the columns, and one line per flow, flushed to the disk before the next. One process at a
time writes it.
"""

import contextlib
import csv
import datetime
import errno
import importlib.metadata
import io
import json
import numbers
import os
import platform
import shutil
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from lib.arguments import file_name, shown

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

# The columns: what they mean is said at `sweep`.
DTYPE = np.dtype([
    ("k", int), ("n", int), ("seed", int), ("law", "U40"),
    ("loss", float), ("gradient_norm", float), ("status", "U12"), ("end_time", float),
    ("certificate", "U14"), ("smallest_eigenvalue", float), ("newton_step", float),
    ("kind", "U17"), ("sizes", "U64"), ("steps", int), ("gradients", int), ("products", int),
])  # fmt: skip
_COLUMNS = ",".join(DTYPE.names)


def read(path):
    """The table of a file that `sweep` wrote, sorted by (n, seed), and its settings.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    table, settings : structured array and dictionary

    Raises
    ------
    ValueError
        Naming the line, for a file that is no such table. Line ends of Windows, a byte-order mark
        and a missing last line end are no matter; half a last row, of a sweep that is running or
        was killed, is left out.

    Examples
    --------
    >>> from lib.sweeps.table import data_file, read
    >>> table, settings = read(data_file("sweep_erf_k10.csv"))
    >>> settings["k"], settings["kernel"]
    (10, 'erf')
    """
    content = _parse(file_name("path", path).read_bytes(), path)
    last = {} if content.last is None else {_run(content.last): content.last}
    rows = last | content.rows
    return _array(rows[run] for run in sorted(rows)), content.settings


def load_sweep(source, k=None):
    """The flows of a table: of one that comes with the book, or of a file that `sweep` wrote.

    Parameters
    ----------
    source : str or pathlib.Path
        The name of the file, without k; or the kernel of a table of the book: ``'erf'`` (k = 8,
        10, 20, 50, 100) or ``'relu'`` (k = 6, 8, 10, 12, 20, 50).
    k : int
        Teacher neurons of a table of the book.

    Returns
    -------
    structured array
        In the order (n, seed), with the columns that `sweep` returns.

    Raises
    ------
    ValueError
        Where there is no such table.

    Examples
    --------
    >>> table = load_sweep("erf", k=50)
    >>> len(table), int((table["kind"] == "copy-average").sum())
    (1000, 497)
    """
    if k is None and isinstance(source, (str, os.PathLike)) and Path(source).is_file():
        return read(source)[0]
    tables = {}
    for file in (file for folder in _data_folders() for file in folder.glob("sweep_*_k*.csv")):
        kernel, teachers = file.stem.removeprefix("sweep_").rsplit("_k", 1)
        tables.setdefault(kernel, {})[int(teachers)] = file
    sizes = {kernel: sorted(tables[kernel]) for kernel in sorted(tables)}
    known = sizes.get(source, []) if isinstance(source, str) else []
    if not isinstance(k, numbers.Real) or k not in known:
        raise ValueError(
            "source must be a file that sweep wrote, or a kernel of a table of the book with its "
            f"k, as in load_sweep('erf', k=50), among {sizes}; got {shown(source)} and k = "
            f"{shown(k)}"
        )
    return read(tables[source][k])[0]


def data_file(name):
    """The path of a file of book/data: beside lib in a checkout, inside an installed lib."""
    for folder in _data_folders():
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"name must be a file of book/data, got {name!r}")


def _data_folders():
    lib = Path(__file__).parents[1]
    return lib.parent / "book" / "data", lib / "data"


class Table:
    """Rows (dictionaries) by (n, seed), and the file that they are appended to; path None: no file.

    A context manager: `with` locks the file and reads it, so that no other process writes
    meanwhile. again: the run of a last row without its line end. Its last number may be cut, so it
    is none of the rows.

    `with` raises ValueError for a file of other settings, that is no such table, or that another
    process is writing, and OSError where it cannot be written; the file is then as it was.
    """

    def __init__(self, path, settings):
        self.rows, self.again = {}, []
        self._settings = settings
        self._path = None if path is None else _regular_file(path)

    def __enter__(self):
        if self._path is not None:
            with contextlib.ExitStack() as stack:
                stack.enter_context(locked(self._path))
                self._file = stack.enter_context(self._continued())
                self._held = stack.pop_all()
        return self

    def __exit__(self, *exception):
        if self._path is not None:
            self._held.close()

    def append(self, row):
        """Add a row; it is on the disk when this returns, or table and file are as they were."""
        run = _run(row)
        if self._path is None:
            self.rows[run] = row
            return
        line = line_of(row[name] for name in DTYPE.names).encode("utf-8")
        end = os.fstat(self._file.fileno()).st_size
        try:
            while line:  # a disk that is almost full takes a part
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
            self.rows[run] = row
        except BaseException as error:  # Ctrl-C, too: what the table has is what the file has
            if self.rows.get(run) is not row:
                with contextlib.suppress(OSError):
                    self._file.truncate(end)
            if not isinstance(error, OSError):
                raise
            cure = "the rows before this one are kept, and the same call goes on with the others"
            raise OSError(
                error.errno, f"{os.strerror(error.errno)} ({cure})", str(self._path)
            ) from error

    def array(self, runs):
        """The rows of the given (n, seed) as a structured array, sorted."""
        return _array(self.rows[run] for run in sorted(runs))

    def sort(self):
        """Rewrite the file in the order (n, seed), at one stroke."""
        if self._path is None:
            return
        self._file.close()
        written = self._path.read_bytes()
        lines = [line_of(self.rows[run][name] for name in DTYPE.names) for run in sorted(self.rows)]
        fresh = (_parse(written, self._path).header + "".join(lines)).encode("utf-8")
        if fresh != written:
            replace(self._path, fresh)

    def _continued(self):
        """The file, open behind its last whole row."""
        data = b""
        if self._path.exists():
            open(self._path, "ab").close()  # fails before anything is written where nothing can be
            data = self._path.read_bytes()
        if _is_begun(data):
            data = _header(self._settings).encode("utf-8")
            replace(self._path, data)
        content = _parse(data, self._path)
        if content.settings != self._settings:
            raise ValueError(
                f"path must hold flows of the same settings {self._settings}, got "
                f"{content.settings} in {self._path}"
            )
        self.rows, self.again = content.rows, []
        if content.last is not None and _run(content.last) not in content.rows:
            self.again = [_run(content.last)]
        file = open(self._path, "ab", buffering=0)
        if len(data) > content.end:
            file.truncate(content.end)
        return file


@contextlib.contextmanager
def locked(path):
    """Nobody else holds the lock on this path meanwhile; raises ValueError if somebody does.

    It is a lock of the operating system on the file PATH.lock: it ends with the process, however
    that ends.
    """
    name = path.with_name(path.name + ".lock")
    while True:
        try:
            file = open(name, "ab")
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        if not _lock(file, path):
            file.close()
            raise ValueError(
                f"path must be written by one sweep at a time: another one is writing {path}; "
                "wait until it has ended, or choose another file"
            )
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
                break
        file.close()  # the file that its last holder removed between our two calls
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=file.close)  # a child that outlives us must not hold it
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows keeps a file that is open
            name.unlink()
        file.close()
        if fcntl is None:
            with contextlib.suppress(OSError):
                name.unlink()


def _lock(file, path):
    """False if another process, or another thread of this one, has locked the file."""
    try:
        if fcntl is None:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        warnings.warn(
            f"{path} is on a file system without locks ({error.strerror}): see to it that one "
            "sweep alone writes it",
            RuntimeWarning,
            stacklevel=2,
        )
    return True


def replace(path, data):
    """Write the bytes of a file anew; a reader meanwhile sees all the old or all the new ones."""
    fresh = path.with_name(path.name + ".new")
    try:
        with open(fresh, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there was none, or the file system knows no modes
            shutil.copymode(path, fresh)
        os.replace(fresh, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        if isinstance(error, OSError):
            raise OSError(
                error.errno, f"{os.strerror(error.errno)} (it is as it was)", str(path)
            ) from error
        raise


def _regular_file(path):
    """The file that a name stands for, behind all links; whether it exists or not."""
    path = file_name("path", path).resolve()
    if not path.parent.is_dir():
        raise ValueError(f"path must lie in a folder that exists, got {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"path must be an ordinary file, got {path}")
    return path


def _header(settings):
    main = getattr(sys.modules["__main__"], "__spec__", None)
    command = "called from Python"
    if main is not None:
        command = " ".join(["python -m", main.name.removesuffix(".__main__"), *sys.argv[1:]])
    # One line, whatever a path holds.
    command = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in command)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    versions += f", SciPy {scipy.__version__}"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions += f", numba {importlib.metadata.version('numba')}"
    today = datetime.date.today().isoformat()
    return f"# {command}\n# {today}, {versions}\n# {json.dumps(settings)}\n{_COLUMNS}\n"


def _is_begun(data):
    """True for a header that ends before its last line end, or nothing: there has been no row."""
    *whole, last = _text(data).split("\n")
    starts = [("# python -m ", "# called from Python"), ("# ",), ("# {",), (_COLUMNS,)]
    if len(whole) >= len(starts) or not all(map(str.startswith, whole, starts)):
        return False
    last = last.rstrip("\r")
    start = starts[len(whole)]
    return any(text.startswith(last) for text in start) or len(whole) < 3 and last.startswith(start)


def line_of(values):
    """A line of a CSV file, with its end.

    Examples
    --------
    >>> from lib.sweeps.table import line_of
    >>> line_of((1, 0.5, "copy, average"))
    '1,0.5,"copy, average"\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


class _Content(NamedTuple):
    """What a file holds.

    header: four lines. end: where the whole lines end, in bytes. last: a last row without its line
    end, or None.
    """

    header: str
    settings: dict
    rows: dict
    end: int
    last: dict | None


def _text(data):
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")


def _parse(data, path):
    """The `_Content` of the bytes of a file; raises ValueError, naming the line, unless a table."""
    end = data.rfind(b"\n") + 1
    lines = _text(data[:end]).split("\n")[:-1]
    wanted = "path must be a table of lib.sweep"
    if len(lines) < 4 or not all(map(str.startswith, lines, ("# ", "# ", "# {"))):
        raise ValueError(f"{wanted}, got a file that begins {_text(data)[:60]!r} in {path}")
    if lines[3] != _COLUMNS:
        raise ValueError(f"{wanted} with the columns {_COLUMNS}, got {lines[3]!r} in {path}")
    try:
        settings = json.loads(lines[2][2:])
    except json.JSONDecodeError:
        raise ValueError(f"{wanted} with its settings, got {lines[2]!r} in {path}") from None
    rows = {}
    for number, line in enumerate(lines[4:], start=5):
        try:
            row = _row(line, settings) if line else None
        except ValueError as error:
            raise ValueError(
                f"{wanted} whose rows are whole, got line {number} of {path}, {line!r}: {error}; "
                "without that line its flow is run again"
            ) from None
        if row is not None:
            rows[_run(row)] = row
    last = None
    with contextlib.suppress(ValueError):
        last = _row(_text(data[end:]).rstrip("\r"), settings)
    return _Content("".join(line + "\n" for line in lines[:4]), settings, rows, end, last)


def _row(line, settings):
    """The row, a dictionary, of a line; raises ValueError unless it fits a table's settings."""
    values = line.split(",")
    if len(values) != len(DTYPE.names):
        raise ValueError(f"{len(values)} values, not {len(DTYPE.names)}")
    casts = [{"i": int, "f": float, "U": str}[DTYPE[name].kind] for name in DTYPE.names]
    row = {name: cast(value) for name, cast, value in zip(DTYPE.names, casts, values, strict=True)}
    for name in ("k", "law"):
        if row[name] != settings.get(name):
            raise ValueError(f"{name} is {row[name]}, not {settings.get(name)}")
    return row


def _run(row):
    return row["n"], row["seed"]


def _array(rows):
    return np.array([tuple(row[name] for name in DTYPE.names) for row in rows], dtype=DTYPE)
