"""Sphinx extension: vector pictures wider than five inches get a class, by which phones scroll them."""

import re
from pathlib import Path

from docutils import nodes

WIDEST = 5 * 72  # points


def width(path):
    """Of a vector picture, in points."""
    return float(re.search(r'<svg[^>]*\bwidth="([\d.]+)pt"', path.read_text("utf-8"))[1])


def mark(app, doctree, docname):
    for picture in doctree.findall(nodes.image):
        path = Path(app.srcdir, picture["uri"])
        if path.suffix == ".svg" and width(path) > WIDEST:
            picture["classes"].append("wide-picture")


def setup(app):
    app.connect("doctree-resolved", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
