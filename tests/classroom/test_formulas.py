"""Formulas in feedback: all that the problem sets write is typeset, and nothing in one becomes markup of a page."""

import re
import sys
import time
import xml.etree.ElementTree as ET

import browser
import nbformat
import pytest
from small_course import ASSIGNMENTS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytest.importorskip("latex2mathml", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import formulas, hide  # noqa: E402
from nbconvert.exporters import HTMLExporter  # noqa: E402

NOTEBOOKS = sorted([*ASSIGNMENTS.glob("source/*/*.ipynb"), *ASSIGNMENTS.glob("release/*/*.ipynb")])


def page(markdown):
    """What a page of feedback shows of this Markdown."""
    environment = HTMLExporter(filters={"markdown2html": hide.markdown_to_html}).environment
    return environment.from_string("{{ text | markdown2html }}").render(text=markdown)


def elements(html):
    """The elements of MathML in `html`, which are well-formed."""
    return [
        part for formula in re.findall(r"<math.*?</math>", html, re.DOTALL) for part in ET.fromstring(formula).iter()
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_every_formula_of_the_problem_sets_is_typeset(path):
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    count = 0
    for text in texts:
        html = page(text)
        count += html.count("<math")
        left = re.sub(r"<(code|pre)\b.*?</\1>|<[^>]*>", "", html, flags=re.DOTALL)
        assert not re.search(r"\$|\\[a-z]", left), re.findall(r".{20}(?:\$|\\[a-z]).{0,20}", left)
    assert count > 30


@pytest.mark.parametrize(
    "tex, letters",
    [
        (r"\mathbb E", "𝔼"),
        (r"\mathbb R", "ℝ"),
        (r"\mathcal L", "ℒ"),
        (r"\mathbf{v}", "𝐯"),
        (r"\theta\ne\arcsin", "θ≠arcsin"),
        ("x<y", "x<y"),
    ],
)
def test_letters(tex, letters):
    assert "".join(ET.fromstring(formulas.mathml(tex, "inline")).itertext()) == letters


HOSTILE = [
    r"\text{<script>alert(1)</script>}",
    r"\href{javascript:alert(1)}{x}",
    r"\style{background:url(http://host/)}{x}",
    r"\class{a}{x}",
    r"\color{red}x",
    r"\text{</mtext></math><img src=x onerror=alert(1)>}",
    r'\begin{matrix}"onload="x&<\\>\end{matrix}',
    r"\begin{a" + '"' + r" onclick=x}\end{a}",
    r"\includegraphics{http://host/x.png}",
    r"\unicode{x3c}script",
    "&lt;script&gt;",
]


@pytest.mark.parametrize("tex", HOSTILE)
def test_nothing_in_a_formula_becomes_markup(tex):
    """Also without the filters before it, which break up commands that make links."""
    html = formulas.typeset(f"${hide.bleach.clean(tex)}$ $${hide.bleach.clean(tex)}$$ {page(f'${tex}$')}")
    parts = elements(html)
    assert {part.tag for part in parts} <= formulas.ELEMENTS
    assert {name for part in parts for name in part.attrib} <= formulas.ATTRIBUTES
    outside = re.sub(r"<math.*?</math>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(?!/?p>)[a-z]", outside), outside


@pytest.mark.parametrize(
    "text",
    [
        r"$\left($",
        "${{{$",
        "$" + "{" * 900 + "}" * 900 + "$",
        "$" + "x" * 2001 + "$",
        "5$ and 6$",
        r"\$5 and \$6",
        "`$x$`",
    ],
)
def test_what_is_no_formula_stays_as_it_is(text):
    assert "<math" not in page(text) and "$" in page(text)


def test_only_so_many_formulas_of_one_text_are_typeset():
    assert page("$x$ " * 500).count("<math") == formulas.MOST


@pytest.mark.parametrize("piece", [r"\[", r"$$", "$ ", r"\(", r"\[a\]"])
def test_formulas_are_found_in_time_that_grows_like_the_length(piece):
    began = time.monotonic()
    formulas.typeset(piece * (150_000 // len(piece)))
    assert time.monotonic() - began < 5


@pytest.mark.browser
@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)")
def test_a_browser_shows_a_fraction_as_a_fraction(chromium):
    tab = chromium.new_context(offline=True).new_page()
    tab.set_content(page(r"$$\frac{\frac12}{\frac34}$$ and $x$"))
    height = "selector => document.querySelector(selector).getBoundingClientRect().height"
    assert tab.evaluate(height, "math mfrac") > 2 * tab.evaluate(height, "math[display=inline]")
    tab.context.close()
