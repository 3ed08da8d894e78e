"""Sphinx extension: links to exercises work in the PDF.

sphinx-exercise gives an exercise the label exercise:name there, while a reference looks for page:name.
"""

from docutils import nodes
from sphinx_exercise.nodes import exercise_enumerable_node


def add_labels(app, doctree):
    for exercise in doctree.findall(exercise_enumerable_node):
        label = rf"\phantomsection\label{{\detokenize{{{app.env.docname}:{exercise['label']}}}}}"
        exercise.insert(1, nodes.raw("", label, format="latex"))  # behind the title


def setup(app):
    app.connect("doctree-read", add_labels)
    return {"parallel_read_safe": True}
