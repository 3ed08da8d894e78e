"""Fixtures that several test files share."""

import sys

import browser
import built_book
import hypothesis
import pytest
import shared

from lib.fast.accelerator import compile_apart

# The same examples each time: a test is red because of a change, not because of a day.
hypothesis.settings.register_profile("book", derandomize=True, deadline=None)
hypothesis.settings.load_profile("book")


# The files that take longest start first, so that no process is left with one of them at the end. Those of the pages
# and of a class run in `make test-all` alone; the first needs no built book, for which two processes would wait.
LONGEST = [
    "tests/classroom/test_class.py",
    "tests/book/test_live_figures.py",
    "tests/classroom/test_assignments.py",
    "tests/book/test_pages.py",
    "tests/book/test_browser.py",
    "tests/lib/sweeps/test_run.py",
    "book/relu.ipynb",
    "book/empirical_flow.ipynb",
]


def pytest_configure(config):
    if end := shared.start():
        config.add_cleanup(end)


def pytest_collection_modifyitems(items):
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """What a test has drawn is closed after it: Matplotlib would keep it for the next test of the process."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def compiled_apart():
    """lib.fast.compiled is on disk before this process loads it, as `compile_apart` explains."""
    with shared.one_at_a_time("compile"):
        compile_apart()


@pytest.fixture(scope="session")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.CHROMIUM, args=browser.OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def address():
    """Where a server on this machine shows the built book."""
    with browser.served(built_book.site()) as address:
        yield address


@pytest.fixture
def look(chromium):
    """look(file or address of a page, width, colours, **options of the context): the open page, its formulas set."""
    contexts = []

    def open_page(page, width=1200, colours="light", **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=colours, **options))
        address = page if isinstance(page, str) else page.as_uri()
        return browser.opened(contexts[-1], address, scripts=options.get("java_script_enabled", True))

    yield open_page
    for context in contexts:
        context.close()
