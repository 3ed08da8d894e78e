"""Fail when an entry of _toc.yml did not become a page with text: a deployment must never publish an empty site.

    python tools/check_site.py _build/html
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def toc_entries(toc):
    """The files that a parsed _toc.yml names, in reading order."""
    if isinstance(toc, list):
        return [name for part in toc for name in toc_entries(part)]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [name for key in ("parts", "chapters", "sections") for name in toc_entries(toc.get(key, []))]


def words(html):
    """How many words the article of a page holds; navigation and footers do not count."""
    article = re.search(r"<article\b.*?</article>", html, re.DOTALL)
    return len(re.sub(r"<[^>]*>", " ", article.group()).split()) if article else 0


def empty_pages(site, toc):
    """The entries of `toc` without a page of at least 50 words under `site`."""
    pages = {name: Path(site, name).with_suffix(".html") for name in toc_entries(toc)}
    return [name for name, page in pages.items() if not page.is_file() or words(page.read_text("utf-8")) < 50]


if __name__ == "__main__":
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    if missing := empty_pages(sys.argv[1], toc):
        sys.exit(f"no page, or an empty one, for: {', '.join(missing)}")
    print(f"{len(toc_entries(toc))} pages")
