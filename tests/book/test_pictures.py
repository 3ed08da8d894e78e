"""Pictures of the chapters: the same each time, no matter on which machine, and drawn for light and dark pages."""

import io
import re
import subprocess
import sys

import nbformat
import normalise_notebooks
import pytest
from guards import ROOT
from PIL import Image
from run_chapters import run

DRAW = """import matplotlib.pyplot as plt
from lib.figures import use_style
use_style()
plt.plot([0, 1], [0, {}], "s-", color="black", mfc="white")
plt.gca().axvspan(0.2, 0.4, color="0.9")
plt.show()"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """A chapter of a picture and a line of text, run as `make notebooks` runs it."""
    path = tmp_path_factory.mktemp("chapter") / "chapter.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in (DRAW.format(1), "print('height 1')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    run(path)
    return path


def picture(path):
    (output,) = nbformat.read(path, 4).cells[0].outputs
    return output.data["image/svg+xml"]


def test_pictures_are_vectors_and_the_same_each_time(chapter, tmp_path):
    first = picture(chapter)
    assert first.rstrip().endswith("</svg>") and not re.search(r"metadata|Matplotlib v|20\d\d-\d\d", first)
    again = tmp_path / "again.ipynb"
    again.write_bytes(chapter.read_bytes())
    run(again)
    assert picture(again) == first
    assert normalise_notebooks.for_both_themes(first) == first


def compared(path):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", ROOT / "tests/book/nbval_sanitize.cfg", path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).returncode


def test_pictures_are_not_compared_but_text_beside_them_is(chapter, tmp_path):
    for change, wanted in [(lambda notebook: None, 0), (other_text, 1)]:
        notebook = nbformat.read(chapter, 4)
        notebook.cells[0].source = DRAW.format(2)
        change(notebook)
        path = tmp_path / "changed.ipynb"
        nbformat.write(notebook, path)
        assert compared(path) == wanted


def other_text(notebook):
    notebook.cells[1].outputs[0].text = "height 2\n"


SHOW = """async ([svg, scheme]) => {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  image.style.colorScheme = scheme;
  document.body.append(image);
  await image.decode();
}"""


def test_a_picture_is_light_on_a_dark_page(chapter, chromium):
    """Its ground is the page's, its black line light, its open markers are filled with the ground."""
    page = chromium.new_page(viewport={"width": 700, "height": 500})
    shades = {}
    for scheme, ground in [("light", "white"), ("dark", "rgb(18, 18, 18)")]:
        page.set_content(f'<body style="margin:0;background:{ground}"></body>')
        page.evaluate(SHOW, [picture(chapter), scheme])
        shades[scheme] = shades_of(page.screenshot())
    page.close()
    assert shades["light"][0] == 255 and min(shades["light"][1]) < 10
    assert shades["dark"][0] == 18 and max(shades["dark"][1]) > 215
    assert 255 not in shades["dark"][1]


def shades_of(screenshot):
    """The commonest grey of a picture, and all of them."""
    counts = Image.open(io.BytesIO(screenshot)).convert("L").histogram()
    return counts.index(max(counts)), [shade for shade, count in enumerate(counts) if count]
