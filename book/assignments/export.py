"""Write marks and feedback for the import of Moodle or Canvas, and one table of all sets, into the folder export.

    python book/assignments/export.py

It needs what collect.py noted and grade.py graded. The rules for late submissions stand in course.toml.
"""

import os
import sys

COURSE = os.path.dirname(os.path.realpath(__file__))

if __name__ == "__main__":
    sys.path.insert(0, COURSE)
    from grading import room

    room.enter()
    room.check_writable(COURSE)
    os.chdir(COURSE)  # some packages read settings in the folder in which they are imported
    from grading.export import export

    export()
