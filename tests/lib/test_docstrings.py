"""The docstrings: their examples run, and the page of the library shows every public name with its sections."""

import doctest
import importlib
import inspect
import pydoc
import re

import built_book
import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from guards import ROOT

import lib

matplotlib.use("Agg")

NEEDS = {"lib.proofs": "flint", "lib.fast.compiled": "numba"}
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "lib").rglob("*.py"))
    if path.name != "__main__.py"
]
KERNELS = {"erf", "relu", "gelu", "tanh", "sigmoid", "softplus", "sin", "quadratic"}


def public():
    """Names below lib: those of `lib.__all__`, of checks and explore, and the kernels' class."""
    found = {name: getattr(lib, name) for name in lib.__all__}
    for name, module in [*found.items()]:
        if inspect.ismodule(module):
            del found[name]
            own = {k: v for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}
            found |= {f"{name}.{k}": v for k, v in own.items() if k[0] != "_" and callable(v) and k not in KERNELS}
    return found.keys() - {"kernels.arctan_remainder"}  # of use to lib alone


def documented():
    """Names below lib of the functions, classes and their members that the page asks for."""
    source = (ROOT / "book" / "library.md").read_text("utf-8")
    names = []
    for name, options in re.findall(r"^\.\. auto(?:function|class):: (?:lib\.)?(\S+)\n((?:   :.*\n)*)", source, re.M):
        members = " ".join(re.findall(r"members: (.*)", options))
        names += [name, *(f"{name}.{member}" for member in re.findall(r"\w+", members))]
    names.remove("kernels.Kernel.homogeneous")  # a property: its sentence says all
    return names


def found(name):
    for needing, package in NEEDS.items():
        if f"lib.{name}".startswith(needing):
            pytest.importorskip(package)
    return pydoc.locate(f"lib.{name}")


DOCUMENTED = documented()
EXAMPLES = {"np": np, **{name: getattr(lib, name) for name in lib.__all__}}


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, monkeypatch):
    for needing, package in NEEDS.items():
        if module.startswith(needing):
            pytest.importorskip(package)
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda **_: matplotlib.pyplot.close("all"))
    failed, _ = doctest.testmod(importlib.import_module(module), extraglobs=EXAMPLES)
    assert failed == 0


def test_the_page_asks_for_every_public_name():
    assert public() <= {*DOCUMENTED}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_docstring_has_its_sections(name):
    thing = found(name)
    sections = set(re.findall(r"^ *(\w+)\n *-+$", thing.__doc__, re.MULTILINE))
    assert doctest.DocTestParser().get_examples(thing.__doc__) and "Examples" in sections
    if inspect.isclass(thing):
        assert sections & {"Parameters", "Attributes"}
    else:
        assert "Parameters" in sections or not parameters(thing)
        returns = "return " in inspect.getsource(thing).split('"""')[2]
        assert ("Returns" in sections) == returns


def parameters(thing):
    return [name for name in inspect.signature(thing).parameters if name != "self"]


@pytest.fixture(scope="module")
def page():
    return built_book.page("book/library").read_text("utf-8")


def test_no_colon_of_a_comment_is_taken_for_a_type(page):
    assert ">Type<" not in page


@pytest.mark.parametrize("name", [*DOCUMENTED, *(f"kernels.{kernel}" for kernel in sorted(KERNELS))])
def test_the_page_shows_the_signature(page, name):
    (shown,) = re.findall(rf'<dt class="sig[^>]* id="lib\.{re.escape(name)}">(.*?)</dt>', page, re.DOTALL)
    if name in DOCUMENTED:
        said = re.findall(r'<em class="sig-param"><span class="n"><span class="pre">(\w+)', shown)
        assert said == parameters(found(name))
