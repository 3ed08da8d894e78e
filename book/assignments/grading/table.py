"""The table of a class, from the gradebook and the records of what was graded."""

import itertools
from contextlib import suppress

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from . import repair, room, roster
from .grader import COURSE, stored_record, write

COLUMNS = "student set status score max_score automatic automatic_max by_hand by_hand_max needs_marking note".split()


def write_table(records):
    """Write grades.csv: one row for each record and for what other folders held before; the number of rows."""
    rows = table(
        [*records, *graded_before({(record["student"], record["set"]) for record in records})]
    )

    write(COURSE / "grades.csv", lambda file: roster.write(file, COLUMNS, rows))
    return len(rows)


def graded_before(found):
    """The records of submissions that an earlier run graded and that are not among those `found` now."""
    for path in sorted(COURSE.glob("graded/*/*.json")):
        student, name = path.stem, path.parent.name
        if (student, name) not in found and (COURSE / "source" / name).is_dir():
            note = f"graded/{name}/{path.name} is damaged: delete it, and hand in again what it was made from"
            lost = {"student": student, "set": name, "status": "failed", "note": note}
            yield lost | {
                key: value
                for key, value in stored_record(path).items()
                if key not in ("student", "set")
            }


def table(records):
    """One row for each record, with the scores that the gradebook holds now, marks given by hand included."""
    rows = []
    with Gradebook(room.database(COURSE)) as gradebook:
        for record in sorted(records, key=lambda record: (record["student"], record["set"])):
            row = {
                "student": record.get("name", record["student"]),
                "set": record["set"],
                "status": record["status"],
            }
            notes = [record.get("selected"), record["note"]]
            try:
                row |= marks(record, gradebook, notes)
            except (
                Exception
            ) as error:  # one row that cannot be filled does not take the table from the others
                gradebook.db.rollback()
                notes.append(f"its marks cannot be read: {type(error).__name__}: {error}"[:200])
            rows.append(row | {"note": "; ".join(filter(None, notes))})
    return rows


def marks(record, gradebook, notes):
    """The columns of the row of `record` that hold points; what to look at is added to its `notes`."""
    row = {"max_score": gradebook.find_assignment(record["set"]).max_score}
    if record["status"] in ("missing", "unreadable"):
        row |= {"score": 0.0}
    with suppress(MissingEntry):
        if record["status"] in ("graded", *repair.STOPPED.values()):
            submission = gradebook.find_submission(record["set"], record["student"])
            if excess := above_maximum(submission, points_of(record["set"])):
                notes.append(f"more points than there are: {', '.join(excess)}")
                return row | {"status": "failed"}
            row |= scores(submission)
            if record.get("words_elsewhere") and left_empty(submission):
                row["needs_marking"] = "yes"
                notes.append(
                    "an answer in words is empty, but there are words in cells of the student's own"
                )
    return row


def points_of(name):
    """{id of a cell: the points that the source of the set `name` gives for it}."""
    cells = nbformat.read(COURSE / "source" / name / f"{name}.ipynb", as_version=4).cells
    nbgrader = [cell.metadata.get("nbgrader", {}) for cell in cells]
    return {cell["grade_id"]: cell["points"] for cell in nbgrader if cell.get("grade")}


def above_maximum(submission, points):
    """The grades of a submission that are above their maximum, or below 0, wherever they come from."""
    return [
        f"{grade.name} {grade.score:g} of {points.get(grade.name, 0):g}"
        for grade in itertools.chain(*grades(submission))
        if not 0 <= grade.score <= points.get(grade.name, 0)
    ]


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
    answers = {
        cell.name for notebook in submission.notebooks for cell in notebook.notebook.solution_cells
    }
    by_hand = [grade for grade in all_grades if grade.name in answers]
    return by_hand, [grade for grade in all_grades if grade.name not in answers]


def left_empty(submission):
    """Whether an answer in words got its 0 because nothing was written in its place, and from nobody."""
    return any(
        grade.manual_score is None and not grade.needs_manual_grade
        for grade in grades(submission)[0]
    )
