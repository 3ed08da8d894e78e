"""Every autograded cell of the six problem sets turns away what is wrong, and takes what is right in another way.

The cells run as they stand in the source, hidden tests included, in the way in which grading runs them: the code below
stands for the student, and values pass to and from it as text. Left out are the experiments of the solutions.
"""

import contextlib
import functools
import io
import sys
import warnings

import nbformat
import pytest
from guards import ROOT
from other_methods import METHODS
from small_course import ASSIGNMENTS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import examination  # noqa: E402
from grading.behind_walls import plain  # noqa: E402
from grading.behind_walls.tests import verdict  # noqa: E402

SOURCES = ROOT / "book" / "assignments" / "source"
if not SOURCES.is_dir():
    pytest.skip("the sources of the problem sets are kept elsewhere", allow_module_level=True)
SETS = ["critical_points", "optimal_copy_average", "one_neuron", "gradient_flow", "relu", "training"]

# Before each case `right` is the solution's function, and Agreeable a number that claims to equal all others.
AGREEABLE = """
class Agreeable(float):
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __add__ = lambda self, *other: Agreeable(0.0)
    __hash__ = float.__hash__
unit = lambda W: W / np.linalg.norm(W, axis=1, keepdims=True)
"""

WRONG = """
critical_points-predict critical = "yyyyyy"
critical_points-predict critical = "yynynn"
critical_points-signed signed_averages = lambda b, groups: averages(Network(np.eye(len(b)), b), groups)
critical_points-signed signed_averages = lambda b, groups: Network(np.zeros((len(groups), len(b))), [0] * len(groups))
critical_points-signed-cancel signed_averages = lambda b, groups: right(np.abs(b), groups)
critical_points-signed-cancel signed_averages = lambda b, groups: Network(0 * right(b, groups).W, right(b, groups).a)
critical_points-price-edge group_price = lambda l, c, rho, b: abs(b) * b * right(l, c, rho, 1.0)
critical_points-price-edge group_price = lambda l, c, rho, b: right(l, c, rho, b) + 0.1 * (l == 1)
critical_points-price group_price = lambda l, c, rho, b: right(min(l, 2 + 2 * (l > 2)), 0.3 * (l > 2), 1.5, 2.0)
critical_points-price group_price = lambda l, c, rho, b: right(l, abs(c), rho, b)
critical_points-price group_price = lambda l, c, rho, b: Agreeable(0.1)
critical_points-counterexample counterexample = lambda: (Network(np.eye(6), np.ones(6)), [[0, 1, 2], [3, 4, 5]])
critical_points-counterexample counterexample = lambda: (Network(np.eye(6), [1, 1, 1, 2, 2, 2]), right()[1])
critical_points-counterexample counterexample = lambda: (Network(np.eye(4), np.ones(4)), [[0, 1], [2, 3]])
critical_points-threshold threshold = lambda sizes: 0.0346080900
critical_points-threshold threshold = lambda sizes: right(sizes) + 1e-4
critical_points-threshold-three threshold = lambda sizes: right(sizes[:2])
critical_points-threshold threshold = lambda sizes: Agreeable(0.1)
optimal_copy_average-predict cheapest = "aba"
optimal_copy_average-price group_price = lambda l, norm: Agreeable(0.1)
optimal_copy_average-price group_price = lambda l, norm: right(l, norm) * (1 + 1e-7)
optimal_copy_average-price-digits group_price = lambda l, norm: right(l, norm) * (1 + 1e-8)
optimal_copy_average-price-digits group_price = lambda l, norm: right(1, norm) + (1 - 1 / l) * right(9, norm)
optimal_copy_average-sharing best_sharing = lambda *case: (case[4] - min(case[1], case[4] - 1),) + right(*case)[1:]
optimal_copy_average-sharing best_sharing = lambda *case: (1, 4, right(4, 4, 0.6, 1.5, 5)[2])
optimal_copy_average-sharing-edge best_sharing = lambda *case: right(*case[:4], max(case[4], 3))
optimal_copy_average-sharing-edge best_sharing = lambda *case: (case[4] - 1, 1, right(*case)[2])
optimal_copy_average-orders kernel_price = lambda c, l, tau: right(c, l, tau) + float(c[0] * (l - l**2))
optimal_copy_average-orders-statements order_answers = "yny"
optimal_copy_average-orders-statements order_answers = "yyy"
optimal_copy_average-down ways_down = lambda sizes, norms: 4 if norms == (1.0, 1.0) else 2
optimal_copy_average-down ways_down = lambda sizes, norms: float(right(sizes, norms))
one_neuron-predict guess = "bbb"
one_neuron-predict guess = "cbb"
one_neuron-kernel sine_kernel = lambda s, p, q, w: right(abs(s), p, q, w)
one_neuron-kernel-digits sine_kernel = lambda s, p, q, w: float(np.exp(-(w**2) * (p + q) / 2) * np.sinh(w**2 * s))
one_neuron-kernel sine_kernel = lambda s, p, q, w: Agreeable(0.1)
one_neuron-average sine_average = lambda k, omega: right(5, 1.2)
one_neuron-average-many sine_average = lambda k, omega: (*right(k, omega)[:2], right(min(k, 30), omega)[2])
one_neuron-average sine_average = lambda k, omega: (k * np.exp(-(omega**2) / 2), *right(k, omega)[1:])
one_neuron-frequency critical_frequency = lambda k: 1.8971125219
one_neuron-frequency critical_frequency = lambda k: np.sqrt(1.1997 * k)
one_neuron-best best_loss = lambda k, omega: sine_average(k, omega)[2]
one_neuron-best-both best_loss = lambda k, omega: one_neuron_loss([1.0] + [0.0] * (k - 1) + [1.0], k, omega)
one_neuron-best-both best_loss = lambda k, omega: right(k, 2.5 * (omega > 1.7) + 1.0 * (omega <= 1.7))
one_neuron-best best_loss = lambda k, omega: min(sine_average(k, omega)[2], 0.999 * (k - 1) / 2)
gradient_flow-predict clocks = "bbca"
gradient_flow-start-random sphere_start = lambda rng, n, d, radius: right(np.random.default_rng(7), n, d, radius)
gradient_flow-start-random sphere_start = lambda rng, n, d, radius: right(np.random.default_rng(), n, d, radius)
gradient_flow-start-random sphere_start = lambda rng, n, d, R: Network(right(rng, n // 2, d, R).W.repeat(2, 0), [1] * n)
gradient_flow-start sphere_start = lambda rng, n, d, R: Network(right(rng, 1, d, R).W.repeat(n, 0), [1] * n)
gradient_flow-start sphere_start = lambda rng, n, d, R: Network(np.abs(right(rng, n, d, R).W), [1] * n)
gradient_flow-rate slowest_rate = lambda L, start: 2 * right(L, start)
gradient_flow-rate slowest_rate = lambda L, start: {3: 0.00385, 4: 0.003045}.get(L.teacher.n, 0.002)
gradient_flow-runs runs_needed = lambda p, confidence: int(np.ceil(3 / p))
gradient_flow-runs runs_needed = lambda p, confidence: 29
gradient_flow-fraction fraction_at_copies = lambda k, n, radius, seeds: (4, 0.3976353643835254, 1.0)
gradient_flow-fraction fraction_at_copies = lambda k, n, radius, seeds: right(k, n, 1.0, seeds)
gradient_flow-fraction-interval fraction_at_copies = lambda *x: (right(*x)[0], right(*x)[1], 1.0)
gradient_flow-fraction-interval fraction_at_copies = lambda *x: (right(*x)[0], 0.0, 0.7076)
relu-predict leaks = "abba"
relu-kernel leaky_kernel = lambda s, p, q, slope: right(s, p, q, slope) + slope**2 * s
relu-kernel leaky_kernel = lambda s, p, q, slope: Agreeable(0.1)
relu-network as_relu = lambda net, slope: right(net, -slope)
relu-network as_relu = lambda net, slope: right(net, 0.2 if slope else 0.0)
relu-network as_relu = lambda net, slope: (right(net, slope).W, right(net, slope).a)
relu-network-slopes as_relu = lambda net, slope: right(net, abs(slope))
relu-kernel-negative leaky_kernel = lambda s, p, q, slope: right(s, p, q, abs(slope))
relu-optimum-loss leaky_optimum = lambda k, slope: right(k, 0.0 if k == 6 else 0.25)
relu-optimum-loss leaky_optimum = lambda k, slope: (right(k, slope)[0], 1.001 * right(k, slope)[1])
relu-optimum leaky_optimum = lambda k, slope: right(k, 0.0 if k == 6 else 0.25)
relu-rescue rescue_slope = lambda k: 0.09021785121201992
relu-rescue rescue_slope = lambda k: Agreeable(0.1)
training-predict scales = "abbb"
training-predict scales = "accb"
training-adam neuron_adam = lambda L, start, rate, steps: train(L, start, Adam(rate), steps)
training-adam neuron_adam = lambda L, start, rate, steps: right(L, start, rate, min(steps, 1))
training-adam neuron_adam = lambda L, start, rate, steps: right(L, start, rate, max(steps, 1))
training-adam neuron_adam = lambda L, *x: right(PopulationLoss(L.teacher, kernels.erf), *x)
training-turned neuron_adam = lambda L, start, rate, steps: train(L, start, Adam(rate), steps)
training-turned neuron_adam = lambda L, *x: right(PopulationLoss(Network.orthonormal(*L.teacher.W.shape), L.kernel), *x)
training-turned neuron_adam = lambda L, start, rate, steps: start
training-signs sign_test = lambda one, other: right(other, one)
training-signs sign_test = lambda one, other: (*right(one, other)[:2], right(one, other)[2] / 2)
training-signs sign_test = lambda one, other: right([x.replace("other", "copy-average") for x in one], other)
training-signs sign_test = lambda one, other: (*right(one, other)[:2], min(right(one, other)[2], 0.999))
training-signs sign_test = lambda one, other: (1, 3, Agreeable(0.1))
training-pairs pairs_needed = lambda share, level, power: 6 if share == 1 and level == 0.05 else 28
training-pairs pairs_needed = lambda share, level, power: right(share, 2 * level, power) + (share == 1)
training-pairs pairs_needed = lambda share, level, power: right(max(share, 0.5 + 1e-3), level, min(power, 0.5))
training-pairs pairs_needed = lambda share, level, power: right(share, level, 0.9)
"""

RIGHT = """
critical_points-price group_price = lambda l, c, rho, b: Agreeable(right(l, c, rho, b))
critical_points-signed signed_averages = lambda b, groups: Network(-right(b, groups).W, -right(b, groups).a)
critical_points-predict critical = "YYNYNY"
critical_points-price-edge group_price = lambda l, c, rho, b: right(l, c, rho, b) if l > 1 else 0
critical_points-price group_price = lambda l, c, rho, b: b**2 * right(l, c, -rho, 1.0)
optimal_copy_average-down ways_down = lambda sizes, norms: np.int64(right(sizes, norms))
one_neuron-frequency critical_frequency = lambda k: np.sqrt(1.199678640257734 * k)
gradient_flow-start sphere_start = lambda rng, n, d, radius: Network(-right(rng, n, d, radius).W[::-1], [1] * n)
gradient_flow-runs runs_needed = lambda p, confidence: next(N for N in range(5000) if (1 - p) ** N <= 1 - confidence)
relu-network as_relu = lambda net, slope: Network(right(net, slope).W[::-1], right(net, slope).a[::-1])
training-predict scales = "ABCB"
training-adam neuron_adam = lambda L, start, rate, steps: right(L, start * 1.0, float(rate), int(steps))
training-signs sign_test = lambda one, other: list(right(other, one))[1::-1] + [np.float64(right(one, other)[2])]
training-pairs pairs_needed = lambda share, level, power: np.int64(right(1 - share, level, power))
"""


def cases(text):
    return [pytest.param(*line.split(" ", 1), id=line) for line in text.strip().splitlines()]


@functools.cache
def solved(name):
    """(names that the solved source defines, {grade_id of a test: what grading knows of it})."""
    tests = examination.tests(nbformat.read(SOURCES / name / f"{name}.ipynb", as_version=4))
    namespace = {"__name__": "__main__"}
    for test in tests.values():
        for _, code in test.cells:
            if "run_line_magic" not in code:  # which installs the library on Colab
                run(code, namespace)
    run(AGREEABLE, namespace)
    return namespace, tests


def run(code, namespace):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)


def graded(test, answer):
    """What grading says of the answer, `code` that has the solution's function as `right`: nothing when it is right."""
    solution, _ = solved(test.split("-")[0])
    own = {**solution, "right": solution[answer.split(" ", 1)[0]]}
    exec(answer, own)
    return judged(test, own)


def judged(test, own):
    """What grading says of a test when the student has the names `own`."""
    solution, tests = solved(test.split("-")[0])

    def asked(name):
        def function(*arguments, **named):
            arguments, named = plain.from_text(plain.to_text((arguments, named)))
            return plain.from_text(plain.to_text(own[name](*arguments, **named)))

        return function

    task = {"test": tests[test].code, "names": tests[test].names}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return verdict(task, solution, asked, lambda name: plain.from_text(plain.to_text(own[name])))


@pytest.mark.slow
@pytest.mark.parametrize("test, answer", cases(WRONG))
def test_a_wrong_answer_fails(test, answer):
    assert graded(test, answer)["name"] in ("AssertionError", "ValueError", "TypeError", "StudentError")


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 3, 6])
def test_a_construction_by_chance_is_no_counterexample(d):
    """Nor with the norms and weights that are asked for; with two vectors in a group, almost every one would be."""
    for seed in range(20):
        drawn = f"np.random.default_rng([{d}, {seed}]).standard_normal((6, {d}))"
        answer = f"counterexample = lambda: (Network(unit({drawn}), np.ones(6)), right()[1])"
        assert graded("critical_points-counterexample", answer)["name"] == "AssertionError"


@pytest.mark.slow
@pytest.mark.parametrize("test, answer", cases(RIGHT))
def test_another_right_answer_passes(test, answer):
    assert graded(test, answer) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name, method", [(name, method) for name in METHODS for method in METHODS[name]])
def test_five_other_methods_get_full_marks(name, method):
    """In each test of the set; and by answers that are not those of the solution."""
    assert set(METHODS) == set(SETS) and len(METHODS[name]) == 5
    solution, tests = solved(name)
    own = dict(solution)
    run(METHODS[name][method], own)
    changed = {known for test in tests.values() for known in test.names if own[known] is not solution[known]}
    assert changed
    for test in tests:
        assert judged(test, own) == {}, test


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_solutions_pass_and_every_test_has_met_a_wrong_answer(name):
    for test, about in solved(name)[1].items():
        assert graded(test, f"{about.names[0]} = {about.names[0]}") == {}, test
        assert f"\n{test} " in WRONG, test


@pytest.mark.parametrize("name", SETS)
def test_a_source_is_laid_out_as_agreed(name):
    """About 20 points or 14, three answers marked by hand with schemes that add up, names that begin with the set's."""
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
    least, most = (12, 15) if name == "training" else (19, 23)
    assert len(by_hand) == 3 and least <= sum(cell.get("points", 0) for cell in graders) <= most
    for cell in (cell for cell in graders if cell["grade"] and not cell["solution"]):
        visible, hidden = cell["text"].split("### BEGIN HIDDEN TESTS")
        assert ("assert" in visible or "checks." in visible) and "checks." not in hidden, cell["grade_id"]
        assert "_kind" in hidden or "checks.choice" in visible, cell["grade_id"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "outputs are stored"
