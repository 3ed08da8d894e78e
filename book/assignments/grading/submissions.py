"""Find who handed in what: the notebook of every student and set, or a word on why there is none.

Nothing in the folder of a student can stop the search: links, pipes, folders called like notebooks,
names in no known letters, folders that cannot be opened.
"""

import hashlib
import os
import re
import stat
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

# The file of a notebook, also as some browsers and learning platforms save it.
NOTEBOOK = re.compile(r"(?P<stem>.*?)\s*\.ipynb(?:\.(?:json|txt))*\s*", re.IGNORECASE | re.DOTALL)


class Found(NamedTuple):
    """What a student handed in for one problem set."""

    name: str  # of the student, as the table shows it
    notebook: Path | None
    note: str


def find(folder, sets):
    """{(student, set): Found}, for every student and every one of `sets` that somebody handed in."""
    folders, loose = {}, []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not hidden(path.name):
            folders.setdefault(readable(path.name), []).append(path)
        elif NOTEBOOK.fullmatch(path.name):
            loose.append(readable(path.name))
    if loose:
        print(f"Not graded, because they lie in no folder of a student: {', '.join(loose)}")
    found = {}
    for name, homes in folders.items():
        student = identifier(name)
        renamed = f"feedback in {student}" if student != name else ""
        try:
            notebooks = handed_in(homes, sets)
        except OSError as error:  # a file that went away while we looked
            notebooks = dict.fromkeys(sets, (None, f"not searched to the end: {error.strerror}"))
        for problem_set, (notebook, note) in notebooks.items():
            found[student, problem_set] = Found(
                name, notebook, "; ".join(filter(None, [note, renamed]))
            )
    somebody = {problem_set for (_, problem_set), what in found.items() if what.notebook}
    if not somebody:
        sys.exit(
            f"No notebook called after a problem set in a folder of a student was found in {folder}"
        )
    return {key: what for key, what in found.items() if key[1] in somebody}


def handed_in(homes, sets):
    """{set: (notebook or None, note)} for one student, whose files lie in the folders `homes`."""
    paths, trouble = [], []
    for home in homes:
        paths += [(path, path.relative_to(home)) for path in files(home, trouble.append)]
    found, reasons = {name: [] for name in sets}, {path: kind(path) for path, _ in paths}
    for path, short in paths:
        stem = NOTEBOOK.fullmatch(path.name)
        for name in sets:
            # a browser saves a second download as "relu (1).ipynb", Colab as "Copy of relu.ipynb"
            if stem and not reasons[path] and is_called(stem["stem"], name):
                found[name].append((path, short))
    taken = {path for notebooks in found.values() for path, _ in notebooks}
    besides = {path.parent for path in taken}
    others = [
        f"{readable(str(short))} ({reasons[path] or 'its name'})"
        for path, short in paths
        if path not in taken and (NOTEBOOK.fullmatch(path.name) or path.parent not in besides)
    ]
    others += [readable(text) for text in trouble]
    why = (
        f"not taken: {', '.join(others[:8])}{f' and {len(others) - 8} more' * (len(others) > 8)}"
        if others
        else ""
    )
    return {
        name: newest(notebooks) if notebooks else (None, why) for name, notebooks in found.items()
    }


def files(home, report):
    """All below `home` that may be handed in: files, links, and folders called like notebooks."""

    def closed(error):
        report(f"{os.path.relpath(error.filename, home)} (cannot be opened: {error.strerror})")

    for folder, folders, names in os.walk(home, onerror=closed):
        folders[:] = sorted(name for name in folders if not hidden(name))
        links = (name for name in folders if os.path.islink(os.path.join(folder, name)))
        for name in sorted({*names, *links, *filter(NOTEBOOK.fullmatch, folders)}):
            if not hidden(name):
                yield Path(folder, name)


def newest(notebooks):
    path, short = max(notebooks, key=lambda notebook: notebook[0].lstat().st_mtime)
    return path, f"the newest of {len(notebooks)}, {readable(str(short))}" if len(
        notebooks
    ) > 1 else ""


def kind(path):
    """Why the file at `path` is not taken, whatever its name; an empty string when it can be."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return error.strerror
    if stat.S_ISREG(mode):
        return ""
    return (
        "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
    )


def beside(notebook):
    """The files that come with `notebook`."""
    paths = (
        path
        for path in notebook.parent.iterdir()
        if not NOTEBOOK.fullmatch(path.name) and not hidden(path.name)
    )
    return sorted(path for path in paths if not kind(path))


def is_called(stem, name):
    """Whether a file of this stem is a submission of the problem set `name`."""
    return re.search(rf"(?<![^\W_]){re.escape(name)}(?![a-z])", stem, re.IGNORECASE) is not None


def hidden(name):
    """Whether a program keeps its things there."""
    return name.startswith((".", "__"))


def readable(name):
    """`name`, of a file, in letters that every table can hold: M\\xfcller where it is not UTF-8."""
    return visible(unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace")))


def visible(text):
    """`text` in letters that a table and a terminal show in their order: what commands one is written as its number."""
    return "".join(f"\\x{ord(c):02x}" if commands(c) else c for c in text)


def commands(letter):
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # the direction of writing
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(letter) in turns


def identifier(name):
    """The name of a student as nbgrader and folders can have it; different names stay different."""
    plain = re.sub(r"[^\w.@+ -]", "_", name).strip()
    if plain == name and len(name.encode()) <= 100:
        return name
    short = plain.encode()[:80].decode(errors="ignore").strip()
    return f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
