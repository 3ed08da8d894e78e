"""book/claims.md: every claim has an honest status and links to a statement, a cell or a test that exists."""

import ast
import re

import guards
import pytest
from glossary import LINK
from guards import ROOT

PAGE = (ROOT / "book" / "claims.md").read_text("utf-8")
CHAPTERS = {path.stem: guards.read(path) for path in guards.NOTEBOOKS}
STATUSES = ("proven", "verified", "observed", "asymptotic")
PROVEN_KINDS = ("theorem", "proposition", "lemma", "corollary")
DIRECTIVE = re.compile(r"^:{3,}\{(?:prf:)?([\w-]+)\}[^\n]*\n:label: ([\w-]+)\n(.*?)^:{3,}$", re.DOTALL | re.MULTILINE)


TEXTS = {path.stem: path.read_text("utf-8") for path in sorted(ROOT.glob("book/proofs/*.md"))}


def markdown(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# What the chapters state: label -> (chapter, kind, body), for theorems, observations, exercises, ...
STATED = {
    label: (name, kind, body)
    for name, text in [*((name, markdown(notebook)) for name, notebook in CHAPTERS.items()), *TEXTS.items()]
    for kind, label, body in DIRECTIVE.findall(text)
}


def rows(page):
    """(claim, status, labels of statements, what backs it) of every row of the tables."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "claim" and set(cells[0]) != {"-"}:
            yield cells[0], cells[1], references(cells[2]), references(cells[3])


def references(cell):
    """Labels of {ref} and {prf:ref}, and (test, file) of links to tests."""
    labels = re.findall(r"\{(?:prf:)?ref\}`(?:[^`<]*<)?([\w-]+)>?`", cell)
    return labels + re.findall(r"\[`(test_\w+)`\]\(https://[^)]*/(tests/[\w/]+/test_\w+\.py)\)", cell)


def checking_code(label):
    """The code cells between the Markdown cell that ends with the target and the next Markdown cell."""
    for notebook in CHAPTERS.values():
        kinds = [cell.cell_type for cell in notebook.cells] + ["markdown"]
        for at, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown" and cell.source.rstrip().endswith(f"({label})="):
                return "\n".join(cell.source for cell in notebook.cells[at + 1 : kinds.index("markdown", at + 1)])
    return ""


def complaints_about(claim, status, statements, backing):
    word = re.split(r"\W", status.lower())[0]
    found = [] if word in STATUSES else [f"{claim}: status {status!r} does not start with one of {STATUSES}"]
    found += [] if backing else [f"{claim}: nothing backs it"]
    for label in statements:
        _, kind, _ = STATED.get(label, (None, None, None))
        if kind is None:
            found.append(f"{claim}: no chapter states {label}")
        elif word != "proven" and kind in PROVEN_KINDS:
            found.append(f"{claim}: is {word}, and {label} is called a {kind}")
    for reference in backing:
        if isinstance(reference, tuple):
            found += [] if is_defined(*reference) else [f"{claim}: {reference[1]} has no {reference[0]}"]
        elif "assert" not in checking_code(reference):
            found.append(f"{claim}: no cell that asserts follows {reference}")
    return found


def is_defined(test, file):
    path = ROOT / file
    return path.is_file() and test in {getattr(node, "name", "") for node in ast.parse(path.read_text("utf-8")).body}


ROWS = list(rows(PAGE))


def test_the_page_has_its_tables():
    table_lines = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    headings = [line for line in table_lines if line.startswith("| claim ")]
    assert len(ROWS) == len(table_lines) - len(headings) >= 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_every_claim_is_backed(row):
    assert complaints_about(*row) == []


def test_only_what_is_proven_is_called_a_theorem():
    for label, (chapter, kind, body) in STATED.items():
        if kind in PROVEN_KINDS:
            said = LINK.sub(r"\1", body)
            assert "Status: proven" in said, f"{chapter} calls {label} a {kind} and does not say that it is proven"


def test_every_theorem_is_on_the_page():
    on_page = {label for row in ROWS for label in row[2]}
    assert {label for label, (_, kind, _) in STATED.items() if kind == "theorem"} <= on_page


def test_lies_are_refused():
    """No check above is vacuous: each kind of lie about a claim that is really there raises a complaint."""
    claim, status, statements, backing = next(row for row in ROWS if row[1].startswith("proven") and row[2] and row[3])
    assert complaints_about(claim, status, statements, backing) == []
    assert complaints_about(claim, "obvious", statements, backing)
    assert complaints_about(claim, "observed in 3 runs", statements, backing)
    assert complaints_about(claim, status, ["thm-missing"], backing)
    assert complaints_about(claim, status, statements, [])
    assert complaints_about(claim, status, statements, ["check-missing"])
    assert complaints_about(claim, status, statements, [("test_missing", "tests/lib/test_loss.py")])
    assert complaints_about(claim, status, statements, [("test_missing", "tests/lib/test_missing.py")])
