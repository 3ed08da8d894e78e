"""Sphinx extension: give a page the scripts of the live figures on it, and no other page any.

A live figure is an element such as <one-neuron> in a chapter around an ordinary figure, which stays for print, for PDF
and where no scripts run. Its script in book/_static/live has the same name; what it needs beside that stands here.
Classic scripts, because modules do not load from file://.
"""

SHARED = ["networks", "live"]
NEEDS = {
    "two-answers": ["gradient-flow", "flow-ends", "glyph"],
    "one-neuron": [],
    "copy-or-average": [],
    "watch-the-flow": ["gradient-flow"],
    "two-for-three": ["gradient-flow", "watch-the-flow"],
    "phase-diagram": ["phase-boundaries", "flow-ends"],
    "training-fates": ["training-fates-table", "glyph"],
}


def scripts(html):
    """The scripts that a page with the body `html` needs, in the order of loading."""
    found = [name for name in NEEDS if f"<{name}>" in html]
    return [*SHARED, *(script for name in found for script in (*NEEDS[name], name))] if found else []


def add_scripts(app, pagename, templatename, context, doctree):
    wanted = scripts(context.get("body", ""))
    if wanted:
        app.add_css_file("live/live.css")
    for name in wanted:
        app.add_js_file(f"live/{name}.js", loading_method="defer")


def setup(app):
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
