"""Other numbers for other classes: the solution for a seed has full marks there, and not with another seed.

Run here are the cells themselves, without a kernel; `test_handout` grades one class with everything.
"""

import re
import sys

import matplotlib
import nbformat
import pytest
from small_course import ASSIGNMENTS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
SOURCES = {path.stem: path for path in sorted(ASSIGNMENTS.glob("source/*/*.ipynb"))}
if not SOURCES:
    pytest.skip("the sources are kept elsewhere", allow_module_level=True)
sys.path.append(str(ASSIGNMENTS))
from grading import variants  # noqa: E402
from grading.repair import grade_id, is_test  # noqa: E402

SEEDS = [f"class {seed}" for seed in range(20)]
SETS = sorted(variants.DRAWN)


def source(name):
    return nbformat.read(SOURCES[name], as_version=4)


def run_up_to_the_task(notebook, name):
    """The names that the notebook defines before its drawn task and in the answers there; without other tests."""
    matplotlib.use("Agg")
    names, task = {"__name__": "__main__"}, f"{name}-{variants.DRAWN[name].task}"
    for cell in notebook.cells:
        if cell.cell_type == "code" and not is_test(cell) and "%pip" not in cell.source:
            exec(cell.source, names)
        if (grade_id(cell) or "").startswith(task):
            return names
    raise AssertionError(f"no cell of {task}")


def answered(names, notebook, name):
    """`names` with the answer of the drawn task from `notebook`."""
    names = dict(names)
    for cell in variants.cells_of(notebook, name, "answer"):
        exec(cell.source, names)
    return names


def failed(names, notebook, name):
    """The tests of the drawn task in `notebook` that fail."""
    lost = []
    for cell in variants.cells_of(notebook, name, "test"):
        try:
            exec(cell.source, dict(names))
        except AssertionError:
            lost.append(grade_id(cell))
    return lost


@pytest.mark.parametrize("name", SETS)
def test_a_solution_has_full_marks_at_its_own_seed_and_at_no_other(name):
    """At 20 seeds; the solution of the next seed that draws another number, and the stored one, lose points."""
    stored = source(name)
    before = run_up_to_the_task(stored, name)
    made = {seed: variants.variant(stored, name, seed) for seed in SEEDS}
    numbers = {seed: variants.number_of(name, seed) for seed in SEEDS}
    assert len(set(numbers.values())) > 8
    for place, seed in enumerate(SEEDS):
        assert failed(answered(before, made[seed], name), made[seed], name) == [], (seed, numbers[seed])
        others = SEEDS[place + 1 :] + SEEDS[:place]
        other = next(other for other in others if numbers[other] != numbers[seed])
        assert failed(answered(before, made[other], name), made[seed], name), (seed, numbers[seed], numbers[other])
    assert failed(answered(before, stored, name), made[SEEDS[0]], name)


@pytest.mark.parametrize("name", SETS)
def test_only_the_drawn_task_changes_and_text_and_solution_say_the_number(name):
    stored = source(name)
    made = variants.variant(stored, name, "a class")
    number = variants.number_of(name, "a class")
    changed = [cell for cell, old in zip(made.cells, stored.cells, strict=True) if cell.source != old.source]
    kinds = ("text", "answer", "test", "experiment")
    own = {id(cell): kind for kind in kinds for cell in variants.cells_of(made, name, kind)}
    assert {own.get(id(cell)) for cell in changed} >= {"text", "answer", "test"}
    assert all(id(cell) in own and number in cell.source for cell in changed)
    assert [cell.metadata for cell in made.cells] == [cell.metadata for cell in stored.cells]
    untouched = [cell for kind in ("text", "answer", "test") for cell in variants.cells_of(made, name, kind)]
    assert {cell.source for cell in untouched} - {cell.source for cell in changed} == set()


def test_every_set_is_drawn_and_the_same_seed_draws_the_same():
    assert set(SETS) == set(SOURCES)
    assert variants.number_of("relu", "a") == variants.number_of("relu", "a")
    assert len({variants.number_of("relu", f"{seed}") for seed in range(200)}) > 20


def test_a_source_that_was_changed_stops_the_variant_with_a_sentence():
    stored = source("relu")
    for cell in variants.cells_of(stored, "relu", "answer"):
        cell.source = re.sub("energy", "Energy", cell.source)
    with pytest.raises(SystemExit, match="no answer of optimum"):
        variants.variant(stored, "relu", "a class")


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_wrong_with_one_answer_costs_no_other(name):
    """A cell that does not run gives nothing: of the functions that tests call, each has a cell of its own."""
    cells = [cell for cell in source(name).cells if cell.cell_type == "code"]
    called = {word for cell in cells if is_test(cell) for word in re.findall(r"(\w+)\(", cell.source)}
    answers = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("solution") and not is_test(cell)]
    for cell in answers:
        given = re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
        assert len(called.intersection(given)) <= 1, (grade_id(cell), given)
    assert any(re.findall(r"^def (\w+)", cell.source, re.MULTILINE) for cell in answers)
