"""The pages as a reader sees them: opened in Chromium from disk and from a server, every other host out of reach."""

import re

import browser
import built_book
import pytest
import yaml
from browser import complaints
from check_site import toc_entries
from guards import ROOT

ENTRIES = toc_entries(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))

pytestmark = browser.MARKS

# Numbers of equations that stand on their formula, or take room that it needs.
CUT = """() => [...document.querySelectorAll("article div.math > .eqno")].filter((number) => {
  const formula = number.parentElement.querySelector("mjx-container");
  const at = number.getBoundingClientRect(), of = formula.getBoundingClientRect();
  if (!at.width) return false; // folded
  const beside = at.top < of.bottom - 1 && of.top < at.bottom - 1;
  return beside && (at.left < of.right - 1 || formula.scrollWidth > formula.clientWidth + 1);
}).map((number) => number.textContent)"""

# Formulas of which a part is hidden until they are scrolled; those in folds too.
WIDER = """() => {
  for (const fold of document.querySelectorAll("article details")) fold.open = true;
  return [...document.querySelectorAll("article div.math > mjx-container")]
    .filter((formula) => formula.scrollWidth > formula.clientWidth + 1).map((formula) => formula.textContent);
}"""


@pytest.mark.parametrize("name", ENTRIES)
def test_page_works_from_a_server_on_a_phone_in_the_dark(look, address, name):
    page = look(f"{address}/{name}.html", width=375, colours="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert complaints(page) == []
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1] == 375
    assert page.evaluate(CUT) == []
    assert page.locator("article .math mjx-container").count() >= page.locator("article .math").count()
    assert page.locator("one-neuron, copy-or-average, watch-the-flow, phase-diagram").evaluate_all(
        "figures => figures.every(figure => figure.querySelector('[aria-live]').textContent.length > 20)"
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_no_formula_is_wider_than_its_page_on_a_desk(look, address, name):
    assert look(f"{address}/{name}.html", width=1280).evaluate(WIDER) == []


def test_claims_are_cards_on_a_phone(look, address):
    """No column of two words; where nothing stands no label stands."""
    page = look(f"{address}/book/claims.html", width=375)
    cells = page.locator("#claims td:visible")
    assert cells.count() > 300
    assert min(cells.evaluate_all("cells => cells.map(cell => cell.clientWidth)")) > 250
    assert all(cells.evaluate_all("cells => cells.map(cell => cell.textContent.trim() !== '')"))


@pytest.mark.parametrize("width", [375, 1200])
def test_claims_can_be_chosen_by_their_status(look, address, width):
    """By button: the rows of one status, the sections that have some, and a number that is theirs."""
    page = look(f"{address}/book/claims.html", width=width)
    words = page.locator("#claims tbody td:nth-child(2)")
    everything = [text.split()[0].strip(",:;") for text in words.all_text_contents()]
    for button in page.locator(".claims-filter button").all():
        button.click()
        name, number = button.text_content().rstrip(")").split(" (")
        shown = [text.split()[0].strip(",:;") for text in words.filter(visible=True).all_text_contents()]
        wanted = {"all": set(everything), "not proven": set(everything) - {"proven"}}.get(name, {name})
        sections = page.locator("#claims > section").filter(has=page.locator("tbody tr:not([hidden])"))
        assert shown == [word for word in everything if word in wanted] and len(shown) == int(number)
        assert page.locator("#claims > section:visible").count() == sections.count()


def test_proofs_and_checks_stand_in_one_row(look):
    """Each fold is a button of a row, opened by key, by link and for print; without scripts it is a bar."""
    bars = "article section > .cell > details.hide, article section > .admonition.dropdown:not(.solution)"
    chapter = built_book.page("book/optimal_copy_average")
    plain = look(chapter, java_script_enabled=False)
    folded = plain.locator(bars).count()
    assert folded > 30 and plain.locator(".folds").count() == 0

    page = look(chapter)
    buttons, panels = page.locator(".folds-row [aria-controls]"), page.locator(".folds-panel")
    assert page.locator(bars).count() == 0 and buttons.count() == panels.count() == folded
    assert page.locator(".folds").count() < 0.7 * folded and page.locator(".folds + .folds").count() == 0
    proof = page.get_by_role("button", name="Proof", exact=True).first
    panel = page.locator(f"#{proof.get_attribute('aria-controls')}")
    for opened in ("true", "false"):
        proof.press("Enter")
        assert proof.get_attribute("aria-expanded") == opened
        assert (panel.get_attribute("hidden") is None) == (opened == "true")
    page.get_by_role("button", name="Open all proofs and checks").click()
    assert page.locator(":is(.folds-proof, .folds-check)[hidden]").count() == 0
    assert page.locator(".folds-code[hidden]").count() == page.locator(".folds-code").count() > 5

    linked = look(f"{chapter.as_uri()}#check-closeness")
    opened = linked.locator(".folds-panel:not([hidden]) > .folds-title").all_text_contents()
    assert opened == ["How this was checked", "How the check is prepared"]  # the link leads to the preparation
    linked.wait_for_function("document.getElementById('check-closeness').getBoundingClientRect().y < innerHeight")
    linked.emulate_media(media="print")
    assert linked.locator(".folds-row:visible, .folds-code .cell_input:visible").count() <= 1  # which the link opened
    assert linked.locator(".folds-proof").evaluate_all("all => all.every(proof => proof.checkVisibility())")


# Pages with a matrix of panels or a long axis, whose pictures scroll on a phone.
SCROLLED = {
    "book/a_network_you_trained",
    "book/from_flow_to_training",
    "book/the_paper",
    "book/proofs/correlated_teachers",
    "book/proofs/hessian_blocks",
    "book/proofs/how_flows_are_run",
    "book/proofs/unequal_teachers",
}
LETTERS = re.compile(r"scale\(([\d.]+) -[\d.]+\)")  # of text in a vector picture, 100 units high


@pytest.mark.parametrize("name", [name for name in ENTRIES if (ROOT / f"{name}.ipynb").exists()])
def test_letters_of_pictures_are_legible_on_a_phone(look, name):
    """At least 11 pixels, but for sub- and superscripts; a picture that scrolls leaves its caption in view."""
    page = look(built_book.page(name), width=375)
    pictures = page.locator("article img[src$='.svg']")
    shown = pictures.evaluate_all("all => all.map(image => [image.src, image.clientWidth / image.naturalWidth])")
    for address, shrunk in shown:
        drawn = built_book.site() / "_images" / address.rpartition("/")[2]
        smallest = 100 * min(map(float, LETTERS.findall(drawn.read_text("utf-8"))))  # points: three are four pixels
        assert shrunk * smallest * 4 / 3 >= 11, address
    wide = page.locator("img.wide-picture")
    assert wide.count() == 0 or name in SCROLLED
    captions = page.locator("figure:has(> .wide-picture) > figcaption")
    assert all(captions.evaluate_all("all => all.map(caption => caption.clientWidth < 360)"))


@pytest.mark.parametrize("served", [False, True], ids=["from disk", "from a server"])
def test_search_finds_a_word(look, address, served):
    """From disk too, though there the browser refuses to fetch the lines around the word."""
    page = look(f"{address if served else built_book.site().as_uri()}/search.html?q=saddle")
    found = page.locator("#search-results li a")
    for chapter in ["critical_points", "phase_diagram"]:  # the results come one by one
        page.locator(f"#search-results li a[href*='/{chapter}.html']").first.wait_for()
    assert {"critical_points.html", "phase_diagram.html"} <= {
        link.partition("?")[0].rpartition("/")[2] for link in found.evaluate_all("links => links.map(a => a.href)")
    }
    assert (complaints(page) if served else page.requests) == []


def test_text_is_legible_in_both_colours(look):
    """Text and background change places: dark mode is not light text on a light page."""
    brightness = "what => getComputedStyle(document.body)[what].match(/\\d+/g).slice(0, 3).reduce((s, x) => s + +x, 0)"
    for colours, darker, lighter in [("light", "color", "backgroundColor"), ("dark", "backgroundColor", "color")]:
        page = look(built_book.page("book/intro"), colours=colours)
        assert page.evaluate(brightness, lighter) - page.evaluate(brightness, darker) > 300, colours


def test_first_page_leads_to_the_book(look):
    page = look(built_book.site() / "index.html")
    page.wait_for_url("**/book/intro.html")
    assert page.locator("article h1").count() == 1
    page.locator("nav.bd-links a", has_text="Notation").first.click()
    assert page.url.endswith("/book/notation.html")
