"""How a chapter reads: words and minutes on its surface, visible code, statements, long sentences, private words.

    python tools/reading_measures.py [book/*.ipynb]

The surface is what a page shows before anything is unfolded: no solutions, no admonitions, no folded cells.
tests/book/test_reading.py holds the chapters to the bounds below.
"""

import re
import sys
from pathlib import Path

import nbformat

BOUNDS = {
    "words": 1800,
    "cells": 14,  # visible ones
    "lines": 12,  # of a visible cell
    "columns": 79,  # the page shows no more
    "asserts": 0,  # in visible cells
    "true": 0,  # ": True" printed by visible cells
    "statements": 8,
    "long": 5,  # sentences of more than 30 words
    "private": 0,
}
FOLDED = re.compile(r"^(:{3,}|`{3,})\{(?:solution|admonition|dropdown)[^\n]*\n(?:[\s\S]*?)^\1\s*$", re.M)
STATEMENT = re.compile(r"\{prf:(?:theorem|proposition|lemma|corollary|definition|observation|conjecture)\}")
ROLE = re.compile(r"\{[\w:-]+\}`([^`<]*?)(?:\s*<[^`>]*>)?`")
FORMULA = re.compile(r"\$\$[\s\S]*?\$\$|\$[^$]*\$")
# Words of ours where the field has its own; "students" and "teachers", counted where neurons are meant.
PRIVATE = re.compile(
    r"\b(?:sharings?|ways to share|pulls? on|witness(?:es)?|suspects?|falls? apart|turned around|laws? of the start"
    r"|slopes and folds|strangers?|kinds? of end)\b|\$(?:[nk]|[lm])(?:=\d+)?\$ (?:students|teachers)\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|several|many|\d+|[nkl]) teachers\b",
    re.I,
)
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
WORDS_A_MINUTE = 220


def surface(notebook):
    """The cells that a page shows: prose without what is folded, and code whose source is to be seen."""
    solution = False
    for cell in notebook.cells:
        solution |= "{solution-start}" in cell.source
        if not solution and cell.cell_type == "markdown":
            yield "prose", FOLDED.sub(" ", cell.source)
        elif not solution and cell.cell_type == "code" and not HIDDEN & set(cell.metadata.get("tags", [])):
            yield "code", cell.source
        solution &= "{solution-end}" not in cell.source


def measures(notebook):
    """The numbers of BOUNDS for a chapter."""
    prose = [source for kind, source in surface(notebook) if kind == "prose"]
    code = [source.strip().split("\n") for kind, source in surface(notebook) if kind == "code"]
    plain = [FORMULA.sub("x", ROLE.sub(r"\1", text)) for text in prose]  # what is shown of a link, not its target
    sentences = [sentence for text in plain for sentence in re.split(r"(?<=[.!?])\s+|\n\n", text)]
    lines = [line for cell in code for line in cell]
    return {
        "words": sum(len(text.split()) for text in plain),
        "cells": len(code),
        "lines": max(map(len, code), default=0),
        "columns": max(map(len, lines), default=0),
        "asserts": sum(line.count("assert ") for line in lines),
        "true": sum(len(re.findall(r": True\b", line)) for line in lines),
        "statements": sum(len(STATEMENT.findall(text)) for text in prose),
        "long": sum(len(sentence.split()) > 30 for sentence in sentences),
        "private": sum(len(PRIVATE.findall(text)) for text in prose),
    }


def main(paths):
    rows = [("(at most)", BOUNDS)] + [(path.stem, measures(nbformat.read(path, as_version=4))) for path in paths]
    print(f"{'chapter':24}minutes" + "".join(f"{name:>11}" for name in BOUNDS))
    for name, found in rows:
        numbers = "".join(f"{found[measure]:11}" for measure in BOUNDS)
        print(f"{name:24}{found['words'] / WORDS_A_MINUTE:7.0f}{numbers}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted(Path(__file__).parent.parent.glob("book/*.ipynb")))
