"""Copy the chapters to a folder of the reader's own and open it in JupyterLab: reading leaves git clean.

    python tools/lab.py FOLDER [--no-browser]

What only the built book can show is written out in the copies: references to other pages, citations, captions
of figures, folded code. A copy whose cells the reader has not changed follows the book; a changed one is kept.
"""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import reading_time

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
RECORD = ".as_copied.json"
DIRECTIVE = re.compile(r"^:{3,}\{(?:prf:)?([\w-]+)\} *(.*)\n((?::[\w-]+:.*\n)*)", re.M)
LABEL = re.compile(r"^:(?:label|name): *(\S+)", re.M)
ANCHOR = re.compile(r"^\(([\w-]+)\)=\s*(?:#+ *(.+))?|\$\$ *\(([\w-]+)\)", re.M)
ROLE = re.compile(r"\{(term|cite|cite:t|cite:p|prf:ref|ref|numref|eq|download|reading-time)\}`([^`]+)`")
PAGES = ("*.ipynb", "*.md", "proofs/*.ipynb", "proofs/*.md")
LINK = re.compile(r"\[\]\(([^)\s]+)\)")


def main():
    folder, *options = sys.argv[1:]
    folder = Path(folder).resolve()
    for name in refresh(folder):
        print(f"{folder / name} is yours: it was changed, and does not follow the book any more")
    os.execv(Path(sys.executable).with_name("jupyter"), ["jupyter", "lab", str(folder), *options])


def refresh(folder, book=BOOK):
    """Bring the copies up to date; the names of those that were changed, and whose original was changed too."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    known = json.loads(record.read_text("utf-8")) if record.exists() else {}
    kept, edition = [], Edition(book)
    for name in edition.pages:
        path, page = folder / name, edition.page(name)
        if path.exists() and known.get(name) == fingerprint(name, page):
            continue
        if path.exists() and known.get(name) != fingerprint(name, path.read_text("utf-8")):
            kept.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
        known[name] = fingerprint(name, page)
    shutil.copytree(book / "_static", folder / "_static", dirs_exist_ok=True)
    record.write_text(json.dumps(known, indent=1), "utf-8")
    return kept


def fingerprint(name, text):
    """Of what a reader types: a notebook that was only run, or only opened, keeps its own."""
    if name.endswith(".ipynb"):
        text = repr([(cell.cell_type, cell.source) for cell in nbformat.reads(text, 4).cells])
    return hashlib.sha256(text.encode()).hexdigest()


class Edition:
    """The pages of the book as JupyterLab shows them best.

    pages: their names. page(name): the text of one.
    """

    def __init__(self, book=BOOK):
        self._book = book
        paths = sorted(path for pattern in PAGES for path in book.glob(pattern))
        self.pages = [str(path.relative_to(book)) for path in paths]
        self._titles, self._targets = {}, {}
        for name in self.pages:
            self._index(name)
        authors = re.finditer(r"@\w+\{([^,]+),(.*?)\n\}", (book / "references.bib").read_text("utf-8"), re.S)
        self._cited = {match[1]: _author_and_year(match[2]) for match in authors}

    def page(self, name):
        if not name.endswith(".ipynb"):
            front_matter = re.compile(r"\A---\n.*?\n---\n+", re.S)  # settings of the built page
            return self._written_out(front_matter.sub("", (self._book / name).read_text("utf-8")), name)
        notebook = nbformat.read(self._book / name, 4)
        cells = []
        for cell in notebook.cells:
            if "remove-cell" in cell.metadata.get("tags", []):
                continue
            if "hide-input" in cell.metadata.get("tags", []):
                cell.metadata["jupyter"] = {"source_hidden": True}
            if cell.cell_type == "markdown":
                cell.source = self._written_out(cell.source, name)
                if not cell.source.strip():  # only labels, or the end of a solution
                    continue
            cells.append(cell)
            caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption")
            if caption:
                text = f"**Figure.** {self._written_out(caption, name)}"
                cells.append(nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-caption"))
        notebook.cells = cells
        return nbformat.writes(notebook) + "\n"

    def _index(self, name):
        """Note the title of a page, and what its labels stand for."""
        path = self._book / name
        text, figures = path.read_text("utf-8"), []
        if name.endswith(".ipynb"):
            cells = nbformat.reads(text, 4).cells
            text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
            figures = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in cells]
        self._titles[name] = re.search(r"^# +(.+)", text, re.M)[1]
        for kind, title, options in DIRECTIVE.findall(text):
            label = LABEL.search(options)
            if label:
                self._targets[label[1]] = name, f"{kind} “{title}”" if title and kind != "figure" else kind
        for anchor, heading, equation in ANCHOR.findall(text):
            self._targets[anchor or equation] = name, heading or ("the check" if anchor else "the equation")
        self._targets |= {figure: (name, "the figure") for figure in figures if figure}

    def _written_out(self, text, name):
        def solution(match):
            return f"**Solution** of {self._targets[match[1]][1]}\n" if match[1] else ""

        text = re.sub(r"^:{3,}\{solution-start\} *(\S+)\n(?::.*\n)*:{3,} *$", solution, text, flags=re.M)
        text = re.sub(r"^:{3,}\{solution-end\}\n(?::.*\n)*:{3,} *$()", solution, text, flags=re.M)
        text = re.sub(r"^(?:</?[a-z-]+>\n|(?:\([\w-]+\)=\s*)+\Z)", "", text, flags=re.M)  # live figures; labels of code
        text = ROLE.sub(lambda match: self._role(match[1], match[2], name), text)
        return LINK.sub(lambda match: f"[{self._title(match[1], name)}]({match[1]})", text)

    def _title(self, target, name):
        page = os.path.normpath(os.path.join(os.path.dirname(name), target.split("#")[0] or os.path.basename(name)))
        return self._titles.get(page, target)

    def _role(self, role, content, name):
        text, target = re.fullmatch(r"(?:(.*?) *<([^<>]+)>|.*)", content, re.S).groups()
        target = target or content
        if role == "term":
            return text or content
        if role == "reading-time":
            return str(reading_time.minutes(self._book / target))
        if role == "download":
            return f"`{text or target}`"
        if role.startswith("cite"):
            cited = [self._cited[key.strip()] for key in target.split(",")]
            if role == "cite:t":
                return ", ".join(f"{author} ({year})" for author, year in cited)
            return f"({'; '.join(f'{author} {year}' for author, year in cited)})"
        page, what = self._targets[target]
        if page != name:
            here = os.path.relpath(page, os.path.dirname(name) or ".")
            return f"[{text}]({here})" if text else f"[{what}]({here}) in *{self._titles[page]}*"
        if role == "numref" or what == "the check":
            return text or what  # code cells carry no label there
        return f"{{{role}}}`{content}`"


def _author_and_year(entry):
    author = re.search(r"author\s*=\s*[{\"](.*?)[}\"],?\s*\n", entry, re.S)[1]
    names = [person.split(",")[0].strip(" {}") for person in re.split(r"\s+and\s+", author)]
    shown = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return re.sub(r"[{}\\]", "", shown), re.search(r"year\s*=\s*[{\"]?(\d{4})", entry)[1]


if __name__ == "__main__":
    main()
