"""The rooms of lib: no import runs upward, nothing private leaves a module, names mean one thing."""

import ast
import importlib
import pkgutil

import pytest
from guards import ROOT

import lib

# From below to above; rooms of one level do not import each other.
LEVELS = [
    {"arguments", "records"}, {"pairs", "quadrature"}, {"kernels"}, {"networks"}, {"loss"},
    {"students", "descent", "figures"}, {"fast"}, {"sweeps", "classroom"}, {"proofs", "training"},
]  # fmt: skip
OF_NAMED_TUPLES_AND_THE_SYSTEM = {"_replace", "_asdict", "_fields", "_exit"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
    for path in sorted((ROOT / "lib").rglob("*.py"))
    if path.parent.name != "lib" or path.name != "__init__.py"
}


def room(module):
    return module.split(".")[1]


def level(module):
    return next(i for i, rooms in enumerate(LEVELS) if room(module) in rooms)


def imports(tree):
    """The modules of lib that a module imports, at its head or in a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "lib")
        elif (
            isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lib"
        ):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if name in MODULES or node.module == "lib" else node.module for name in inside
            )


def upward(module, tree):
    """Imports of a room that is above, or beside; of the whole package, too."""
    return [
        name
        for name in imports(tree)
        if name == "lib" or (room(name) != room(module) and level(name) >= level(module))
    ]


def private_of_others(tree):
    """Names with an underscore that a module takes from elsewhere."""
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    taken = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) not in ("self", "cls", "super()")
    ]
    taken += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    return {
        name
        for name in taken
        if name.startswith("_")
        and not name.endswith("__")
        and name not in own | OF_NAMED_TUPLES_AND_THE_SYSTEM
    }


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_upward(module):
    assert upward(module, MODULES[module]) == []


@pytest.mark.parametrize("module", MODULES)
def test_what_is_private_stays_in_its_module(module):
    assert private_of_others(MODULES[module]) == set()


def test_what_is_forbidden_is_found():
    assert upward("lib.loss", ast.parse("from lib.descent.ndf import NDF")) == ["lib.descent.ndf"]
    assert upward("lib.students.single", ast.parse("def f():\n    from lib import sweeps")) == [
        "lib.sweeps"
    ]
    assert upward("lib.students.single", ast.parse("from lib.descent import flow")) == [
        "lib.descent.flow"
    ]
    assert upward("lib.sweeps.run", ast.parse("import lib")) == ["lib"]
    assert private_of_others(
        ast.parse("from lib.students.perturbed import _jets\nkernel._jet(0)")
    ) == {"_jets", "_jet"}
    assert (
        private_of_others(ast.parse("def _f(x):\n    return self._g(x)._replace(y=_f(x))")) == set()
    )


def test_no_module_has_the_name_of_something_public():
    """`import lib.x` and `lib.x` are the same thing: a module that the package shows, or none that it has."""
    for module in pkgutil.iter_modules(lib.__path__):
        shown = getattr(lib, module.name, None)
        assert shown is None or shown is importlib.import_module(f"lib.{module.name}")


def test_problem_sets_and_chapters_find_what_they_import():
    assert (
        lib.checks.__name__ == "lib.classroom.checks"
        and lib.explore.__name__ == "lib.classroom.explore"
    )
    assert (
        all(hasattr(lib, name) for name in lib.__all__)
        and callable(lib.sweep)
        and callable(lib.one_neuron)
    )
