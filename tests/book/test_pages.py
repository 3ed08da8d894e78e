"""Every page, opened once from disk: whole, in light and in dark, and without barriers, of which axe-core knows."""

import browser
import built_book
import pytest
import yaml
from browser import complaints, in_colours
from check_site import toc_entries
from guards import ROOT

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

ENTRIES = toc_entries(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
# Written by others: the theme's logo is outside all landmarks, docutils gives references an outdated role, and
# MathJax sets formulas from elements of its own.
NOT_OURS = {"exclude": [[".sidebar-primary-item:has(.navbar-brand)"], [".citation-list"], ["mjx-container"]]}
# Style sheets would be fetched once more, which a page from disk may not.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}
OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all else is the same in the dark
IN = {"light": OPTIONS, "dark": OPTIONS | {"runOnly": OF_COLOURS}}
# axe-core takes each element as it comes, and most of them are parts of formulas, which are excluded, or words of code
# coloured as others before them: of these a page keeps one of a kind.
ONE_OF_A_KIND = """() => {
  for (const formula of document.querySelectorAll("mjx-container")) formula.replaceChildren("formula");
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight span")) {
    const kind = word.className + " in " + word.closest(".highlight").parentElement.className;
    if (seen.has(kind)) word.replaceWith(...word.childNodes);
    seen.add(kind);
  }
}"""

pytestmark = [*browser.MARKS, pytest.mark.slow]


@pytest.fixture(scope="module", params=ENTRIES)
def page(request, chromium):
    context = chromium.new_context(viewport={"width": 1200, "height": 800}, color_scheme="light")
    page = browser.opened(context, built_book.page(request.param).as_uri())
    yield page
    context.close()


def test_page_is_whole(page):
    """Also when the reader's system becomes dark meanwhile; test_browser.py opens it in the dark."""
    for colours in ("light", "dark"):
        pictures = in_colours(page, colours).locator("article img")
        pictures.evaluate_all("images => images.forEach(image => image.scrollIntoView())")
        assert all(pictures.evaluate_all("images => images.map(image => image.complete && image.naturalWidth > 0)"))
    assert complaints(page) == []

    formulas = page.locator("article .math")
    assert page.locator("article .math mjx-container").count() >= formulas.count()
    assert page.locator("article mjx-merror").count() == 0
    folded = page.locator("article .admonition.dropdown")
    assert folded.locator("button.toggle-button").count() == folded.count()

    unset = page.locator("article p, article li, article figcaption").filter(has_text="\\(")
    assert unset.count() == 0


def test_page_has_no_barriers(page):
    page.evaluate(ONE_OF_A_KIND)
    for colours, options in IN.items():
        violations = axe.Axe().run(in_colours(page, colours), NOT_OURS, options).response["violations"]
        found = [(violation["id"], [node["html"][:200] for node in violation["nodes"]]) for violation in violations]
        assert found == [], colours
    assert complaints(page) == []
