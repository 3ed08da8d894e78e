"""The pages that students get back: written again only where the notebook, a mark or a comment has changed."""

import hashlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

from nbgrader.api import Gradebook, MissingEntry

from . import room
from .command import nbgrader
from .grader import COURSE, write

PATIENCE = 60  # seconds for one page


def write_feedback(workers=1):
    """Write the pages that are not up to date, some at a time, and say how many; where one cannot be written, why.

    They have no scripts and ask no other host for anything. Their summaries name the tests and answers, which nbgrader
    calls "Test cell" and "Written response".
    """
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(lambda item: write_page(*item), outdated().items()))


def write_page(page, digest):
    """Write one page, which is to be made from what has this digest; whether that went well."""
    student, name = page.parts[-3:-1]
    shutil.rmtree(page.parent, ignore_errors=True)
    options = [f"--assignment={name}", f"--student={student}"]
    code, said = nbgrader(COURSE, "generate_feedback", *options, patience=PATIENCE)
    if code != 0 or not page.is_file():
        print(f"No feedback could be written for {student}, {name}:\n{said[-500:]}\n", end="")
        return False
    html = re.sub(r"<script\b.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)
    html = re.sub(r'<a href="#([^"]+)">(?:Test cell|Written response)</a>', r'<a href="#\1">\1</a>', html)
    page.write_text(html, "utf-8")
    write(stamp(page), lambda file: file.write(digest))
    return True


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
