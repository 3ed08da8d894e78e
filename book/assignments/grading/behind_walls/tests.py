"""The process in which the tests run. No code of a student enters it: their functions are asked, as text, elsewhere.

python -P tests.py 7

It imports what tests need and waits at its socket, here number 7, until its standard input ends. A connection is told
what to do by lines of JSON:

    {"limits": {...}, "prepare": [cells]}   run the cells of the problem set as they are solved in the source
    {"test": code, "names": [...]}          run a test in which these names are those of the student

The first time that cells are asked for, they run in a copy of it. For each connection that asks for these cells, that
process is copied in turn: this copy runs the tests, in a folder of its own in which it finds what the cells wrote.

Its answers are lines of JSON too: {"prepared": its number} or {"failed": why}, {"verdict": ...}, and in between
questions, {"call": name, "given": text} or {"fetch": name}, each of which is answered by {"answer": text}, or by
{"stop": true}. A connection that begins with {"end": number} ends that copy.
"""

import json
import linecache
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))
from behind_walls import fetch_compiled_flows, lower_limits, plain  # noqa: E402

LONGEST_ERROR = 10_000
KEPT = 8  # processes for cells that are asked for again; where each student has a set of their own, none is
SAID_AT_ONCE = 2**12  # bytes: all that is said to a process has this length, so that it hears one task at a time


class StudentError(Exception):
    """Raised in a test by whatever the student's function raised, or did not get back."""

    def __init__(self, name, message, trace):
        super().__init__(message)
        self.name, self.trace = name, trace


class Stopped(BaseException):
    """The student's function gave no answer, and nobody waits for the verdict any more."""


def serve(listening):
    """Hand each connection on to a process in which its cells have run; all of them end with our input."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        processes, prepared = {}, {}  # their numbers by our ends of their channels; these ends by the cells
        while True:
            ready = select.select([listening, 0, *processes], [], [])[0]
            for ended in [channel for channel in ready if channel in processes]:  # they say nothing else
                os.waitpid(processes.pop(ended), 0)
                prepared = {cells: channel for cells, channel in prepared.items() if channel is not ended}
                ended.close()
            if listening in ready:
                connection, _ = listening.accept()
                with connection, connection.makefile(encoding="utf-8") as questions:
                    task = json.loads(questions.readline() or "{}")
                    if "end" in task:  # whose copy it is, they know
                        for channel in processes:
                            tell(channel, task)
                    elif "prepare" in task:
                        cells = json.dumps(task.pop("prepare"))
                        if not (channel := prepared.get(cells)):
                            number, channel = prepare(json.loads(cells), folder, [listening, connection, *processes])
                            processes[channel] = number
                            if len(prepared) < KEPT:
                                prepared[cells] = channel
                            else:
                                task["last"] = True
                        tell(channel, task, connection.fileno())
            elif 0 in ready:
                break
        for number in processes.values():
            os.killpg(number, signal.SIGKILL)
            os.waitpid(number, 0)


def tell(channel, task, *given):
    """Say it, with the file numbers `given`, to a process that may have ended."""
    with suppress(OSError):
        socket.send_fds(channel, [json.dumps(task).encode().ljust(SAID_AT_ONCE)], given)


def prepare(cells, folder, held):
    """Start a process, with a group of its own, in which the cells run, and that is copied for each connection it gets.

    Its number and our end of its channel. What we hold it closes: a channel ends when nobody holds its other end.
    """
    ours, channel = socket.socketpair()
    if number := os.fork():
        channel.close()
        return number, ours
    try:
        os.setpgid(0, 0)
        for own in (ours, *held):
            own.close()
        with open(os.devnull, "r+") as nothing:  # what a test prints is no answer
            for standard in (0, 1, 2):
                os.dup2(nothing.fileno(), standard)
        warnings.simplefilter("ignore")
        move_to(written := tempfile.mkdtemp(dir=folder))
        solved, failed = {"__name__": "__main__"}, None
        try:
            for cell in cells:
                exec(cell, solved)
        except BaseException:
            failed = traceback.format_exc()
        copy_for_each(channel, solved, failed, written)
    finally:
        os._exit(0)


def copy_for_each(channel, solved, failed, written):
    """Be copied for each connection that comes through the channel; each copy finds what the cells have `written`."""
    copies, last = {}, False  # {number: folder}; none has ended without our waiting for it: no number is of two
    while copies or not last:
        message, given, *_ = socket.recv_fds(channel, SAID_AT_ONCE, 1, socket.MSG_WAITALL)
        task = json.loads(message)
        last = last or "last" in task
        if given:
            with socket.socket(fileno=given[0]) as connection:
                own = tempfile.mkdtemp(dir=Path(written).parent)
                shutil.copytree(written, own, dirs_exist_ok=True)
                if not (number := os.fork()):
                    channel.close()
                    move_to(own)
                    return run(task, solved, failed, connection)
                copies[number] = own
        elif folder := copies.pop(number := task["end"], None):
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            shutil.rmtree(folder, ignore_errors=True)


def move_to(folder):
    os.chdir(folder)
    os.environ["TMPDIR"] = os.environ["HOME"] = tempfile.tempdir = folder


def run(task, solved, failed, connection):
    """Run the tests that are asked for, in this copy."""
    lower_limits(json.dumps(task["limits"]))
    questions, answers = connection.makefile(encoding="utf-8"), connection.makefile("w", encoding="utf-8")

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

    if failed:
        return say({"failed": failed})
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
