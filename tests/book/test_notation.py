"""book/notation.md: the chapters use the letters of its tables in the forms that stand there, and for nothing else."""

import re

import guards
import pytest
from guards import ROOT

PAGE = (ROOT / "book" / "notation.md").read_text("utf-8")
PAGES = {path.stem: path.read_text("utf-8") for path in sorted(ROOT.glob("book/proofs/*.md"))}
for path in guards.NOTEBOOKS:
    PAGES[path.stem] = "\n".join(cell.source for cell in guards.read(path).cells if cell.cell_type == "markdown")
MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau varphi psi omega".split()
BELOW = r"_(\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[A-Za-z\d=])"
SYMBOL = re.compile(rf"(\\[A-Za-z]+|[A-Za-z])'*(?:{BELOW})?(?:\^\*)?'*(?:\(([A-Za-z\\_', *]+)\))?")
PUT = re.compile(r"\b(?:[Ll]et|[Pp]ut|[Ww]rite|[Ww]ith|[Ww]here|[Dd]efine|and)\s+\$([A-Za-z]|\\[a-zA-Z]+)=([^$]+)\$")


def formulas(text):
    """The mathematics of a page, without words and alphabets; names remain as subscripts."""
    for shown, inline in MATH.findall(text):
        named = re.sub(r"_\{?\\mathrm\{(\w+)\}\}?", r"_{\1}", shown or inline)
        yield re.sub(r"\\(?:text|mathrm|operatorname|begin|end)\s*\{[^{}]*\}|\\math(?:bb|sf)\s*\{?\w\}?", " ", named)


def form(below, inside):
    """'', 'i' or 'ij' for no, one and two indices below, else the name that stands there; '(' if arguments follow."""
    inner = re.sub(r"_.*", "", (below or "").strip("{}"))
    indices = re.fullmatch(r"(?:([a-z]|\d+)'*,?)?(?:([a-z]|\d+)'*)?", inner)
    return ("ij"[: sum(map(bool, indices.groups()))] if indices else inner) + "(" * bool(inside)


def symbols(formula):
    """(letter, form) of the Latin letters and the Greek ones in names of one letter; other commands are no symbols."""
    found = [(letter, form(below, inside)) for letter, below, inside in SYMBOL.findall(formula)]
    return [(letter, form) for letter, form in found if len(letter) == 1 or letter[1:].lower() in GREEK]


TABLE, MEANING = {}, {}  # letter -> the forms it has; letter -> the letters of the formulas that explain it
for row in re.findall(r"^\| (\$[^|]*) \|([^|]*)\|", PAGE, re.MULTILINE):
    for letter, found in (symbol for formula in formulas(row[0]) for symbol in symbols(formula)):
        TABLE.setdefault(letter, set()).add(found)
        MEANING.setdefault(letter, set()).update(other for formula in formulas(row[1]) for other, _ in symbols(formula))


# The letters that stand for one formula: neither numbers of neurons nor what is varied, as activation and loss are.
DEFINED = {letter for letter in TABLE if len(letter) > 1 or letter.isupper()} - {"\\sigma", "L"}


def complaints(text):
    """Letters of the tables in forms that the tables do not have, or put for something else than there."""
    for formula in formulas(text):
        for letter, found in symbols(formula):
            forms = TABLE.get(letter, {found})
            if letter in "abcdefghijklmnopqrstuvwxyz":  # a (k - n) is a product, F(w) is not
                found, forms = found.rstrip("("), {form.rstrip("(") for form in forms}
            if found not in forms:
                yield f"{letter} has no form {found!r} in the tables: {formula.strip()[:80]}"
    for letter, put in PUT.findall(text):
        if letter in DEFINED:
            used = {other for formula in formulas(f"${put}$") for other, _ in symbols(formula)}
            if not used & (MEANING[letter] | {letter}) and put not in ("0", "\\pi"):  # values of an angle
                yield f"{letter} is put for {put}"
    for residual in re.findall(r"F\(\w\)[&=]*\\mathbb E(?:\\big)?\[\((.*?)\)\\", text.replace("(x)", "")):
        if not residual.startswith("f^*-f"):
            yield f"the pull F has the sign of {residual}"


@pytest.mark.parametrize("page", PAGES)
def test_letters_mean_what_the_tables_say(page):
    assert list(complaints(PAGES[page])) == []


@pytest.mark.parametrize(
    "second",
    [
        r"Write $\varphi=\arcsin$ here.",
        r"The slope is $\varphi'(\tau)$.",
        r"Teacher neuron $j$ has $p_j=v_j/\sqrt2$.",
        r"Let $G_1,\dots,G_n$ be groups.",
        r"The function $A(l)$ falls.",
        r"Let $A=\arcsin$, so that $A'>0$.",
        r"It falls, with $A=\frac2{\sqrt3}-1$, for large $n$.",
        r"The matrix $M$ is symmetric.",
        r"The pull is $F(w)=\mathbb E[(f-f^*)\,\sigma(w\cdot x)]$.",
    ],
)
def test_second_meanings_are_refused(second):
    """Each stood in a chapter once."""
    assert list(complaints(second))


def test_the_tables_are_read():
    assert {"F", "A", "G", "w", "\\varphi", "n"} <= TABLE.keys()
    assert TABLE["F"] == {"", "("} and TABLE["n"] == {"", "PC", "=", "CA"} and "f" in MEANING["F"]
