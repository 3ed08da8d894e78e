"""Grade everything in a folder of submissions, some at a time."""

import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib.font_manager  # noqa: F401  searches the fonts, once; every kernel gets a copy of the list

from . import grader, submissions, table, versions
from .grader import COURSE
from .sandbox import NO_SANDBOX, without_bubblewrap


def grade(folder, workers, no_sandbox=False):
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
    found = submissions.find(folder, sets)
    versions.release(COURSE)
    with ThreadPoolExecutor(workers) as pool:
        records = list(
            pool.map(lambda item: grader.grade(*item[0], item[1], options), sorted(found.items()))
        )
    rows = table.write_table(records)
    table.write_feedback()
    print(f"{rows} rows in {COURSE / 'grades.csv'}, feedback in {COURSE / 'feedback'}")
