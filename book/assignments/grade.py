"""Grade a folder of submissions, student by student: scores in one table, feedback in one page each.

    python book/assignments/grade.py FOLDER

FOLDER holds one folder a student, and in it, at any depth, notebooks called after the problem sets (one_neuron.ipynb).
Run it again after new submissions, after marking by hand, or after an interruption: what is graded and unchanged is not
run again, and what other folders held before stays in the table. The course is the folder of this script; the page
"Teach with this book" tells the rest.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  searches the fonts, once; every kernel gets a copy of the list
import nbformat
from grading import repair
from grading.command import nbgrader, release
from grading.sandbox import without_bubblewrap
from nbgrader.api import Gradebook, MissingEntry

COURSE = Path(__file__).resolve().parent
PATIENCE = 900  # seconds after which a submission is ended from outside, if the sandbox did not end it
LARGEST = 20 * 2**20  # bytes of a file that is handed in
COLUMNS = "student set status score max_score automatic automatic_max by_hand by_hand_max needs_marking note".split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submissions", type=Path, help="folder that holds one folder a student")
    parser.add_argument("--workers", type=int, default=2, help="submissions that run at a time (2)")
    arguments = parser.parse_args()
    if not arguments.submissions.is_dir():
        parser.error(f"{arguments.submissions} is no folder")
    if missing := without_bubblewrap():
        print(
            f"NO SANDBOX: {missing}. Student code can read and change all that you can, solutions and marks included;\n"
            "only its memory, time and file sizes are limited. See 'Keep it shut in' on the teaching page."
        )

    found = submissions(arguments.submissions)
    release(COURSE)
    with ThreadPoolExecutor(arguments.workers) as pool:
        records = list(pool.map(lambda item: grade(*item[0], *item[1]), sorted(found.items())))
    rows = table([*records, *graded_before(found)])
    write(COURSE / "grades.csv", lambda file: write_rows(file, rows))
    feedback()
    print(f"{len(rows)} rows in {COURSE / 'grades.csv'}, feedback in {COURSE / 'feedback'}")


def submissions(folder):
    """{(student, set): (name of the student's folder, notebook or None, note)}, for every set somebody handed in."""
    sets = sorted(path.parent.name for path in COURSE.glob("source/*/*.ipynb") if path.stem == path.parent.name)
    if not sets:
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    found, handed_in, loose = {}, set(), sorted(path.name for path in folder.glob("*.ipynb"))
    if loose:
        print(f"Not graded, because they lie in no folder of a student: {', '.join(loose)}")
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))):
        name_of_student = unicodedata.normalize("NFC", home.name)
        student = re.sub(r"[^\w.@+ -]", "_", name_of_student)  # what nbgrader takes for a name
        visible = [path for path in home.rglob("*.ipynb") if not hidden(path.relative_to(home))]
        files = [path for path in visible if not path.is_symlink()]  # a link may lead elsewhere
        notebooks = sorted(files, key=lambda path: path.stat().st_mtime)
        # a browser saves a second download as "relu (1).ipynb", Colab as "Copy of relu.ipynb"
        named = {name: [path for path in notebooks if is_called(path.stem, name)] for name in sets}
        others = sorted(path.name for path in set(visible) - {path for paths in named.values() for path in paths})
        for name, paths in named.items():
            if (student, name) in found:
                sys.exit(f"Two folders count as the student {student}: rename {home}")
            note = f"the newest of {len(paths)}, {paths[-1].relative_to(home)}" if len(paths) > 1 else ""
            if not paths and others:
                note = f"not taken, by its name or as a link: {', '.join(others)}"
            found[student, name] = name_of_student, paths[-1] if paths else None, note
            handed_in |= {name} if paths else set()
    if not handed_in:
        sys.exit(f"No notebook called after a problem set in a folder of a student was found in {folder}")
    return {(student, name): what for (student, name), what in found.items() if name in handed_in}


def is_called(stem, name):
    """Whether a file of this stem is a submission of the problem set `name`."""
    return re.search(rf"(?<![^\W_]){name}(?![a-z])", stem, re.IGNORECASE) is not None


def hidden(path):
    """Whether a program keeps its things there."""
    return any(name.startswith((".", "__")) for name in path.parts)


def grade(student, name, name_of_student, notebook, selected):
    """Grade one submission unless that was done before; its record, what the table needs to know of it."""
    record = {"student": student, "set": name, "name": name_of_student, "selected": selected}
    stored = COURSE / "graded" / name / f"{student}.json"
    earlier = {}
    with suppress(FileNotFoundError, json.JSONDecodeError):
        earlier = json.loads(stored.read_text("utf-8"))
    if notebook is None:
        if not earlier:
            earlier = record | {"status": "missing", "note": ""}
            write(stored, lambda file: json.dump(earlier, file, indent=1))
        return earlier
    files = attached(notebook)
    source = COURSE / "source" / name / f"{name}.ipynb"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [source, notebook, *files])).hexdigest()
    if earlier.get("digest") == digest and earlier["status"] != "failed":
        record = earlier | record
    else:
        record |= {"digest": digest, **run(student, name, notebook, files)}
        # In one piece: the other worker prints too.
        said = f"{name}  {student}: {record['status']}{'  ' * bool(record['note'])}{record['note']}\n"
        print(said, end="", flush=True)
    write(stored, lambda file: json.dump(record, file, indent=1))
    return record


def graded_before(found):
    """The records of submissions that an earlier run graded and that are not among those `found` now."""
    for path in sorted(COURSE.glob("graded/*/*.json")):
        if (path.stem, path.parent.name) not in found and (COURSE / "source" / path.parent.name).is_dir():
            yield json.loads(path.read_text("utf-8"))


def attached(notebook):
    """The files beside `notebook` that come with it."""
    return [path for path in beside(notebook) if path.stat().st_size < LARGEST]


def beside(notebook):
    files = (path for path in notebook.parent.iterdir() if path.suffix != ".ipynb")
    return sorted(path for path in files if path.is_file() and not path.is_symlink() and not hidden(Path(path.name)))


def run(student, name, notebook, files):
    """Repair the submission, have it graded, and say how that went: a status and a note."""
    try:
        submitted = repair.read(notebook)
    except ValueError as error:
        return {"status": "unreadable", "note": str(error)[:200]}
    given = nbformat.read(COURSE / "release" / name / f"{name}.ipynb", as_version=4)
    rebuilt, notes = repair.repaired(submitted, given)
    elsewhere = repair.words_elsewhere(submitted, given)
    notes += [f"too large, left behind: {path.name}" for path in sorted({*beside(notebook)} - {*files})]
    folder = COURSE / "repaired" / student / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    nbformat.write(rebuilt, folder / f"{name}.ipynb")

    options = [f"--student={student}", "--force", "--CourseDirectory.submitted_directory=repaired"]
    code, said = nbgrader(COURSE, "autograde", name, *options, patience=PATIENCE)
    graded = COURSE / "autograded" / student / name / f"{name}.ipynb"
    if code or not graded.is_file():
        errors = [line for line in said.splitlines() if "ERROR" in line or "ended" in line]
        return {"status": "failed", "note": "; ".join([*notes, *errors[-2:]])[:500]}
    status, note = ending(nbformat.read(graded, as_version=4))
    return {"status": status, "note": "; ".join([*notes, *note]), "words_elsewhere": elsewhere}


def ending(notebook):
    """The status of an executed notebook, and the first cell that did not come to its end."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename in repair.STOPPED:
                where = repair.grade_id(cell) or repr(cell.source[:40])
                return repair.STOPPED[output.ename], [f"{output.ename} in {where}"]
    return "graded", []


def table(records):
    """One row for each record, with the scores that the gradebook holds now, marks given by hand included."""
    rows = []
    with Gradebook(f"sqlite:///{COURSE / 'gradebook.db'}?timeout=60") as gradebook:
        for record in sorted(records, key=lambda record: (record["student"], record["set"])):
            row = {"student": record.get("name", record["student"]), "set": record["set"], "status": record["status"]}
            notes = [record.get("selected"), record["note"]]
            row["max_score"] = gradebook.find_assignment(record["set"]).max_score
            if record["status"] in ("missing", "unreadable"):
                row |= {"score": 0.0}
            with suppress(MissingEntry):
                if record["status"] in ("graded", *repair.STOPPED.values()):
                    submission = gradebook.find_submission(record["set"], record["student"])
                    row |= scores(submission)
                    if record.get("words_elsewhere") and left_empty(submission):
                        row["needs_marking"] = "yes"
                        notes.append("an answer in words is empty, but there are words in cells of the student's own")
            rows.append(row | {"note": "; ".join(filter(None, notes))})
    return rows


def scores(submission):
    """The columns of the table that come from a submission in the gradebook."""
    by_hand, automatic = grades(submission)
    return {
        "score": submission.score,
        "automatic": sum(grade.score for grade in automatic),
        "automatic_max": sum(grade.max_score for grade in automatic),
        "by_hand": sum(grade.score for grade in by_hand),
        "by_hand_max": sum(grade.max_score for grade in by_hand),
        "needs_marking": "yes" if submission.needs_manual_grade else "no",
    }


def grades(submission):
    """The grades of a submission that are given by hand, and those that are not."""
    all_grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    answers = {cell.name for notebook in submission.notebooks for cell in notebook.notebook.solution_cells}
    by_hand = [grade for grade in all_grades if grade.name in answers]
    return by_hand, [grade for grade in all_grades if grade.name not in answers]


def left_empty(submission):
    """Whether an answer in words got its 0 because nothing was written in its place, and from nobody."""
    return any(grade.manual_score is None and not grade.needs_manual_grade for grade in grades(submission)[0])


def feedback():
    """Write the feedback for every student, without scripts: the pages ask no other host for anything.

    Their summaries name the tests and answers, which nbgrader calls "Test cell" and "Written response".
    """
    code, said = nbgrader(COURSE, "generate_feedback", "--assignment=*", "--force")
    if code and list(COURSE.glob("autograded/*/*/*.ipynb")):
        print(f"Not all feedback could be written:\n{said[-1000:]}")
    for page in COURSE.glob("feedback/*/*/*.html"):
        html = re.sub(r"<script\b.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)
        html = re.sub(r'<a href="#([^"]+)">(?:Test cell|Written response)</a>', r'<a href="#\1">\1</a>', html)
        page.write_text(html, "utf-8")


def write_rows(file, rows):
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)


def write(path, content):
    """Replace the file at `path` by what `content` writes, or leave it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with open(unfinished, "w", encoding="utf-8", newline="") as file:
        content(file)
    os.replace(unfinished, path)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on where it stopped.")
