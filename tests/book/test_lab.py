"""`make lab`: copies of the chapters that JupyterLab shows as chapters, and that git does not see."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import browser
import guards
import lab
import nbformat
import pytest
from guards import ROOT

CHAPTERS = [path.relative_to(lab.BOOK).as_posix() for path in guards.NOTEBOOKS]
RENDERED = "Array.from(document.querySelectorAll('.jp-MarkdownCell .myst'), node => node.textContent)"


def in_jupyterlab(test):
    for mark in (*browser.MARKS, pytest.mark.other):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def edition():
    return lab.Edition()


@pytest.mark.parametrize("name", lab.Edition().pages)
def test_what_only_the_built_book_can_show_is_written_out(edition, name):
    page = edition.page(name)
    if name.endswith(".ipynb"):
        texts = [cell.source for cell in nbformat.reads(page, 4).cells if cell.cell_type == "markdown"]
        assert all(re.sub(r"^\([\w-]+\)=", "", text, flags=re.M).strip() for text in texts)
        page = "\n\n".join(texts)
    assert not page.startswith("---")
    assert not re.findall(r"\{(?:term|cite|download|numref|reading-time)[:\w]*\}`|\[\]\(|solution-(?:start|end)", page)
    for label in re.findall(r"\{(?:prf:ref|ref|eq)\}`(?:[^`<]*<)?([^`<>]+)>?`", page):
        assert re.search(rf"^:label: {label}$|\({label}\)", page, re.M), f"{label} is on another page"
    for target in re.findall(r"\]\(([^)#]+\.(?:ipynb|md))", page):
        assert (lab.BOOK / name).parent.joinpath(target).exists()


def test_references_say_what_they_mean(edition):
    flow, proof = edition.page("empirical_flow.ipynb"), edition.page("proofs/perturbed_copies.md")
    assert "paper (Şimşek et al. 2023)" in flow and "Further reading" in flow
    assert "[Copy all but one, average the rest](optimal_copy_average.ipynb)" in flow
    assert "](../phase_diagram.ipynb)" in proof
    cells = nbformat.reads(flow, 4).cells
    captions = [cells[i - 1].cell_type for i, cell in enumerate(cells) if cell.source.startswith("**Figure.**")]
    assert captions and set(captions) == {"code"}


@pytest.fixture
def small_book(tmp_path):
    """A book of one chapter and one page, and where the copies go."""
    book = tmp_path / "book"
    (book / "_static").mkdir(parents=True)
    shutil.copy(lab.BOOK / "references.bib", book)
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), book / "one.ipynb")
    (book / "two.md").write_text("# Two\n\nSee [](one.ipynb).\n")
    return book, tmp_path / "copies"


def edit(path, change):
    notebook = nbformat.read(path, 4)
    change(notebook)
    nbformat.write(notebook, path)


def test_a_copy_follows_the_book_until_its_reader_changes_it(small_book):
    book, copies = small_book
    assert lab.refresh(copies, book) == []
    assert (copies / "two.md").read_text() == "# Two\n\nSee [One](one.ipynb).\n"

    # Opened and run, not changed: the next version of the chapter takes its place.
    language = {"name": "python", "version": "3.99"}
    edit(copies / "one.ipynb", lambda notebook: notebook.metadata.update(language_info=language))
    edit(copies / "one.ipynb", lambda notebook: notebook.cells[1].update(execution_count=7))
    run = (copies / "one.ipynb").read_text()
    assert lab.refresh(copies, book) == [] and (copies / "one.ipynb").read_text() == run
    edit(book / "one.ipynb", lambda notebook: notebook.cells[1].update(source="2 + 2"))
    assert lab.refresh(copies, book) == [] and "2 + 2" in (copies / "one.ipynb").read_text()

    edit(copies / "one.ipynb", lambda notebook: notebook.cells[1].update(source="mine"))
    assert lab.refresh(copies, book) == []
    edit(book / "one.ipynb", lambda notebook: notebook.cells[1].update(source="3 + 3"))
    for _ in range(2):  # said each time, until the reader deletes the copy
        assert lab.refresh(copies, book) == ["one.ipynb"] and "mine" in (copies / "one.ipynb").read_text()
    (copies / "one.ipynb").unlink()
    assert lab.refresh(copies, book) == [] and "3 + 3" in (copies / "one.ipynb").read_text()


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """(address, folder of copies, git status before) of a JupyterLab as `make lab` starts it, in a clone."""
    clone = tmp_path_factory.mktemp("lab") / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, clone], check=True)
    for name in ("tools", "book", ".gitignore"):  # as they are now
        subprocess.run(["cp", "-r", ROOT / name, clone], check=True)
    settings = clone.parent / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none", "autosaveInterval": 2}')
    environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(clone.parent / "settings"), "PYTHONPATH": str(ROOT)}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(clone.parent / "workspaces")}
    before = status(clone)
    command = [sys.executable, "tools/lab.py", "my_copies", "--no-browser", "--allow-root"]
    command += ["--ServerApp.port_retries=50", "--IdentityProvider.token=reader"]
    log = clone.parent / "log"
    with log.open("w") as errors:
        server = subprocess.Popen(command, cwd=clone, env=environment, stderr=errors)
    try:
        deadline = time.monotonic() + 300
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0], clone, before
    finally:
        server.terminate()
        server.wait()


def status(clone):
    return subprocess.check_output(["git", "status", "--porcelain"], cwd=clone, text=True)


def opened(chromium, jupyterlab, name):
    page = chromium.new_page()
    page.goto(f"{jupyterlab[0]}/lab/tree/{name}?token=reader&reset")
    page.wait_for_selector(".jp-MarkdownCell .myst", timeout=120_000)
    return page


@in_jupyterlab
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_looks_like_one(jupyterlab, chromium, name):
    """Of MyST nothing is left to read: no role, no directive, no label."""
    page = opened(chromium, jupyterlab, name)
    cells = nbformat.read(jupyterlab[1] / "my_copies" / name, 4).cells
    count = sum(cell.cell_type == "markdown" for cell in cells)
    page.wait_for_function(f"count => {RENDERED}.filter(Boolean).length >= count", arg=count, timeout=120_000)
    text = "\n".join(page.evaluate(RENDERED))
    assert not re.findall(r":::.*|\{[\w:]+\}`[^`]*`|^\([\w-]+\)=|:label:.*", text, re.M)
    assert re.search(r"(Proposition|Theorem|Definition|Observation) 1", text) or "/" in name
    assert "Exercise" in text or "/" in name
    page.close()


@in_jupyterlab
def test_git_is_clean_after_a_reader_was_there(jupyterlab, chromium):
    """A cell changed, run and saved: the copy holds it, the book is as it was."""
    address, clone, before = jupyterlab
    page = opened(chromium, jupyterlab, "setup.ipynb")
    copy = Path(clone, "my_copies", "setup.ipynb")
    page.locator(".jp-CodeCell .cm-content:visible").first.click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("print(6 * 7)\n")
    page.keyboard.press("Shift+Enter")
    page.locator(".jp-OutputArea-output", has_text=re.compile(r"^42\s*$")).wait_for(timeout=120_000)
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 60
    while "print(6 * 7)" not in copy.read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "print(6 * 7)" in copy.read_text() and status(clone) == before
    page.close()
