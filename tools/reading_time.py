"""Sphinx extension: the role {reading-time}`chapter.ipynb` says how many minutes the text of a chapter takes.

Counted when the book is built, so that no number on a page grows old: the words that reading_measures.py counts.
"""

from pathlib import Path

import nbformat
from docutils import nodes
from reading_measures import WORDS_A_MINUTE, measures


def minutes(path):
    """Reading minutes of a notebook, at least 1."""
    return max(1, round(measures(nbformat.read(path, as_version=4))["words"] / WORDS_A_MINUTE))


def role(name, rawtext, text, lineno, inliner, options=None, content=None):
    page = Path(inliner.document.current_source)
    return [nodes.Text(str(minutes(page.parent / text)))], []


def setup(app):
    app.add_role("reading-time", role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
