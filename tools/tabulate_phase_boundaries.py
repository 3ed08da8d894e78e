"""Write book/_static/live/phase-boundaries.js: the table from which the live phase diagram takes its boundaries.

    python tools/tabulate_phase_boundaries.py
"""

import json
from pathlib import Path

import numpy as np

from lib import phase_boundaries

TARGET = Path(__file__).parent.parent / "book" / "_static" / "live" / "phase-boundaries.js"
# A cubic through 4 rows is then good to 1e-5, as tests/book/test_live_figures.py checks.
FROM, TO, ROWS = 7, 10**6, 129


def source():
    """The text of the script: real n of each boundary, ten digits, at k spaced evenly in log k."""
    found = [phase_boundaries(k) for k in np.geomspace(FROM, TO, ROWS).tolist()]
    columns = {name: [float(f"{getattr(row, name):.10g}") for row in found] for name in found[0]._fields}
    return (
        '"use strict";\n\n/* Written by tools/tabulate_phase_boundaries.py from lib.phase_boundaries: '
        "real n, for k spaced evenly in log k between `from` and `to`. */\n"
        f"const PHASE_BOUNDARIES = {json.dumps({'from': FROM, 'to': TO, **columns}, separators=(',', ':'))};\n\n"
        'if (typeof module !== "undefined") module.exports = PHASE_BOUNDARIES;\n'
    )


if __name__ == "__main__":
    TARGET.write_text(source(), "utf-8")
