"""A class of its own: a course folder with other numbers, and what its students get, without solutions or sources."""

import shutil
import sys
import zipfile
from pathlib import Path

import nbformat

import lib

from . import collect, roster, variants, versions
from .grader import COURSE, write

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


COLUMNS = ["folder", "key", "name", "seed"]


def handout(course, list_of_class=None):
    """Make the course in the folder `course`, unless it is there, and its handout; the folder's name is the seed.

    With a roster, each of its students gets a handout with numbers of their own.
    """
    people = roster.read(list_of_class) if list_of_class else None
    made, students = (course / "source").is_dir(), variants.listed(course)
    if made and (students is None) != (people is None):
        sys.exit(
            f"{course} was made with{'out' * (students is None)} numbers for each student, which stays so: "
            f"{'leave out the roster' if students is None else 'give its roster'}, or make another class"
        )
    if made:
        print(f"{course} is there already: its sources stay as they are, and the handout is made from them.")
    else:
        make_course(course, drawn=people is None)
    if people:
        students = list_students(course, people, students or {})
    versions.release(course)
    releases = {path.stem: nbformat.read(path, as_version=4) for path in sorted(course.glob("release/*/*.ipynb"))}
    if people is None:
        folder = course / "handout"
        pack(folder, f"handout of {course.name}", releases)
        print(f"For students: {folder} and {folder}.zip")
    else:
        for row in students.values():
            notebooks = {name: variants.student_version(each, name, row["seed"]) for name, each in releases.items()}
            pack(course / "handouts" / row["folder"], f"handout of {course.name}", notebooks)
        print(f"For students, one for each of {len(students)}: {course / 'handouts'}")
    print(f"For you, with solutions: {course / 'source'}")


def list_students(course, people, known):
    """Write students.csv: who is in the roster, and who was before. Nobody's numbers change; {folder: row}."""
    rows = {folder: {name: row[name] for name in COLUMNS} for folder, row in known.items()}
    for person in people.people:
        folder = collect.folder_of(person, None, people)
        rows.setdefault(folder, {"folder": folder, "key": person.key, "name": person.name, "seed": ""})
        rows[folder]["seed"] = f"{course.name} {folder}"
    write(course / "students.csv", lambda file: roster.write(file, COLUMNS, [rows[each] for each in sorted(rows)]))
    return rows


def pack(folder, title, notebooks):
    """Write `notebooks` and what students need beside them into `folder`, and that into a zip beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    shutil.copytree(Path(lib.__file__).parent, folder / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "README.txt").write_text(README.format(example=min(notebooks)), "utf-8")
    (folder / "requirements.txt").write_text(NEEDED, "utf-8")
    with zipfile.ZipFile(folder.with_name(f"{folder.name}.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, Path(title, path.relative_to(folder)))


def make_course(course, drawn):
    """Copy the stored course to `course`, with numbers `drawn` for the class or without."""
    sources = sorted(path for path in COURSE.glob("source/*/*.ipynb") if path.stem == path.parent.name)
    if not sources:
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    made = {path: nbformat.read(path, as_version=4) for path in sources}
    if drawn:
        made = {path: variants.variant(notebook, path.stem, course.name) for path, notebook in made.items()}
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
        if drawn and path.stem in variants.DRAWN:
            number = variants.number_of(path.stem, course.name)
            print(f"{path.stem}: {variants.DRAWN[path.stem].name} {number}")
