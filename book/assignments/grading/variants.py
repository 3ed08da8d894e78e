"""Other numbers for another class or student: one task of each set, whose text, solution and tests follow a seed.

The stored sets are those without a number. What a number changes in them stands here, as patterns with their
replacements; a pattern that is not found stops the making of a variant, so that no test is left behind. Where each
student has numbers of their own, the course keeps the stored sets and a list of its students, students.csv.
"""

import copy
import hashlib
import random
import re
import sys
from typing import NamedTuple

from . import roster
from .repair import grade_id

WEIGHTS = tuple(f"{n / 100:.2f}" for n in range(60, 205, 5) if n != 100)
BATCHES = tuple(map(str, range(2, 31)))
KEPT = tuple(f"{n / 100:.2f}" for n in range(50, 98, 2) if n != 90)


class Drawn(NamedTuple):
    """A number that is drawn for each class."""

    name: str  # what it is
    numbers: tuple
    task: str  # how the ids of the cells of its task begin
    changes: tuple  # (kind of cell, regular expression, replacement with NUMBER)


DRAWN = {
    "critical_points": Drawn(
        "norm of the teacher neurons",
        WEIGHTS,
        "threshold",
        (
            (
                "text",
                r"Take a block teacher with \$c'=0\$ and",
                r"Take a block teacher with $c'=0$ and norms NUMBER, and",
            ),
            ("answer", r"block_teacher\(sizes, c\)", r"block_teacher(sizes, c, norm=NUMBER)"),
            ("test", r"block_teacher\((\(2, 2\)|_sizes), (c_beside|_c)\)", r"block_teacher(\1, \2, norm=NUMBER)"),
            ("test", r"_V = _np", r"_V = NUMBER * _np"),
            ("test", r"/ _np\.sqrt\(2\)", r"/ _np.sqrt(1 + NUMBER**2)"),
        ),
    ),
    "optimal_copy_average": Drawn(
        "outgoing weight of the teacher neurons",
        WEIGHTS,
        "sharing",
        (
            ("text", r"Write `best_sharing", r"In this task all $b_j=NUMBER$, and $a=NUMBER\\,l$. Write `best_sharing"),
            ("answer", r"loss\(best\)$", r"NUMBER**2 * loss(best)"),
            ("test", r"losses\[i\] = L\(", r"losses[i] = NUMBER**2 * L("),
            ("test", r"\{s: _loss\(", r"{s: NUMBER**2 * _loss("),
            ("other test", r"_all\[_i\] = ", r"_all[_i] = NUMBER**2 * "),
        ),
    ),
    "one_neuron": Drawn(
        "length of the teacher vectors",
        WEIGHTS,
        "frequency",
        (
            (
                "text",
                r"Write `critical",
                r"In this task the $v_j$ have the length NUMBER instead of 1. Write `critical",
            ),
            ("answer", r"rtol=1e-14\)\)\)", r"rtol=1e-14)) / NUMBER)"),
            ("test", r"^omega_c = (.*)$", r"omega_c = NUMBER * \1  # that of unit vectors"),
            ("test", r"_z = (.*)$", r"_z = NUMBER**2 * \1"),
            ("experiment", r"fractions \* critical", r"fractions * NUMBER * critical"),
        ),
    ),
    "relu": Drawn(
        "outgoing weight of the teacher neurons",
        WEIGHTS,
        "optimum",
        (
            (
                "text",
                r"for \$k\$ teacher neurons\.",
                r"for $k$ teacher neurons, whose $b_j$ are all NUMBER instead of 1.",
            ),
            ("answer", r"return float\(2", r"return float(NUMBER * 2"),
            ("answer", r"float\(energy - (.*)\)$", r"float(NUMBER**2 * (energy - \1))"),
            ("test", r"known\.a", r"NUMBER * known.a"),
            ("test", r"known\.loss", r"NUMBER**2 * known.loss"),
            ("test", r"Network\.orthonormal\(4\)", r"Network(np.eye(4), np.full(4, NUMBER))"),
            ("test", r"_np\.repeat\(", r"NUMBER * _np.repeat("),
        ),
    ),
    "gradient_flow": Drawn(
        "runs of a batch",
        BATCHES,
        "runs",
        (
            ("text", r"Write `runs_needed", r"You run them in batches of NUMBER. Write `runs_needed"),
            ("text", r"smallest \$N\$ such", r"smallest number $N$ of batches such"),
            ("text", r"in \$N\$ runs excludes", r"in $N$ batches excludes"),
            ("text", r"\(1-p\)\^N\\le", r"(1-p)^{NUMBER N}\\le"),
            ("answer", r"/ np\.log\(1 - p\)", r"/ (NUMBER * np.log(1 - p))"),
            (
                "test",
                r"0\.9\*\*N <= 0\.05 < 0\.9 \*\* \(N - 1\)",
                r"0.9 ** (NUMBER * N) <= 0.05 < 0.9 ** (NUMBER * (N - 1))",
            ),
            ("test", r"0\.9\^N", r"0.9^(NUMBER N)"),
            ("test", r"binomtest\(0, N,", r"binomtest(0, NUMBER * N,"),
            ("test", r"\{N\} empty runs", r"{N} empty batches"),
            ("test", r"\*\* _value <=", r"** (NUMBER * _value) <="),
            ("test", r"\*\* \(_value - 1\)", r"** (NUMBER * (_value - 1))"),
        ),
    ),
    "training": Drawn(
        "part of the mean gradient that is kept",
        KEPT,
        "adam",
        (
            ("text", r"\$0\.9\^\{t-s\}\$ for \$g_s\$, as in Adam\.", r"$NUMBER^{t-s}$ for $g_s$, where Adam has 0.9."),
            ("answer", r"keep = 0\.9$", r"keep = NUMBER"),
            ("test", r"_keep = 0\.9$", r"_keep = NUMBER"),
        ),
    ),
}


def number_of(name, seed):
    """The number of the problem set `name` for this seed."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return random.Random(digest).choice(DRAWN[name].numbers)


def variant(source, name, seed):
    """A copy of the solved notebook `source` of the problem set `name`, with the number of this seed."""
    made = copy.deepcopy(source)
    if name not in DRAWN:
        return made
    for kind, pattern, replacement in DRAWN[name].changes:
        if not change(cells_of(made, name, kind), pattern, replacement.replace("NUMBER", number_of(name, seed))):
            if kind != "other test":
                sys.exit(f"{name}: {pattern} is in no {kind} of {DRAWN[name].task}, so no variant of it can be made")
    return made


def student_version(release, name, seed):
    """A copy of the student version `release`, with the number of this seed in its text and its visible tests."""
    made = copy.deepcopy(release)
    for kind, pattern, replacement in DRAWN[name].changes if name in DRAWN else ():
        if kind != "answer":  # which is not there
            change(cells_of(made, name, kind), pattern, replacement.replace("NUMBER", number_of(name, seed)))
    return made


def listed(course):
    """{folder of a student: row of students.csv}, or None in a course whose students all have the same numbers."""
    path = course / "students.csv"
    return {row["folder"]: row for row in roster.written(path)} if path.is_file() else None


def own(course, student, name, notebook, make):
    """`make` (`variant` or `student_version`) of `notebook` for a student who is listed; else the notebook itself."""
    seed = seed_of(course, student)
    return make(notebook, name, seed) if seed else notebook


def seed_of(course, student):
    """The seed of a student who is listed in `course`, or an empty text."""
    return (listed(course) or {}).get(student, {}).get("seed", "")


def change(cells, pattern, replacement):
    """Replace in the sources of `cells`; how often."""
    count = 0
    for cell in cells:
        cell.source, here = re.subn(pattern, replacement, cell.source, flags=re.MULTILINE)
        count += here
    return count


def cells_of(notebook, name, kind):
    """The cells of the task of `name` that are of this kind: its text, its answer, its tests, or the experiment."""
    begin, text, found = f"{name}-{DRAWN[name].task}", None, {"text": [], "answer": [], "test": [], "experiment": []}
    for cell in notebook.cells:
        its_id = grade_id(cell) or ""
        if its_id.startswith(begin):
            if text is not None:
                found["text"].append(text)
            found["answer" if its_id.endswith("-answer") else "test"].append(cell)
        if its_id == f"{name}-experiment-code":
            found["experiment"].append(cell)
        text = cell if cell.cell_type == "markdown" and not its_id else None
    return found[kind.removeprefix("other ")]
