"""The command `python -m lib.sweeps`; see lib.sweeps.run."""

import argparse
from pathlib import Path

import numpy as np

from lib import kernels
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.sweeps.run import save_end_points, sweep
from lib.sweeps.table import read


def _range(text):
    """'1-50', '2-50:2' for every second of them, '3' or '1-5,8' as a list of integers."""
    values = []
    try:
        for part in text.split(","):
            ends, _, step = part.partition(":")
            first, _, last = ends.partition("-")
            chosen = range(int(first), int(last or first) + 1, int(step or 1))
            if not 0 < len(chosen) <= 10**6:
                raise ValueError
            values += chosen
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"must be like 1-50, 2-50:2 or 5,10, got {text!r}"
        ) from None
    return values


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def parser():
    about = "Gradient flows from many random students: widths x seeds, each certified."
    command = _Parser(prog="python -m lib.sweeps", description=about)
    option = command.add_argument
    six = ["erf", "tanh", "sigmoid", "relu", "softplus", "gelu"]
    keep = "also keep one end point of each kind at width N"
    option("path", help="CSV file: created, or continued where it was stopped")
    option("--k", type=int, default=50, help="number of teacher neurons (default: %(default)s)")
    option("--widths", type=_range, help="student widths, like 1-50, 2-50:2 or 5,10 (default: 1-k)")
    option("--seeds", type=_range, default="0-19", help="of the students (default: %(default)s)")
    option("--kernel", default="erf", choices=six, help="activation (default: %(default)s)")
    option("--law", default="normal", choices=["normal", "uniform"], help="of the initial weights")
    option("--rtol", type=float, default=1e-5, help="local error per step (default: %(default)s)")
    option("--end-points", type=int, metavar="N", help=keep)
    return command


def main(arguments=None):
    command = parser()
    options = command.parse_args(arguments)
    widths = range(1, options.k + 1) if options.widths is None else options.widths
    path = Path(options.path)
    beside = path.with_name(path.stem + ".npz") if path.name else None
    if options.end_points is not None and options.end_points not in widths:
        command.error(f"argument --end-points: must be one of the widths, got {options.end_points}")
    if options.end_points is not None and beside == path:
        command.error(f"path must not end in .npz, the name of the end points, got {options.path}")
    try:
        kernel = getattr(kernels, options.kernel)
        L = PopulationLoss(Network.orthonormal(options.k, options.k + 1), kernel)
        table = sweep(L, widths, options.seeds, options.law, path=options.path, rtol=options.rtol)
        if options.end_points is not None:
            save_end_points(beside, table, read(options.path)[1], options.end_points)
    except KeyboardInterrupt:
        goes_on = "interrupted; the same command goes on with the flows that are missing"
        command.exit(130, f"\n{command.prog}: {goes_on}\n")
    except (ValueError, OSError, RuntimeError, RuntimeWarning) as error:
        command.error(" ".join(str(error).split()))
    for column in ("status", "certificate", "kind"):
        names, counts = np.unique(table[column], return_counts=True)
        found = [f"{count} {name}" for name, count in zip(names, counts, strict=True)]
        print(f"{column}:", ", ".join(found))


if __name__ == "__main__":
    main()
