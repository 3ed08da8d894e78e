"""Sphinx extension: no page loads sphinx-thebe, which Jupyter Book brings and this book does not use.

It would run cells on Binder inside the page. Its settings stand twice in each page, which is an error in the console.
"""


def drop_thebe(app, pagename, templatename, context, doctree):
    def is_thebe(script):
        return "thebe" in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()

    context["script_files"] = [script for script in context.get("script_files", []) if not is_thebe(script)]


def setup(app):
    app.connect("html-page-context", drop_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
