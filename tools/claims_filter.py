"""Sphinx extension: the page of the claims, and no other, gets the script of its buttons (book/_static/claims.js)."""


def add_script(app, pagename, templatename, context, doctree):
    if pagename == "book/claims":
        app.add_js_file("claims.js", loading_method="defer")


def setup(app):
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
