"""axe-core on every page, in light and in dark: no complaint about anything of ours."""

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
# MathJax sets formulas from thousands of elements, on which a page would take half a minute.
NOT_OURS = {"exclude": [[".sidebar-primary-item:has(.navbar-brand)"], [".citation-list"], ["mjx-container"]]}
# Style sheets would be fetched once more, which a page from disk may not.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}
OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all else is the same in the dark
IN = {"light": OPTIONS, "dark": OPTIONS | {"runOnly": OF_COLOURS}}

pytestmark = [*browser.MARKS, pytest.mark.slow]


@pytest.mark.parametrize("name", ENTRIES)
def test_page_has_no_barriers(look, name):
    page = look(built_book.page(name))
    for colours, options in IN.items():
        violations = axe.Axe().run(in_colours(page, colours), NOT_OURS, options).response["violations"]
        found = [(violation["id"], [node["html"][:200] for node in violation["nodes"]]) for violation in violations]
        assert found == [], colours
    assert complaints(page) == []
