"""Slides for five lectures, from the pages of the built book: HTML that needs no network, and a PDF of each.

    python tools/slides.py _build/html _build/slides

A slide is made of a question, the text that opens a section, a statement with its idea, a figure, or the takeaways.
Live figures stay live; in the PDF they are the pictures that print has too. The PDF needs Chromium and playwright.
"""

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from bs4 import BeautifulSoup

LECTURES = {
    "The exact error, and where training stops": ["setup", "critical_points"],
    "Which partition is best": ["optimal_copy_average"],
    "One neuron for many": ["one_neuron"],
    "What training finds": ["empirical_flow", "phase_diagram"],
    "ReLU, and training in practice": ["relu", "from_flow_to_training"],
}
LEFT_OUT = {"exercises", "for-a-class", "further-reading"}
WORDS = 90  # of the text that opens a section
STYLES = ("live/live.css", "proof.css", "book.css")
STYLE = """
body { margin: 0; background: #777; font: 26px/1.4 "Liberation Sans", Arial, sans-serif; color: #111 }
.slide { box-sizing: border-box; width: 1280px; height: 720px; padding: 40px 70px 50px; margin: 0 auto;
  background: #fff; position: relative; overflow: hidden; display: none }
.slide.shown { display: block }
.inside { transform-origin: top left }
.slide h1 { font-size: 46px; margin: 60px 0 30px } .slide h2 { font-size: 34px; margin: 0 0 18px; color: #234 }
.slide footer { position: absolute; left: 70px; right: 70px; bottom: 12px; font-size: 15px; color: #555 }
.slide figure { margin: 0; text-align: center } .slide figure img { max-width: 900px; max-height: 440px; width: 900px }
.slide figcaption { font-size: 19px; text-align: left } .slide .eqno { float: right }
.slide div.proof, .slide div.admonition { border-left: 6px solid #2b6cb0; padding: 4px 20px; background: #f3f7fc }
.slide p.admonition-title { font-weight: bold }
@media print { @page { size: 1280px 720px; margin: 0 } body { background: #fff }
  .slide { display: block !important; break-after: page; page-break-after: always } }
"""
SCRIPT = """
const slides = [...document.querySelectorAll(".slide")];
function fit(slide) {
  const inside = slide.querySelector(".inside"), room = slide.clientHeight - 90, width = slide.clientWidth - 140;
  let scale = 1;
  inside.style.transform = ""; inside.style.width = "";
  while (scale > 0.3 && inside.getBoundingClientRect().height > room) {  // narrower text is longer: try again
    scale -= 0.04;
    inside.style.width = width / scale + "px"; inside.style.transform = `scale(${scale})`;
  }
}
let at = 0;
function show(number) {
  at = Math.max(0, Math.min(slides.length - 1, number));
  slides.forEach((slide, place) => slide.classList.toggle("shown", place === at));
  fit(slides[at]);
  history.replaceState(null, "", "#" + (at + 1));
}
addEventListener("keydown", event => {
  if (event.target.matches("input, select, button")) return;
  if (["ArrowRight", "PageDown", " "].includes(event.key)) { show(at + 1); event.preventDefault(); }
  if (["ArrowLeft", "PageUp"].includes(event.key)) { show(at - 1); event.preventDefault(); }
});
const grown = new ResizeObserver(() => fit(slides[at]));  // a live figure has drawn itself, or says more than before
slides.forEach(slide => grown.observe(slide.querySelector(".inside")));
addEventListener("beforeprint", () => slides.forEach(slide => { slide.classList.add("shown"); fit(slide); }));
addEventListener("afterprint", () => show(at));
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  show((parseInt(location.hash.slice(1)) || 1) - 1);
  document.body.dataset.ready = "yes";
});
"""


def slides_of(page):
    """[(heading, [elements])] for the page of a chapter."""
    article = page.select_one("article.bd-article > section") or page.select_one("article section")
    title = text_of(article.find("h1"))
    opening = [child for child in article.find_all("p", recursive=False)][:2]
    slides = [("", [heading(page, "h1", re.sub(r"^[\d.]+\s+", "", title)), *opening])]
    for section in article.find_all("section", recursive=False):
        if section.get("id") in LEFT_OUT:
            continue
        name = text_of(section.find("h2"))
        opening, statements, words, open_text = [], [], 0, True
        for child in section.find_all(recursive=False):
            classes = child.get("class") or []
            pictures = [child] if "-" in child.name and child.find("figure") else child.find_all("figure")
            if "dropdown" in classes or child.name == "h2":
                continue
            if pictures:
                statements += [(name, [picture]) for picture in pictures]
            elif "proof" in classes:
                idea = child.find_next_sibling()
                also = idea is not None and idea.name == "p" and text_of(idea).startswith("Idea.")
                statements.append((name, [child, *[idea] * also]))
            elif child.name in ("p", "ul", "ol") or "math" in classes:
                text = text_of(child)
                open_text = open_text and (words == 0 or words + len(text.split()) <= WORDS) and not statements
                if open_text and not text.startswith("Idea.") and not text.endswith("next cell"):
                    words += len(text.split())
                    opening.append(child)
            else:
                open_text = open_text and not opening
        slides += [(name, opening)] * bool(opening) + statements
    return slides


def text_of(element):
    return re.sub(r"\s*#$", "", " ".join(element.get_text(" ").split()))


def heading(page, kind, text):
    made = page.new_tag(kind)
    made.string = text
    return made


def deck(number, title, pages):
    """The HTML of one lecture, from {name of a chapter: its page}, and the local files that it needs."""
    sections, scripts, needed = [], {}, set()
    for page in pages.values():
        for link in page.select("article a"):
            link.decompose() if "headerlink" in (link.get("class") or []) else link.unwrap()
        for script in page.find_all("script"):
            source = (script.get("src") or "").partition("?")[0]
            if "/live/" in source or "/mathjax/" in source or (not source and "MathJax" in (script.string or "")):
                scripts[source or script.string] = source
        for name, elements in slides_of(page):
            inside = "".join([f"<h2>{name}</h2>" if name else "", *map(str, elements)])
            foot = f"Lecture {number}: {title}"
            sections.append(
                f'<section class="slide"><div class="inside">{inside}</div><footer>{foot}</footer></section>'
            )
    body = re.sub(r'(src|href)="\.\./', r'\1="', "\n".join(sections))
    needed |= set(re.findall(r'src="(_[^"?#]+)', body))
    tags = []
    for text, source in scripts.items():
        local = source.removeprefix("../")
        needed |= {local} if source else set()
        tags.append(f'<script defer src="{local}"></script>' if source else f"<script>{text}</script>")
    links = "".join(f'<link rel="stylesheet" href="_static/{name}">' for name in STYLES)
    needed |= {f"_static/{name}" for name in STYLES}
    return (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>{links}'
        f'<style>{STYLE}</style>{"".join(tags)}</head>\n<body class="tex2jax_process">\n{body}\n'
        f"<script>{SCRIPT}</script></body></html>\n"
    ), needed


def make(html, folder):
    """Write the slides of all lectures into `folder`, with the files that they need; the paths of the decks."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    decks = []
    for number, (title, chapters) in enumerate(LECTURES.items(), 1):
        pages = {
            name: BeautifulSoup((html / "book" / f"{name}.html").read_text("utf-8"), "html.parser") for name in chapters
        }
        text, needed = deck(number, title, pages)
        decks.append(folder / f"lecture_{number}.html")
        decks[-1].write_text(text, "utf-8")
        for name in needed:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(html / name, folder / name)
    shutil.copytree(html / "_static" / "mathjax", folder / "_static" / "mathjax", dirs_exist_ok=True)
    shutil.copytree(html / "_static" / "live", folder / "_static" / "live", dirs_exist_ok=True)
    return decks


def print_pdf(chromium, decks):
    """Print a PDF beside each deck, one page a slide."""
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    for path in decks:
        page.goto(path.absolute().as_uri(), wait_until="load")
        page.wait_for_selector("body[data-ready]", timeout=120_000)
        page.emulate_media(media="print")
        page.evaluate("slides.forEach(slide => { slide.classList.add('shown'); fit(slide); })")
        page.pdf(path=path.with_suffix(".pdf"), width="1280px", height="720px", print_background=True)
        page.emulate_media(media="screen")
    page.close()


def main(html, folder):
    decks = make(html, folder)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser and find_spec("playwright"):
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--headless", "--no-sandbox"])
            print_pdf(chromium, decks)
            chromium.close()
    else:
        print("No PDF was made: it needs Chromium, and playwright from tests/requirements.txt.")
    print(f"Slides of {len(decks)} lectures are in {folder.absolute()}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
