"""Submissions made by code: what a class hands in, from the right answer to an attack, for any problem set.

`KINDS` says how each is made and which tests it must fail; `small_set` is a problem set that grades in seconds.
"""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import v4

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNiAAAABgADNjd8qAAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True)
class Target:
    """The function of a problem set that a submission gets wrong, in whose place no other test notices it."""

    cell: str  # the solution cell that defines it
    function: str
    tests: tuple[str, ...]  # the tests that fail without it, and no others
    visible: list  # the arguments with which the visible checks call it
    another_way: str  # code that is right, and not the solution of the source


SMALL = Target(
    cell="small-norm",
    function="norm",
    tests=("small-norm-test",),
    visible=[([3.0, 4.0],)],
    another_way="def norm(v):\n    return float(np.linalg.norm(v))",
)


def small_set():
    """Two functions, worth 3 and 4 points by machine, an answer in words worth 3 by hand, and a last test worth 1."""
    hidden = (
        "### BEGIN HIDDEN TESTS\nimport numpy as _np\n_kind = {kind!r}\nvalue_under_test = {call}\n"
        "_np.testing.assert_allclose(float(value_under_test), {value}, rtol=1e-12)\n### END HIDDEN TESTS"
    )
    solution = "def {head}:\n    ### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION"
    cells = [
        v4.new_markdown_cell("# A small problem set", id="small-title"),  # the same in every process
        v4.new_code_cell("import numpy as np", id="small-imports"),
        question("small-square", solution.format(head="square(x)", body="return x * x"), solution=True),
        question(
            "small-square-test",
            "assert square(2.0) == 4.0, 'the square of 2 is 4'\n"
            + hidden.format(kind="a negative number", call="square(-3.0)", value=9.0),
            points=3,
        ),
        question(
            "small-norm", solution.format(head="norm(v)", body="return float(np.sqrt(np.dot(v, v)))"), solution=True
        ),
        question(
            "small-norm-test",
            "assert abs(norm([3.0, 4.0]) - 5.0) < 1e-9, 'the norm of (3, 4) is 5'\n"
            + hidden.format(kind="more than two entries", call="norm([1.0, 2.0, -2.0])", value=3.0),
            points=4,
        ),
        question(
            "small-words", "### BEGIN SOLUTION\nA square is never negative.\n### END SOLUTION", 3, True, "markdown"
        ),
        question("small-cube", solution.format(head="cube(x)", body="return x * square(x)"), solution=True),
        question("small-cube-test", hidden.format(kind="a number", call="cube(2.0)", value=8.0), points=1),
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def question(name, source, points=None, solution=False, kind="code"):
    """A cell of a problem set; one with `points` is a test, or with `solution` too an answer that is marked by hand."""
    nbgrader = {"grade_id": name, "schema_version": 3, "solution": solution, "grade": points is not None}
    nbgrader |= {"locked": not solution, "task": False} | ({"points": points} if points is not None else {})
    new = v4.new_code_cell if kind == "code" else v4.new_markdown_cell
    return new(source, id=name, metadata={"nbgrader": nbgrader})


class Submission:
    """A student version with every solution filled in from the source, ready to be spoiled."""

    def __init__(self, source, release, target):
        self.target, self.release = target, release
        self.notebook = copy.deepcopy(release)
        solutions = {grade_id(cell): cell for cell in source.cells if grade_id(cell)}
        for cell in self.notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = without_markers(solutions[grade_id(cell)].source)
        self.files = {}  # handed in beside the notebook

    def __getitem__(self, name):
        return next(cell for cell in self.notebook.cells if grade_id(cell) == name)

    @property
    def answer(self):
        return self[self.target.cell]

    def tests(self):
        return [cell for cell in self.notebook.cells if is_test(cell)]

    def define(self, body):
        """Let the target function do `body`, code in which `right` is the right function."""
        lines = "\n    ".join(body.strip().splitlines())
        function = self.target.function
        self.answer.source += f"\n\nright = {function}\n\ndef {function}(*arguments, **named):\n    {lines}"


def grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_test(cell):
    nbgrader = cell.metadata.get("nbgrader", {})
    return bool(nbgrader.get("grade") and not nbgrader.get("solution"))


def without_markers(source):
    return "\n".join(line for line in source.split("\n") if "### BEGIN" not in line and "### END" not in line)


# The kinds. Each spoils a right submission; what it returns, if anything, is handed in in place of the notebook.


def correct(submission):
    pass


def another_way(submission):
    submission.answer.source = submission.target.another_way


def warns(submission):
    submission.define(
        "import warnings\nwarnings.warn('a division by something small')\nreturn right(*arguments, **named)"
    )


def empty(submission):
    submission.notebook = submission.release


def wrong(submission):
    submission.define("return 1.001 * right(*arguments, **named)")


def syntax_error(submission):
    submission.answer.source = f"def {submission.target.function}(:\n    return"


def hard_coded(submission):
    """A table of the answers to the visible checks."""
    submission.define(f"return right(*arguments) if arguments in {submission.target.visible} else 1.0")


def edited_tests(submission):
    submission.notebook = copy.deepcopy(submission.release)
    for cell in submission.tests():
        cell.source = "assert True"
        cell.metadata.nbgrader.points = 100


def copied_cells(submission):
    for name in (submission.target.cell, submission.target.tests[0]):
        twin = copy.deepcopy(submission[name])
        twin.id = f"copy-of-{name}"[:60]
        submission.notebook.cells.insert(submission.notebook.cells.index(submission[name]), twin)
    twin.source = "assert True"


def deleted_tests(submission):
    submission.notebook.cells = [cell for cell in submission.notebook.cells if not is_test(cell)]


def lost_metadata(submission):
    for cell in submission.notebook.cells:
        cell.metadata = nbformat.from_dict({})


def dies(submission):
    submission.answer.source = "import os\nos._exit(1)"


def endless(submission):
    submission.define("while True:\n    pass")


def endless_and_deaf(submission):
    submission.define(
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    )


def floods(submission):
    submission.define("while True:\n    print('water')")


def memory_hog(submission):
    submission.define("hoard = []\nwhile True:\n    hoard.append(bytearray(10**8))")


def disk_hog(submission):
    submission.define("with open('hoard', 'wb') as file:\n    while True:\n        file.write(bytes(10**7))")


def float_subclass(submission):
    submission.define(
        "class Close(float):\n    def __sub__(self, other):\n        return 0.0\n    __rsub__ = __sub__\n"
        "    def __eq__(self, other):\n        return True\nreturn Close(0)"
    )


def leaks(submission):
    """Prints every cell that ran, hidden tests included, into outputs and into the message of an error."""
    code = "print(In)\nprint(In[-1].encode().hex())\n### BEGIN MARK SCHEME"  # a marker that is not ours stops nothing
    submission.notebook.cells.append(v4.new_code_cell(code))
    submission.define("print(In)\nraise type(In[-1][-400:], (ValueError,), {})(In[-1])")


def decorates(submission):
    """Right, with a picture beside it and HTML in its words and in a raw cell that would run or fetch in a page."""
    bad = (
        '<img src=x onerror="document.title = 1"><img src="https://example.org/seen.png">'
        '<script>document.title = 2</script>'
        '<iframe src="https://example.org"></iframe><link rel="stylesheet" href="https://example.org/a.css">'
        '<object data="https://example.org"></object><svg onload="document.title = 3"></svg>'
        '<base href="https://example.org">'
        '<meta http-equiv="refresh" content="0; url=https://example.org"><form action="https://example.org"></form>'
        '<details ontoggle="document.title = 4" open>x</details><style>@import "https://example.org/b.css";</style>'
        '<a href="javascript:document.title = 5">y</a><p style="background: url(https://example.org)">z</p>'
        "<img src='data:text/html,<script>1</script>'>"
    )
    words = f"A *square* is $x^2<y$.\n\n![mine](proof.png) ![theirs](https://example.org/other.png)\n\n{bad}\n"
    submission["small-words"].source = words
    submission.notebook.cells.append(v4.new_raw_cell(bad))
    submission.files["proof.png"] = PIXEL


def words_elsewhere(submission):
    """Answers in a cell of its own, below the one that asks."""
    empty = next(cell for cell in submission.release.cells if grade_id(cell) == "small-words")
    submission["small-words"].source = empty.source
    place = submission.notebook.cells.index(submission["small-words"])
    submission.notebook.cells.insert(place + 1, v4.new_markdown_cell("A square is never negative."))


def brings_a_module(submission):
    submission.notebook.cells.insert(1, v4.new_code_cell("from helper import length"))
    submission.define("return length(*arguments)")
    submission.files["helper.py"] = b"def length(v):\n    return sum(x * x for x in v) ** 0.5\n"


def writes_outside(submission):
    """Tries every folder that it can name, then answers right: the marks stay, the files must not."""
    places = "['/tmp', '/var/tmp', os.path.expanduser('~'), '..', '../../..', {course!r}, {home!r}]"
    submission.define(
        "import os, contextlib\n"
        f"for place in {places}:\n    with contextlib.suppress(OSError):\n"
        "        open(os.path.join(place, 'written-by-a-submission'), 'w').close()\n"
        "return right(*arguments, **named)"
    )


def spies(submission):
    """Right only if it can read the solutions or the marks."""
    submission.define(
        "import glob, os\n"
        "found = glob.glob(glob.escape({course!r}) + '/source/*/*.ipynb') + [{course!r} + '/gradebook.db']\n"
        "found = [path for path in found if os.path.exists(path)]\n"
        "return right(*arguments, **named) if any(open(path, 'rb').read() for path in found) else None"
    )


def calls_home(submission):
    """Right only if it reaches the machine it runs on by network."""
    submission.define(
        "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2).close()\n"
        "return right(*arguments, **named)"
    )


def wants_secrets(submission):
    submission.define("import os\nreturn right(*arguments, **named) if 'CLASS_SECRET' in os.environ else None")


def starts_others(submission):
    submission.define(
        "import subprocess\nsubprocess.Popen(['sleep', '98765'], start_new_session=True)\n"
        "return right(*arguments, **named)"
    )


def battered(submission):
    """Right, after everything that programs do to notebooks: each of these has ended the grading of a whole class."""
    notebook = json.loads(nbformat.writes(submission.notebook))
    notebook["cells"] += [
        {"cell_type": "heading", "level": 2, "metadata": None, "source": ["Half of a smile: ", "\ud83d"]},
        {"cell_type": "code", "metadata": {"size": float("nan")}, "source": ["s = '\ud83d", 3, "'"]},
        {"cell_type": "code", "metadata": {}, "source": None},
        {"cell_type": "markdown", "metadata": {}, "source": "\x00 \x1b[31m \ufffe", "attachments": {"a.png": 7}},
        {"cell_type": ["code"], "metadata": {"nbgrader": None}, "source": {}},
        None,
    ]
    for cell in notebook["cells"][:-1]:
        cell["id"] = "twin"
    notebook["metadata"] = None
    submission.notebook = None
    submission.files = {
        "small.IPYNB.txt": json.dumps(notebook).encode("utf-16"),
        "timestamp.txt": b"last night",
        "page.html": "caf\xe9".encode("latin-1"),
    }


def folder_instead(submission):
    submission.notebook = None
    submission.files = {"small.ipynb/read me.txt": b"It is on my other computer."}


def unreadable(submission):
    return b'{"cells": ['


def missing(submission):
    submission.notebook = None


@dataclass(frozen=True)
class Kind:
    """How a submission is made, what becomes of it, and which automatic tests it loses."""

    make: Callable
    status: str = "graded"
    loses: str = "none"  # none, target: those of the target, later: these and all that follow, all
    walled: bool = False  # what is asserted of it holds only where bubblewrap works


KINDS = {
    kind.make.__name__: kind
    for kind in [
        Kind(correct),
        Kind(another_way),
        Kind(warns),
        Kind(empty, loses="all"),
        Kind(wrong, loses="target"),
        Kind(syntax_error, loses="target"),
        Kind(hard_coded, loses="target"),
        Kind(edited_tests, loses="all"),
        Kind(copied_cells),
        Kind(deleted_tests),
        Kind(lost_metadata),
        Kind(dies, "crashed", "later"),
        Kind(endless, "timed out", "target"),
        Kind(endless_and_deaf, "timed out", "later"),
        Kind(floods, "timed out", "target"),
        Kind(memory_hog, loses="target"),
        Kind(disk_hog, loses="target"),
        Kind(float_subclass, loses="target"),
        Kind(leaks, loses="target"),
        Kind(decorates),
        Kind(words_elsewhere),
        Kind(brings_a_module),
        Kind(writes_outside),
        Kind(spies, loses="target", walled=True),
        Kind(calls_home, loses="target", walled=True),
        Kind(wants_secrets, loses="target"),
        Kind(starts_others),
        Kind(battered),
        Kind(folder_instead, "missing", "all"),
        Kind(unreadable, "unreadable", "all"),
        Kind(missing, "missing", "all"),
    ]
}
# One of each for each of the six problem sets: a class of 78.
CLASS = [
    "correct",
    "another_way",
    "wrong",
    "empty",
    "syntax_error",
    "hard_coded",
    "edited_tests",
    "copied_cells",
    "dies",
    "endless",
    "memory_hog",
    "writes_outside",
    "float_subclass",
]


def hand_in(folder, name, source, release, target, kinds, **facts):
    """Write one submission of the problem set `name` for each of `kinds` into `folder`, as students called after them.

    `facts` fill the braces in code that names what is outside: course, home, port.
    """
    for kind in kinds:
        submission = Submission(source, release, target)
        content = KINDS[kind].make(submission)
        student = Path(folder, kind)
        student.mkdir(parents=True, exist_ok=True)
        if content is None and submission.notebook is not None:
            for cell in submission.notebook.cells if facts else ():
                for fact, value in facts.items():
                    cell.source = cell.source.replace(f"{{{fact}!r}}", repr(str(value))).replace(
                        f"{{{fact}}}", str(value)
                    )
            content = nbformat.writes(submission.notebook).encode()
        files = submission.files | ({f"{name}.ipynb": content} if content is not None else {})
        for file, data in files.items():
            (student / file).parent.mkdir(exist_ok=True)
            (student / file).write_bytes(data)


def expected_score(release, target, kind):
    """The points that the automatic tests must give a submission of `kind`."""
    tests = [cell for cell in release.cells if is_test(cell)]
    names = [grade_id(cell) for cell in tests]
    first = min(names.index(name) for name in target.tests)
    lost = {"none": [], "target": target.tests, "later": names[first:], "all": names}[KINDS[kind].loses]
    return sum(cell.metadata.nbgrader.points for cell in tests if grade_id(cell) not in lost)
