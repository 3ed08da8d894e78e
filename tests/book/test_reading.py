"""A chapter is read in a quarter of an hour: what stands on its surface, before anything is unfolded, has bounds."""

import re

import guards
import nbformat
import pytest
from reading_measures import BOUNDS, PRIVATE, measures

NOTEBOOKS = {path.stem: guards.read(path) for path in guards.NOTEBOOKS}
CHAPTERS = [path.stem for path in guards.NOTEBOOKS if path.parent.name == "book"]


def excess(notebook):
    """The measures that exceed their bounds."""
    return {name: found for name, found in measures(notebook).items() if found > BOUNDS[name]}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_surface_is_short_and_plain(chapter):
    assert excess(NOTEBOOKS[chapter]) == {}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_says_what_it_asks_and_what_follows(chapter):
    cells = NOTEBOOKS[chapter].cells
    assert "**In one minute.**" in cells[0].source
    headings = [line for cell in cells for line in cell.source.splitlines() if cell.cell_type == "markdown"]
    assert {"## In your own work", "## Takeaways", "## Exercises"} <= set(headings)


PAGES = [path for form in ("**/*.md", "*/source/*/*.ipynb") for path in sorted(guards.ROOT.glob(f"book/{form}"))]
NAMES = re.compile(r"explore\.sharings|check-strangers")  # of the library, of a cell


@pytest.mark.parametrize("path", [*guards.NOTEBOOKS, *PAGES], ids=lambda path: path.stem)
def test_no_page_has_words_of_our_own(path):
    """On the surface, in folds and proofs, in comments and in the problem sets."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.reads(text, 4).cells)
    assert PRIVATE.findall(NAMES.sub("", text)) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_folded_code_says_what_it_is(name):
    for cell in guards.code_cells(NOTEBOOKS[name]):
        prompt = cell.metadata.get("mystnb", {}).get("code_prompt_show")
        if "hide-input" in guards.tags(cell) and "remove-output" not in guards.tags(cell):
            assert prompt, cell.source[:80]
        if prompt == "How this was checked":
            assert cell.outputs, cell.source[:80]


def notebook(*sources, tags=()):
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def prose(*texts):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])


@pytest.mark.parametrize(
    "name, broken",
    [
        ("words", prose("word " * 1801)),
        ("cells", notebook(*["1"] * 15)),
        ("lines", notebook("1\n" * 13)),
        ("columns", notebook("x" * 80)),
        ("asserts", notebook("assert x")),
        ("true", notebook('print(f"equal: True")')),
        ("statements", prose(*[":::{prf:lemma}\nx\n:::"] * 9)),
        ("long", prose(("word " * 31 + ". ") * 6)),
        ("private", prose("Each of the $n$ students copies.")),
        ("private", prose("It averages three teachers.")),
        ("private", prose("The stranger moves.")),
    ],
)
def test_no_measure_is_vacuous(name, broken):
    assert name in excess(broken)
    assert excess(notebook("assert x", tags=["hide-input"])) == {}
    folded = ":::{admonition} Proof\n:class: dropdown\n\n" + "word " * 1801 + "\n:::"
    assert excess(prose(folded)) == {}
    assert excess(prose(":::{solution-start} x\n:::", "word " * 1801, ":::{solution-end}\n:::")) == {}
