"""Run chapters, store their new outputs, and write down what that took.

    python tools/run_chapters.py book/*.ipynb

book/status.md is written anew when all the chapters of the book were run.
"""

import datetime
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import yaml
from check_site import toc_entries
from nbclient import NotebookClient
from normalise_notebooks import normalise

ROOT = Path(__file__).parent.parent
STATUS = ROOT / "book" / "status.md"
PACKAGES = ["numpy", "scipy", "matplotlib", "ipywidgets", "jupyter-book", "sphinx", "nbval", "pytest"]
PAGE = """# Status

*Is what you read what the code computes?*

The chapters are stored with their outputs, and `make test` runs each of them again and compares every printed line.
The pictures are not compared; below each stands a cell that prints and asserts the numbers drawn.
This page is written by `make notebooks`, which last ran all the chapters on {date}.

## Run times

| chapter | code cells | seconds |
| --- | ---: | ---: |
{chapters}

Wall-clock time of one run on a machine with {cores} cores ({machine}), the start of Python included. Read the ratios.

## Versions

| package | version |
| --- | --- |
{versions}

All the versions are in `constraints.txt`, the ranges that the book allows in `requirements.txt`.
"""


def run(path):
    """Run the notebook of a file in place: (number of code cells, seconds)."""
    notebook = nbformat.read(path, as_version=4)
    begin = time.perf_counter()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": path.parent}}).execute()
    seconds = time.perf_counter() - begin
    normalise(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    return sum(cell.cell_type == "code" for cell in notebook.cells), seconds


def status(runs):
    """The text of the page from {chapter's file name: (code cells, seconds)}."""
    versions = {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return PAGE.format(
        date=datetime.date.today().isoformat(),
        chapters="\n".join(f"| []({name}) | {cells} | {seconds:.0f} |" for name, (cells, seconds) in runs.items()),
        cores=os.cpu_count(),
        machine=f"{platform.system()}, {platform.machine()}",
        versions="\n".join(f"| {name} | {number} |" for name, number in versions.items()),
    )


def main(paths):
    paths = [Path(path).resolve() for path in paths]
    runs = {}
    for path in paths:
        name = path.relative_to(ROOT / "book").as_posix() if path.is_relative_to(ROOT / "book") else path.name
        runs[name] = run(path)
        print(f"{name}: {runs[name][1]:.1f} s")
    entries = toc_entries(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
    chapters = [f"{entry.removeprefix('book/')}.ipynb" for entry in entries if (ROOT / f"{entry}.ipynb").is_file()]
    if set(chapters) <= set(runs):
        STATUS.write_text(status({name: runs[name] for name in chapters}), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
