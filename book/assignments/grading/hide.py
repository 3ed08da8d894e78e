"""Feedback that a student may keep: scores, comments and verdicts, but no hidden tests nor what could print them.

What a student wrote is shown as text: nothing in it runs, and a page fetches nothing from elsewhere.
"""

import builtins
import re

import bleach
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_output
from nbgrader.preprocessors import ClearHiddenTests

from .formulas import typeset
from .repair import STOPPED, is_test

TAGS = {"br", "dd", "del", "div", "dl", "dt", "hr", "img", "p", "pre", "s", "span", "sub", "sup", "u"}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr", *bleach.ALLOWED_TAGS}
# Attached to the notebook, or beside it.
PICTURE = re.compile(r"data:image/|[^/\\:?#]+\.(?:png|jpe?g|gif|webp)$", re.IGNORECASE)

_exporter = HTMLExporter()


@pass_context
def markdown_to_html(context, source):
    """The filter that turns the Markdown of a notebook into HTML, with all else than TAGS left as the text it is."""
    html = _exporter.markdown2html(context, source)
    return typeset(bleach.clean(html, tags=TAGS, attributes=harmless, protocols={"data", "http", "https", "mailto"}))


def harmless(tag, name, value):
    """Whether the attribute may stay: a page may link to another address, but not load anything from it."""
    if tag == "img":
        return name in ("alt", "title", "width", "height") or (name == "src" and PICTURE.match(value) is not None)
    if tag == "a":
        return name == "title" or (name == "href" and not value.lower().lstrip().startswith("data:"))
    return name == "class"


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
    """How the test `cell` ended. Not in the words of the error: student code can put what it was asked into them."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors:
        return "".join(output.get("text", "") for output in cell.outputs) or "passed"
    error = next((output for output in errors if output.ename in STOPPED), errors[0])
    kind = error.ename if error.ename in (*dir(builtins), *STOPPED) else "an error"
    lines = cell.source.split("\n")
    hidden = next((number for number, line in enumerate(lines, 1) if begin in line), len(lines) + 1)
    failed = re.match(r"Cell In \[0\], line (\d+); kind of input: (.*)", "\n".join(error.traceback))  # ours
    if failed and int(failed[1]) >= hidden:
        about = "" if failed[2] == "not named" else f" for this kind of input: {failed[2]}"
        return f"not passed: the visible checks hold, a hidden test fails{about} ({kind})"
    return f"not passed: {kind}; run the notebook from the top to see more"
