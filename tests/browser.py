"""Chromium for tests that look at pages as a reader does; its fixtures are in conftest.py."""

import shutil

import pytest

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
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

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)"),
]


def opened(context, path):
    """The page of a file, with `requests` to other hosts and script `errors` noted."""
    page = context.new_page()
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
    return page


def complaints(page):
    return page.requests + [error for error in page.errors if KNOWN_NOISE not in error]
