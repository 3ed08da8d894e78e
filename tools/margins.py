"""How near to its bound every asserted number comes, and what every printed number was before it was rounded.

    MARGINS=file.jsonl python -m pytest -p margins tests/lib

records the comparisons in the tests; a notebook kernel that runs `margins.watch_cells()` at its start records those in
its cells, and the numbers that its f-strings print. Two such files, from two processors or two settings of one, say
which numbers a third might change: `tools/portable.py` makes and compares them.
"""

import ast
import builtins
import json
import math
import operator
import os

import numpy as np

COMPARED = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq}
NAMES = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
SYMBOLS = {kind: name for kind, function in COMPARED.items() for name, other in NAMES.items() if other is function}


class Watch(ast.NodeTransformer):
    """Hand the two sides of every comparison in an assert, and every number in an f-string, to the recorder."""

    def __init__(self, prints):
        self.prints, self.inside_assert = prints, False

    def visit_Assert(self, node):
        self.inside_assert = True
        node.test = self.visit(node.test)
        self.inside_assert = False
        return node

    def visit_Compare(self, node):
        text, symbols = ast.unparse(node), [SYMBOLS.get(type(op)) for op in node.ops]
        self.generic_visit(node)
        if not self.inside_assert or None in symbols:
            return node
        sides = ast.Tuple([node.left, *node.comparators], ast.Load())
        return _call(node, "__compared__", ast.Constant(text), ast.Constant(tuple(symbols)), sides)

    def visit_FormattedValue(self, node):
        text = ast.unparse(node.value)
        self.generic_visit(node)
        if self.prints and not self.inside_assert and node.conversion == -1:
            spec = node.format_spec or ast.JoinedStr([])
            node.value = _call(node, "__printed__", ast.Constant(text), node.value, spec)
        return node


def _call(node, name, *arguments):
    call = ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
    return ast.fix_missing_locations(ast.copy_location(call, node))


class Recorder:
    """Of each assertion the closest that it came to failing; of each print every number."""

    def __init__(self):
        self.closest, self.numbers = {}, {}

    def compared(self, text, symbols, sides):
        result = True
        for symbol, left, right in zip(symbols, sides, sides[1:], strict=False):
            self.note(text, distance(symbol, left, right))
            result = NAMES[symbol](left, right)
            if len(symbols) > 1 and not result:
                return result
        return result

    def note(self, text, found):
        if found is not None:
            key = f"{os.environ.get('PYTEST_CURRENT_TEST', 'cell').removesuffix(' (call)')}: {text}"
            self.closest[key] = min(found, self.closest.get(key, math.inf))

    def printed(self, text, value, spec):
        if isinstance(value, (float, np.floating)):
            self.numbers.setdefault(f"{text}:{spec}", []).append([float(value), spec])
        return value

    def save(self, *_):
        with open(os.environ["MARGINS"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"asserted": self.closest, "printed": self.numbers}) + "\n")
        self.closest, self.numbers = {}, {}


def distance(symbol, left, right):
    """|left - right| relative to the larger of the two, of the nearest entries; None if these are no numbers."""
    if symbol == "==":
        tolerance, expected = getattr(right, "tolerance", None), getattr(right, "expected", None)
        if tolerance is None or not isinstance(expected, (int, float)) or not tolerance:  # pytest.approx of a number
            return None
        return _relative(np.abs(left - expected), tolerance)
    try:
        left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    return _relative(left, right)


def _relative(left, right):
    with np.errstate(all="ignore"):
        apart = np.abs(left - right) / np.maximum(np.abs(left), np.abs(right))
    apart = np.asarray(apart)[np.isfinite(apart)]
    return float(apart.min()) if apart.size else None


def _watch_tolerances(recorder):
    """The comparisons of NumPy that have their tolerances inside."""

    def watched(function, rtol, atol):
        def compare(actual, desired, *arguments, **options):
            tolerances = dict(zip(("rtol", "atol"), arguments, strict=False)) | options
            try:
                actual_array, desired_array = np.asarray(actual, dtype=float), np.asarray(desired, dtype=float)
                bound = tolerances.get("atol", atol) + tolerances.get("rtol", rtol) * np.abs(desired_array)
                recorder.note(function.__name__, _relative(np.abs(actual_array - desired_array), bound))
            except (TypeError, ValueError):
                pass  # the function itself will say what is wrong
            return function(actual, desired, *arguments, **options)

        return compare

    np.allclose = watched(np.allclose, 1e-5, 1e-8)
    np.testing.assert_allclose = watched(np.testing.assert_allclose, 1e-7, 0.0)


def _start():
    recorder = Recorder()
    builtins.__compared__, builtins.__printed__ = recorder.compared, recorder.printed
    _watch_tolerances(recorder)
    return recorder


def watch_cells():
    """For the start of a kernel: record what its cells assert and print, and save it after each of them."""
    recorder, shell = _start(), get_ipython()  # noqa: F821  defined in a kernel
    shell.ast_transformers.append(Watch(prints=True))
    shell.events.register("post_run_cell", recorder.save)  # a kernel is killed at its end, not asked to leave


def pytest_configure(config):
    """As a plug-in of pytest: before pytest rewrites the asserts of a test file, we do."""
    from _pytest.assertion import rewrite

    recorder, theirs = _start(), rewrite.rewrite_asserts

    def rewrite_asserts(tree, *arguments):
        theirs(ast.fix_missing_locations(Watch(prints=False).visit(tree)), *arguments)

    rewrite.rewrite_asserts = rewrite_asserts
    config.add_cleanup(recorder.save)
