"""Grade everything in a folder of submissions, some at a time."""

import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib.font_manager  # noqa: F401  searches the fonts, once; every kernel gets a copy of the list

from . import grader, submissions, table, versions
from .grader import COURSE
from .sandbox import without_bubblewrap


def grade(folder, workers):
    if missing := without_bubblewrap():
        print(
            f"NO SANDBOX: {missing}. Student code can read and change all that you can, solutions and marks included;\n"
            "only its memory, time and file sizes are limited. See 'How student code is isolated' on the teaching page."
        )
    sets = sorted(
        path.parent.name
        for path in COURSE.glob("source/*/*.ipynb")
        if path.stem == path.parent.name
    )
    if not sets:
        sys.exit(f"There is no problem set in {COURSE / 'source'}")
    found = submissions.find(folder, sets)
    versions.release(COURSE)
    with ThreadPoolExecutor(workers) as pool:
        records = list(
            pool.map(lambda item: grader.grade(*item[0], item[1]), sorted(found.items()))
        )
    rows = table.write_table(records)
    table.write_feedback()
    print(f"{rows} rows in {COURSE / 'grades.csv'}, feedback in {COURSE / 'feedback'}")
