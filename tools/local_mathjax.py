"""Sphinx extension: serve MathJax from the book itself, so that formulas show without any other host.

The package sphinx-mathjax-offline ships every bundle of MathJax (24 MB). The pages load one of them; what it fetches
later are its fonts, the rarer TeX commands, and the voices for readers who listen.
"""

from importlib.metadata import distribution
from pathlib import Path

from sphinx.util.fileutil import copy_asset

BUNDLE = "tex-chtml.js"
FETCHED_LATER = ("output/chtml/fonts", "input/tex/extensions", "a11y", "sre")


def copy_mathjax(app, exception):
    if exception or app.builder.format != "html":
        return
    source = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    target = Path(app.outdir, "_static", "mathjax")
    copy_asset(source / BUNDLE, target)
    for folder in FETCHED_LATER:
        copy_asset(source / folder, target / folder)


def setup(app):
    app.config.mathjax_path = f"mathjax/{BUNDLE}"
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
