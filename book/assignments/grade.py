"""Grade a folder of submissions, student by student: scores in one table, feedback in one page each.

    python book/assignments/grade.py FOLDER

FOLDER holds one folder a student, and in it, at any depth, notebooks called after the problem sets (one_neuron.ipynb).
Run it again after new submissions, after marking by hand, or after an interruption: what is graded and unchanged is not
run again, and what other folders held before stays in the table. The course is the folder of this script; the page
"Teach with this book" tells the rest.
"""

import os
import sys

COURSE = os.path.dirname(os.path.realpath(__file__))


def arguments():
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", type=Path, help="folder that holds one folder a student")
    parser.add_argument("--workers", type=int, default=2, help="submissions that run at a time (2)")
    given = parser.parse_args()
    if not given.submissions.is_dir():
        parser.error(f"{given.submissions} is no folder")
    if given.workers < 1:
        parser.error(f"--workers {given.workers}: at least one has to run")
    return given.submissions.resolve(), given.workers


if __name__ == "__main__":
    sys.path.insert(0, COURSE)
    from grading import room

    room.enter()
    submissions, workers = arguments()
    room.check_writable(COURSE)
    os.chdir(COURSE)  # some packages read settings in the folder in which they are imported
    from grading.whole_class import grade

    try:
        grade(submissions, workers)
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on where it stopped.")
