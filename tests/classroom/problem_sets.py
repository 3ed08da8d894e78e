"""Every autograded cell of the five problem sets turns away what is wrong, and takes what is right in another way.

The cells run as they stand in the source, hidden tests included, after the code below has replaced the solution.
Left out are the experiments of the solutions: grading runs them.
"""

import contextlib
import functools
import io
import warnings

import nbformat
import pytest
from guards import ROOT

SOURCES = ROOT / "book" / "assignments" / "source"
if not SOURCES.is_dir():
    pytest.skip("the sources of the problem sets are kept elsewhere", allow_module_level=True)
SETS = ["critical_points", "optimal_copy_average", "one_neuron", "gradient_flow", "relu"]

# Before each case `right` is the solution's function, and Agreeable a number that claims to equal all others.
AGREEABLE = """
class Agreeable(float):
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __add__ = lambda self, *other: Agreeable(0.0)
    __hash__ = float.__hash__
"""

WRONG = """
critical_points-predict critical = "yyyyyy"
critical_points-predict critical = "yynynn"
critical_points-signed signed_averages = lambda b, groups: averages(Network(np.eye(len(b)), b), groups)
critical_points-signed signed_averages = lambda b, groups: Network(np.zeros((len(groups), len(b))), [0] * len(groups))
critical_points-price group_price = lambda l, c, rho, b: right(min(l, 2 + 2 * (l > 2)), 0.3 * (l > 2), 1.5, 2.0)
critical_points-price group_price = lambda l, c, rho, b: right(l, abs(c), rho, b)
critical_points-price group_price = lambda l, c, rho, b: Agreeable(right(l, c, rho, b))
critical_points-counterexample counterexample = lambda: (Network(np.eye(4), np.ones(4)), [[0, 1], [2, 3]])
critical_points-counterexample counterexample = lambda: (Network(np.eye(4), [1, 1, 2, 2]), [[0, 1], [2, 3]])
critical_points-threshold threshold = lambda sizes: 0.0346080900
critical_points-threshold threshold = lambda sizes: right(sizes) + 1e-4
critical_points-threshold threshold = lambda sizes: Agreeable(right(sizes))
optimal_copy_average-predict cheapest = "aba"
optimal_copy_average-price group_price = lambda l, norm: Agreeable(right(l, norm))
optimal_copy_average-price group_price = lambda l, norm: right(l, norm) * (1 + 1e-8)
optimal_copy_average-sharing best_sharing = lambda *case: (case[4] - min(case[1], case[4] - 1),) + right(*case)[1:]
optimal_copy_average-sharing best_sharing = lambda *case: (1, 4, right(4, 4, 0.6, 1.5, 5)[2])
optimal_copy_average-orders kernel_price = lambda c, l, tau: right(c, l, tau) + float(c[0] * (l - l**2))
optimal_copy_average-orders order_answers = "yny"
optimal_copy_average-down ways_down = lambda sizes, norms: 4 if norms == (1.0, 1.0) else 2
optimal_copy_average-down ways_down = lambda sizes, norms: float(right(sizes, norms))
one_neuron-predict guess = "bba"
one_neuron-kernel sine_kernel = lambda s, p, q, w: float(np.exp(-(w**2) * (p + q) / 2) * np.sinh(w**2 * s))
one_neuron-kernel sine_kernel = lambda s, p, q, w: Agreeable(right(s, p, q, w))
one_neuron-average sine_average = lambda k, omega: right(5, 1.2)
one_neuron-average sine_average = lambda k, omega: (k * np.exp(-(omega**2) / 2), *right(k, omega)[1:])
one_neuron-frequency critical_frequency = lambda k: 1.8971125219
one_neuron-frequency critical_frequency = lambda k: np.sqrt(1.19968 * k)
one_neuron-best best_loss = lambda k, omega: sine_average(k, omega)[2]
one_neuron-best best_loss = lambda k, omega: min(sine_average(k, omega)[2], 0.999 * (k - 1) / 2)
gradient_flow-predict clocks = "bbca"
gradient_flow-start sphere_start = lambda rng, n, d, radius: right(np.random.default_rng(7), n, d, radius)
gradient_flow-start sphere_start = lambda rng, n, d, R: Network(right(rng, 1, d, R).W.repeat(n, 0), [1] * n)
gradient_flow-rate slowest_rate = lambda L, start: 2 * right(L, start)
gradient_flow-rate slowest_rate = lambda L, start: {3: 0.00385, 4: 0.003045}.get(L.teacher.n, 0.002)
gradient_flow-runs runs_needed = lambda p, confidence: int(np.ceil(3 / p))
gradient_flow-runs runs_needed = lambda p, confidence: 29
gradient_flow-fraction fraction_at_copies = lambda k, n, radius, seeds: (4, 0.3976353643835254, 1.0)
gradient_flow-fraction fraction_at_copies = lambda k, n, radius, seeds: right(k, n, 1.0, seeds)
relu-predict leaks = "abba"
relu-kernel leaky_kernel = lambda s, p, q, slope: right(s, p, q, slope) + slope**2 * s
relu-kernel leaky_kernel = lambda s, p, q, slope: Agreeable(right(s, p, q, slope))
relu-network as_relu = lambda net, slope: right(net, -slope)
relu-network as_relu = lambda net, slope: right(net, 0.2 if slope else 0.0)
relu-optimum leaky_optimum = lambda k, slope: right(k, 0.0 if k == 6 else 0.25)
relu-rescue rescue_slope = lambda k: 0.09021785121201992
relu-rescue rescue_slope = lambda k: Agreeable(right(k))
"""

RIGHT = """
critical_points-signed signed_averages = lambda b, groups: Network(-right(b, groups).W, -right(b, groups).a)
critical_points-price group_price = lambda l, c, rho, b: b**2 * right(l, c, -rho, 1.0)
optimal_copy_average-down ways_down = lambda sizes, norms: np.int64(right(sizes, norms))
one_neuron-frequency critical_frequency = lambda k: np.sqrt(1.199678640257734 * k)
gradient_flow-start sphere_start = lambda rng, n, d, radius: Network(-right(rng, n, d, radius).W[::-1], [1] * n)
gradient_flow-runs runs_needed = lambda p, confidence: next(N for N in range(5000) if (1 - p) ** N <= 1 - confidence)
relu-network as_relu = lambda net, slope: Network(right(net, slope).W[::-1], right(net, slope).a[::-1])
"""


def cases(text):
    return [pytest.param(*line.split(" ", 1), id=line) for line in text.strip().splitlines()]


@functools.cache
def solved(name):
    """(names that the solved source defines, {grade_id of a test: its code})."""
    namespace, tests = {"__name__": "__main__"}, {}
    for cell in nbformat.read(SOURCES / name / f"{name}.ipynb", as_version=4).cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or "%pip" in cell.source or "experiment" in nbgrader.get("grade_id", ""):
            continue
        if nbgrader.get("grade"):
            tests[nbgrader["grade_id"]] = cell.source
        else:
            run(cell.source, namespace)
    run(AGREEABLE, namespace)
    return namespace, tests


def run(code, namespace):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)


def graded(test, answer):
    """Run the test cell on an answer; raises what the cell raises."""
    solution, tests = solved(test.split("-")[0])
    namespace = {**solution, "right": solution[answer.split(" ", 1)[0]]}
    exec(answer, namespace)
    run(tests[test], namespace)


@pytest.mark.slow
@pytest.mark.parametrize("test, answer", cases(WRONG))
def test_a_wrong_answer_fails(test, answer):
    with pytest.raises((AssertionError, ValueError)):
        graded(test, answer)


@pytest.mark.slow
@pytest.mark.parametrize("test, answer", cases(RIGHT))
def test_another_right_answer_passes(test, answer):
    graded(test, answer)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_solutions_pass_and_every_test_has_met_a_wrong_answer(name):
    solution, tests = solved(name)
    for test, code in tests.items():
        run(code, dict(solution))
        assert f"\n{test} " in WRONG, test


@pytest.mark.parametrize("name", SETS)
def test_a_source_is_laid_out_as_agreed(name):
    """About 20 points, two answers marked by hand with schemes that add up, names that begin with the set's."""
    notebook = nbformat.read(SOURCES / name / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    graders = [cell.metadata["nbgrader"] | {"text": cell.source} for cell in cells]
    names = [cell["grade_id"] for cell in graders]
    assert len(set(names)) == len(names) and all(each.startswith(f"{name}-") for each in names), names
    by_hand = [cell for cell in graders if cell["grade"] and cell["solution"]]
    for cell in by_hand:
        solution, scheme = cell["text"].split("### BEGIN MARK SCHEME")
        assert solution.startswith("### BEGIN SOLUTION") and scheme.endswith("### END MARK SCHEME\n### END SOLUTION")
        marks = [float(row.split("|")[1]) for row in scheme.splitlines() if row.startswith("| ") and row[2].isdigit()]
        assert sum(marks) == cell["points"], (cell["grade_id"], marks)
    assert len(by_hand) == 2 and 19 <= sum(cell.get("points", 0) for cell in graders) <= 23
    for cell in (cell for cell in graders if cell["grade"] and not cell["solution"]):
        visible, hidden = cell["text"].split("### BEGIN HIDDEN TESTS")
        assert "checks." in visible and "import numpy as _np" in hidden and "checks." not in hidden, cell["grade_id"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "outputs are stored"
