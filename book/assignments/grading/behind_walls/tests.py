"""The process in which the tests run. No code of a student enters it: their functions are asked, as text, elsewhere.

python -P tests.py 7

It imports what tests need and waits at its socket, here number 7, until its standard input ends. For each connection it
is copied, and the copy gets an empty folder of its own; what it does is told by lines of JSON:

    {"limits": {...}, "prepare": [cells]}   run the cells of the problem set as they are solved in the source
    {"test": code, "names": [...]}          run a test in which these names are those of the student

Its answers are lines of JSON too: {"prepared": its number} or {"failed": why}, {"verdict": ...}, and in between
questions, {"call": name, "given": text} or {"fetch": name}, each of which is answered by {"answer": text}, or by
{"stop": true}. A connection that begins with {"end": number} ends that copy.
"""

import json
import linecache
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import matplotlib.pyplot  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))
from behind_walls import fetch_compiled_flows, lower_limits, plain  # noqa: E402

LONGEST_ERROR = 10_000


class StudentError(Exception):
    """Raised in a test by whatever the student's function raised, or did not get back."""

    def __init__(self, name, message, trace):
        super().__init__(message)
        self.name, self.trace = name, trace


class Stopped(BaseException):
    """The student's function gave no answer, and nobody waits for the verdict any more."""


def serve(listening):
    """Start a copy for each connection, and end those that somebody asks to be ended; all of them with our input."""
    copies = {}  # {number: folder}; none has ended without our waiting for it, so no number is of two
    while listening in select.select([listening, 0], [], [])[0]:
        connection, _ = listening.accept()
        with connection, connection.makefile(encoding="utf-8") as questions:
            task = json.loads(questions.readline() or "{}")
            if (number := task.get("end")) in copies:
                os.kill(number, signal.SIGKILL)
                os.waitpid(number, 0)
                copies.pop(number).cleanup()
            elif "prepare" in task:
                folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
                if number := os.fork():
                    copies[number] = folder
                else:
                    try:
                        listening.close()
                        os.chdir(folder.name)
                        tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = folder.name
                        run(task, questions, connection.makefile("w", encoding="utf-8"))
                    finally:
                        os._exit(0)
    for number in copies:
        os.kill(number, signal.SIGKILL)


def run(task, questions, answers):
    """Prepare, and run the tests that are asked for, in this copy."""
    lower_limits(json.dumps(task["limits"]))
    with open(os.devnull, "r+") as nothing:  # what a test prints is no answer
        for number in (0, 1, 2):
            os.dup2(nothing.fileno(), number)
    warnings.simplefilter("ignore")

    def say(what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    def ask(question):
        say(question)
        reply = json.loads(questions.readline() or '{"stop": true}')
        if "answer" not in reply:
            raise Stopped
        try:
            answer = json.loads(reply["answer"])
            if "error" in answer:
                raised = [str(answer[part]) for part in ("error", "message", "traceback")]
            else:
                return plain.from_text(answer["value"])
        except Exception as error:  # whatever was sent in place of an answer
            raised = [type(error).__name__, f"the answer cannot be read: {error}"[:LONGEST_ERROR], ""]
        raise StudentError(*raised)

    def asked(name):
        def function(*arguments, **named):
            return ask({"call": name, "given": plain.to_text((list(arguments), named))})

        function.__name__ = name
        return function

    solved = {"__name__": "__main__"}
    try:
        for cell in task["prepare"]:
            exec(cell, solved)
    except BaseException:
        return say({"failed": traceback.format_exc()})
    say({"prepared": os.getpid()})
    for line in questions:
        say({"verdict": verdict(json.loads(line), solved, asked, lambda name: ask({"fetch": name}))})


def verdict(task, solved, asked, fetched):
    """What became of a test: nothing when it passed, else what failed, in which line, for which kind of input."""
    namespace, place = dict(solved), "Cell In [0]"
    linecache.cache[place] = (len(task["test"]), None, task["test"].splitlines(True), place)
    try:
        for name in task["names"]:
            namespace[name] = asked(name) if callable(solved[name]) else fetched(name)
        exec(compile(task["test"], place, "exec"), namespace)
    except Stopped:
        return {"stopped": True}
    except BaseException as error:
        name = error.name if isinstance(error, StudentError) else type(error).__name__
        message = str(error)[:LONGEST_ERROR]
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
        trace = "".join(traceback.StackSummary.from_list(frames).format()).replace(f'File "{place}"', place)
        return {
            "name": name,
            "message": message,
            "traceback": f"{trace}{name}: {message}\n\n{getattr(error, 'trace', '')}",
            "line": frames[0].lineno if frames else 0,
            "kind": str(namespace.get("_kind", ""))[:200],
        }
    return {}


if __name__ == "__main__":
    fetch_compiled_flows()
    serve(socket.socket(fileno=int(sys.argv[1])))
