"""Make a course of its own for one class, with other numbers, and a folder and a zip for its students.

    python book/assignments/handout.py classes/summer_2027

The numbers are drawn from the name of the folder; with --roster each student gets a handout with others. Then
`collect.py`, `grade.py` and `export.py` in it are used.
"""

import os
import sys

COURSE = os.path.dirname(os.path.realpath(__file__))

if __name__ == "__main__":
    sys.path.insert(0, COURSE)
    from grading import room

    room.enter()
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("course", type=Path, help="the folder to be made; its name is the seed")
    parser.add_argument("--roster", type=Path, help="the list of the class: other numbers for each student in it")
    options = parser.parse_args()
    course, roster = options.course.absolute(), options.roster and options.roster.absolute()
    if course == Path(COURSE):
        parser.error("that is the folder of the stored sets: give another one")
    os.chdir(COURSE)  # some packages read settings in the folder in which they are imported
    from grading.handout import handout

    handout(course, roster)
