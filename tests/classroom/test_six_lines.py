"""Somebody follows the six lines of the teaching page and no other: from a zip of Moodle to a file that it imports.

The lines are run as they stand there, in a copy of the repository. Only `git clone` is left out, and JupyterLab, in
whose place an answer is marked as the formgrader does it.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from guards import ROOT
from small_course import FLAGS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.other,
    pytest.mark.skipif(
        not list(ROOT.glob("book/assignments/source/*/*.ipynb")), reason="the sources are kept elsewhere"
    ),
    pytest.mark.skipif(shutil.which("make") is None, reason="no make"),
]
PAGE = (ROOT / "book" / "teaching.md").read_text("utf-8")
LINES = re.search(r"## From a clone.*?```\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()


def test_there_are_six_and_the_page_begins_with_them():
    assert len(LINES) == 6 and PAGE.index("## From a clone") == PAGE.index("## ")
    assert LINES[0].startswith("git clone") and "jupyter lab" in LINES[4]


def test_the_table_of_the_sets_counts_their_points():
    for path in sorted(ROOT.glob("book/assignments/source/*/*.ipynb")):
        given = [cell.metadata.get("nbgrader", {}) for cell in nbformat.read(path, as_version=4).cells]
        hand = sum(cell["points"] for cell in given if cell.get("grade") and cell["solution"])
        machine = sum(cell["points"] for cell in given if cell.get("grade") and not cell["solution"])
        (row,) = re.findall(rf"^\| {{download}}`{path.stem} .* \| (\d+) \+ (\d+) \|$", PAGE, re.MULTILINE)
        assert row == (f"{machine:g}", f"{hand:g}"), path.stem


def copied(folder):
    """The repository in `folder`, with the environment of the tests in place of one that is installed."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "_build", "__pycache__", "classes", ".pytest_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, folder, ignore=ignored, symlinks=True)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "jupyter"):
        there = Path(sys.executable) if name == "python" else Path(sys.executable).with_name(name)
        (programs / name).write_text(f'#!/bin/sh\nexec "{there}" "$@"\n')
        (programs / name).chmod(0o755)
    (folder / ".venv" / ".folder").write_text(f"{folder.resolve()}\n")
    for stamp in (".installed", ".installed-assignments"):
        (folder / ".venv" / stamp).touch()
    return folder


def test_the_six_lines_lead_from_a_zip_of_moodle_to_an_import(tmp_path):
    repository, home = copied(tmp_path / "repository"), tmp_path / "home"
    (home / "Downloads").mkdir(parents=True)

    def follow(line):
        extra = f" FLAGS='{' '.join(FLAGS)}'" if line.startswith("make grade") and FLAGS else ""  # root, no bubblewrap
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
        result = subprocess.run(
            ["bash", "-c", line + extra], cwd=repository, env=environment, capture_output=True, encoding="utf-8"
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout

    follow(LINES[1])
    course = repository / re.search(r"cd (\S+)", LINES[4])[1]
    name = re.search(r"(\w+)\.zip", LINES[2])[1]
    solved = nbformat.read(course / "source" / name / f"{name}.ipynb", as_version=4)
    given = course / "handout" / f"{name}.ipynb"
    with zipfile.ZipFile(home / "Downloads" / f"{name}.zip", "w") as packed:
        packed.writestr(f"Ada Lovelace_101_assignsubmission_file_/{name}.ipynb", nbformat.writes(solved))
        packed.write(given, f"Alan Turing_102_assignsubmission_file_/{name}.ipynb")
    (home / "Downloads" / "participants.csv").write_text(
        "First name,Last name,Email address\nAda,Lovelace,ada@example.org\nAlan,Turing,alan@example.org\nA,B,c@d.e\n"
    )
    assert f"{name}: 2 of 3 handed in" in follow(LINES[2])
    follow(LINES[3])

    program = re.search(r"&& (\S+) lab", LINES[4])[1]
    assert os.access(course / program, os.X_OK)
    mark = f"""
from nbgrader.api import Gradebook
with Gradebook("sqlite:///{course / "gradebook.db"}") as gradebook:
    grade = gradebook.find_grade("{name}-experiment", "{name}", "{name}", "Lovelace Ada")
    grade.manual_score, grade.needs_manual_grade = grade.max_score, False
    gradebook.db.commit()
"""
    subprocess.run([sys.executable, "-c", mark], check=True)

    follow(LINES[5])
    with open(course / "export" / name / "moodle.csv", newline="", encoding="utf-8") as file:
        rows = {row["Email address"]: row for row in csv.DictReader(file)}
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        graded = {row["student"]: row for row in csv.DictReader(file)}
    ada = graded["Lovelace Ada"]
    assert ada["automatic"] == ada["automatic_max"] and float(ada["by_hand"]) == 4.0
    assert float(rows["ada@example.org"][name]) == float(ada["automatic"]) + 4.0
    assert float(rows["alan@example.org"][name]) == 0.0 and len(rows) == 2
    with zipfile.ZipFile(course / "export" / name / "feedback.zip") as packed:
        assert len(packed.namelist()) == 2 and b"<html" in packed.read(packed.namelist()[0])
    assert (course / "export" / "marks.csv").is_file() and (course / "handout.zip").is_file()
