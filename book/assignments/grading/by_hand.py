"""Points given by hand outlive a second grading: nbgrader keeps them, but asks for each again, for old answers too."""

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from . import repair, room
from .grader import COURSE


def marked(submissions):
    """{(student, set): {answer that was marked: its text}} for these (student, set)."""
    found = {}
    with Gradebook(room.database(COURSE)) as gradebook:
        for student, name in submissions:
            done = {
                grade.name
                for grade in grades(gradebook, student, name)
                if grade.manual_score is not None and not grade.needs_manual_grade
            }
            if answers := texts(student, name, done):
                found[student, name] = answers
    return found


def confirm(before):
    """Take back the question for the marks of answers that are word for word what they were."""
    with Gradebook(room.database(COURSE)) as gradebook:
        for (student, name), answers in before.items():
            now = texts(student, name, answers)
            for grade in grades(gradebook, student, name):
                if grade.name in answers and answers[grade.name] == now.get(grade.name):
                    grade.needs_manual_grade = False
        gradebook.db.commit()


def grades(gradebook, student, name):
    try:
        return [grade for book in gradebook.find_submission(name, student).notebooks for grade in book.grades]
    except MissingEntry:
        return []


def texts(student, name, answers):
    """{answer: text} of the graded notebook."""
    path = COURSE / "autograded" / student / name / f"{name}.ipynb"
    if not answers or not path.is_file():
        return {}
    cells = nbformat.read(path, as_version=4).cells
    return {repair.grade_id(cell): cell.source for cell in cells if repair.grade_id(cell) in answers}
