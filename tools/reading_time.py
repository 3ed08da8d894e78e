"""Sphinx extension: the role {reading-time}`chapter.ipynb` says how many minutes the text of a chapter takes.

Counted when the book is built, so that no number on a page grows old: words of Markdown at 220 a minute, a formula as
one word, without what is folded away.
"""

import re
from pathlib import Path

import nbformat
from docutils import nodes

WORDS_A_MINUTE = 220
FOLDED = re.compile(r"^(:{3,})\{(?:solution|admonition|dropdown|prf:proof)\}.*?^\1\s*$", re.DOTALL | re.MULTILINE)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)


def minutes(path):
    """Reading minutes of a notebook, at least 1."""
    words, in_solution = 0, False
    for cell in nbformat.read(path, as_version=4).cells:
        in_solution |= "{solution-start}" in cell.source
        if cell.cell_type == "markdown" and not in_solution:
            words += len(FORMULA.sub("x", FOLDED.sub("", cell.source)).split())
        in_solution &= "{solution-end}" not in cell.source
    return max(1, round(words / WORDS_A_MINUTE))


def role(name, rawtext, text, lineno, inliner, options=None, content=None):
    page = Path(inliner.document.current_source)
    return [nodes.Text(str(minutes(page.parent / text)))], []


def setup(app):
    app.add_role("reading-time", role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
