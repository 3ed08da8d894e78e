"""The command `python -m lib.training`; see lib.training.tables."""

import argparse
from pathlib import Path

from lib.training.tables import make


def parser():
    about = "The tables of the chapter on training; what is there already is not made again."
    command = argparse.ArgumentParser(prog="python -m lib.training", description=about)
    command.add_argument("folder", type=Path, help="where the tables are, or will be")
    part = "divide the number of seeds by this, for a quick look (default: %(default)s)"
    command.add_argument("--smaller", type=int, default=1, help=part)
    return command


def main(arguments=None):
    options = parser().parse_args(arguments)
    make(options.folder, options.smaller)


if __name__ == "__main__":
    main()
