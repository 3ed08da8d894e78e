"""The pages as a reader sees them: opened from disk in Chromium, with every other host out of reach."""

import shutil

import built_book
import pytest
import yaml
from check_site import toc_entries
from guards import ROOT

sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")

ENTRIES = toc_entries(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Of the theme: it loads sphinx-thebe's script twice on every page.
KNOWN_NOISE = "Identifier 'THEBE_JS_URL' has already been declared"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def look(chromium):
    """look(page file, width, colours): the open page, with `requests` to other hosts and script `errors` noted."""
    contexts = []

    def open_page(path, width=1200, colours="light"):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=colours))
        page = contexts[-1].new_page()
        page.requests, page.errors = [], []

        def refuse(route):
            if route.request.url.startswith(("file:", "data:", "blob:")):
                return route.continue_()
            page.requests.append(route.request.url)
            return route.abort()

        page.route("**/*", refuse)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri(), wait_until="load")
        if page.locator("script[src*=mathjax]").count():
            page.evaluate("MathJax.startup.promise")
        return page

    yield open_page
    for context in contexts:
        context.close()


def complaints(page):
    return page.requests + [error for error in page.errors if KNOWN_NOISE not in error]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", ENTRIES)
def test_page_is_whole(look, name, colours):
    page = look(built_book.page(name), colours=colours)
    assert page.evaluate("document.documentElement.dataset.theme") == colours
    assert complaints(page) == []

    pictures = page.locator("article img")
    pictures.evaluate_all("images => images.forEach(image => image.scrollIntoView())")
    assert all(pictures.evaluate_all("images => images.map(image => image.complete && image.naturalWidth > 0)"))

    formulas = page.locator("article .math")
    assert page.locator("article .math mjx-container").count() >= formulas.count()
    assert page.locator("article mjx-merror").count() == 0
    folded = page.locator("article .admonition.dropdown")
    assert folded.locator("button.toggle-button").count() == folded.count()

    unset = page.locator("article p, article li, article figcaption").filter(has_text="\\(")
    assert unset.count() == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_page_fits_a_phone(look, name):
    page = look(built_book.page(name), width=375)
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1] == 375
    assert complaints(page) == []


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
