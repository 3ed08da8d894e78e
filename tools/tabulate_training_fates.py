"""Write book/_static/live/training-fates-table.js: where stored trainings ended, for their chapter.

    python tools/tabulate_training_fates.py
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from lib.training import load_training

TARGET = Path(__file__).parent.parent / "book" / "_static" / "live" / "training-fates-table.js"
SIZES = ((8, 6), (9, 7), (12, 9), (20, 13), (50, 25))
SCALES = tuple(2.0**power for power in range(-5, 3))
WAYS = {  # name on the page: (optimiser, rate, inputs in a step)
    "gradient flow": ("flow", 0.0, 0),
    "gradient descent": ("gradient descent", 0.03, 0),
    "SGD, single inputs": ("gradient descent", 0.02, 1),
    "Adam": ("adam", 0.01, 0),
    "Adam, batches of 10": ("adam", 0.01, 10),
}
KINDS = ("perturbed-copies", "copy-average")


def selected(table, size, way):
    """The rows of one size and way with Glorot's law."""
    optimiser, rate, batch = WAYS[way]
    wanted = {"k": size[0], "n": size[1], "law": "normal", "optimiser": optimiser, "rate": rate, "batch": batch}
    return table[np.all([table[column] == value for column, value in wanted.items()], axis=0)]


def counts(rows):
    """[perturbed copies, copy-average, elsewhere] of some rows."""
    found = [int(np.sum(rows["kind"] == kind)) for kind in KINDS]
    return [*found, len(rows) - sum(found)]


def interval(found, of):
    """The exact 95% interval of a fraction, after Clopper and Pearson, in four digits."""
    return [round(float(end), 4) for end in binomtest(found, of).proportion_ci(0.95, method="exact")]


def paired(rows, flows):
    """[initialisations in both, that only the flow, that only the other way takes to perturbed copies]."""
    ends = [{row["seed"]: row["kind"] == KINDS[0] for row in one} for one in (flows, rows)]
    seeds = ends[0].keys() & ends[1].keys()
    lost = sum(bool(ends[0][seed] and not ends[1][seed]) for seed in seeds)
    won = sum(bool(ends[1][seed] and not ends[0][seed]) for seed in seeds)
    return [len(seeds), lost, won]


def fates():
    """{"k,n": {way: {"scale of W,scale of a" by their powers of two: [three counts, pairs, lost, won]}}}."""
    table, all_fates = load_training("fates"), {}
    for size in SIZES:
        flows = selected(table, size, "gradient flow")
        ways = all_fates[",".join(map(str, size))] = {}
        for way in WAYS:
            rows = selected(table, size, way)
            cells = {}
            for w, a in sorted({(float(w), float(a)) for w, a in zip(rows["scale_w"], rows["scale_a"], strict=True)}):
                here, there = (x[(x["scale_w"] == w) & (x["scale_a"] == a)] for x in (rows, flows))
                powers = ",".join(f"{np.log2(scale):.0f}" for scale in (w, a))
                cells[powers] = counts(here) if way == "gradient flow" else counts(here) + paired(here, there)
            if cells:
                ways[way] = cells
    return all_fates


def intervals(all_fates):
    """{"found/of": the exact interval} of each of the counts."""
    cells = [cell for ways in all_fates.values() for way in ways.values() for cell in way.values()]
    pairs = sorted({(found, sum(cell[:3])) for cell in cells for found in cell[:3]})
    return {f"{found}/{of}": interval(found, of) for found, of in pairs}


def source():
    """The text of the script."""
    all_fates = fates()
    table = json.dumps({"fates": all_fates, "intervals": intervals(all_fates)}, separators=(",", ":"))
    return (
        '"use strict";\n\n/* Written by tools/tabulate_training_fates.py from book/data/training_fates.csv.gz. */\n'
        f"const TRAINING_FATES = {table};\n\n"
        'if (typeof module !== "undefined") module.exports = TRAINING_FATES;\n'
    )


if __name__ == "__main__":
    TARGET.write_text(source(), "utf-8")
