"""`import lib` finds ours from anywhere, needs numpy and scipy only, and is complete in what we would publish."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from guards import ROOT

IMPORT = "from lib import kernels, Network, PopulationLoss; import lib; print(lib.__file__)"


def run(*arguments, cwd):
    """Run Python in the folder `cwd`, as a reader's shell would; what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def folder_with_stray_lib(tmp_path):
    (tmp_path / "lib").mkdir()
    return tmp_path


@pytest.mark.parametrize("folder", [Path("/"), ROOT, ROOT / "book"], ids=["root of the machine", "repository", "book"])
def test_import_from(folder):
    assert Path(run("-c", IMPORT, cwd=folder)).samefile(ROOT / "lib" / "__init__.py")


def test_import_past_a_stray_lib(folder_with_stray_lib):
    assert Path(run("-c", IMPORT, cwd=folder_with_stray_lib)).samefile(ROOT / "lib" / "__init__.py")


def test_lib_needs_numpy_and_scipy_only(tmp_path):
    """Every module imports while all packages but numpy and scipy are blocked, but for those compiled or of proofs.

    Blocked as well is what starts processes, which Python in a browser lacks.
    """
    script = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"lib", "numpy", "scipy"} | sys.stdlib_module_names and not top.startswith("_"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
sys.modules["_multiprocessing"] = None
import lib
names = [module.name for module in pkgutil.walk_packages(lib.__path__, "lib.")]
compiled = {"lib.fast.compiled", "lib.fast.compiled_kernels"}
assert compiled < set(names)
for name in names:
    try:
        importlib.import_module(name)
    except ImportError:
        if name not in compiled and not name.startswith("lib.proofs."):
            raise
    else:
        if name in compiled:
            sys.exit("numba was not blocked")
try:
    import matplotlib
except ImportError:
    print(len(names))
"""
    assert int(run("-c", script, cwd=tmp_path)) >= 3


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The folder with the wheel and the source archive, built without the network."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    return folder


def modules():
    return {path.relative_to(ROOT).as_posix() for path in ROOT.glob("lib/**/*.py")}


def data():
    return {f"lib/data/{path.name}" for path in ROOT.glob("book/data/*.*")}


def test_wheel_holds_lib_its_data_and_nothing_else(distributions):
    (wheel,) = distributions.glob("*.whl")
    assert wheel.name.startswith("copy_average_book-")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == modules() | data()


def test_source_archive_holds_the_book_and_nothing_built(distributions):
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    book = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("book/*.*")}
    assert modules() | book | {"_toc.yml", "_config.yml", "Makefile", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("_build", ".venv")) or "__pycache__" in name]
