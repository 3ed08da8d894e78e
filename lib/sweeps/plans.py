"""Tables that many independent jobs make together, such as those of the chapters on training.

Unlike a sweep, a job makes several rows, of any columns. A finished table NAME is NAME.csv.gz;
while it is made, its rows are in NAME.csv and the finished jobs in NAME.jobs.
"""

import gzip
import os
import platform
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.arguments import shown
from lib.sweeps.processes import local_processes, progress
from lib.sweeps.table import data_file, line_of


class Plan(NamedTuple):
    """A table: its name, the names of its columns, its jobs, and the function of a job.

    Attributes
    ----------
    name : str
    columns : tuple of str
    jobs : list of tuples
        Arguments of `rows`, for one job each.
    rows : callable
        Of a module, so that other processes can be sent it; returns tuples of len(columns).
    """

    name: str
    columns: tuple
    jobs: list
    rows: object


def write(plan, folder):
    """Make a table in the folder, on all cores; what is there of it already is not made again."""
    folder = Path(folder)
    whole, part, log_path = (folder / (plan.name + end) for end in (".csv.gz", ".csv", ".jobs"))
    if whole.exists():
        return
    finished = set(log_path.read_text("utf-8").split()) if log_path.exists() else set()
    missing = [i for i in range(len(plan.jobs)) if str(i) not in finished]
    # Without half a line that a killed process left. Rows of a job that is not in the log come
    # twice, and are kept once.
    part.write_text(_text(plan, _lines(part, plan.columns)), "utf-8", newline="")
    with (
        local_processes(max(1, len(missing))) as pool,
        open(part, "a", encoding="utf-8", newline="") as table,
        open(log_path, "a", encoding="utf-8") as log,
    ):
        futures = {pool.submit(plan.rows, *plan.jobs[i]): i for i in missing}
        for future in progress(as_completed(futures), len(futures), "job", desc=plan.name):
            table.write("".join(map(line_of, future.result())))
            table.flush()
            log.write(f"{futures[future]}\n")
            log.flush()
    text = _text(plan, _lines(part, plan.columns))
    fresh = folder / (whole.name + ".new")
    fresh.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    os.replace(fresh, whole)
    part.unlink()
    log_path.unlink()


def load(kind, names, name):
    """The committed table KIND_NAME as a structured array, with a field for each column.

    Raises ValueError for another name than `names`.

    Examples
    --------
    >>> from lib.sweeps.plans import load
    >>> load("training", ("fates",), "fates").dtype.names[:2]
    ('k', 'n')
    """
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"name must be one of {', '.join(names)}, got {shown(name)}")
    path = data_file(f"{kind}_{name}.csv.gz")
    return np.genfromtxt(
        path, delimiter=",", names=True, skip_header=1, dtype=None, encoding="utf-8"
    )


def _lines(path, columns):
    """The whole lines of a table, each once; none without the file."""
    if not path.exists():
        return set()
    text = path.read_text("utf-8")
    _, names, *lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
    if names != line_of(columns):
        raise ValueError(f"folder must hold no {path.name} with other columns, got {names.strip()}")
    return set(lines)


def _text(plan, lines):
    """A table with its rows in order, whatever order they were made in."""
    head = f"# {plan.rows.__module__}, Python {platform.python_version()}, NumPy {np.__version__}\n"
    rows = sorted(lines, key=lambda row: [_sortable(entry) for entry in row.strip().split(",")])
    return head + line_of(plan.columns) + "".join(rows)


def _sortable(entry):
    try:
        return 0, float(entry), ""
    except ValueError:
        return 1, 0.0, entry
