"""The book, built once for all the tests that look at its pages, in whichever process they run."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import shared
from guards import ROOT


def build(*options, output):
    """Run `make book`'s build command into the folder `output`; the finished process, whatever it returned."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", *options, "--path-output", output]
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@functools.cache
def _built():
    """The exit status of the run's one build, and what it complained of."""
    outcome = shared.folder() / "built.json"
    with shared.one_at_a_time("build"):
        if not outcome.exists():
            built = build("-W", "-n", "--keep-going", output=shared.folder())
            outcome.write_text(json.dumps([built.returncode, built.stderr]), "utf-8")
    return json.loads(outcome.read_text("utf-8"))


def site():
    """The folder of the HTML pages."""
    status, said = _built()
    assert status == 0, said[-3000:]
    return shared.folder() / "_build" / "html"


def page(name):
    """The built page of an entry of _toc.yml."""
    return site() / f"{name}.html"


def pages():
    """All the pages built from texts of ours."""
    return sorted(site().glob("book/**/*.html"))
