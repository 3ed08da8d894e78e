"""Chromium for tests that look at pages as a reader does, and a server of pages; their fixtures are in conftest.py."""

import contextlib
import functools
import http.server
import re
import shutil
import threading

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

# A colour that is still changing has the contrast of no theme.
AT_REST = """document.addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  style.textContent = "*, *::before, *::after { transition: none !important; animation: none !important }";
  document.head.append(style);
})"""
FORMULAS_SET = "() => window.MathJax?.startup?.promise?.then(() => true)"
PATIENCE = 120_000  # milliseconds: a machine that does other things too is no reason to fail

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    """The address at which a server on this machine shows the folder."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(context, address, scripts=True):
    """The page at an address, its formulas set; `requests` to other hosts and script `errors` are noted."""
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.add_init_script(AT_REST)
    page.requests, page.errors = [], []
    host = re.match(r"http://[^/]*/|file:", address).group()

    def refuse(route):
        page.requests.append(route.request.url)
        route.abort()

    page.route(re.compile(f"^(?!{re.escape(host)}|data:|blob:)"), refuse)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.goto(address, wait_until="load")
    if scripts and page.locator("script[src*=mathjax]").count():
        page.wait_for_function(FORMULAS_SET)  # also in the page to which the one at the address sends its reader
    return page


def in_colours(page, colours):
    """The open page, its reader's system changed to light or dark."""
    page.emulate_media(color_scheme=colours)
    page.wait_for_function("colours => document.documentElement.dataset.theme === colours", arg=colours)
    return page


def complaints(page):
    return page.requests + page.errors
