"""The process in which the tests run. No code of a student enters it: their functions are asked, as text, elsewhere.

python -P tests.py '{"RLIMIT_AS": 2147483648}', told by lines of JSON on standard input what to do:

    {"prepare": [cells]}              run the cells of the problem set as they are solved in the source
    {"test": code, "names": [...]}    run a test in which these names are those of the student

Its answers are lines of JSON too: {"prepared": ...}, {"verdict": ...}, and in between questions, {"call": name,
"given": text} or {"fetch": name}, each of which is answered by {"answer": text}, or by {"stop": true}.
"""

import json
import linecache
import os
import sys
import traceback
import warnings
from pathlib import Path

LONGEST_ERROR = 10_000


class StudentError(Exception):
    """Raised in a test by whatever the student's function raised, or did not get back."""

    def __init__(self, name, message, trace):
        super().__init__(message)
        self.name, self.trace = name, trace


class Stopped(BaseException):
    """The student's function gave no answer, and nobody waits for the verdict any more."""


def main():
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from behind_walls import lower_limits, plain

    lower_limits(sys.argv[1])
    questions, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "r+") as nothing:  # what a test prints is no answer
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
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
    for line in questions:
        task = json.loads(line)
        if "prepare" in task:
            for cell in task["prepare"]:
                exec(cell, solved)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            say({"prepared": True})
        else:
            say({"verdict": verdict(task, solved, asked, lambda name: ask({"fetch": name}))})


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
    main()
