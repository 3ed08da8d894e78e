"""Sphinx extension: lines break where a reader expects it.

Paths break behind /, names of tests and functions in tables behind _ . and ( only. A formula stays with the comma
behind it and the parenthesis before it, unless it is long: then it may need a line of its own.
"""

import re

CELL = re.compile(r"(?<=<td>).*?(?=</td>)", re.DOTALL)
CODE = re.compile(r"(?<=<code)[^>]*>.*?(?=</code>)", re.DOTALL)
SLASH = re.compile(r"(?<=[\w;])/(?=[\w&])(?![^<]*>)")
JOINT = re.compile(r"(?<=[^\W_])([_.(])(?=[^\W_])(?![^<]*>)")
FORMULA = re.compile(r'(\()?<span class="math notranslate nohighlight">[^<]{1,50}</span>([,.;:!?)]+)?')


def break_paths(html):
    """Let paths in inline code break behind their slashes."""
    return CODE.sub(lambda code: SLASH.sub("/<wbr>", code.group()), html)


def break_names(html):
    """Let code in the cells of tables break at the joints of its names."""
    return CELL.sub(lambda cell: CODE.sub(lambda code: JOINT.sub(r"\1<wbr>", code.group()), cell.group()), html)


def hold_formulas(html):
    """Keep short formulas with the punctuation that touches them."""

    def held(found):
        return f'<span class="held">{found.group()}</span>' if found.group(1) or found.group(2) else found.group()

    return FORMULA.sub(held, html)


def rewrite(app, pagename, templatename, context, doctree):
    if "body" in context:
        context["body"] = hold_formulas(break_names(break_paths(context["body"])))


def setup(app):
    app.connect("html-page-context", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
