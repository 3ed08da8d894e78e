"""Make the student versions of all problem sets from their sources, check them, and only then replace the old ones.

    python book/assignments/release.py

Checked by grading, in a course of its own: the source gets every point of its automatic tests, the untouched student
version none, and each of its tests says what is missing. What a student version must not show is searched for in it.
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
    from grading.trial import release

    try:
        release()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The student versions are as they were.")
