"""Grade everything in a folder of submissions, some at a time."""

import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib.font_manager  # noqa: F401  searches the fonts, once; every kernel gets a copy of the list
from nbgrader.api import Gradebook

from . import by_hand, feedback, grader, room, submissions, table, versions
from .grader import COURSE
from .sandbox import NO_SANDBOX, examiner, without_bubblewrap


def grade(folder, workers, no_sandbox=False, only=(None, None), again=False):
    """Grade what is new in `folder`; one student or one set, if `only` names it, and `again` also what is not new."""
    if not no_sandbox and (missing := without_bubblewrap()):
        sys.exit(NO_SANDBOX.format(missing))
    options = ["--SandboxedExecute.no_sandbox=True"] * no_sandbox
    sets = sorted(
        path.parent.name
        for path in COURSE.glob("source/*/*.ipynb")
        if path.stem == path.parent.name
    )
    if not sets:
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    found = wanted(submissions.find(folder, sets), *only)
    versions.release_changed(COURSE)
    for student, name in found if again else ():
        grader.forget(student, name)
    marked = by_hand.marked(found)
    enter({student for (student, _), what in found.items() if what.notebook})
    with examiner(no_sandbox) as tests, ThreadPoolExecutor(workers) as pool:
        options.append(f"--SandboxedExecute.examiner={tests.address}")
        records = list(
            pool.map(lambda item: grader.grade(*item[0], item[1], options), sorted(found.items()))
        )
    by_hand.confirm(marked)
    rows = table.write_table(records)
    pages = feedback.write_feedback(workers)
    print(f"{rows} rows in {COURSE / 'grades.csv'}, {pages} new pages in {COURSE / 'feedback'}")


def enter(students):
    """Enter them into the gradebook: of two sets of one student, graded at a time, one would fail to do so."""
    with Gradebook(room.database(COURSE)) as gradebook:
        for student in students:
            gradebook.update_or_create_student(student)


def wanted(found, student, name):
    """Of what was found the submissions of this student, or of this set, where one is named."""
    kept = {
        (its_student, its_set): what
        for (its_student, its_set), what in found.items()
        if student in (None, its_student, what.name) and name in (None, its_set)
    }
    if not kept:
        sys.exit(f"Nothing is handed in by {student or 'anybody'} for {name or 'any set'}; known are "
                 f"{', '.join(sorted({who for who, _ in found}))}")
    return kept
