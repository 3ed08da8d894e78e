"""The command `python -m lib.training`; see lib.training.tables."""

import argparse
from pathlib import Path

from lib.training.tables import make


def main(arguments=None):
    command = argparse.ArgumentParser(
        prog="python -m lib.training", description="The tables of the chapter on training."
    )
    command.add_argument("folder", type=Path, help="where the tables are, or will be")
    command.add_argument(
        "--smaller", type=int, default=1, help="a part of the seeds only (default: 1, all)"
    )
    options = command.parse_args(arguments)
    make(options.folder, options.smaller)


if __name__ == "__main__":
    main()
