"""Mutants of lib: one change in the code of a module, and the module's own tests must notice.

`make mutants` draws 25 mutants of every module, `make mutants MODULE=lib/loss.py SAMPLE=all` takes
all of one. cosmic-ray makes them; each is written into a copy of the project, never into the
project, and there the tests that mirror the module (tests/lib/test_loss.py of lib/loss.py) run, the
quickest first, up to the first failure. A run that needs far more processor time than without a
mutant counts as a failure. Tests marked `slow` or `other` are left out.

Printed are the shares killed and the survivors. A survivor asks for a test or, if no test can tell
it from the original, for an entry in tools/equivalent_mutants.txt: the module, then for each mutant
the reason as a comment and the changed lines as printed here.

Results are kept in .mutants.jsonl as they come. They hold for a module and its test file as they
are; after changes elsewhere, remove the file.
"""

import argparse
import ast
import contextlib
import difflib
import hashlib
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

# What the tests import is imported once, for all the processes that are forked for the mutants.
import hypothesis  # noqa: F401
import mpmath  # noqa: F401
import parso
import pytest
import scipy.integrate
import scipy.optimize
import scipy.sparse.linalg  # noqa: F401
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tools" / "equivalent_mutants.txt"
NOT_COPIED = [".*", "_build", "__pycache__", "_static", "node_modules"]

# Modules whose tests stand in the file of another module of their room.
TESTS_ELSEWHERE = {
    "lib/fast/compiled_kernels.py": "tests/lib/fast/test_compiled.py",
    "lib/sweeps/__main__.py": "tests/lib/sweeps/test_run.py",
    "lib/sweeps/processes.py": "tests/lib/sweeps/test_run.py",
    **{
        f"lib/proofs/{name}.py": "tests/lib/proofs/test_proofs.py"
        for name in ("boundaries", "enclosures", "perturbed", "projections", "table")
    },
}

# Of cosmic-ray's operators those after which the code still runs: a float shifted by bits raises
# TypeError, which every test notices.
CHANGES = [
    *[
        f"ReplaceBinaryOperator_{change}"
        for change in (
            "Add_Sub Sub_Add Mul_Div Mul_Add Div_Mul FloorDiv_Div FloorDiv_Mul Mod_FloorDiv Pow_Mul "
            "BitOr_BitAnd BitAnd_BitOr BitXor_BitOr"
        ).split()
    ],
    *[
        f"ReplaceComparisonOperator_{change}"
        for change in (
            "Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is "
            "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt"
        ).split()
    ],
    *(
        "ReplaceUnaryOperator_USub_UAdd ReplaceUnaryOperator_Delete_Invert "
        "ReplaceUnaryOperator_Delete_Not ReplaceTrueWithFalse ReplaceFalseWithTrue "
        "ReplaceAndWithOr ReplaceOrWithAnd AddNot ReplaceBreakWithContinue "
        "ReplaceContinueWithBreak NumberReplacer ZeroIterationForLoop ExceptionReplacer "
        "RemoveDecorator"
    ).split(),
]


class Sign(Operator):
    """Another sign in its place, for those that cosmic-ray leaves alone."""

    def __init__(self, old, new):
        self._old, self._new = old, new

    def mutation_positions(self, node):
        sign = isinstance(node, parso.python.tree.Operator) and node.value == self._old
        if sign and node.parent.type != "decorator":
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        node.value = self._new
        return node

    @classmethod
    def examples(cls):
        return ()


SIGNS = {"@": "*", "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="}


def mutants(source, sample, seed):
    """So many different mutants of a source, drawn at random; all if sample is None."""
    operators = [get_operator(f"core/{change}")() for change in CHANGES]
    operators += [Sign(old, new) for old, new in SIGNS.items()]
    nodes = list(ast_nodes(get_ast(source)))
    counts = [sum(len(list(o.mutation_positions(node))) for node in nodes) for o in operators]
    places = [(o, i) for o, count in zip(operators, counts, strict=True) for i in range(count)]
    random.Random(seed).shuffle(places)
    drawn, original = {}, ast.dump(ast.parse(source))
    for operator, occurrence in places:
        if sample is not None and len(drawn) == sample:
            break
        mutant = mutate_code(source, operator, occurrence)
        if ast.dump(ast.parse(mutant)) != original:  # 1e30 + 1 is 1e30
            drawn[mutant] = changed_lines(source, mutant)
    return drawn


def changed_lines(source, mutant):
    """(the lines taken, the lines put in their place), each joined to one, without indentation."""
    old, new = source.splitlines(), mutant.splitlines()
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = [block for block in blocks if block[0] != "equal"]
    taken = [line for _, begin, end, _, _ in changed for line in old[begin:end]]
    put = [line for _, _, _, begin, end in changed for line in new[begin:end]]
    return tuple(" ".join(" ".join(lines).split()) for lines in (taken, put))


def equivalents():
    """The changes that the list excuses: module -> set of (old, new)."""
    found, module, old = {}, None, None
    for line in EQUIVALENT.read_text("utf-8").splitlines() if EQUIVALENT.exists() else ():
        if line.startswith("lib/"):
            module = found.setdefault(line.strip(), set())
        elif line.startswith("- "):
            old = " ".join(line[2:].split())
        elif line.startswith("+ "):
            module.add((old, " ".join(line[2:].split())))
    return found


def tests_of(module):
    """The file that mirrors a module: tests/lib/students/test_single.py of lib/students/single.py."""
    path = Path(module)
    mirror = Path("tests") / path.parent / f"test_{path.stem}.py"
    return Path(TESTS_ELSEWHERE.get(str(module), mirror))


class QuickestFirst:
    """A plug-in of pytest that sorts tests by how long they took before, and times them."""

    def __init__(self, seconds):
        self._before, self.seconds = seconds, {}

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self._before.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def run_tests(copy, tests, seconds, most, report):
    """In a process of its own group: run the tests in a copy; exit status 0 if all passed."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    os.chdir(copy)
    os.environ["PYTHONPATH"] = sys.path[0] = str(copy)
    with open(report.with_suffix(".txt"), "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    timed = QuickestFirst(seconds)
    options = ["-xq", "-m", "not slow and not other", "-p", "no:cacheprovider"]
    status = pytest.main([*options, "-p", "no:faulthandler", str(tests)], plugins=[timed])
    if not Path(sys.modules["lib"].__file__).is_relative_to(copy):
        raise SystemExit("the tests imported another lib")
    used = resource.getrusage(resource.RUSAGE_SELF)
    report.write_text(json.dumps([timed.seconds, used.ru_utime + used.ru_stime]))
    sys.stdout.flush()
    os._exit(int(status))


class Runner:
    """Copies of the project, one for each process, and the mutants that are tried in them."""

    def __init__(self, folder, processes):
        self._copies = [folder / f"copy{i}" for i in range(processes)]
        for copy in self._copies:
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self._fork, self._running = multiprocessing.get_context("fork"), {}

    def first(self, module):
        """(seconds that each test takes, processor seconds) without a mutant; SystemExit if red."""
        source = (ROOT / module).read_text("utf-8")
        ((_, status),) = self.tried(module, [source], {}, most=1200)
        report = self._copies[-1].with_suffix(".json")
        if status != 0:
            output = report.with_suffix(".txt").read_text()
            raise SystemExit(f"{tests_of(module)} fails, or has no tests:\n{output}")
        return json.loads(report.read_text("utf-8"))

    def tried(self, module, sources, seconds, most):
        """Try each source in the module's place: yields (source, exit status of the tests).

        A process may use `most` processor seconds; one that sleeps is ended after ten times as many.
        """
        waiting, free = list(reversed(sources)), list(self._copies)
        try:
            while waiting or self._running:
                while waiting and free:
                    self._start(module, waiting.pop(), free.pop(), seconds, most)
                wait([process.sentinel for process, *_ in self._running.values()], timeout=0.5)
                for copy, (process, source, begin) in list(self._running.items()):
                    if process.is_alive() and time.monotonic() - begin < 10 * most:
                        continue
                    status = None if process.is_alive() else process.exitcode
                    self._end(copy)
                    free.append(copy)
                    yield source, status
        finally:
            for copy in list(self._running):
                self._end(copy)
            for copy in self._copies:
                shutil.copy(ROOT / module, copy / module)

    def _start(self, module, source, copy, seconds, most):
        (copy / module).write_text(source, "utf-8")
        # A mutant of the same second and length would be taken for the one before it.
        Path(importlib.util.cache_from_source(copy / module)).unlink(missing_ok=True)
        arguments = (copy, tests_of(module), seconds, most, copy.with_suffix(".json"))
        process = self._fork.Process(target=run_tests, args=arguments)
        process.start()
        self._running[copy] = process, source, time.monotonic()

    def _end(self, copy):
        process, *_ = self._running.pop(copy)
        with contextlib.suppress(ProcessLookupError):  # and what the tests may have started
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def try_module(runner, module, sample, seed, excused, done):
    """(mutants tried, killed, equivalent, survivors) of a module."""
    source = (ROOT / module).read_text("utf-8")
    if unknown := [old for old, _ in excused if old not in " ".join(source.split())]:
        raise SystemExit(f"{EQUIVALENT.name} lists lines that are not in {module}: {unknown}")
    drawn = mutants(source, sample, f"{seed} {module}")
    tests = (ROOT / tests_of(module)).read_text("utf-8")
    names = {mutant: hashlib.sha256((tests + mutant).encode()).hexdigest() for mutant in drawn}
    tested = [mutant for mutant in drawn if drawn[mutant] not in excused]
    open_ones = [mutant for mutant in tested if names[mutant] not in done]
    progress = tqdm(total=len(tested), initial=len(tested) - len(open_ones), desc=module)
    with progress:
        if open_ones:
            seconds, used = runner.first(module)
            for mutant, status in runner.tried(module, open_ones, seconds, int(10 + 4 * used)):
                done.add(names[mutant], status != 0)
                progress.update()
    survivors = [drawn[mutant] for mutant in tested if not done[names[mutant]]]
    return len(drawn), len(tested) - len(survivors), len(drawn) - len(tested), survivors


class Done(dict):
    """What is known of mutants, kept in a file as it comes; an interrupted run goes on from it."""

    def __init__(self, path):
        lines = path.read_text("utf-8").splitlines() if path.exists() else ()
        super().__init__(json.loads(line) for line in lines)
        self._path = path

    def add(self, name, killed):
        self[name] = killed
        with open(self._path, "a", encoding="utf-8") as file:
            print(json.dumps([name, killed]), file=file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", help="such as lib/loss.py; all, if none is named")
    parser.add_argument("--sample", default="25", help="mutants drawn of each module, or all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    sample = None if options.sample == "all" else int(options.sample)
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "lib").rglob("*.py"))
    modules = options.modules or [str(file) for file in files if (ROOT / tests_of(file)).exists()]
    done, excused, rows = Done(ROOT / ".mutants.jsonl"), equivalents(), []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        runner = Runner(Path(folder).resolve(), options.processes)
        for module in modules:
            excuses = excused.get(module, set())
            row = try_module(runner, module, sample, options.seed, excuses, done)
            rows.append((module, *row))
    for module, *_, survivors in rows:
        if survivors:
            print(f"\nSurvivors of {module}:")
        for old, new in survivors:
            print(f"- {old}\n+ {new}\n")
    print(f"{'module':36} mutants  killed  equivalent  survivors  % killed of the others")
    for module, tried, killed, equivalent, survivors in rows:
        share = 100.0 * killed / max(tried - equivalent, 1)
        print(f"{module:36}{tried:8}{killed:8}{equivalent:12}{len(survivors):11}{share:10.0f}")


if __name__ == "__main__":
    main()
