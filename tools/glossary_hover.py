"""Sphinx extension: a link to a term of the glossary says what the term means while the mouse is on it."""

import re
from pathlib import Path

from docutils import nodes

PAGE = Path(__file__).resolve().parent.parent / "book" / "notation.md"
GLOSSARY = re.compile(r"^```\{glossary\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SIGNS = {
    r"\dot\theta": "dθ/dt",
    r"\theta": "θ",
    r"\nabla ": "∇",
    r"\cdot ": "·",
    r"\to": " → ",
    "=": " = ",
    "<": " < ",
    "-": "−",
    "{": "",
    "}": "",
    "^*": "*",
}


def definitions():
    """What the glossary says of each term, as it stands there."""
    entries = "\n".join(GLOSSARY.findall(PAGE.read_text("utf-8"))).strip()
    split = (entry.split("\n") for entry in re.split(r"\n+(?=\S)", entries))
    return {term: " ".join(line.strip() for line in lines) for term, *lines in split}


def plain(text):
    """Without markup: a tooltip sets no formula, and what sends to another page is left out."""

    def formula(match):
        inside = match[1]
        for sign, written in SIGNS.items():
            inside = inside.replace(sign, written)
        return inside

    text = re.sub(r"(?<!\^)\*+", "", text)
    text = re.sub(r"\{[\w:]+\}`([^`<]*?)(?:\s*<[^`>]*>)?`", r"\1", text)
    parts = re.split(r"(?<=[.;]) ", re.sub(r"\$([^$]*)\$", formula, text))
    return re.sub(r";(?: (?=[A-Z])|$)", ". ", " ".join(part for part in parts if "](" not in part)).strip()


def explain(app, doctree, docname):
    meanings = {re.sub(r"[^a-z]+", "-", term.lower()).strip("-"): plain(text) for term, text in definitions().items()}
    for link in doctree.findall(nodes.reference):
        if any("std-term" in word.get("classes", []) for word in link.findall(nodes.inline)):
            target = link.get("refid") or link["refuri"].rpartition("#")[2]
            link["reftitle"] = meanings[target.removeprefix("term-").lower()]


def setup(app):
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
