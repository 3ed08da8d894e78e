"""The tables of what is proven: all pairs 2 <= n < k <= 100, the boundaries of all k <= 100.

    python -m lib.proofs book/data
    python -m lib.proofs book/data --ends     # where the flows of k = 10, 20, 50, 100 end

Every finished row is appended at once; the same command again continues where it was stopped. A
number in a table differs from the true one by less than 3 parts in 10^16, the signs and the kinds
are proven, and each boundary of the second table lies within one part in 10^10 of the number given.
"""

import argparse
import csv
import os
import platform
from pathlib import Path
from typing import NamedTuple

import flint
from flint import arb

from lib.proofs.boundaries import enclose_boundaries, near_boundaries
from lib.proofs.enclosures import PRECISION, Undecided, precise
from lib.proofs.ends import end_of_flow
from lib.proofs.perturbed import Verdict, prove
from lib.students.spectrum import PhaseBoundaries
from lib.sweeps import table as sweeps
from lib.sweeps.processes import progress
from lib.sweeps.table import data_file, line_of

LARGEST = 100


class Proofs(NamedTuple):
    """A file of one row for each of `keys`, made by `row`, which returns its fields."""

    name: str
    columns: tuple
    keys: tuple
    row: object


@precise
def nearest(ball):
    """The float64 that all of the ball rounds to, or a neighbour; Undecided if it is wider."""
    found = float(ball.mid())
    if not (arb(found) * (1 + arb(0, 2.0**-52))).contains(ball):
        raise Undecided(f"{ball} is too wide for a float64")
    return found


def pair_row(k, n):
    """The row of a pair: the `Verdict`, its balls as floats."""
    verdict = prove(k, n)
    return [nearest(entry) if isinstance(entry, arb) else entry for entry in verdict]


def boundaries_row(k):
    """The row of k: the boundaries, proven to be within one part in 10^10."""
    enclose_boundaries(k)
    return [k, *near_boundaries(k)]


def all_proofs(largest=LARGEST):
    """The two tables, up to k = largest."""
    pairs = tuple((k, n) for k in range(3, largest + 1) for n in range(2, k))
    return (
        Proofs("proofs_perturbed_copies.csv", Verdict._fields, pairs, pair_row),
        Proofs(
            "proofs_boundaries.csv",
            ("k", *PhaseBoundaries._fields),
            tuple((k,) for k in range(3, largest + 1)),
            boundaries_row,
        ),
    )


def end_row(k, n, seed):
    """The row of a flow: its end, with distance and excess as parts of what is allowed."""
    end = end_of_flow(k, n, seed)
    if not end.proven:
        raise Undecided(
            f"the end of k = {k}, n = {n}, seed {seed} is not near enough to a known minimum: {end}"
        )
    return [
        k,
        n,
        seed,
        end.kind,
        f"{end.distance / end.radius:.0e}",
        f"{end.excess / end.barrier:.0e}",
    ]


def all_ends(ks=(10, 20, 50, 100)):
    """The table of the ends of all flows of these k that were certified as strict minima."""
    rows = [row for k in ks for row in sweeps.read(data_file(f"sweep_erf_k{k}.csv"))[0]]
    keys = tuple(
        (int(r["k"]), int(r["n"]), int(r["seed"]))
        for r in rows
        if r["certificate"] == "strict minimum"
    )
    return Proofs(
        "proofs_ends.csv", ("k", "n", "seed", "kind", "distance", "excess"), keys, end_row
    )


def read(path, columns):
    """The rows of a table as dictionaries of strings, whole lines only; [] without the file.

    Raises ValueError for a file that is no such table.
    """
    path = Path(path)
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()
    if len(lines) < 2 or lines[1] != ",".join(columns):
        raise ValueError(f"path must be a table with columns {','.join(columns)}, got {path}")
    return [dict(zip(columns, row, strict=True)) for row in csv.reader(lines[2:])]


def write(proofs, folder, progress=lambda keys: keys):
    """Append the rows that the file in `folder` lacks."""
    path = Path(folder) / proofs.name
    rows = read(path, proofs.columns)
    done = {tuple(int(row[name]) for name in proofs.columns[: len(proofs.keys[0])]) for row in rows}
    text = _header() + line_of(proofs.columns) + "".join(line_of(row.values()) for row in rows)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, "utf-8")  # without half a line that a killed process left
    os.replace(fresh, path)
    with open(path, "a", encoding="utf-8", newline="") as file:
        for key in progress([key for key in proofs.keys if key not in done]):
            file.write(line_of(proofs.row(*key)))
            file.flush()


def _header():
    versions = (
        f"Python {platform.python_version()}, python-flint {flint.__version__}, {PRECISION} bits"
    )
    return f"# python -m lib.proofs book/data; {versions}\n"


def parser():
    command = argparse.ArgumentParser(
        prog="python -m lib.proofs", description="The tables of what is proven."
    )
    command.add_argument("folder", type=Path, help="where the tables are, or will be: book/data")
    command.add_argument(
        "--largest", type=int, default=LARGEST, help="largest k (default: %(default)s)"
    )
    command.add_argument(
        "--ends", action="store_true", help="instead, where the stored flows end (half an hour)"
    )
    return command


def main(arguments=None):
    options = parser().parse_args(arguments)
    for proofs in (all_ends(),) if options.ends else all_proofs(options.largest):
        write(proofs, options.folder, lambda keys: progress(keys, len(keys), "proof"))
