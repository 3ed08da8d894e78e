"""Sort a download of submissions from Moodle or Canvas into one folder a student.

    python book/assignments/collect.py DOWNLOAD ROSTER [--set one_neuron]

DOWNLOAD is the zip as the platform gives it, or the folder that was unpacked from it. ROSTER is a CSV file: Moodle's
list of participants or its grading worksheet, or the gradebook that Canvas exports. Then `grade.py` grades handed_in.
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
    parser.add_argument("download", type=Path)
    parser.add_argument("roster", type=Path)
    parser.add_argument("--set", help="the problem set that all notebooks belong to, whatever they are called")
    given = parser.parse_args()
    room.check_writable(COURSE)
    from grading.collect import collect

    collect(given.download.absolute(), given.roster.absolute(), given.set)
