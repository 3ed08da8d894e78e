"""A class of its own: a course folder with other numbers, and what its students get, without solutions or sources."""

import shutil
import sys
import zipfile
from pathlib import Path

import nbformat

import lib

from . import variants, versions
from .grader import COURSE

PARTS = ("grading", "grade.py", "release.py", "collect.py", "export.py", "nbgrader_config.py", "course.toml")
README = """Problem sets
============

You need Python 3.11 or newer. In this folder, once:

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt

Then  .venv/bin/jupyter lab  and open a notebook. The folder lib is the library of the book; the notebooks find it here.
Hand in a notebook under its own name, such as {example}.ipynb, and nothing else.
"""
NEEDED = "jupyterlab>=4.2,<5\nipywidgets>=8.1,<9\nmatplotlib>=3.8,<4\nnumpy>=1.26,<3\nscipy>=1.11,<2\n"


def handout(course):
    """Make the course in the folder `course`, unless it is there, and its handout; the folder's name is the seed."""
    made = (course / "source").is_dir()
    if made:
        print(f"{course} is there already: its sources stay as they are, and the handout is made from them.")
    else:
        make_course(course)
    versions.release(course)
    folder = course / "handout"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = sorted(path.stem for path in course.glob("release/*/*.ipynb"))
    for name in names:
        shutil.copyfile(course / "release" / name / f"{name}.ipynb", folder / f"{name}.ipynb")
    shutil.copytree(Path(lib.__file__).parent, folder / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "README.txt").write_text(README.format(example=names[0]), "utf-8")
    (folder / "requirements.txt").write_text(NEEDED, "utf-8")
    packed = course / "handout.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, Path(f"handout of {course.name}", path.relative_to(folder)))
    print(f"For students: {folder} and {packed}\nFor you, with solutions: {course / 'source'}")


def make_course(course):
    sources = sorted(path for path in COURSE.glob("source/*/*.ipynb") if path.stem == path.parent.name)
    if not sources:
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    made = {path: variants.variant(nbformat.read(path, as_version=4), path.stem, course.name) for path in sources}
    course.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (COURSE / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(COURSE / part, course / part, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(COURSE / part, course / part)
    for path, notebook in made.items():
        place = course / path.relative_to(COURSE)
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, place)
        if path.stem in variants.DRAWN:
            number = variants.number_of(path.stem, course.name)
            print(f"{path.stem}: {variants.DRAWN[path.stem].name} {number}")
