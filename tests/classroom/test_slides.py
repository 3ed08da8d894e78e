"""What a lecturer shows: slides made from the chapters, offline, none cut off; and the pack of figures."""

import re
import shutil
import zipfile

import browser
import built_book
import figures
import nbformat
import pytest
import slides
from bs4 import BeautifulSoup
from guards import ROOT

CHAPTER = """<article class="bd-article"><section>
<h1>4. One neuron<a class="headerlink" href="#">#</a></h1><p><strong>Which?</strong></p>
<p><strong>In one minute.</strong> The mean.</p>
<section id="the-loss"><h2>The loss<a class="headerlink" href="#">#</a></h2><p>It is a sum.</p>
<div class="math">E=m</div>
<div class="proof theorem admonition" id="thm"><p>Theorem 1</p></div><p><em>Idea.</em> Add up.</p>
<div class="dropdown admonition">Proof</div><p>Later text.</p>
<one-neuron><figure id="live"><img src="../_images/a.png"></figure></one-neuron>
<div class="cell tag_hide-input"><pre>code</pre><figure id="drawn"><img src="../_images/b.svg"></figure></div></section>
<section id="takeaways"><h2>Takeaways</h2><ul><li>One.</li></ul></section>
<section id="exercises"><h2>Exercises</h2><p>Do.</p></section></section></article>
<script src="../_static/mathjax/tex-chtml.js?v=1"></script><script src="https://host/other.js"></script>
<script src="../_static/live/live.js?v=2"></script>"""


def test_a_chapter_becomes_question_openings_statements_figures_and_takeaways():
    made = slides.slides_of(BeautifulSoup(CHAPTER, "html.parser"))
    shown = [(name, [slides.text_of(element) or element.name for element in elements]) for name, elements in made]
    assert shown == [
        ("", ["One neuron", "Which?", "In one minute. The mean."]),
        ("The loss", ["It is a sum.", "E=m"]),
        ("The loss", ["Theorem 1", "Idea. Add up."]),
        ("The loss", ["one-neuron"]),
        ("The loss", ["figure"]),
        ("Takeaways", ["One."]),
    ]


def test_a_deck_has_its_scripts_and_pictures_beside_it_and_none_from_elsewhere():
    text, needed = slides.deck(1, "A title", {"one_neuron": BeautifulSoup(CHAPTER, "html.parser")})
    pictures, scripts = {"_images/a.png", "_images/b.svg"}, {"_static/mathjax/tex-chtml.js", "_static/live/live.js"}
    assert needed == pictures | scripts | {f"_static/{name}" for name in slides.STYLES}
    assert "https://" not in text and "../" not in text and "headerlink" not in text
    assert text.count('class="slide"') == 6


def test_every_chapter_with_a_problem_set_is_in_a_lecture():
    chapters = [name for names in slides.LECTURES.values() for name in names]
    assert len(slides.LECTURES) == 5 and len(set(chapters)) == len(chapters)
    taught = re.findall(r"\| \[\]\((\w+)\.ipynb\)", (ROOT / "book" / "teaching.md").read_text("utf-8"))
    assert set(taught) <= set(chapters) | {"setup"} and all(
        (ROOT / "book" / f"{name}.ipynb").is_file() for name in chapters
    )


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.other
@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)")
def test_slides_need_no_network_fit_and_stay_live(chromium, tmp_path):
    """Every slide of every lecture: formulas set, nothing cut off, live figures at work; a PDF with as many pages."""
    decks = slides.make(built_book.site(), tmp_path / "slides")
    slides.print_pdf(chromium, decks)
    live = 0
    for path in decks:
        page = browser.opened(chromium.new_context(viewport={"width": 1280, "height": 720}), path.as_uri())
        page.wait_for_selector("body[data-ready]")
        count = page.evaluate("slides.length")
        for number in range(count):
            page.evaluate(f"show({number})")
            page.wait_for_timeout(100)  # a live figure draws itself
            inside, room = page.evaluate(
                "[slides[at].querySelector('.inside').getBoundingClientRect().bottom, slides[at].clientHeight]"
            )
            assert inside <= room, (path.name, number + 1, inside)
            text = page.evaluate("slides[at].innerText")
            assert text.strip() and "\\(" not in text, (path.name, number + 1)
            sizes = page.evaluate("[...slides[at].querySelectorAll('img')].map(image => image.naturalWidth)")
            assert all(sizes), (path.name, number + 1)
            live += page.evaluate(
                "slides[at].querySelectorAll('figure input, figure button, [class*=live] input').length > 0"
            )
        assert browser.complaints(page) == []
        page.keyboard.press("PageUp")
        assert page.evaluate("at") == count - 2
        page.context.close()
        assert len(re.findall(rb"/Type\s*/Page\b", path.with_suffix(".pdf").read_bytes())) == count
    assert live >= 4


def test_the_pack_holds_every_figure_with_its_caption_and_the_licence(tmp_path, monkeypatch):
    if not shutil.which("rsvg-convert"):
        pytest.skip("no rsvg-convert (apt-get install librsvg2-bin)")
    notebook = ROOT / "book" / "one_neuron.ipynb"
    monkeypatch.setattr(figures, "NOTEBOOKS", [notebook])
    cells = nbformat.read(notebook, as_version=4).cells
    names = {cell.metadata.mystnb.figure.name for cell in cells if "figure" in cell.metadata.get("mystnb", {})}
    count, with_pdf = figures.pack(tmp_path / "figures")
    assert count == len(names) > 1 and with_pdf
    with zipfile.ZipFile(tmp_path / "figures.zip") as packed:
        held = {name.partition("/")[2] for name in packed.namelist()} - {""}
    assert held == {f"{name}.{kind}" for name in names for kind in ("svg", "pdf")} | {
        "captions.md",
        "LICENSE-text",
        "CITATION.cff",
    }
    captions = (tmp_path / "figures" / "captions.md").read_text("utf-8")
    assert all(f"## {name}\n" in captions for name in names) and "CC BY 4.0" in captions
    for name in names:
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
