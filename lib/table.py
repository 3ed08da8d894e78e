"""The table of a sweep: a CSV file that is whole up to its last line at every moment.

Three comment lines open it: the command, date and versions, the settings as JSON. Then come the names of
the columns, and one line per flow, flushed to the disk before the next.
"""

import contextlib
import csv
import datetime
import io
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import scipy

# The columns: what they mean is said at lib.sweep.sweep.
DTYPE = np.dtype([
    ("k", int), ("n", int), ("seed", int), ("law", "U7"),
    ("loss", float), ("gradient_norm", float), ("status", "U12"), ("end_time", float),
    ("certificate", "U14"), ("smallest_eigenvalue", float), ("newton_step", float),
    ("kind", "U17"), ("sizes", "U64"), ("steps", int), ("gradients", int), ("products", int),
])  # fmt: skip


def read(path):
    """The table of a file that `sweep` wrote, sorted by (n, seed), and its settings, a dictionary."""
    settings, rows, _ = _parse(Path(path).read_text("utf-8"))
    return _array(sorted(rows, key=lambda row: (row["n"], row["seed"]))), settings


def data_file(name):
    """Path of a file of book/data: beside lib in a checkout of the book, inside lib where only lib is installed."""
    here = Path(__file__).parent
    for folder in (here.parent / "book" / "data", here / "data"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"name must be a file of book/data, got {name!r}")


class Table:
    """Rows (dictionaries) by (n, seed), and the file that they are appended to; no file if path is None.

    Raises ValueError for a file of other settings, or that is no such table.
    """

    def __init__(self, path, settings):
        self.rows = {}
        self._settings, self._path, self._file = settings, None if path is None else Path(path), None
        if path is None or not self._path.exists():
            return
        text = self._path.read_text("utf-8")
        if not text:
            return
        found, rows, whole = _parse(text)
        if found != settings:
            raise ValueError(f"path must hold flows of the same settings {settings}, got {found} in {path}")
        self.rows = {(row["n"], row["seed"]): row for row in rows}
        os.truncate(self._path, len(whole.encode("utf-8")))  # a process killed while it wrote leaves half a line

    def __enter__(self):
        if self._path is not None:
            if not self._path.exists() or self._path.stat().st_size == 0:
                self._replace(_header(self._settings))
            self._file = open(self._path, "a", encoding="utf-8", newline="")
        return self

    def __exit__(self, *exception):
        if self._file is not None:
            self._file.close()

    def append(self, row):
        self.rows[row["n"], row["seed"]] = row
        if self._file is not None:
            self._file.write(_line(row[name] for name in DTYPE.names))
            self._file.flush()
            os.fsync(self._file.fileno())

    def array(self, runs):
        """The rows of the given (n, seed) as a structured array, sorted."""
        return _array(self.rows[run] for run in sorted(runs))

    def sort(self):
        """Rewrite the file in the order (n, seed), at one stroke."""
        if self._file is None:
            return
        header = "".join(self._path.read_text("utf-8").splitlines(keepends=True)[:4])
        lines = [_line(self.rows[run][name] for name in DTYPE.names) for run in sorted(self.rows)]
        self._file.close()
        self._replace(header + "".join(lines))

    def _replace(self, text):
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text(text, "utf-8")
        os.replace(fresh, self._path)


def _header(settings):
    main = getattr(sys.modules["__main__"], "__spec__", None)
    command = " ".join(["python -m", main.name, *sys.argv[1:]]) if main is not None else "called from Python"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    with contextlib.suppress(ImportError):
        import numba

        versions += f", numba {numba.__version__}"
    return (
        f"# {command}\n"
        f"# {datetime.date.today().isoformat()}, {versions}\n"
        f"# {json.dumps(settings)}\n" + _line(DTYPE.names)
    )


def _line(values):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _parse(text):
    """(settings, rows, the part of the text that is whole lines); raises ValueError if it is no table."""
    whole = text[: text.rfind("\n") + 1]
    lines = whole.splitlines()
    if len(lines) < 4 or lines[3] != ",".join(DTYPE.names):
        raise ValueError(f"path must be a table of lib.sweep, got a file that begins {text[:60]!r}")
    casts = [{"i": int, "f": float, "U": str}[DTYPE[name].kind] for name in DTYPE.names]
    rows = [
        {name: cast(value) for name, cast, value in zip(DTYPE.names, casts, row, strict=True)}
        for row in csv.reader(lines[4:])
    ]
    return json.loads(lines[2][2:]), rows, whole


def _array(rows):
    return np.array([tuple(row[name] for name in DTYPE.names) for row in rows], dtype=DTYPE)
