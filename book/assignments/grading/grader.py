"""Grade one submission, whatever it is: its record says how that went, and no error leaves it."""

import hashlib
import json
import os
import shutil
import traceback
from contextlib import suppress
from pathlib import Path

import nbformat
from nbgrader.utils import parse_utc

from . import harmless, repair, variants
from .command import nbgrader
from .submissions import beside, readable, visible

COURSE = Path(__file__).resolve().parents[1]
PATIENCE = (
    900  # seconds after which a submission is ended from outside, if the sandbox did not end it
)
LARGEST = 20 * 2**20  # bytes of a file that is handed in beside a notebook
LONGEST_NOTE = 2000  # characters
COMPILED = {".so", ".pyc", ".pyd"}


def grade(student, name, found, options=()):
    """Grade one submission unless that was done before; its record, all that the table needs of it."""
    record = {"student": student, "set": name, "name": found.name, "selected": found.note}
    stored = COURSE / "graded" / name / f"{student}.json"
    earlier = stored_record(stored)
    if found.notebook is None:
        was_there = earlier.get("status", "missing") != "missing"
        record = earlier if was_there else record | {"status": "missing", "note": ""}
    else:
        try:
            new = graded_now(student, name, found.notebook, earlier, options)
        except Exception as error:  # of whatever in this submission nobody thought of
            log(student, name, traceback.format_exc())
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, OSError) and error.strerror:
                reason = f"{error.strerror}: {readable(os.path.basename(error.filename or ''))}"
            new = {
                "status": "failed",
                "note": f"{reason[:200]}; more in graded/{name}/{student}.log",
            }
        record = earlier | record | new
        record["note"] = visible(record["note"][:LONGEST_NOTE])
        if new:  # in one piece: the other worker prints too
            print(
                f"{name}  {student}: {record['status']}{'  ' * bool(record['note'])}{record['note']}\n",
                end="",
                flush=True,
            )
    write(stored, lambda file: json.dump(record, file, indent=1))
    return record


def graded_now(student, name, notebook, earlier, options):
    """What to put into the record of this submission; nothing, when it was graded and has not changed."""
    files, left = attached(notebook)
    digest = digest_of([COURSE / "source" / name / f"{name}.ipynb", notebook, *files])
    digest += variants.seed_of(COURSE, student)
    if earlier.get("digest") == digest and earlier["status"] != "failed":
        return {}
    try:
        submitted = repair.read(notebook)
    except ValueError as error:
        return {"digest": digest, "status": "unreadable", "note": str(error)[:200]}
    given = nbformat.read(COURSE / "release" / name / f"{name}.ipynb", as_version=4)
    given = variants.own(COURSE, student, name, given, variants.student_version)
    rebuilt, notes = repair.repaired(submitted, given)
    if student not in (variants.listed(COURSE) or {student}):
        notes.append("not in students.csv, so graded without numbers of their own")
    elsewhere = repair.words_elsewhere(submitted, given)
    notes += [f"left behind: {', '.join(left)}"] * bool(left)
    for path in files:
        if path.suffix == ".py":
            notes += repair.to_read(readable(path.name), path.read_text("utf-8", "replace"))
    folder = COURSE / "repaired" / student / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    nbformat.write(rebuilt, folder / f"{name}.ipynb")

    options = [*options, f"--student={student}", "--force", "--CourseDirectory.submitted_directory=repaired"]
    code, said = nbgrader(COURSE, "autograde", name, *options, patience=PATIENCE)
    remove_what_runs(COURSE / "autograded" / student / name, name)
    graded = COURSE / "autograded" / student / name / f"{name}.ipynb"
    if code or not graded.is_file():
        log(student, name, said)
        errors = [line for line in said.splitlines() if "ERROR" in line or "ended" in line]
        note = "; ".join([*notes, *errors[-2:]])[:500]
        return {
            "digest": digest,
            "status": "failed",
            "note": f"{note}; more in graded/{name}/{student}.log",
        }
    status, note = ending(nbformat.read(graded, as_version=4))
    return {
        "digest": digest,
        "status": status,
        "note": "; ".join([*notes, *note]),
        "words_elsewhere": elsewhere,
    }


def forget(student, name):
    """Make `grade` run this submission again, though nothing in it has changed."""
    stored = COURSE / "graded" / name / f"{student}.json"
    if record := stored_record(stored):
        write(stored, lambda file: json.dump(record | {"digest": ""}, file, indent=1))


def remove_what_runs(folder, name):
    """Leave of the files in `folder`, which browsers show, the notebook and what is harmless."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != f"{name}.ipynb" and not harmless.is_shown(path):
            path.unlink()


def attached(notebook):
    """The files beside `notebook` that come with it, and those that do not, in words."""
    files, left = [], []
    for path in beside(notebook):
        reason = ""
        if path.stat().st_size > LARGEST:
            reason = "too large"
        elif not os.access(path, os.R_OK):
            reason = "cannot be opened"
        elif path.suffix in COMPILED:
            reason = "a module that nobody can read"
        elif path.name == "timestamp.txt" and not is_date(
            path
        ):  # nbgrader takes it for the day of handing in
            reason = "no date"
        if reason:
            left.append(f"{readable(path.name)} ({reason})")
        else:
            files.append(path)
    return files, left


def is_date(path):
    with suppress(Exception):  # of many kinds, for many kinds of text; a long one takes its time
        return path.stat().st_size < 100 and 1970 < parse_utc(path.read_text("utf-8").strip()).year < 2100
    return False


def digest_of(paths):
    """What changes when one of the files does, or its name."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(os.fsencode(path.name) + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def ending(notebook):
    """The status of an executed notebook, and notes: modules that are not here, and the first cell without an end."""
    status, notes = "graded", []
    for cell in notebook.cells:
        where = repair.grade_id(cell) or repr(cell.source[:40])
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename in repair.STOPPED and status == "graded":
                status = repair.STOPPED[output.ename]
                notes.append(f"{output.ename} in {where}")
            elif output.output_type == "error" and output.ename == "ModuleNotFoundError":
                said = " ".join(output.evalue.split())[:100]
                notes.append(f"a module is missing here: {said}, in {where}; install it and grade again")
    return status, list(dict.fromkeys(notes))


def stored_record(path):
    """The record at `path`, or an empty one where none was written."""
    with suppress(FileNotFoundError, ValueError):
        record = json.loads(path.read_text("utf-8"))
        if isinstance(record, dict) and record.get("status"):
            return record
    return {}


def log(student, name, text):
    write(COURSE / "graded" / name / f"{student}.log", lambda file: file.write(text))


def write(path, content):
    """Replace the file at `path` by what `content` writes, or leave it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with open(unfinished, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        content(file)
    os.replace(unfinished, path)
