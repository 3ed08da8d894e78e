"""The command `python -m lib.training`; see lib.training.tables and compression."""

import argparse
from pathlib import Path

from lib.training import compression, tables


def parser():
    about = "The tables of the chapter on training; what is there already is not made again."
    command = argparse.ArgumentParser(prog="python -m lib.training", description=about)
    command.add_argument("folder", type=Path, help="where the tables are, or will be")
    about = "those of the chapter on compression instead"
    command.add_argument("--compression", action="store_true", help=about)
    part = "divide the number of seeds by this, for a quick look (default: %(default)s)"
    command.add_argument("--smaller", type=int, default=1, help=part)
    return command


def main(arguments=None):
    options = parser().parse_args(arguments)
    (compression if options.compression else tables).make(options.folder, options.smaller)


if __name__ == "__main__":
    main()
