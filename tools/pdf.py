"""Sphinx extension: what the PDF lacks otherwise.

sphinx-exercise gives an exercise the label exercise:name, while a reference looks for page:name.
Tables get columns as wide as their words need, and may continue on the next page.
"""

import re

from docutils import nodes
from sphinx_exercise.nodes import exercise_enumerable_node

LINE = 90  # letters


def add_labels(app, doctree):
    for exercise in doctree.findall(exercise_enumerable_node):
        label = rf"\phantomsection\label{{\detokenize{{{app.env.docname}:{exercise['label']}}}}}"
        exercise.insert(1, nodes.raw("", label, format="latex"))  # behind the title


def set_tables(app, doctree, pagename):
    if app.builder.format == "latex":
        for table in doctree.findall(nodes.table):
            columns = zip(*(row.children for row in table.findall(nodes.row)), strict=True)
            for column, width in zip(table.findall(nodes.colspec), widths(columns), strict=True):
                column["colwidth"] = width
            table["classes"] = ["colwidths-given"] + ["longtable"] * isinstance(table.parent, nodes.section)


def widths(columns):
    """Of each column: its longest word, and a share of the rest of the line that grows with the amount of text."""
    texts = [[cell.astext() for cell in column] for column in columns]
    words = [max(len(word) for text in column for word in re.split(r"[\s_.-]+", text)) + 3 for column in texts]
    amounts = [sum(map(len, column)) for column in texts]
    rest = max(LINE - sum(words), 0)
    return [round(word + rest * amount / sum(amounts)) for word, amount in zip(words, amounts, strict=True)]


def setup(app):
    app.connect("doctree-read", add_labels)
    app.connect("doctree-resolved", set_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
