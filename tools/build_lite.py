"""Build a JupyterLite site, which runs the chapters in the reader's browser, and put it on a built book.

    python tools/build_lite.py _build/html     makes _build/html/lite

It holds the chapters, a wheel of lib, and JupyterLite itself. Python (Pyodide), NumPy, SciPy, Matplotlib and
ipywidgets are not on the site: the reader's browser fetches them from the network when a chapter is run.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from notebooks import NOTEBOOKS, ROOT

# In the browser there is no git to install from, but a package index of our own: lib's wheel.
BOOTSTRAP = "%pip install -q copy-average-book ipywidgets"


def copy_chapters(folder):
    """The chapters with an installing cell that works in the browser."""
    for source in NOTEBOOKS:
        notebook = nbformat.read(source, as_version=4)
        next(cell for cell in notebook.cells if cell.cell_type == "code").source = BOOTSTRAP
        copy = folder / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, copy)


def build(site):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        copy_chapters(scratch / "contents")
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch / "wheels", ROOT]
        subprocess.run(wheel, check=True)
        (built,) = (scratch / "wheels").glob("*.whl")
        command = [Path(sys.executable).with_name("jupyter"), "lite", "build", "--lite-dir", scratch]
        command += ["--contents", scratch / "contents", "--piplite-wheels", built, "--no-sourcemaps"]
        command += ["--apps", "notebooks", "--apps", "lab", "--output-dir", scratch / "site"]
        subprocess.run(command, check=True, cwd=scratch)
        shutil.rmtree(site / "lite", ignore_errors=True)
        shutil.copytree(scratch / "site", site / "lite")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
