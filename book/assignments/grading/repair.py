"""Rebuild a submitted notebook so that nbgrader can grade it whatever happened to its cells.

nbgrader finds the cells of a problem set by the ids in their metadata. A cell that was copied, split, deleted or edited
by another program stops it, and the whole class with it. Of a submission only the text of its cells is kept; all
metadata comes from the release.
"""

import copy
import json
import re
import textwrap

import nbformat
from nbformat import v4

from . import harmless

LARGEST = 100 * 2**20  # bytes of a notebook, its outputs included
PARTS = 3 * 10**6  # of JSON: what has more takes a hundred times its size in memory
CELLS = 1000
LONGEST = {"code": 10**6, "other": 150_000}  # characters in all cells; ten thousand can take a second to lay out


def as_text(source):
    """A raw cell would be put into pages as it is, whatever HTML it holds."""
    return v4.new_markdown_cell(textwrap.indent(source, "    "))


NEW_CELL = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell, "raw": as_text}

# The names of errors that the sandbox puts in place of outputs, and what they mean for a submission.
STOPPED = {"CellTimeoutError": "timed out", "NotebookTimeout": "timed out", "KernelDied": "crashed"}

# What an honest solution does not need. Whoever grades should read a submission that holds one of these.
SUSPICIOUS = re.compile(
    r"get_ipython|set_custom_exc|\bIn\[|__builtins__|sys\.modules|sys\.settrace|inspect\.|setattr|_exit\b|os\.system"
    r"|__(?:eq|sub|rsub|abs|float|class)__|\bsubprocess|\bsocket|gradebook|\.assert_\w+ *=|checks\.\w+ *=[^=]"
)
# A dotted name that is given a value, each read once: a search at every part of a long one would take hours.
SET = re.compile(r"\b(?<!\w\.)\w++(?:\.\w++)++ *+=(?!=)")
OURS = re.compile(r"\b(?:np|numpy|scipy|lib|kernels|builtins)\.")


def grade_id(cell):
    """The id by which nbgrader knows `cell`, or None."""
    return cell.get("metadata", {}).get("nbgrader", {}).get("grade_id")


def read(path):
    """The notebook stored at `path`, reduced to what is kept of it; ValueError, with a sentence, when it is none.

    Read without nbformat, which refuses a notebook for what we drop anyway. json knows UTF-8 and UTF-16, with and
    without the mark of Windows at their beginning.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"no notebook: larger than {LARGEST // 2**20} MB")
    stored = path.read_bytes()
    if sum(map(stored.count, (b"{", b"[", b","))) > PARTS:
        raise ValueError(f"no notebook: more than {PARTS} parts are in it")
    try:
        content = json.loads(stored) if stored.strip() else {}
        if member(content, "worksheets"):  # of Jupyter before 2015
            content = nbformat.convert(nbformat.from_dict(content), 4)
        found = [cell for cell in member(content, "cells") or () if isinstance(cell, dict)]
        cells = [plain(cell) for cell in found[: CELLS + 1]]
    except RecursionError:
        raise ValueError("no notebook: its parts are nested too deeply") from None
    except Exception as error:  # whatever a broken file makes of json and nbformat
        raise ValueError(f"no notebook: {type(error).__name__}: {error}") from error
    if not cells:
        raise ValueError(f"no notebook: {'no cells are in it' if stored.strip() else 'the file is empty'}")
    if len(cells) > CELLS:
        raise ValueError(f"no notebook: more than {CELLS} cells are in it")
    for kind, most in LONGEST.items():
        if sum(len(cell.source) for cell in cells if (cell.cell_type == "code") == (kind == "code")) > most:
            raise ValueError(f"no notebook: more than {most} characters are in its {kind} cells")
    return nbformat.NotebookNode(cells=cells)


def plain(cell):
    """The text of `cell`, its kind, its ids and its attachments, as a cell that is in order; an unknown kind is raw."""
    source, kind, metadata = joined(cell.get("source")), cell.get("cell_type"), cell.get("metadata")
    if kind == "heading":
        source, kind = f"# {source}", "markdown"
    new = nbformat.NotebookNode(cell_type=kind if kind in ("code", "markdown") else "raw", source=source, metadata={})
    if isinstance(cell.get("id"), str):
        new.id = cell["id"]
    name = member(member(metadata, "nbgrader"), "grade_id")
    if isinstance(name, str):
        new.metadata = nbformat.from_dict({"nbgrader": {"grade_id": name}})
    if pictures := attachments(cell.get("attachments")):
        new.attachments = pictures  # a photographed derivation
    return new


def member(thing, name):
    return thing.get(name) if isinstance(thing, dict) else None


def attachments(given):
    """Of the attachments of a cell, what is one: {file name: {type: text}}."""
    kept = {}
    for name, data in given.items() if isinstance(given, dict) else ():
        if isinstance(data, dict):
            kept[whole_characters(name)] = {kind: joined(text) for kind, text in data.items()}
    return harmless.attachments(kept)


def joined(text):
    """A text, which notebooks may store as a list of lines; empty when it is something else."""
    lines = text if isinstance(text, list) else [text]
    return whole_characters("".join(line for line in lines if isinstance(line, str)))


def whole_characters(text):
    """`text` with the halves of characters that JSON may hold put together, or replaced where the other one is gone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def repaired(submitted, release):
    """The cells of `submitted` with the metadata of `release`, and what had to be repaired, in words.

    Of several cells with one id the one that the student was given is kept, or the first; copies become plain cells,
    which still run. Cells that carry points and are gone come back where they were: unanswered, or for tests to be run.
    """
    known = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    original, copied, ids = {}, [], {}
    for index, cell in enumerate(submitted.cells):
        name = grade_id(cell)
        if name in original:
            copied.append(name)
        given = cell.get("id") if name in known and cell.get("id") == known[name].get("id") else None
        if name in known and (name not in original or (given and ids[name] is None)):
            original[name], ids[name] = index, given

    names = {index: name for name, index in original.items()}
    cells = [rebuilt(cell, known.get(names.get(index))) for index, cell in enumerate(submitted.cells)]

    missing, anchor = [], None
    for name, given in known.items():
        if name not in original and given.metadata.nbgrader.get("points") is not None:
            place = next((i + 1 for i, cell in enumerate(cells) if anchor and grade_id(cell) == anchor), len(cells))
            cells.insert(place, rebuilt(given, given))
            missing.append(name)
        if name in original or name in missing:
            anchor = name

    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code" and grade_id(cell) not in tests(known))
    notes = [f"copied cells: {', '.join(dict.fromkeys(copied))}"] * bool(copied)
    notes += [f"deleted cells put back: {', '.join(missing)}"] * bool(missing)
    notes += to_read("its code", code)
    return v4.new_notebook(cells=cells, metadata={"kernelspec": release.metadata.get("kernelspec", {})}), notes


def to_read(what, code):
    """A note, if there is reason for one, that somebody should read `code`."""
    ours = set(filter(OURS.search, SET.findall(code)))
    words = ours.union(SUSPICIOUS.findall(SET.sub(lambda name: " " if name[0] in ours else name[0], code)))
    return [f"read {what}, it uses {', '.join(sorted(word.strip()[:80] for word in words)[:20])}"] * bool(words)


def rebuilt(cell, given):
    """A cell with the text of `cell` and the place in the problem set of `given`, or a plain one."""
    new = NEW_CELL[given.cell_type if given else cell.cell_type](cell.source)
    if given:
        new.metadata = copy.deepcopy(given.metadata)
    if new.cell_type == "markdown":
        new.source = harmless.markdown(new.source, cell.get("attachments", ()))
        if cell.get("attachments"):
            new.attachments = cell.attachments
    return new


def words_elsewhere(submitted, release):
    """Whether a student wrote text into cells of their own: an answer may be there and not where it was asked for."""
    known = {grade_id(cell) for cell in release.cells if grade_id(cell)}
    given = {cell.source.strip() for cell in release.cells}
    own = (cell for cell in submitted.cells if cell.cell_type == "markdown" and grade_id(cell) not in known)
    return any(cell.source.strip() not in given | {""} for cell in own)


def tests(known):
    """The ids of the automatic tests among the cells `known`."""
    return {name for name, cell in known.items() if is_test(cell)}


def is_test(cell):
    """Whether `cell` is an automatic test: it carries points and the student does not write it."""
    nbgrader = cell.metadata.get("nbgrader", {})
    return bool(nbgrader.get("grade") and not nbgrader.get("solution"))
