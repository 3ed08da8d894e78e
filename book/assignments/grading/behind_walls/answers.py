"""In the kernel of a student: call what the submission defines, and send what it returns, as text.

All that is sent from here is an answer of the student and no more: whoever changes these functions changes answers.
"""

import json
import traceback

from . import plain

KIND = "application/vnd.grading.answer+json"  # of the message
LONGEST_ERROR = 2000
_own = {}  # what the submission has defined, while answers of the problem set are in its place


def names():
    from IPython import get_ipython

    return get_ipython().user_ns


def call(name, given):
    """Call the function `name` with copies of the arguments in the text `given`, and send its value."""

    def value():
        arguments, named = plain.from_text(given)
        return names()[name](*arguments, **named)

    send(name, value)


def fetch(name):
    """Send the value of the variable `name`."""
    send(name, lambda: names()[name])


def send(name, value):
    if name not in names():
        answer = {"error": "NameError", "message": f"name {name!r} is not defined", "traceback": ""}
    else:
        try:
            answer = {"value": plain.to_text(value())}
        except Exception as error:
            frames = [part for part in traceback.extract_tb(error.__traceback__) if "behind_walls" not in part.filename]
            trace = "".join(traceback.StackSummary.from_list(frames).format())[-LONGEST_ERROR:]
            answer = {"error": type(error).__name__, "message": str(error)[:LONGEST_ERROR], "traceback": trace}
    from IPython.display import publish_display_data

    publish_display_data({KIND: json.dumps(answer)})


def replace(cells, replaced):
    """Put in place of what the submission calls `replaced` that which `cells` define."""
    solved = {"__name__": "__main__"}
    for cell in cells:
        exec(cell, solved)
    _own.update({name: names()[name] for name in replaced if name in names()})
    names().update({name: solved[name] for name in replaced})


def restore(replaced):
    for name in replaced:
        names().pop(name, None)
    names().update(_own)
    _own.clear()
