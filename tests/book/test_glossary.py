"""The first time that a page uses a term of the glossary, the word is a link to it, which shows what it means."""

import html
import re

import built_book
import glossary
import guards
import pytest
from glossary import FORMS, LINK, first_uses, sources, unlinked
from glossary_hover import definitions, plain
from guards import ROOT

PAGES = [ROOT / "book" / "intro.md", *guards.NOTEBOOKS, *sorted(ROOT.glob("book/proofs/*.md"))]


def test_every_term_is_looked_for():
    assert len(glossary.DEFINED) == len(set(glossary.DEFINED)) > 15
    assert set(glossary.DEFINED) == set(FORMS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_terms_are_links_where_a_page_uses_them_first(path):
    assert list(unlinked(sources(path))) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_link_can_be_removed(path):
    """Each of the links that the test above asks for, taken away: it complains of this term."""
    texts = sources(path)
    uses = first_uses(texts)
    assert len(uses) >= 4
    for use in uses:
        without = list(texts)
        text = without[use.source]
        without[use.source] = text[: use.start] + LINK.sub(r"\1", text[use.start : use.stop]) + text[use.stop :]
        assert [complaint.split(":")[0] for complaint in unlinked(without)] == [use.term]


@pytest.mark.parametrize(
    "text, terms",
    [
        ("A saddle, and a {term}`saddle`.", ["saddle"]),
        ("Two saddles.", ["saddle"]),
        ("*Saddles* are many.", ["saddle"]),
        ("{term}`Saddles <saddle>` and a saddle.", []),
        ("{term}`saddle points <flat>` and a saddle.", ["saddle"]),
        (":::{admonition} Proof\n{term}`saddle`\n:::\n\nA saddle.", ["saddle"]),  # what is shown comes first
        ("A saddle.\n\n:::{admonition} Proof\n{term}`saddle`\n:::", ["saddle"]),
        (":::{admonition} Proof\n:class: dropdown\n\nA saddle.\n:::", ["saddle"]),
        (":::{prf:theorem} Saddles\n:label: thm-saddle\n\nA *saddle*.\n:::", ["saddle"]),
        ("## A saddle\n\nThe `saddle` of $saddle$, [a saddle](x.md), {ref}`saddle <x>`.", []),
        ("# Saddles\n\n**Which saddle is it?**\n\nNone.", []),
        (":::{figure} x.png\n:name: x\n\nA saddle.\n:::\n```python\nsaddle\n```", []),
        ("It copies one neuron.", ["copy"]),
        ("The perturbed copies.", ["perturbed copies (PC)"]),
        ("It is copy-average-like.", ["copy-average-like"]),
        ("Average over all inputs.", []),
    ],
)
def test_what_is_a_first_use(text, terms):
    assert [complaint.split(":")[0] for complaint in unlinked([text])] == terms


def test_a_solution_comes_after_what_is_shown():
    texts = [":::{solution-start} x\n:::", "{term}`saddle`", ":::{solution-end}\n:::", "A saddle."]
    assert len(list(unlinked(texts))) == 1
    assert list(unlinked(texts[:3])) == []


def test_definitions_are_plain_text():
    meanings = {term: plain(text) for term, text in definitions().items()}
    assert meanings["teacher"].startswith("The network f* that produces the targets.")
    assert meanings["order parameters"].startswith("The inner products w_i·w_i' and w_i·v_j.")
    assert meanings["gradient flow"].startswith("The path dθ/dt = −∇L(θ): ")
    assert "rounded numbers. The status then reads proven," in meanings["computer-assisted"]
    for term, meaning in meanings.items():
        assert len(meaning) > 40 and meaning.endswith(".") and not re.search(r"[$\\`{}\[\]]|\*\w", meaning), term


def test_a_link_says_what_the_term_means():
    """On each page of the built book, and the same as on the page of the glossary."""
    meanings, seen = {plain(text) for text in definitions().values()}, set()
    link = re.compile(r"""#term-[^"]*"(?: title="([^"]*)")?><span class="xref std std-term""")
    for page in built_book.pages():
        for title in link.findall(page.read_text("utf-8")):
            seen.add(html.unescape(title))
    assert seen == meanings
