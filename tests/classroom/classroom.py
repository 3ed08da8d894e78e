"""A class hands in the six problem sets of the book, 13 kinds of submission each; `make classroom` grades all 78.

With them five more of each set, right answers by other methods than the solution's. Not part of `make test`: it takes
some minutes. test_class.py does the same with a small problem set.
"""

import ast
import csv
import shutil
import subprocess
import sys

import nbformat
import pytest
from guards import ROOT
from other_methods import METHODS
from simulated_class import CLASS, KINDS, Submission, Target, expected_score, hand_in
from small_course import FLAGS, WALLS

ASSIGNMENTS = ROOT / "book" / "assignments"
if not (ASSIGNMENTS / "source").is_dir():
    pytest.skip("the sources of the problem sets are kept elsewhere", allow_module_level=True)
if not WALLS:
    pytest.skip("bubblewrap does not work here: nothing outside is protected", allow_module_level=True)
TARGETS = {
    "critical_points": Target(
        cell="critical_points-price-answer",
        function="group_price",
        tests=("critical_points-price", "critical_points-price-edge"),
        visible=[(2, 0.0, 1.5, 2.0), (4, 0.3, 1.5, 2.0), (1, 0.3, 1.5, 2.0)],
        another_way="""
def group_price(l, c, rho, b):
    teacher = Network(rho * np.linalg.cholesky((1 - c) * np.eye(l) + c), np.full(l, b))
    return PopulationLoss(teacher, kernels.erf)(averages(teacher, [list(range(l))]))
""",
    ),
    "optimal_copy_average": Target(
        cell="optimal_copy_average-down-answer",
        function="ways_down",
        tests=("optimal_copy_average-down",),
        visible=[((3, 3), (1.0, 1.0)), ((3, 3), (0.5, 2.0))],
        another_way="""
def ways_down(sizes, norms):
    L, student = PopulationLoss(teacher_of(np.repeat(norms, sizes)), kernels.erf), student_of(sizes, norms)
    step, theta, downhill = 1e-5, student.ravel(), []
    for e in step * np.eye(len(theta)):  # the Hessian by differences of the gradient
        ends = [L.gradient(Network.unravel(theta + sign * e, student.n, student.d)).ravel() for sign in (1, -1)]
        downhill.append((ends[0] - ends[1]) / (2 * step))
    return int((np.linalg.eigvals(np.array(downhill)).real < -1e-6).sum())
""",
    ),
    "one_neuron": Target(
        cell="one_neuron-frequency-answer",
        function="critical_frequency",
        tests=("one_neuron-frequency",),
        visible=[(3,)],
        another_way="""
def critical_frequency(k):
    z = 1.2
    for _ in range(100):  # a fixed point of z = 1 / tanh z, halfway for convergence
        z = (z + 1 / np.tanh(z)) / 2
    return float(np.sqrt(k * z))
""",
    ),
    "gradient_flow": Target(
        cell="gradient_flow-runs-answer",
        function="runs_needed",
        tests=("gradient_flow-runs",),
        visible=[(0.1, 0.95)],
        another_way="""
def runs_needed(p, confidence):
    runs, left = 0, 1.0
    while left > 1 - confidence:
        runs, left = runs + 1, left * (1 - p)
    return runs
""",
    ),
    "relu": Target(
        cell="relu-rescue-answer",
        function="rescue_slope",
        tests=("relu-rescue",),
        visible=[(4,)],
        another_way="""
def rescue_slope(k):
    g, u = kernels.relu(-1 / np.sqrt(k), 1.0, 1.0), 1 / np.sqrt(k)  # (1 - slope)^2 g = slope u is a quadratic equation
    return float((2 * g + u - np.sqrt((2 * g + u) ** 2 - 4 * g**2)) / (2 * g))
""",
    ),
    "training": Target(
        cell="training-pairs-answer",
        function="pairs_needed",
        tests=("training-pairs",),
        visible=[(1.0, 0.05, 0.9)],
        another_way="""
def pairs_needed(share, level, power):
    for m in range(1, 150):
        if sum(binom.pmf(x, m, share) for x in range(m + 1) if binomtest(x, m).pvalue <= level) >= power:
            return m
""",
    ),
}


def notebook(path):
    return nbformat.read(path, as_version=4)


def names_given(code):
    """The names that code defines at its top level."""
    nodes = [node for node in ast.parse(code).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    return functions | {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def by_another_method(source, release, target, method):
    """A right submission in which each cell that answers goes the way of `method` for what both define."""
    submission, wanted = Submission(source, release, target), names_given(method)
    replaced = set()
    for cell in submission.notebook.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            here = wanted & names_given(cell.source)
            cell.source += f"\n\n{method}" * bool(here)
            replaced |= here
    assert replaced
    return submission.notebook


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The table of the whole class: {(student, set): row}."""
    folder = tmp_path_factory.mktemp("class")
    course, submissions = folder / "course", folder / "submissions"
    course.mkdir()
    for part in ("grading", "source", "release"):
        shutil.copytree(ASSIGNMENTS / part, course / part)
    for part in ("grade.py", "nbgrader_config.py"):
        shutil.copy(ASSIGNMENTS / part, course)
    for name, target in TARGETS.items():
        source, release = (notebook(course / step / name / f"{name}.ipynb") for step in ("source", "release"))
        hand_in(submissions, name, source, release, target, CLASS, course=course, home=folder / "home")
        for number, method in enumerate(METHODS[name].values()):
            student = submissions / f"method {number}"
            student.mkdir(parents=True, exist_ok=True)
            nbformat.write(by_another_method(source, release, target, method), student / f"{name}.ipynb")
    assert len(list(submissions.glob("*/*.ipynb"))) == (len(CLASS) + 5) * len(TARGETS)
    subprocess.run([sys.executable, course / "grade.py", submissions, *FLAGS], check=True)
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        return {(row["student"], row["set"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", CLASS)
def test_score_and_status(rows, name, kind):
    row = rows[kind, name]
    release = notebook(ASSIGNMENTS / "release" / name / f"{name}.ipynb")
    assert row["status"] == KINDS[kind].status, row
    assert float(row["automatic"]) == expected_score(release, TARGETS[name], kind), row


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("number", range(5))
def test_five_other_methods_get_full_marks(rows, name, number):
    row = rows[f"method {number}", name]
    assert row["status"] == "graded" and row["note"] == "", row
    assert float(row["automatic"]) == float(row["automatic_max"]) > 0, row


def test_every_problem_set_is_handed_in():
    assert set(TARGETS) == {path.name for path in (ASSIGNMENTS / "source").iterdir()}
