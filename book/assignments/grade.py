"""Grade a folder of submissions, student by student: scores in one table, feedback in one page each.

    python book/assignments/grade.py [FOLDER] [--student NAME] [--set NAME] [--again]

FOLDER holds one folder a student, and in it, at any depth, notebooks called after the problem sets (one_neuron.ipynb).
Run it again after new submissions, after marking by hand, or after an interruption: what is graded and unchanged is not
run again, and what other folders held before stays in the table. Without FOLDER it is handed_in, from collect.py.
The course is the folder of this script; the page "Teach with this book" tells the rest.
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
    handed_in = Path(COURSE, "handed_in")
    parser.add_argument("submissions", type=Path, nargs="?", default=handed_in, help="folder with one folder a student")
    parser.add_argument("--student", help="grade this student only, by the name in the table")
    parser.add_argument("--set", help="grade this problem set only")
    parser.add_argument("--again", action="store_true", help="run what was graded and has not changed, too")
    parser.add_argument("--workers", type=int, default=2, help="submissions that run at a time (2)")
    parser.add_argument(
        "--no-sandbox", action="store_true", help="for notebooks of your own: their code can do all that you can"
    )
    parser.add_argument(
        "--as-root", action="store_true", help="grade as root, on a machine that holds nothing else and can be lost"
    )
    given = parser.parse_args()
    if os.geteuid() == 0 and not given.as_root:
        parser.error(
            "you are root, so whatever breaks out of the sandbox has the whole machine: grade as another user; "
            "--as-root if this machine holds nothing else"
        )
    if not given.submissions.is_dir():
        parser.error(f"{given.submissions} is no folder")
    if given.workers < 1:
        parser.error(f"--workers {given.workers}: at least one has to run")
    return given


if __name__ == "__main__":
    sys.path.insert(0, COURSE)
    from grading import room

    room.enter()
    given = arguments()
    submissions = given.submissions.resolve()
    room.check_writable(COURSE)
    os.chdir(COURSE)  # some packages read settings in the folder in which they are imported
    from grading.command import original

    original()  # imports nbgrader, and so do we meanwhile
    from grading.whole_class import grade

    try:
        grade(submissions, given.workers, given.no_sandbox, (given.student, given.set), given.again)
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on where it stopped.")
