"""The terms of the glossary in book/notation.md, and the places where a page uses each of them for the first time."""

import re
from typing import NamedTuple

import nbformat
from glossary_hover import definitions
from reading_measures import FOLDED

DEFINED = list(definitions())
# The words that stand for a term. "Copy" and "average" are also said of other things than neurons, as listed.
FORMS = {
    "teacher": r"teachers?",
    "student": r"students?",
    "population loss": r"population loss(?:es)?",
    "order parameters": r"order parameters?",
    "gradient flow": r"(?:gradient )?flows?",
    "copy": r"(?<!perturbed )(?<!sign-flipped )(?<!independent )cop(?:y|ies|ied|ying)(?! of the repo)",
    "average": r"(?<!on )(?<!three )averag(?:e|es|ed|ing)"
    r"(?! (?:over|of (?:a|the) (?:product|sign|square|Gaussian)|of (?:functions|\0)|in two dimensions"
    r"|depends|step|product))",
    "copy-average (CA)": r"copy-averages?(?!-)",
    "perturbed copies (PC)": r"perturbed cop(?:y|ies)",
    "copy-average-like": r"copy-average-like",
    "sign-flipped copy": r"sign-flipped(?: cop(?:y|ies))?",
    "strength": r"strengths?",
    "critical point": r"critical points?",
    "strict minimum": r"strict minim(?:um|a)",
    "saddle": r"saddles?",
    "flat": r"flat(?! channel)",
    "proven": r"proven",
    "computer-assisted": r"computer-assisted|with the help of a computer",
    "verified": r"verified",
    "observed": r"observed",
    "asymptotic": r"asymptotic(?:ally)?",
}
LINK = re.compile(r"\{term\}`([^`<]*?)(?:\s*<([^`>]*)>)?`")
# What is no prose of the page's own: titles and their question, code, formulas, other roles, links, labels, captions.
NO_PROSE = [
    re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE),
    re.compile(r"^(`{3,})\{?\w.*?^\1$", re.DOTALL | re.MULTILINE),
    re.compile(r"^:{3,}\{figure\}.*?^:{3,}$", re.DOTALL | re.MULTILINE),
    re.compile(r"^# .*\n+\*\*.*\*\*$", re.MULTILINE),
    re.compile(r"^(?:#|:{3,}|:\w[\w-]*:|\([\w-]+\)=).*$", re.MULTILINE),
    re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL),
    re.compile(r"(?:\{[\w:-]+\})?`[^`]*`"),
    re.compile(r"\[[^\]]*\]\([^)]*\)"),
]


class Use(NamedTuple):
    term: str
    source: int  # number of the cell, 0 on a page without cells
    start: int
    stop: int
    linked: bool


def sources(path):
    """The Markdown of a page, cell by cell."""
    if path.suffix == ".md":
        return [path.read_text("utf-8")]
    return [cell.source if cell.cell_type == "markdown" else "" for cell in nbformat.read(path, 4).cells]


def blank(match):
    return re.sub(r"[^\n]", "\0", match[0])


def prose(source):
    """The source with all that is no prose blanked, links to terms and everything else at the same places."""
    links = list(LINK.finditer(source))
    text = LINK.sub(lambda link: "\1" * len(link[0]), source)
    for pattern in NO_PROSE:
        text = pattern.sub(blank, text)
    for link in links:
        if text[link.start()] == "\1":
            text = text[: link.start()] + link[0] + text[link.end() :]
    return text


def layers(texts):
    """What a page shows, and then what it folds away, each as (number of the cell, prose)."""
    shown, folded, solution = [], [], False
    for number, text in enumerate(texts):
        solution |= "{solution-start}" in text
        plain = prose(text)
        surface = plain
        for fold in FOLDED.finditer(text):
            surface = surface[: fold.start()] + "\0" * (fold.end() - fold.start()) + surface[fold.end() :]
        shown.append((number, "" if solution else surface))
        folded.append((number, plain))
        solution &= "{solution-end}" not in text
    return [*shown, *folded]


def first_uses(texts):
    """The first use of each term on a page, on its surface if it is used there."""
    found = {}
    for number, text in layers(texts):
        links = [(m.start(), m.end(), (m[2] or m[1]).lower()) for m in LINK.finditer(text)]
        for term, form in FORMS.items():
            if term in found:
                continue
            uses = [Use(term, number, start, stop, True) for start, stop, name in links if name == term.lower()]
            for match in re.finditer(rf"(?<![\w-])(?:{form})(?![\w-])", text, re.I):
                if not any(start <= match.start() < stop for start, stop, _ in links):
                    uses.append(Use(term, number, *match.span(), False))
            if uses:
                found[term] = min(uses, key=lambda use: use.start)
    return list(found.values())


def unlinked(texts):
    """The first uses that are no links, in their context."""
    for use in first_uses(texts):
        if not use.linked:
            context = texts[use.source][max(0, use.start - 60) : use.stop + 40]
            yield f"{use.term}: {context!r}"
