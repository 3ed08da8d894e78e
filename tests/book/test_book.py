"""The book as stored and as built: every chapter passes every guard, every page is there and needs no other host."""

import gzip
import re

import built_book
import guards
import numpy as np
import pytest
import yaml
from check_site import empty_pages, toc_entries
from guards import ROOT

from lib import Network, PopulationLoss, explore, kernels

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
NOTEBOOKS = {path.relative_to(ROOT / "book").with_suffix("").as_posix(): guards.read(path) for path in guards.NOTEBOOKS}
CHAPTERS = {name: notebook for name, notebook in NOTEBOOKS.items() if "/" not in name}  # the others are long proofs
TEXTS = sorted([*ROOT.glob("book/*.md"), *ROOT.glob("book/proofs/*.md")])
BIBLIOGRAPHY = (ROOT / "book" / "references.bib").read_text("utf-8")


@pytest.mark.parametrize("guard", guards.GUARDS, ids=lambda guard: guard.__name__)
@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_chapter(chapter, guard):
    assert guard(NOTEBOOKS[chapter]) == []


def test_every_problem_set_is_linked_by_a_chapter():
    texts = [cell.source for notebook in CHAPTERS.values() for cell in notebook.cells]
    for path in (ROOT / "book" / "assignments" / "release").glob("*/*.ipynb"):
        link = f"<{path.relative_to(ROOT / 'book').as_posix()}>`"
        assert any(link in text for text in texts), path.name


def test_copying_is_blue_and_averaging_orange():
    """In labels of figures, captions and descriptions."""
    other = r"copy-average(?: \(|\W.*tab:)blue|perturbed copies(?: \(|\W.*tab:)orange"
    other += "|blue(?:: | dots of )copy-average|orange(?:: | dots of )perturbed copies"
    for name, notebook in NOTEBOOKS.items():
        for cell in notebook.cells:
            assert not re.search(other, f"{cell.source}\n{cell.metadata}", re.IGNORECASE), (name, cell.id)


def test_every_chapter_links_to_the_page_of_the_library():
    texts = {
        name: "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        for name, notebook in NOTEBOOKS.items()
    }
    texts |= {path.stem: path.read_text("utf-8") for path in TEXTS if path.parent.name == "proofs"}
    assert [name for name, text in texts.items() if not re.search(r"library\.md\)|<library-\w+>`", text)] == []


def test_no_definition_stands_twice():
    assert guards.repeated_definitions(NOTEBOOKS) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_has_a_figure_to_move(chapter):
    """A widget for readers with a kernel, of a function that test_explore.py calls; the page loads no widgets."""
    sources = [cell.source for cell in guards.code_cells(CHAPTERS[chapter])]
    (moved,) = [name for source in sources for name in re.findall(r"widgets\.interact\(explore\.(\w+)", source)]
    assert hasattr(explore, moved)
    assert f"explore.{moved}" in (ROOT / "tests" / "lib" / "classroom" / "test_explore.py").read_text("utf-8")
    page = (built_book.site() / "book" / f"{chapter}.html").read_text("utf-8")
    assert "application/vnd.jupyter.widget" not in page and "html-manager" not in page


def test_status_page_was_written_for_these_chapters():
    page = (ROOT / "book" / "status.md").read_text("utf-8")
    rows = re.findall(r"^\| \[\]\(([\w/]+)\.ipynb\) \| (\d+) \|", page, re.MULTILINE)
    assert {name: int(cells) for name, cells in rows} == {
        name: len(guards.code_cells(notebook)) for name, notebook in NOTEBOOKS.items()
    }


def test_names_in_code_on_the_notation_page_work():
    """Each expression of the last columns is evaluated for a small student and teacher."""
    d, k, n = 4, 3, 2
    teacher = Network.orthonormal(k, d)
    kernel, student = kernels.erf, Network(teacher.W[:n], teacher.a[:n])
    names = {"d": d, "k": k, "i": 0, "j": 0, "x": np.ones((5, d)), "s": 0.5, "p": 1.0, "q": 1.0}
    names |= {"teacher": teacher, "student": student, "kernel": kernel, "kernels": kernels, "Network": Network}
    names["L"] = PopulationLoss(teacher, kernel)
    rows = re.findall(r"^\|.*\| ([^|]*) \|$", (ROOT / "book" / "notation.md").read_text("utf-8"), re.MULTILINE)
    expressions = [expression for row in rows for expression in re.findall(r"`([^`]+)`", row)]
    assert len(expressions) > 20
    for expression in expressions:
        eval(expression, dict(names))  # raises when the library does not know a name


def test_every_citation_is_in_the_bibliography():
    texts = [path.read_text("utf-8") for path in TEXTS]
    texts += [cell.source for notebook in NOTEBOOKS.values() for cell in notebook.cells]
    assert guards.unknown_citations("\n".join(texts), BIBLIOGRAPHY) == []


def test_every_table_is_even():
    texts = [path.read_text("utf-8") for path in TEXTS]
    texts += [cell.source for notebook in NOTEBOOKS.values() for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [row for text in texts for row in guards.uneven_table_rows(text)] == []


def test_toc_lists_exactly_the_files_of_the_book():
    files = [*guards.NOTEBOOKS, *TEXTS]
    stored = {path.relative_to(ROOT).with_suffix("").as_posix() for path in files}
    assert len(toc_entries(TOC)) == len(set(toc_entries(TOC)))
    assert set(toc_entries(TOC)) == stored


def test_every_toc_entry_became_a_page():
    assert empty_pages(built_book.site(), TOC) == []


def test_every_page_of_the_site_is_in_the_toc():
    built = {page.relative_to(built_book.site()).with_suffix("").as_posix() for page in built_book.pages()}
    assert built == set(toc_entries(TOC))


def test_every_picture_has_a_description():
    for page in built_book.pages():
        article = re.search(r"<article\b.*?</article>", page.read_text("utf-8"), re.DOTALL).group()
        for picture in re.findall(r"<img\b[^>]*>", article):
            alt = re.search(r'alt="([^"]*)"', picture)
            assert alt and guards.is_description(alt.group(1)), (page.name, picture)


def test_pages_load_nothing_from_another_host():
    elements = 'script|img|iframe|source|link(?! rel="canonical")'  # that address is named, not loaded
    loads = re.compile(rf'<(?:{elements})\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*')
    for page in built_book.site().rglob("*.html"):
        assert loads.findall(page.read_text("utf-8")) == [], page.name
    for sheet in built_book.site().rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*['\"(]*(?:https?:)?//", sheet.read_text("utf-8")), sheet.name


def test_formulas_are_set_by_our_own_mathjax():
    with_formulas = [page for page in built_book.pages() if 'class="math' in page.read_text("utf-8")]
    assert with_formulas
    for page in with_formulas:
        assert re.search(r'src="(?:../)+_static/mathjax/tex-chtml.js[?"]', page.read_text("utf-8")), page.name
    assert (built_book.site() / "_static/mathjax/tex-chtml.js").is_file()
    assert list((built_book.site() / "_static/mathjax/output/chtml/fonts").rglob("*.woff"))


def test_site_can_be_found_and_shared():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["sphinx"]["config"]
    address = config["html_baseurl"]
    sitemap = (built_book.site() / "sitemap.xml").read_text("utf-8")
    assert {f"{address}{entry}.html" for entry in toc_entries(TOC)} <= set(re.findall(r"<loc>(.*?)</loc>", sitemap))
    for page in built_book.pages():
        text = page.read_text("utf-8")
        assert f'<meta property="og:image" content="{address}_static/overview.png"' in text, page.name
        assert re.search(r'<meta property="og:description" content="[^"]{40,}', text), page.name
    assert (built_book.site() / "404.html").is_file()


def test_pages_are_light():
    """At most 300 kB of a page's own, compressed: its text and the pictures in it."""
    for page in built_book.pages():
        article = re.search(r"<article\b.*?</article>", page.read_text("utf-8"), re.DOTALL).group()
        pictures = {(page.parent / source).resolve() for source in re.findall(r'<img\b[^>]*\bsrc="([^"]+)"', article)}
        size = sum(len(gzip.compress(file.read_bytes())) for file in [page, *pictures])
        assert size < 300_000, (page.name, size)


def test_launch_buttons_open_the_chapter():
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    owner = repository.removeprefix("https://github.com/")
    for chapter in NOTEBOOKS:
        page = (built_book.site() / "book" / f"{chapter}.html").read_text("utf-8")
        assert f"mybinder.org/v2/gh/{owner}/main?urlpath=lab/tree/book/{chapter}.ipynb" in page
        assert f"colab.research.google.com/github/{owner}/blob/main/book/{chapter}.ipynb" in page
    assert f"git+{repository}" in guards.code_cells(guards.read(guards.TEMPLATE))[0].source
