"""Write book/_static/live/flow-ends.js: where the stored flows ended, for the first page and for the map.

    python tools/tabulate_flow_ends.py
"""

import json
from pathlib import Path

import numpy as np

from lib import load_sweep, phase_boundaries

TARGET = Path(__file__).parent.parent / "book" / "_static" / "live" / "flow-ends.js"
TEACHERS = (8, 20, 50, 100)  # of the first page
ON_THE_MAP = (8, 10, 20, 50, 100)
KINDS = ("copy-average", "perturbed-copies")


def ends(k):
    """The widths 2 <= n < k of a table, how many flows ended at each kind, and the three boundaries of the map at k."""
    table = load_sweep("erf", k)
    table = table[(table["n"] >= 2) & (table["n"] < k)]
    widths = np.unique(table["n"])
    counts = [[int(np.sum(table["kind"][table["n"] == n] == kind)) for n in widths] for kind in KINDS]
    flows = [int(np.sum(table["n"] == n)) for n in widths]
    boundaries = {name: float(f"{value:.10g}") for name, value in phase_boundaries(k)._asdict().items()}
    return {"widths": widths.tolist(), "average": counts[0], "copies": counts[1], "flows": flows, **boundaries}


def source():
    """The text of the script."""
    table = json.dumps({k: ends(k) for k in ON_THE_MAP}, separators=(",", ":"))
    return (
        '"use strict";\n\n/* Written by tools/tabulate_flow_ends.py from book/data/sweep_erf_k*.csv and '
        "lib.phase_boundaries. */\n"
        f"const FLOW_ENDS = {table};\n\n"
        'if (typeof module !== "undefined") module.exports = FLOW_ENDS;\n'
    )


if __name__ == "__main__":
    TARGET.write_text(source(), "utf-8")
