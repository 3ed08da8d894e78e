"""The student versions of the problem sets, and whether one still shows what it must not.

nbgrader cuts solutions, hidden tests and mark schemes out of the sources, between markers that
settings can change. So what it made is read again, here, before it replaces anything.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from . import command
from .repair import grade_id

SECRETS = "SOLUTION", "HIDDEN TESTS", "MARK SCHEME"
# In capitals, or mistyped: nbgrader knows a marker only as it stands in the settings.
MARKER = re.compile(
    r"#\s*(?:BEGIN|END)\b|(?:BEGIN|END) (?:SOLUTION|HIDDEN|MARK)"
    r"|(?i:#\s*(?:begin|end)\W+(?:solution|hidden|mark))"
)


def release(course):
    """Write the student versions of all problem sets of `course` and tell its gradebook about them.

    When one is not made, or shows what it must not, none is replaced, and the process ends with a
    sentence for each.
    """
    course = Path(course).resolve()
    with tempfile.TemporaryDirectory(prefix="release") as made:
        options = ["--assignment=*", "--force", f"--CourseDirectory.release_directory={made}"]
        code, said = command.nbgrader(course, "generate_assignment", *options)
        if code:
            sys.exit(f"The problem sets cannot be released:\n{said}")
        complaints = []
        for source in sorted(course.glob("source/*/*.ipynb")):
            version = Path(made, source.parent.name, source.name)
            found = leaks(nbformat.read(source, as_version=4), nbformat.read(version, as_version=4))
            complaints += [f"{source.stem}: {leak}" for leak in dict.fromkeys(found)]
        if complaints:
            sys.exit("\n".join(["The student versions were not replaced:", *complaints]))
        for version in sorted(path for path in Path(made).rglob("*") if path.is_file()):
            place = course / "release" / version.relative_to(made)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_file() or place.read_bytes() != version.read_bytes():
                shutil.copyfile(version, place)


def release_changed(course):
    """`release`, unless the sources, the settings and the student versions are those of the last time."""
    stamp = Path(course, "graded", ".released")
    if not stamp.is_file() or stamp.read_text() != state(course):
        release(course)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(state(course))


def state(course):
    """What changes when a source does, a student version, a setting, or when the gradebook is gone."""
    files = [path for part in ("source", "release") for path in Path(course, part).rglob("*") if path.is_file()]
    digest = hashlib.sha256(str(Path(course, "gradebook.db").is_file()).encode())
    for path in sorted([*files, Path(course, "nbgrader_config.py")]):
        digest.update(f"{path.relative_to(course)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def leaks(source, version):
    """What of solutions, hidden tests and mark schemes of `source` its student `version` still shows."""
    if MARKER.search(json.dumps(version, ensure_ascii=False)):
        yield "a marker of solutions, hidden tests or mark schemes is left"
    if any(cell.get("outputs") for cell in version.cells):
        yield "outputs are left"
    shown = {line.strip() for cell in version.cells for line in cell.source.split("\n")}
    parts = [part for cell in source.cells for part in secret_and_open(cell)]
    visible = {line for _, _, line, secret in parts if not secret}
    for name, what, line, secret in parts:
        if secret and line and line in shown - visible:
            yield f"of the {what} of {name} this is left: {line}"


def secret_and_open(cell):
    """(id of the cell, kind of region, line, whether it is secret) for every line of a source cell."""
    answer = cell.get("metadata", {}).get("nbgrader", {}).get("solution")
    whole = ["SOLUTION"] * bool(
        answer and "### BEGIN SOLUTION" not in cell.source
    )  # of such a cell nothing is shown
    inside = list(whole)
    for line in cell.source.split("\n"):
        marker = re.match(rf"\s*### (BEGIN|END) ({'|'.join(SECRETS)})", line)
        if marker and marker[1] == "BEGIN":
            inside.append(marker[2])
        elif marker and marker[2] in inside:
            inside.remove(marker[2])
        elif not marker:
            yield grade_id(cell), inside[-1].lower() if inside else "", line.strip(), bool(inside)
