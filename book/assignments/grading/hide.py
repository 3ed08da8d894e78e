"""Feedback that a student may keep: scores, comments and verdicts, but no hidden tests nor what could print them."""

import builtins
import re

from nbformat.v4 import new_output
from nbgrader.preprocessors import ClearHiddenTests

from .repair import STOPPED, is_test

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class HideTests(ClearHiddenTests):
    """Remove the hidden tests; replace the outputs of a test by one line that says how it ended, and drop all others.

    A traceback quotes the tests around the failure, and student code can print them from a later cell, so nothing that
    a submission wrote is passed on. Students have their own outputs.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if is_test(cell):
            cell.outputs = [new_output("stream", name="stdout", text=verdict(cell, self.begin_test_delimeter))]
            return super().preprocess_cell(cell, resources, cell_index)
        if cell.cell_type == "code":
            cell.outputs = []
        return cell, resources


def verdict(cell, begin):
    """How the test `cell` ended. Not in the words of the error: student code can put the hidden tests into them."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors:
        return "passed"
    error = next((output for output in errors if output.ename in STOPPED), errors[0])
    kind = error.ename if error.ename in (*dir(builtins), *STOPPED) else "an error"
    lines = cell.source.split("\n")
    hidden = next((number for number, line in enumerate(lines, 1) if begin in line), len(lines) + 1)
    failed = re.search(r"Cell In\s*\[\d+\], line (\d+)", ESCAPES.sub("", "\n".join(error.traceback)))
    if failed and int(failed.group(1)) >= hidden:
        return f"not passed: the visible checks hold, a hidden test fails ({kind})"
    return f"not passed: {kind}; run the notebook from the top to see more"
