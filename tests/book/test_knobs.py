"""The numbers that a reader is invited to change: other values give results, not assertion errors.

A cell names them in its metadata: `"knobs": {"k = 50": ["k = 20", "k = 10"]}` is a line of its source and what else may
stand there. All the knobs of a chapter are turned at once: to their first alternatives, then to their second ones.
"""

import copy

import guards
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def knobs(notebook):
    """(cell, line, alternatives) of every line that a reader may change."""
    return [
        (cell, line, others)
        for cell in guards.code_cells(notebook)
        for line, others in cell.metadata.get("knobs", {}).items()
    ]


def turned(notebook, turn):
    """The notebook with alternative number `turn` of each knob, or its last one if there are fewer."""
    other = copy.deepcopy(notebook)
    for cell, line, others in knobs(other):
        lines = cell.source.split("\n")
        at = [i for i, text in enumerate(lines) if text.partition("  #")[0] == line]
        assert len(at) == 1, f"{line!r} does not stand once in {guards.label(cell)}"
        lines[at[0]] = others[min(turn, len(others) - 1)]
        cell.source = "\n".join(lines)
    return other


def run(notebook, folder):
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()


NOTEBOOKS = {path: guards.read(path) for path in guards.NOTEBOOKS}
TURNS = [
    pytest.param(path, turn, id=f"{path.stem}-{turn + 1}")
    for path, notebook in NOTEBOOKS.items()
    for turn in range(max((len(others) for _, _, others in knobs(notebook)), default=0))
]


def test_every_chapter_has_knobs():
    assert all(knobs(notebook) for path, notebook in NOTEBOOKS.items() if path.parent == guards.ROOT / "book")


@pytest.mark.other
@pytest.mark.parametrize(("path", "turn"), TURNS)
def test_other_numbers_give_results(path, turn):
    other = turned(NOTEBOOKS[path], turn)
    run(other, path.parent)
    for cell, line, _ in knobs(other):
        assert cell.execution_count and line not in cell.source.split("\n")


def small_chapter(check):
    """A knob, a picture's worth of computing, and a check of the stored number."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("k = 8  # or 5", "stored = k == 8", check)]
    cells[0].metadata["knobs"] = {"k = 8": ["k = 5"]}
    return nbformat.v4.new_notebook(cells=cells)


def test_a_check_that_holds_for_the_stored_number_only_is_found(tmp_path):
    run(turned(small_chapter("if stored:\n    assert k == 8"), 0), tmp_path)
    with pytest.raises(CellExecutionError):
        run(turned(small_chapter("assert k == 8"), 0), tmp_path)


def test_a_knob_that_is_not_in_its_cell_is_found():
    chapter = small_chapter("k")
    chapter.cells[0].source = "k = 9"
    with pytest.raises(AssertionError, match="does not stand once"):
        turned(chapter, 0)
