"""The commands that the README promises exist, and CI runs them."""

import re
import subprocess
import sys

import guards
import pytest
import yaml
from guards import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
CI = (ROOT / ".ci" / "run").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text("utf-8"))


def commands(workflow):
    return "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job.get("steps", []))


def made(text):
    """The targets that `text` tells the reader to make, in backticks or on a line of their own."""
    return set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE))


def test_readme_commands_are_the_ones_that_ci_runs():
    assert {"book", "test"} <= made(README) and {"book", "test-all"} <= made(CI)
    blocks = re.findall(r"^```(?:bash|sh|console|shell)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    others = [line for line in lines if not re.fullmatch(r"make (book|test)|git clone \S+|cd copy-average-book|", line)]
    assert blocks and not others


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_text_links_exists(text):
    links = re.findall(r"\]\(([^)#\s]+)", (ROOT / text).read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_readme_program_runs():
    (program,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md", "book/intro.md", "book/teaching.md", ".ci/run"])
def test_every_target_that_a_text_names_exists(text):
    assert made((ROOT / text).read_text("utf-8")) <= TARGETS


def test_every_target_is_explained_by_make_help():
    assert set(re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, re.MULTILINE)) == TARGETS


def test_targets_are_phony():
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE).group(1).split()) == TARGETS


def test_no_installation_is_silent():
    """pip works for half a minute without a word: before each of its runs a line says what is being done."""
    targets = sorted(set(re.findall(r"^(\.venv/\.installed[a-z-]*):", MAKEFILE, re.MULTILINE)))
    command = ["make", "--dry-run", "--always-make", *targets]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    runs = [line for line in said.splitlines() if "pip install" in line]
    assert len(runs) == len(targets) > 5
    assert all(re.match('echo "Installing packages for .* into .venv: a minute or so .*"; ', line) for line in runs)


def test_make_test_all_is_make_test_and_what_it_leaves_out():
    runs = []
    for target in ("test", "test-all"):
        said = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        (command,) = re.findall(r"ruff check \. && ([^;]* -m pytest [^;]*);", said)
        runs.append(command.split())
        assert ("make test-all" in said) == (target == "test")
    assert runs[0] == [*runs[1], "-m", *'"not other and not browser and not long"'.split()]
    assert {"tests", *(path.relative_to(ROOT).as_posix() for path in guards.NOTEBOOKS)} <= set(runs[1])


def test_workflows_test_every_python_and_publish_only_what_passed():
    test, book, weekly = (workflow(f"{name}.yml") for name in ("test", "book", "weekly"))
    matrix = test["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos"}
    assert any(system.endswith("-arm") for system in matrix["system"])
    assert made(commands(test)) == {"test-all", "book", "portable", "assignments", "classroom"}
    assert book["jobs"]["build"]["needs"] == "test" and book["jobs"]["deploy"]["needs"] == "build"
    assert "constraints.txt" not in commands(weekly)


def test_git_does_not_ignore_the_library():
    """The usual template for Python does, and then the package is neither committed nor in the wheel."""
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert not {"lib", "lib/", "/lib/", "/lib"} & set(ignored)


def test_files_that_start_first_exist():
    conftest = (ROOT / "tests" / "conftest.py").read_text("utf-8")
    names = re.findall(r'"([^"]+)"', re.search(r"^LONGEST = \[(.*?)\]", conftest, re.MULTILINE | re.DOTALL).group(1))
    assert names and all((ROOT / name).is_file() for name in names)
