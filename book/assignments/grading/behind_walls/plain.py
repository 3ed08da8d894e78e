"""Values as text, and text as values, without pickle: what comes out is plain, whatever went in.

Numbers, texts, None, lists, tuples, sets, ranges, dictionaries, arrays of numbers, generators of random numbers, and of
the library networks, losses, kernels, results and functions by their names. A subclass arrives as what it is one of,
so nothing that a student's class says of itself reaches a test.
"""

import base64
import json
import math

import numpy as np

import lib

LONGEST = 2**22  # characters
ALIKE = {"f": float, "c": complex, "b": bool}  # what numbers of a kind become


def to_text(value):
    text = json.dumps(encoded(value))
    if len(text) > LONGEST:
        raise ValueError(f"too large to be handed on: {len(text)} characters, at most {LONGEST} are")
    return text


def from_text(text):
    if len(text) > LONGEST:
        raise ValueError(f"too large to be handed on: {len(text)} characters, at most {LONGEST} are")
    return decoded(json.loads(text))


def encoded(value):
    """`value` in lists, texts and numbers, as JSON has them: [its kind, its parts]."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, lib.Network):
        return ["Network", encoded(value.W), encoded(value.a)]
    if isinstance(value, lib.PopulationLoss):
        return ["PopulationLoss", encoded(value.teacher), encoded(value.kernel)]
    if isinstance(value, np.random.Generator):
        return ["Generator", encoded(value.bit_generator.state)]
    if isinstance(value, np.generic):
        return ["scalar", *bits(np.asarray(value))]
    if isinstance(value, np.ndarray):
        return ["array", *bits(np.asarray(value))]
    for module in (lib, lib.kernels):
        for name in dir(module):
            if not name.startswith("_") and getattr(module, name) is value:
                return ["lib", module.__name__, name]
    if kind.__module__.startswith("lib.") and hasattr(kind, "_fields") and getattr(lib, kind.__name__, None) is kind:
        return ["result", kind.__name__, [encoded(part) for part in value]]
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    for plain in (list, tuple, set):
        if isinstance(value, plain):
            return [plain.__name__, [encoded(part) for part in plain.__iter__(value)]]
    if isinstance(value, dict):
        return ["dict", [[encoded(key), encoded(part)] for key, part in dict.items(value)]]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if hasattr(kind, "__float__"):  # a subclass, a fraction, a number of many digits
        return float.__float__(value) if isinstance(value, float) else float(value)
    raise TypeError(f"a {kind.__name__} cannot be handed on: numbers, texts, lists, arrays and networks can")


def bits(array):
    if array.dtype.kind == "O":
        array = np.array(array.tolist(), dtype=float)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"an array of {array.dtype} cannot be handed on: one of numbers can")
    if array.nbytes > LONGEST:
        raise ValueError(f"too large to be handed on: an array of {array.nbytes} bytes, at most {LONGEST} are")
    return array.dtype.str, list(array.shape), base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decoded(given):
    """The value that `encoded` has made this of. All parts are made anew, by the library and by NumPy."""
    if given is None or type(given) in (bool, int, float, str):
        return given
    kind, *parts = given
    if kind in ("list", "tuple", "set"):
        return {"list": list, "tuple": tuple, "set": set}[kind](decoded(part) for part in parts[0])
    if kind == "dict":
        return {decoded(key): decoded(part) for key, part in parts[0]}
    if kind == "complex":
        return complex(*parts)
    if kind == "range":
        return range(*parts)
    if kind in ("array", "scalar"):
        dtype, shape, content = np.dtype(str(parts[0])), [int(length) for length in parts[1]], parts[2]
        if dtype.kind not in "biufc" or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > LONGEST:
            raise ValueError(f"no array of numbers: {dtype}, {shape}")
        array = np.frombuffer(base64.b64decode(content, validate=True), dtype).reshape(shape).copy()
        # Numbers of few digits would be compared in few digits; a byte that is no truth value, as another number.
        array = array.view("u1" if dtype.kind == "b" else dtype).astype(ALIKE.get(dtype.kind, dtype))
        return array if kind == "array" else array[()]
    if kind == "Network":
        return lib.Network(*map(decoded, parts))
    if kind == "PopulationLoss":
        return lib.PopulationLoss(*map(decoded, parts))
    if kind == "Generator":
        generator = np.random.default_rng(0)
        generator.bit_generator.state = decoded(parts[0])
        return generator
    if kind == "lib" and parts[0] in ("lib", "lib.kernels") and not str(parts[1]).startswith("_"):
        return getattr(lib if parts[0] == "lib" else lib.kernels, parts[1])
    if kind == "result":
        made = getattr(lib, parts[0])
        if isinstance(made, type) and issubclass(made, tuple):
            return made(*map(decoded, parts[1]))
    raise ValueError(f"no value: {kind!r:.50}")
