"""The book, built once for all the tests that look at its pages."""

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from guards import ROOT

_folder = tempfile.TemporaryDirectory(prefix="book-")


def build(*options, output):
    """Run `make book`'s build command into the folder `output`; the finished process, whatever it returned."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", *options, "--path-output", output]
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@functools.cache
def _built():
    return build("-W", "-n", "--keep-going", output=_folder.name)


def site():
    """The folder of the HTML pages."""
    assert _built().returncode == 0, _built().stderr[-3000:]
    return Path(_folder.name, "_build", "html")


def page(name):
    """The built page of an entry of _toc.yml."""
    return site() / f"{name}.html"


def pages():
    """All the pages built from texts of ours."""
    return sorted(site().glob("book/**/*.html"))
