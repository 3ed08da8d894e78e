"""A process that imports nbgrader once, and is copied for each of its commands. Told on standard input, by `command`.

To import nbgrader takes about as long as all else that it does with a short submission. Imported here is nothing of
a course, so that a copy knows of it what it finds there; and no code of a student is run here, nor in a copy.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import matplotlib.font_manager  # noqa: F401
import nbclient  # noqa: F401
from nbconvert.exporters import HTMLExporter
from nbformat import v4
from nbgrader import dbutil, preprocessors  # noqa: F401
from nbgrader.apps.nbgraderapp import main

import lib  # noqa: F401

# What every page of feedback needs once, patterns of highlighting above all, takes half as long as a page itself.
CELLS = [v4.new_markdown_cell("*a* $b$ `c`"), v4.new_code_cell("0", outputs=[v4.new_output("stream", text="d")])]
HTMLExporter(template_name="classic").from_notebook_node(v4.new_notebook(cells=CELLS))

# The path of its scripts for the database goes into a file in which a % means something.
dbutil.ALEMBIC_DIR = dbutil.ALEMBIC_DIR.replace("%", "%%")


def serve():
    """Start a copy for each line {"arguments": [...], "folder": where, "said": file, "code": file}; tell its number."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who asked waits for the copy, and reads its exit code
    for line in sys.stdin:
        if number := os.fork():
            print(number, flush=True)
        else:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(run(**json.loads(line)))


def run(arguments, folder, said, code):
    """Run one command in this process, with its output in the file `said` and its exit code in the file `code`."""
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    for own, other in ((0, nothing), (1, output), (2, output)):
        os.dup2(other, own)
    os.chdir(folder)
    sys.argv = ["nbgrader", *arguments]
    try:
        main()
        exit_code = 0
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        exit_code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    Path(code).write_text(str(exit_code), "utf-8")
    return exit_code


if __name__ == "__main__":
    try:
        serve()
    except KeyboardInterrupt:
        sys.exit(130)
