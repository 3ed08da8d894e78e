"""The figures of all chapters as SVG and PDF, with their captions and the licence, in a folder and a zip.

python tools/figures.py _build/figures
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [*sorted(ROOT.glob("book/*.ipynb")), *sorted(ROOT.glob("book/proofs/*.ipynb"))]
CREDIT = 'Figures of the book "Copy or average?", CC BY 4.0; the licence and whom to credit are in LICENSE-text.\n'


def figures(path):
    """(name, SVG, caption, text for those who do not see it) of each figure that the notebook at `path` has stored."""
    for cell in nbformat.read(path, as_version=4).cells:
        figure = cell.metadata.get("mystnb", {}).get("figure")
        for output in cell.get("outputs", []) if figure else ():
            if picture := output.get("data", {}).get("image/svg+xml"):
                alt = cell.metadata.mystnb.get("image", {}).get("alt", "")
                yield figure["name"], picture, figure["caption"], alt


def pack(folder):
    """Write the pack into `folder` and a zip beside it; how many figures there are, and whether PDF came of them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    convert, captions, count = shutil.which("rsvg-convert"), [f"# Figures\n\n{CREDIT}"], 0
    for notebook in NOTEBOOKS:
        for name, picture, caption, alt in figures(notebook):
            count += 1
            path = folder / f"{name}.svg"
            path.write_text(picture, "utf-8")
            if convert:
                subprocess.run([convert, "-f", "pdf", "-o", path.with_suffix(".pdf"), path], check=True)
            captions.append(f"## {name}\n\nFrom `{notebook.stem}`. {caption}\n\n*To be seen:* {alt}\n")
    (folder / "captions.md").write_text("\n".join(captions), "utf-8")
    for name in ("LICENSE-text", "CITATION.cff"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.make_archive(folder, "zip", folder.parent, folder.name)
    return count, bool(convert)


if __name__ == "__main__":
    folder = Path(sys.argv[1]).absolute()
    count, with_pdf = pack(folder)
    print(f"{count} figures in {folder} and {folder}.zip")
    if not with_pdf:
        print("Without PDF: that needs rsvg-convert, on Debian and Ubuntu  apt-get install librsvg2-bin")
