"""The process in which the tests run. No code of a student enters it: their functions are asked, as text, elsewhere.

python -P tests.py 7

It imports what tests need and waits at its socket, here number 7, until its standard input ends. A connection is told
what to do by lines of JSON:

    {"limits": {...}, "seconds": 120, "prepare": [cells]}   run the cells of the problem set as solved in the source
    {"test": code, "names": [...]}                          run a test in which these names are those of the student

The first time that cells are asked for, they run in a copy of it. For each connection that asks for these cells, that
process is copied in turn: this copy runs the tests, in a folder of its own in which it finds what the cells wrote. What
they write elsewhere, and files that they leave open, the copies share.

Its answers are lines of JSON too: {"prepared": its number, "end": what ends it} or {"failed": why}, {"verdict": ...},
and in between questions, {"call": name, "given": text} or {"fetch": name}, each of which is answered by
{"answer": text}, or by {"stop": true}. A connection that begins with {"end": what was said} ends that copy.
"""

import json
import linecache
import os
import random
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
        processes, prepared = {}, {}  # their numbers by our ends of their channels; these ends by limits and cells
        while True:
            ready = select.select([listening, 0, *processes], [], [])[0]
            for ended in [channel for channel in ready if channel in processes]:  # they say nothing else
                os.waitid(os.P_PID, processes[ended], os.WEXITED | os.WNOWAIT)  # it has its last word
                end(processes.pop(ended))
                prepared = {cells: channel for cells, channel in prepared.items() if channel is not ended}
                ended.close()
            if listening in ready:
                connection, _ = listening.accept()
                with connection, connection.makefile(encoding="utf-8") as questions:
                    task = json.loads(questions.readline() or "{}")
                    if "end" in task:
                        number, own = task["end"]
                        for channel in [channel for channel, process in processes.items() if process == number]:
                            tell(channel, {"end": own})
                    elif "prepare" in task:
                        key = json.dumps(task)
                        if not (channel := prepared.get(key)):
                            held = [listening, connection, questions, *processes]
                            number, channel = prepare(task, folder, held)
                            processes[channel] = number
                            if len(prepared) < KEPT:
                                prepared[key] = channel
                        tell(channel, {"last": channel not in prepared.values()}, connection.fileno())
            elif 0 in ready:
                break
        for number in processes.values():
            end(number)


def end(number):
    """End the process of this number, and with it all copies of it."""
    os.killpg(number, signal.SIGKILL)
    os.waitpid(number, 0)


def tell(channel, message, *given):
    """Say it, with the file numbers `given`; without waiting, for a process that has ended or does not listen."""
    with suppress(OSError):
        said = [json.dumps(message).encode().ljust(SAID_AT_ONCE)]
        socket.send_fds(channel, said, given, getattr(socket, "MSG_DONTWAIT", 0))


def prepare(task, folder, held):
    """Start a process, with a group of its own, in which the cells run, and that is copied for each connection it gets.

    Its number and our end of its channel. What we hold it closes: a channel ends when nobody holds its other end.
    """
    ours, channel = socket.socketpair()
    if number := os.fork():
        with suppress(OSError):
            os.setpgid(number, number)  # here, too: one of us is first
        channel.close()
        return number, ours
    try:
        for own in (ours, *held):
            own.close()
        os.setpgid(0, 0)
        with open(os.devnull, "r+") as nothing:  # what a test prints is no answer
            for standard in (0, 1, 2):
                os.dup2(nothing.fileno(), standard)
        limits = task["limits"]
        lower_limits(json.dumps({name: limits[name] for name in limits if name != "RLIMIT_NPROC"}))  # it will be copied
        warnings.simplefilter("ignore")
        move_to(written := tempfile.mkdtemp(dir=folder))
        solved, failed = {"__name__": "__main__"}, None
        signal.alarm(task["seconds"])  # ends the process
        try:
            for cell in task["prepare"]:
                exec(cell, solved)
        except BaseException:
            failed = traceback.format_exc()
        signal.alarm(0)
        copy_for_each(channel, limits, solved, failed, written)
        shutil.rmtree(written, ignore_errors=True)
    finally:
        os._exit(0)


def copy_for_each(channel, limits, solved, failed, written):
    """Be copied for each connection that comes through the channel; each copy finds what the cells have `written`.

    After cells that failed there is nothing to copy, and the next who asks for them gets another process.
    """
    copies, last = {}, False  # {folder: number}
    while copies or not last:
        told = select.select([channel], [], [], 1 if copies else None)[0]
        for own in [own for own, number in copies.items() if os.waitpid(number, os.WNOHANG) != (0, 0)]:
            del copies[own]
            shutil.rmtree(own, ignore_errors=True)
        if not told:
            continue
        message, given, *_ = socket.recv_fds(channel, SAID_AT_ONCE, 1, socket.MSG_WAITALL)
        if not message:  # nobody will ask any more
            os.killpg(0, signal.SIGKILL)
        task = json.loads(message)
        last = last or task.get("last", False)
        if given:
            with socket.socket(fileno=given[0]) as connection:
                if failed:
                    channel.close()  # before somebody hears of it and asks again
                    return say(connection, {"failed": failed})
                own, state = tempfile.mkdtemp(dir=Path(written).parent), random.getstate()
                shutil.copytree(written, own, symlinks=True, dirs_exist_ok=True)
                if number := os.fork():
                    copies[own] = number
                    continue
                try:
                    random.setstate(state)  # a fork begins anew
                    channel.close()
                    lower_limits(json.dumps(limits))
                    move_to(own)
                    run(solved, connection, [os.getppid(), own])
                finally:
                    os._exit(0)
        elif task["end"] in copies:
            os.kill(copies[task["end"]], signal.SIGKILL)  # and a second later it is gone from `copies`


def move_to(folder):
    os.chdir(folder)
    os.environ["TMPDIR"] = os.environ["HOME"] = tempfile.tempdir = folder


def say(connection, what):
    connection.sendall(json.dumps(what).encode() + b"\n")


def run(solved, connection, ends_it):
    """Run the tests that are asked for, in this copy."""
    questions = connection.makefile(encoding="utf-8")

    def ask(question):
        say(connection, question)
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

    say(connection, {"prepared": os.getpid(), "end": ends_it})
    for line in questions:
        say(connection, {"verdict": verdict(json.loads(line), solved, asked, lambda name: ask({"fetch": name}))})


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
