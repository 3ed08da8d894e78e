"""The commands do the same whatever the account and the shell of the caller hold, and wherever the checkout lies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import built_book
import guards
import nbformat
import pytest
from guards import ROOT
from nbformat.v4 import new_code_cell, new_notebook, new_output

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
IN_ITS_ENVIRONMENT = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="these tests do not run in the .venv that make uses"
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The environment of an account in which everything is set otherwise."""
    home = tmp_path_factory.mktemp("home")
    ipython = "c.InteractiveShell.ast_node_interactivity = 'all'\nc.InteractiveShellApp.exec_lines = ['sum = 1']\n"
    files = {
        ".ipython/profile_default/ipython_config.py": f"c = get_config()\n{ipython}",
        ".ipython/profile_default/ipython_kernel_config.py": f"c = get_config()\n{ipython}",
        ".ipython/profile_default/startup/00.py": "import numpy\nnumpy.pi = 3\n",
        ".jupyter/jupyter_config.json": '{"NotebookClient": {"timeout": 1, "kernel_name": "nothing"}}',
        ".jupyter/jupyter_notebook_config.py": "raise SystemExit('the account has a say')\n",
        ".local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "broken"}',
        ".config/matplotlib/matplotlibrc": "figure.dpi: 17\nbackend: pdf\n",
        "matplotlibrc": "figure.dpi: 17\nbackend: pdf\n",
        "modules/numpy.py": "raise SystemExit('a module of the account')\n",
        "startup.py": "raise SystemExit('the start-up file')\n",
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, "utf-8")
    long = home / ("t" * (95 - len(str(home)) - 1) or "t")
    long.mkdir()
    return {
        **{name: os.environ[name] for name in os.environ if name == "PATH" or name.startswith("PIP_")},
        "HOME": str(home),
        "TMPDIR": str(long),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_CONFIG_PATH": str(home / ".jupyter"),
        "JUPYTER_PATH": str(home / ".local/share/jupyter"),
        "MATPLOTLIBRC": str(home / "matplotlibrc"),
        "MPLBACKEND": "pdf",
        "PYTHONPATH": str(home / "modules"),
        "PYTHONSTARTUP": str(home / "startup.py"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "ascii",
        "PYTEST_ADDOPTS": "--no-such-option",
        "LC_ALL": "POSIX",
        "LANG": "tr_TR.UTF-8",
        "FORCE_COLOR": "1",
        "SOURCE_DATE_EPOCH": "0",
        "VIRTUAL_ENV": str(home),
        "GIT_DIR": str(home),
    }


def make(*arguments, environment, folder=ROOT):
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, umask=0o077, capture_output=True, text=True)


SHOWN = {  # what the last line of a cell shows
    "1\n2": "2",  # not both, as ast_node_interactivity = "all" would show
    "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi']": "100.0",
    "import numpy as np\nround(np.pi, 2), sum([1]), __debug__": "(3.14, 1, True)",
    "'copy or average \u2192'": "'copy or average \u2192'",
}


@pytest.fixture
def probe(tmp_path):
    """probe(source of a last cell): a notebook that shows how its kernel was set up."""

    def write(last):
        cells = [
            new_code_cell(source, outputs=[new_output("execute_result", {"text/plain": shown}, execution_count=count)])
            for count, (source, shown) in enumerate(SHOWN.items(), 1)
        ]
        cells.append(new_code_cell(last))
        for count, cell in enumerate(cells, 1):
            cell.execution_count = count
        nbformat.write(new_notebook(cells=cells), tmp_path / "probe.ipynb")
        return tmp_path / "probe.ipynb"

    return write


@IN_ITS_ENVIRONMENT
def test_chapters_run_in_a_clean_room(hostile, probe):
    result = make("chapters", f"NOTEBOOKS={probe('assert True')}", environment=hostile)
    assert result.returncode == 0 and "5 passed" in result.stdout, result.stdout + result.stderr


@IN_ITS_ENVIRONMENT
def test_a_wrong_chapter_fails_under_optimisation_too(hostile, probe):
    result = make("chapters", f"NOTEBOOKS={probe('assert False')}", environment=hostile)
    assert result.returncode != 0 and "1 failed, 4 passed" in result.stdout, result.stdout + result.stderr


@IN_ITS_ENVIRONMENT
def test_chapters_are_stored_from_a_clean_room(hostile, probe):
    path = probe("None")
    before = guards.read(path)
    result = make("notebooks", f"NOTEBOOKS={path}", environment=hostile)
    assert result.returncode == 0, result.stdout + result.stderr
    for old, new in zip(before.cells, guards.read(path).cells, strict=True):
        assert [guards.text_of(output) for output in new.outputs] == [guards.text_of(output) for output in old.outputs]


@IN_ITS_ENVIRONMENT
@pytest.mark.slow
@pytest.mark.other
def test_the_book_is_built_in_a_clean_room(hostile, tmp_path):
    result = make("book", f"OUTPUT={tmp_path}", environment=hostile)
    assert result.returncode == 0, result.stdout + result.stderr
    for page in built_book.pages():
        twin = tmp_path / "_build" / "html" / page.relative_to(built_book.site())
        assert twin.read_bytes() == page.read_bytes(), page.name


def test_tests_refuse_to_run_without_asserts():
    """pytest warns of it, and a warning is an error here."""
    environment = {"PATH": os.environ["PATH"], "PYTHONOPTIMIZE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "tests/lib/test_pairs.py"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode != 0 and "assert statements are not executed" in result.stderr


@pytest.mark.slow
@pytest.mark.other
def test_a_moved_checkout_sets_up_its_environment_again(hostile, tmp_path):
    first, moved = tmp_path / "book [WS26]", tmp_path / "what? #2"
    first.mkdir()
    shutil.copy(ROOT / "Makefile", first)
    options = {"environment": hostile | {"PYTHONOPTIMIZE": ""}}
    python = f"PYTHON={sys.executable}"
    assert make(".venv/bin/python", python, folder=first, **options).returncode == 0
    again = make(".venv/bin/python", python, folder=first, **options)
    assert again.returncode == 0 and "set up again" not in again.stdout
    shutil.copytree(first, tmp_path / "copy", symlinks=True)
    first.rename(moved)
    for folder in (moved, tmp_path / "copy"):
        result = make(".venv/bin/python", python, folder=folder, **options)
        assert result.returncode == 0 and "set up again" in result.stdout, result.stdout + result.stderr
        where = subprocess.run([folder / ".venv/bin/pip", "--version"], capture_output=True, text=True)
        assert str(folder) in where.stdout, where.stdout + where.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("bwrap"), reason="root can write anywhere")
def test_a_checkout_that_cannot_be_written_says_so(hostile, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "--ro-bind", str(tmp_path), str(tmp_path)]
    command += ["--chdir", str(tmp_path), "make", "--no-print-directory", "book"]
    result = subprocess.run(command, env=hostile, capture_output=True, text=True)
    said = [line for line in result.stdout.splitlines() + result.stderr.splitlines() if "***" not in line]
    assert result.returncode != 0 and len(said) == 1 and "cannot be written" in said[0], result
