"""The tests of a problem set, and the process in which they run: no code of a student enters it.

In the namespace of a test, functions that the student has written are questions to the kernel of the student, and all
others are those of the source: what a test computes and compares is ours.
"""

import ast
import functools
import json
import re
import selectors
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

from .repair import grade_id, is_test
from .room import short_folder

PATIENCE = 120  # seconds for the cells of the source, which are ours
LONGEST = 2**23  # characters of a line that the process of the tests may say
MAGIC = re.compile(r"^[ \t]*[%!].*", re.MULTILINE)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS.*?^### END HIDDEN TESTS\n?", re.DOTALL | re.MULTILINE)


class Test(NamedTuple):
    """A test cell, and what of the notebook it is about."""

    code: str
    answers: list  # the ids of the cells that the student writes for it
    names: list  # what they define
    cells: list  # [(id or None, code)]: what stands before it, since the test before, as it is solved in the source


def tests(source):
    """{id: Test} of the solved notebook `source`, in their order. Tests that follow each other share their answers."""
    found, before, answers, names = {}, [], [], []
    for cell in source.cells:
        if cell.cell_type != "code":
            continue
        code = TransformerManager().transform_cell(cell.source)
        if is_test(cell):
            if any(name for name, _ in before):
                answers = [name for name, _ in before if name]
                names = [name for answer, written in before if answer for name in defined(written)]
            found[grade_id(cell)] = Test(code, answers, list(dict.fromkeys(names)), before)
            before = []
        else:
            answer = cell.metadata.get("nbgrader", {}).get("solution")
            before.append((grade_id(cell) if answer else None, code))
    return found


def defined(code):
    """The names that `code` gives a value, outside of functions."""
    names = []
    for node in outside_of_functions(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.alias):
            names.append((node.asname or node.name).partition(".")[0])
    return names


def outside_of_functions(node):
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from outside_of_functions(child)


def visible(code):
    return HIDDEN.sub("", code)


def is_needed(code, later):
    """Whether one of the cells `later` uses a name that `code` defines and the cell itself does not."""
    names = set(defined(code))
    return any(names & uses(cell) for cell in later)


@functools.cache
def uses(cell):
    """The names that `cell` takes from elsewhere; all its words, where it is no Python. Its magics are left out."""
    try:
        nodes = [node for node in ast.walk(ast.parse(MAGIC.sub("", cell))) if isinstance(node, ast.Name)]
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        return set(re.findall(r"\w+", cell))
    return {node.id for node in nodes if isinstance(node.ctx, ast.Load)} - {
        node.id for node in nodes if isinstance(node.ctx, ast.Store)
    }


class Examiner:
    """A process that has imported what tests need, behind walls; a copy of it runs the tests of a submission.

    To import it takes longer than most tests, and so do the cells of the problem set, as solved in the source: they run
    once for all submissions. Of memory and files of tests the copies share nothing: what a test leaves behind ends with
    its copy. `command` is all of the process but the number of the socket at which it is asked.
    """

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory("", "tests", short_folder(), ignore_cleanup_errors=True)
        self.address = f"{self.folder.name}/socket"
        with socket.socket(socket.AF_UNIX) as listening, open(f"{self.folder.name}/said", "wb") as said:
            listening.bind(self.address)
            listening.listen()
            number = listening.fileno()
            self.running = subprocess.Popen(
                [*command, str(number)],
                pass_fds=[number],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # who interrupts us ends it in __exit__
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.running.stdin.close()  # without walls it ends its copies itself
        with suppress(subprocess.TimeoutExpired):
            self.running.wait(1)
        self.running.kill()
        self.running.wait()
        self.folder.cleanup()


class Copy:
    """Runs the tests of one submission; who asks what the student's functions return is told with each test."""

    def __init__(self, address, limits, cells):
        self.address, self.waiting, self.rest, self.number = address, selectors.DefaultSelector(), b"", None
        try:
            self.connection = connected(address)
        except OSError as error:
            said = Path(address).with_name("said")
            text = said.read_text("utf-8", "replace") if said.is_file() else ""
            raise RuntimeError(f"the process of the tests does not run: {text[-500:] or error}") from error
        self.waiting.register(self.connection, selectors.EVENT_READ)
        self.say({"limits": limits, "seconds": PATIENCE, "prepare": cells})

    def say(self, message):
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self, deadline):
        """The next message; None when the process has ended or does not speak in time."""
        while b"\n" not in self.rest:
            if not self.waiting.select(max(0, deadline - time.monotonic())):
                return None
            try:
                said = self.connection.recv(2**16)
            except ConnectionResetError:
                return None
            if not said or len(self.rest) > LONGEST:
                return None
            self.rest += said
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def verdict(self, test, seconds, ask):
        """What became of `test`, as tests.py says it; None when there is no verdict in these `seconds`.

        `ask` is given what the test asks the student, and returns a text; or None, and then there is no verdict either.
        """
        if not self.number:
            said = self.hear(time.monotonic() + PATIENCE) or {"failed": "they do not come to their end"}
            if "failed" in said:
                raise RuntimeError(f"the cells of the problem set do not run: {said['failed'][-500:]}")
            self.number, self.end_it = said["prepared"], {"end": said["end"]}
        deadline = time.monotonic() + seconds
        words = re.findall(r"\w+", test.code)
        self.say({"test": test.code, "names": [name for name in test.names if name in words]})
        while message := self.hear(deadline):
            if "verdict" in message:
                return None if "stopped" in message["verdict"] else message["verdict"]
            asked = time.monotonic()
            answer = ask(message)
            deadline += time.monotonic() - asked  # the time of the student is counted elsewhere
            self.say({"stop": True} if answer is None else {"answer": answer})
        return None

    def end(self):
        """End it, whatever it is doing: at the end of its connection it ends only when it listens."""
        self.waiting.close()
        self.connection.close()
        if self.number:
            with suppress(OSError), connected(self.address) as connection:
                connection.sendall(json.dumps(self.end_it).encode() + b"\n")


def connected(address):
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
