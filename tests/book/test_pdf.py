"""The book as a PDF, where there is TeX: no errors, links that lead somewhere, nothing over the edge of a page."""

import re
import shutil
import subprocess

import built_book
import guards
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.other,
    pytest.mark.skipif(
        not all(map(shutil.which, ("latexmk", "xelatex", "rsvg-convert"))),
        reason="no TeX, or no rsvg-convert: `make pdf` says what to install",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pdf")
    built = built_book.build("--builder", "latex", "-W", "-n", "--keep-going", output=folder)
    assert built.returncode == 0, built.stderr[-3000:]
    command = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error", "copy-or-average.tex"]
    subprocess.run(command, cwd=folder / "_build" / "latex", check=True, capture_output=True)
    return folder / "_build" / "latex"


@pytest.fixture(scope="module")
def log(folder):
    return (folder / "copy-or-average.log").read_text("utf-8", errors="replace")


def test_pictures_are_vectors(folder):
    cells = [cell for path in guards.NOTEBOOKS for cell in guards.code_cells(guards.read(path))]
    outputs = [out for cell in cells for out in cell.outputs]
    pictures = {out.data["image/svg+xml"] for out in outputs if "image/svg+xml" in out.get("data", {})}
    text = (folder / "copy-or-average.tex").read_text("utf-8")
    assert len(re.findall(r"includegraphics\S*\{\{[0-9a-f]{64}\}\.pdf\}", text)) == len(pictures) > 20


def test_every_letter_has_a_glyph(log):
    assert "Missing character" not in log


def test_nothing_runs_over_the_edge(log):
    """TeX reports lines that are too long by so many points; a centimetre is 28 of them."""
    assert [width for width in re.findall(r"Overfull \\hbox \((\d+)", log) if int(width) > 28] == []


def test_every_link_has_a_target(log):
    assert "undefined references" not in log


def test_it_is_a_book(log):
    (pages,) = re.findall(r"Output written on copy-or-average\.xdv \((\d+) pages", log)
    assert int(pages) > 100
