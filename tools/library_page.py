"""Sphinx extension for the page of the library, which is made from the docstrings of `lib`.

What a docstring has in single backticks is a link where the page documents that name of `lib`, and code elsewhere.
The directive `command` shows the help of a command line.
"""

import importlib
import os
import sys
from pathlib import Path
from unittest.mock import patch

from docutils import nodes
from sphinx.ext.autodoc.mock import mock
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

sys.path.insert(0, str(Path(__file__).parent.parent))  # this folder's `lib`, whichever is installed


class Command(SphinxDirective):
    """`.. command:: module` shows the help of the module's `parser()` as a window of 80 columns does."""

    required_arguments = 1

    def run(self):
        with mock(self.config.autodoc_mock_imports), patch.dict(os.environ, COLUMNS="80"):
            said = importlib.import_module(self.arguments[0]).parser().format_help()
        return [nodes.literal_block(said, said, language="none")]


class Name(XRefRole):
    """The default role: `certify`, `PopulationLoss.hessian`, or anything else that is code."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        refnode["reftype"] = "name"
        return title, target


def resolve(app, env, node, contnode):
    if node["reftype"] != "name":
        return None
    name = f"lib.{node['reftarget']}"
    found = env.get_domain("py").objects.get(name)
    if found is None:
        return contnode
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, contnode, name)


def setup(app):
    app.add_directive("command", Command)
    app.add_role("name", Name(innernodeclass=nodes.literal))
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
