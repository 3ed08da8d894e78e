"""lib.records: results are tuples, and their help is short."""

import pickle
import pydoc

import pytest

import lib
from lib import Block, Certificate, Configuration, Flow, OneNeuron, PhaseBoundaries


@pytest.mark.parametrize("kind", [Block, Certificate, Configuration, Flow, OneNeuron, PhaseBoundaries])
def test_help_is_about_the_result(kind):
    """Every field, the examples, and nothing that a tuple can do anyway."""
    text = pydoc.plain(pydoc.render_doc(kind))
    assert "Examples" in text and all(f" |  {field}\n" in text for field in kind._fields)
    listed = text[text.index("Method resolution order") :]
    assert not any(name in listed for name in ("builtins.tuple:", "index(", "_replace", "__getnewargs__"))
    assert issubclass(kind, tuple) and getattr(lib, kind.__name__) is kind


def test_it_is_the_tuple_that_it_was():
    found = OneNeuron(1.0, 2.0, 3.0)
    a, r, loss = found
    assert (a, r, loss) == found == OneNeuron(a=1.0, r=2.0, loss=3.0)
    assert repr(found) == "OneNeuron(a=1.0, r=2.0, loss=3.0)"
    assert type(found._replace(a=0.0)) is OneNeuron and found._asdict() == {"a": 1.0, "r": 2.0, "loss": 3.0}
    assert type(pickle.loads(pickle.dumps(found))) is OneNeuron and not hasattr(found, "__dict__")
