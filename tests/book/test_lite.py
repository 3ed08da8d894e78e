"""The JupyterLite site: it builds, a chapter opens in Chromium, lib's wheel is served.

Not tested, because it needs the network: that Python starts in the browser, installs the wheel and runs a chapter.
"""

import io
import urllib.request
import zipfile

import browser
import guards
import nbformat
import pytest
from guards import ROOT

pytest.importorskip("jupyterlite_core", reason="jupyterlite-core is not installed (tools/lite-requirements.txt)")

import build_lite  # noqa: E402

pytestmark = [*browser.MARKS, pytest.mark.other]


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """Where a server on this machine shows the site: JupyterLite's service worker does not start from disk."""
    folder = tmp_path_factory.mktemp("site")
    build_lite.build(folder)
    with browser.served(folder) as address:
        yield f"{address}/lite"


def test_wheel_of_lib_is_served(lite):
    index = urllib.request.urlopen(f"{lite}/pypi/all.json").read().decode()
    name = next(part for part in index.split('"') if part.startswith("copy_average_book") and part.endswith(".whl"))
    wheel = zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(f"{lite}/pypi/{name}").read()))
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lib").rglob("*.py")}
    assert ours <= set(wheel.namelist())


def test_every_chapter_is_served_and_installs_from_there(lite):
    for path in guards.NOTEBOOKS:
        address = f"{lite}/files/{path.relative_to(ROOT).as_posix()}"
        served = nbformat.reads(urllib.request.urlopen(address).read(), as_version=4)
        stored = nbformat.read(path, as_version=4)
        sources = [[cell.source for cell in notebook.cells] for notebook in (stored, served)]
        changed = [new for old, new in zip(*sources, strict=True) if old != new]
        assert changed == [build_lite.BOOTSTRAP]


def test_a_chapter_opens(lite, chromium):
    page = chromium.new_page()
    page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
    page.goto(f"{lite}/notebooks/index.html?path=book/setup.ipynb")
    page.get_by_role("heading", name="Students, teachers and Gaussian kernels").wait_for(timeout=60_000)
    page.get_by_text(build_lite.BOOTSTRAP).first.wait_for()
    page.close()
