"""The pages that students get back: written again only where the notebook, a mark or a comment has changed."""

import hashlib
import re
import shutil

from nbgrader.api import Gradebook, MissingEntry

from . import room
from .command import nbgrader
from .grader import COURSE, write

PATIENCE = 60  # seconds for the feedback of one student


def write_feedback():
    """Write the pages that are not up to date, in one run; where that fails, student by student: one is missing then.

    They have no scripts and ask no other host for anything. Their summaries name the tests and answers, which nbgrader
    calls "Test cell" and "Written response". The number of pages that were written is returned.
    """
    old = outdated()
    for page in old:
        shutil.rmtree(page.parent, ignore_errors=True)
    if not old:
        return 0
    students, sets = {page.parts[-3] for page in old}, {page.parts[-2] for page in old}
    only = [f"--student={student}" for student in students] if len(students) == 1 else []
    assignment = f"--assignment={sets.pop() if len(sets) == 1 else '*'}"
    code, said = nbgrader(COURSE, "generate_feedback", assignment, *only, patience=PATIENCE + 5 * len(old))
    for student in sorted(students) if code != 0 else ():
        options = [assignment, "--force", f"--student={student}"]
        code, said = nbgrader(COURSE, "generate_feedback", *options, patience=PATIENCE)
        if code != 0:
            print(f"No feedback could be written for {student}:\n{said[-500:]}")
    for page, digest in old.items():
        if page.is_file():
            html = re.sub(r"<script\b.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)
            html = re.sub(r'<a href="#([^"]+)">(?:Test cell|Written response)</a>', r'<a href="#\1">\1</a>', html)
            page.write_text(html, "utf-8")
            write(stamp(page), lambda file, digest=digest: file.write(digest))
    return sum(page.is_file() for page in old)


def stamp(page):
    """Where it is noted what `page` was made from."""
    student, name = page.parts[-3:-1]
    return COURSE / "graded" / name / f"{student}.feedback"


def outdated():
    """{page: what it is to be made from} of all pages that are missing or were made from something else."""
    old = {}
    with Gradebook(room.database(COURSE)) as gradebook:
        for notebook in sorted(COURSE.glob("autograded/*/*/*.ipynb")):
            student, name = notebook.parts[-3:-1]
            page = COURSE / "feedback" / student / name / f"{notebook.stem}.html"
            digest = hashlib.sha256(
                notebook.read_bytes() + repr(remarks(gradebook, student, name)).encode()
            ).hexdigest()
            if not page.is_file() or not stamp(page).is_file() or stamp(page).read_text() != digest:
                old[page] = digest
    return old


def remarks(gradebook, student, name):
    """The marks and comments of a submission, in an order of their own."""
    try:
        submission = gradebook.find_submission(name, student)
    except MissingEntry:
        return []
    grades = [(grade.name, grade.score, grade.extra_credit) for book in submission.notebooks for grade in book.grades]
    comments = [(comment.name, comment.comment) for book in submission.notebooks for comment in book.comments]
    return [sorted(grades, key=str), sorted(comments, key=str)]
