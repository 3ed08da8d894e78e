"""Whatever a public function is given: it works, or a short ValueError says what is wrong. Nothing else."""

import datetime
import decimal
import fractions
import pathlib
import re

import numpy as np
import pytest
import scipy.sparse
from cases import ALL_KERNELS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib import (
    Network,
    PopulationLoss,
    certify,
    checks,
    copy_average,
    copy_average_like,
    copy_average_loss,
    copy_average_spectrum,
    explore,
    glorot,
    gradient_flow,
    identify,
    kernels,
    loss_lower_bound,
    one_neuron,
    partitions,
    perturbed_copies,
    perturbed_copies_spectrum,
    phase_boundaries,
    sweep,
)
from lib.arguments import (
    file_name,
    finite_array,
    first_argument,
    instance,
    integer,
    neurons,
    real,
    shown,
    whole_number,
)
from lib.classroom.mlpgradientflow import read_training


class Table:
    """As those of pandas and others: labels beside the numbers, which np.asarray drops."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 2))

    def to_numpy(self):
        return np.ones((2, 2))


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another device")


class Tensor:
    """As those of other packages: numbers and nothing else."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 2), dtype=np.float32)


MORE_THAN_NUMBERS = {
    "masked": (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), r"masked one: x\.filled"),
    "masked constant": (np.ma.masked, r"masked one: x\.filled"),
    "masked in a list": ([np.ma.array([1.0], mask=[True])], r"masked one: x\.filled"),
    "matrix": (np.ones((1, 2)).view(np.matrix), r"got a matrix: np\.asarray\(x\)"),
    "records": (np.rec.array([(1.0, 2)], dtype=[("a", float), ("b", int)]), r"got a recarray: np\.asarray"),
    "fields": (np.zeros(2, dtype=[("a", float)]), "array of real numbers"),
    "table": (Table(), r"got a Table: x\.to_numpy\(\)"),
    "sparse": (scipy.sparse.eye(3), r"got a dia_matrix: x\.toarray\(\)"),
    "truth": (np.array([True, False]), r"truth values: np\.where\(x, 1\.0, 0\.0\)"),
    "a truth": (True, "truth values"),
    "a truth among numbers": ([1.0, True], "truth values"),
    "complex": (np.array([1.0 + 0j]), r"complex numbers: np\.real\(x\)"),
    "complex number": (1j, r"got 1j, complex numbers: np\.real\(x\)"),
    "complex among numbers": ([1.0, 1j], "complex numbers"),
    "objects": (np.array([1.0, 2.0], dtype=object), r"Python objects: np\.array\(x, dtype=float\)"),
    "text": ("1.0", r"got '1\.0', text: np\.array\(x, dtype=float\)"),
    "texts": (["1.0", "2.0"], "text"),
    "bytes": (b"1.0", "bytes"),
    "date": (np.datetime64("2024-01-01"), "dates"),
    "a date of Python": (datetime.date(2024, 1, 1), "array of real numbers"),
    "time": (np.timedelta64(3, "D"), "times with units"),
    "times": ([np.timedelta64(3, "D"), 1.0], "times with units"),
    "nothing": (None, "array of real numbers, rows of one length, got None"),
    "nothing among numbers": ([1.0, None], "array of real numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], "rows of one length"),
    "decimal": ([decimal.Decimal(1)], "array of real numbers"),
    "dictionary": ({"a": 1.0}, "array of real numbers"),
    "set": ({1.0}, "array of real numbers"),
    "generator": ((i for i in range(3)), "array of real numbers"),
    "broken": (Broken(), "rows of one length, got <"),
    "enormous": (10**400, "must be finite"),
    "enormous among numbers": ([1.0, 10**400], "must be finite"),
    "more digits than Python writes": (10**5000, "must be finite, got a"),
    "longdouble": (np.longdouble("1e4000") if np.finfo(np.longdouble).max > 1e308 else np.inf, "must be finite"),
    "infinite": ([1.0, np.inf], "must be finite, got inf"),
}


@pytest.mark.parametrize("value", MORE_THAN_NUMBERS.values(), ids=MORE_THAN_NUMBERS)
def test_what_is_more_than_numbers_is_refused_with_the_cure(value):
    value, message = value
    with pytest.raises(ValueError, match=message) as refusal:
        finite_array("x", value)
    assert str(refusal.value).startswith("x must be ")


def test_numbers_of_all_types_keep_their_values():
    for kind in ("float16", "float32", "int8", "uint64", "int64", "longdouble", ">f4", ">i8"):
        found = finite_array("x", np.array([[0, 1, 100]], dtype=kind))
        assert found.dtype == np.float64 and found.tolist() == [[0.0, 1.0, 100.0]]
    assert finite_array("x", np.float32(0.1)) == float(np.float32(0.1))
    assert finite_array("x", np.longdouble(1) / 3) == 1.0 / 3.0
    assert finite_array("x", [2**64, fractions.Fraction(1, 4)]).tolist() == [2.0**64, 0.25]
    assert finite_array("x", range(3)).tolist() == [0.0, 1.0, 2.0]
    assert finite_array("x", (np.arange(2), [2.0, 3])).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert finite_array("x", Tensor()).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    mine = np.ones(3)
    assert np.shares_memory(finite_array("x", mine), mine)


def test_messages_stay_short():
    class Speechless:
        def __repr__(self):
            raise RuntimeError

    assert shown(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert shown(np.eye(50)) == "array of float64, shape (50, 50)"
    table = dict.fromkeys(range(10**5))
    for value in (Speechless(), np.zeros((500, 500)), np.zeros(10**6).tolist(), "a" * 10**6, 10**5000, table):
        assert len(shown(value)) < 200
    for call in (
        lambda: Network("a" * 10**5, [1.0]),
        lambda: Network(np.full((500, 500), "text"), [1.0]),
        lambda: Network(np.full((500, 500), 1j), [1.0]),
        lambda: PopulationLoss(np.zeros((500, 500)).tolist(), kernels.erf),
        lambda: copy_average([[1] * 1000, [2] * 999]),
        lambda: copy_average(np.zeros(10**5)),
        lambda: gradient_flow(LOSS, START, snapshot_times=np.zeros(10**5)),
        lambda: glorot(np.random.default_rng(0), 10**4000, 1),
        lambda: glorot(np.random.default_rng(0), 1, 1, law=["normal"] * 10**5),
    ):
        with pytest.raises(ValueError, match="must") as refusal:
            call()
        assert len(str(refusal.value)) < 400, str(refusal.value)[:500]


def test_integers_and_numbers():
    for junk in (True, np.True_, np.timedelta64(3, "D"), 3.0, "3", None, [3], np.array(3)):
        with pytest.raises(ValueError, match="k must be an integer, got"):
            integer("k", junk, least=1)
    for junk in (True, np.timedelta64(3, "D"), 1j, "3", None, decimal.Decimal(3), np.array(3.0)):
        with pytest.raises(ValueError, match="k must be a number, got"):
            real("k", junk, least=1.0)
    for junk in (0, 10**400, -(10**400), np.nan, 10**5000):
        with pytest.raises(ValueError, match="k must be a number between 1.0 and inf, got"):
            real("k", junk, least=1.0)
    with pytest.raises(ValueError, match="k must be at most 9007199254740992, got 1000000000000000000000"):
        integer("k", 10**21, least=1)
    assert integer("k", np.int8(3), least=1) == 3 and real("k", fractions.Fraction(7, 2), least=1.0) == 3.5
    assert real("k", np.float32(2.5), least=1.0) == 2.5 and real("k", np.inf, least=1.0) == np.inf


def test_limits_belong_to_what_is_allowed():
    assert integer("k", 3, least=3) == integer("k", 3, least=1, most=3) == 3
    assert integer("k", 2**53, least=1) == 2**53
    for value, message in ((2, "at least 3, got 2"), (5, "at most 4, got 5")):
        with pytest.raises(ValueError, match=f"k must be {message}"):
            integer("k", value, least=3, most=4)
    with pytest.raises(ValueError, match="k must be at most 9007199254740992, got 9007199254740993"):
        integer("k", 2**53 + 1, least=1)
    assert real("x", 3, least=3.0) == real("x", 3, least=1.0, most=3.0) == 3.0
    for value in (np.nextafter(3.0, 0.0), np.nextafter(4.0, 5.0), np.inf, -np.inf, np.nan):
        with pytest.raises(ValueError, match=r"x must be a number between 3\.0 and 4\.0, got"):
            real("x", value, least=3.0, most=4.0)


def test_instances_of_one_class_or_of_several():
    assert instance("x", 1.5, float) == instance("x", 1.5, (str, float)) == 1.5
    with pytest.raises(ValueError, match="x must be a float, got 'text'"):
        instance("x", "text", float)
    with pytest.raises(ValueError, match="x must be a int or float, got 'text'"):
        instance("x", "text", (int, float))
    for kinds in (Network, (Network, PopulationLoss)):  # the first is what a user would make
        with pytest.raises(ValueError, match=r"got 3: Network\(W, a\) is one$"):
            instance("x", 3, kinds)


def test_students_have_one_neuron_at_least_and_no_more_than_their_teacher():
    assert neurons(3, 1) == (3, 1) and neurons(3, 3) == (3, 3) and neurons(3, 0, least=0) == (3, 0)
    for k, n, message in ((3, 0, "n must be at least 1, got 0"), (3, 4, "n must be at most k = 3, got 4")):
        with pytest.raises(ValueError, match=message):
            neurons(k, n)


def test_names_of_files():
    for name in ("a.csv", pathlib.Path("a.csv")):
        assert file_name("path", name) == pathlib.Path("a.csv")
    for name in ("", "a\0b", 3, None, b"a.csv"):
        with pytest.raises(ValueError, match="path must be the name of a file, got"):
            file_name("path", name)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: glorot(0, 2, 3), "rng must be a Generator, got 0: np.random.default_rng(0) is one"),
        (lambda: glorot(np.random, 2, 3), "Generator, got "),
        (lambda: PopulationLoss(Network.orthonormal(2), "relu"), "kernels.erf is one, as are relu, gelu, tanh"),
        (lambda: PopulationLoss(np.eye(300), kernels.erf), "of float64, shape (300, 300): Network(W, a) is one"),
        (lambda: gradient_flow(Network.orthonormal(2), None), "PopulationLoss(teacher, kernels.erf) is one"),
        (lambda: sweep(2, 5, 1), "widths must be integers, such as range(10) or [3, 5], got 5"),
        (lambda: sweep(2, [1, 1] * 5000, 1), "widths must be distinct, got [1, 1, 1, 1, 1, 1, ...]"),
        (lambda: explore.kernel("erff"), "name must be one of erf, relu, gelu, tanh, sigmoid, softplus, got 'erff'"),
    ],
)
def test_messages_say_what_to_type_and_dump_no_array(call, hint):
    with pytest.raises(ValueError, match=re.escape(hint)) as raised:
        call()
    assert len(str(raised.value)) < 200


def test_a_whole_number_may_be_a_float():
    assert whole_number("samples", 1e5, 2) == whole_number("samples", np.float32(1e5), 2) == 100_000
    with pytest.raises(ValueError, match="samples must be at most"):
        whole_number("samples", 10**400, 2)
    for value in (1.5, np.nan, np.inf, "3", True):
        with pytest.raises(ValueError, match=f"samples must be an integer, got {value!r}"):
            whole_number("samples", value, 2)
    for value, message in [(1.0, "at least 2, got 1"), (1e300, "at most")]:
        with pytest.raises(ValueError, match=f"samples must be {message}"):
            whole_number("samples", value, 2)


def test_a_first_argument_may_be_named_and_the_rest_is_checked():
    @first_argument("x", (int, str), "twice(x, y=1)")
    def twice(x, y=1):
        return 2 * x * y

    assert twice(3) == twice(x=3) == twice(x=1, y=3) == 6 and twice("a") == "aa"
    with pytest.raises(ValueError, match=r"x must be a int and come first, as in twice\(x, y=1\), got 1.5"):
        twice(1.5)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'z': a call is like twice\(x, y=1\)"):
        twice(1, z=2)


def test_dimensions_are_counted():
    assert finite_array("x", [[1.0, 2.0]], ndim=2).shape == (1, 2) and finite_array("x", 1.0, ndim=0).shape == ()
    for value, ndim, shape in ((1.0, 1, r"\(\)"), ([1.0], 0, r"\(1,\)"), ([[1.0]], 1, r"\(1, 1\)")):
        with pytest.raises(ValueError, match=rf"x must have {ndim} dimension\(s\), got shape {shape}"):
            finite_array("x", value, ndim=ndim)
    nested = 1.0
    for depth in range(1, 33):
        nested = [nested]
        assert finite_array("x", nested).shape == (1,) * depth
    with pytest.raises(ValueError, match="lists within lists, 32 deep"):
        finite_array("x", [nested])
    with pytest.raises(ValueError, match="truth values"):
        finite_array("x", (1.0, [2.0, (True,)]))


def test_the_first_number_that_is_not_finite_is_shown():
    with pytest.raises(ValueError, match="x must be finite, got -inf"):
        finite_array("x", [[1.0, -np.inf], [np.nan, 2.0]])


def test_short_values_are_shown_whole():
    assert shown(np.arange(12)) == "array([ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])"
    assert shown(np.arange(13)) == f"array of {np.arange(13).dtype}, shape (13,)"
    assert shown(np.array([1, None])) == "array of object, shape (2,)"
    assert [shown(value) for value in (np.array(2.5), np.float64(2.5), np.int8(3), 1j)] == ["2.5", "2.5", "3", "1j"]
    assert shown("a" * 58) == repr("a" * 58)  # 60 signs with its quotation marks
    assert len(shown("a" * 59)) == 60 and "..." in shown("a" * 59)
    assert shown(10**59) == str(10**59) and len(shown(10**60)) == 60
    assert shown(fractions.Fraction(10**15, 3)) == "Fraction(1000000000000000, 3)"
    assert len(shown(fractions.Fraction(10**60, 3))) == 60


# Any public function on any junk

EXAMPLES = 15

LOSS = PopulationLoss(Network.orthonormal(3), kernels.erf)
RELU = PopulationLoss(Network.orthonormal(3), kernels.relu)
START = Network([[0.5, 0.1, 0.0], [-0.2, 0.3, 0.7]], [1.0, 0.5])
EXTREMES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, -1e-320, 1e-200, 1e-30, 1e29, 1e31, 1e155, -1e155, 1e308, np.inf, np.nan]
FLOATS = st.sampled_from(EXTREMES) | st.floats()
ARRAYS = st.builds(
    lambda shape, entries, kind: np.resize(np.array(entries), shape).astype(kind),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.lists(st.sampled_from([0, 1, 1, 2, 3]), min_size=1, max_size=9),
    st.sampled_from(["f2", "f4", "f8", "g", "i1", "u8", "?", "c16", "O", "U3", "S3", "M8[s]", "m8[s]"]),
)
FLOAT_ARRAYS = st.builds(
    lambda shape, entries: np.resize(np.array(entries), shape),
    st.sampled_from([(1,), (2,), (3,), (1, 3), (2, 3), (2, 2), (3, 3), (6,), (12,)]),
    st.lists(FLOATS, min_size=1, max_size=9),
)
INTEGERS = st.integers(-2, 6) | st.sampled_from([10**19, 10**400, -(10**400), np.int8(3), np.uint64(2)])
WRITABLE = [value for name, (value, _) in MORE_THAN_NUMBERS.items() if "digits" not in name]  # Hypothesis writes it
LEAVES = st.one_of(
    FLOATS, INTEGERS, ARRAYS, FLOAT_ARRAYS, st.none(), st.booleans(), st.text(max_size=3), st.complex_numbers(),
    st.binary(max_size=3), st.sampled_from(WRITABLE),
    st.sampled_from([Tensor(), object(), len, Network, LOSS, START, np.random.default_rng(0), ..., np.float16(1.5)]),
    st.sampled_from(ALL_KERNELS),
)  # fmt: skip
WEIGHTS = st.dictionaries(st.sampled_from(["w1", "w2", "w3", 1]), LEAVES, max_size=3)
JUNK = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
KERNELS = st.sampled_from(ALL_KERNELS) | JUNK
NETWORKS = st.builds(
    lambda W, a: Network(np.resize(W, (2, 3)), np.resize(a, 2)),
    *[st.lists(FLOATS.filter(np.isfinite), min_size=1, max_size=6)] * 2,
)
RNGS = st.builds(np.random.default_rng, st.integers(0, 9)) | JUNK
FUNCTIONS = {
    "kernel": (lambda k, *x: k(*x), st.sampled_from(ALL_KERNELS), JUNK, JUNK, JUNK),
    "kernel at numbers": (lambda k, *x: k(*x), st.sampled_from(ALL_KERNELS), *[FLOATS] * 3),
    "gradient of a kernel": (lambda k, *x: k.gradient(*x), st.sampled_from(ALL_KERNELS), *[FLOATS | FLOAT_ARRAYS] * 3),
    "hessian of a kernel": (lambda k, *x: k.hessian(*x), st.sampled_from(ALL_KERNELS), *[FLOATS | FLOAT_ARRAYS] * 3),
    "activation": (lambda k, x: k.activation(x), st.sampled_from(ALL_KERNELS), JUNK),
    "Network": (Network, JUNK, JUNK),
    "Network of numbers": (Network, FLOAT_ARRAYS, FLOAT_ARRAYS),
    "orthonormal": (Network.orthonormal, JUNK, JUNK),
    "unravel": (Network.unravel, JUNK, INTEGERS, JUNK),
    "outputs": (lambda net, x, k: net(x, k), NETWORKS, FLOAT_ARRAYS | JUNK, KERNELS),
    "PopulationLoss": (PopulationLoss, NETWORKS | JUNK, KERNELS),
    **{
        name: (lambda L, student, f=f: f(L, student), st.sampled_from([LOSS, RELU]), NETWORKS | JUNK)
        for name, f in {
            "loss": lambda L, student: L(student),
            "loss of both": lambda L, student: PopulationLoss(student, L.kernel)(START),
            "gradient": lambda L, student: L.gradient(student),
            "hessian": lambda L, student: L.hessian(student),
            "operator": lambda L, student: L.hessian_operator(student) @ np.ones(8),
        }.items()
    },
    "monte_carlo": (lambda *x: LOSS.monte_carlo(*x), NETWORKS | JUNK, RNGS, INTEGERS | JUNK),
    "monte_carlo of relu": (lambda *x: RELU.monte_carlo(*x, 10), NETWORKS, st.builds(np.random.default_rng)),
    "certify": (certify, st.sampled_from([LOSS, RELU]) | JUNK, NETWORKS | JUNK),
    "gradient_flow": (
        lambda L, student, tol, rtol, end, steps, times: gradient_flow(
            L, student, gradient_tol=tol, rtol=rtol, end_time=end, max_steps=steps, snapshot_times=times
        ),
        st.sampled_from([LOSS, RELU]) | JUNK, st.just(START) | NETWORKS | JUNK, st.just(1e-8) | JUNK,
        st.just(1e-5) | JUNK, st.just(1.0) | JUNK, st.integers(0, 5) | JUNK, st.just(()) | FLOAT_ARRAYS | JUNK,
    ),
    "callback": (lambda f: gradient_flow(LOSS, START, max_steps=0, callback=f), JUNK),
    "glorot": (glorot, RNGS, INTEGERS, JUNK, st.sampled_from(["normal", "uniform"]) | JUNK),
    "identify": (identify, st.sampled_from([LOSS, RELU]) | JUNK, NETWORKS | JUNK, st.just(0.05) | JUNK),
    "identify for any teacher": (
        lambda teacher, kernel, student: identify(PopulationLoss(teacher, kernel), student), NETWORKS, KERNELS, NETWORKS
    ),
    "sums": (lambda u, v, c: c * u - v / 3, NETWORKS, NETWORKS, FLOATS),
    "loss_lower_bound": (loss_lower_bound, st.sampled_from([LOSS, RELU]) | JUNK, INTEGERS | JUNK),
    "one_neuron": (one_neuron, KERNELS, JUNK),
    "copy_average": (copy_average, st.lists(INTEGERS, max_size=3) | JUNK, st.none() | JUNK),
    "copy_average_loss": (copy_average_loss, st.lists(INTEGERS, max_size=3) | JUNK),
    "partitions": (lambda k, n: list(zip(range(5), partitions(k, n), strict=False)), JUNK, st.integers(-1, 6) | JUNK),
    "copy_average_like": (copy_average_like, KERNELS, JUNK, INTEGERS, st.none() | JUNK, st.just(0) | JUNK),
    "perturbed_copies": (perturbed_copies, KERNELS, JUNK, INTEGERS, st.none() | JUNK, st.just(0) | JUNK),
    "copy_average_spectrum": (copy_average_spectrum, JUNK, INTEGERS, st.none() | JUNK),
    "perturbed_copies_spectrum": (perturbed_copies_spectrum, JUNK, INTEGERS, st.none() | JUNK),
    "phase_boundaries": (phase_boundaries, JUNK),
    "read_training": (read_training, JUNK),
    "read_training of weights": (lambda x, init: read_training({"x": x, "init": init}), WEIGHTS | JUNK, WEIGHTS | JUNK),
    "read_training of entries": (
        lambda key, value: read_training({"x": {"w1": np.ones((2, 3)), "w2": np.ones(2)}, key: value}),
        st.sampled_from(["init", "loss", "gnorm", "ode_stopped_by", "trajectory", "layerspec"]), JUNK,
    ),
}  # fmt: skip

CHECKS = {
    "choice": lambda yours: checks.choice("it", yours, "abc"),
    "number": lambda yours: checks.number("it", yours),
    "integer": lambda yours: checks.number("it", yours, integer=True),
    "array": lambda yours: checks.array("it", yours, (2,)),
    "network": lambda yours: checks.network("it", yours, n=2, d=3),
    "close": lambda yours: checks.close("it", yours, 1.0, "because"),
    "close to an array": lambda yours: checks.close("it", yours, np.ones(3), "because"),
    "is_critical": lambda yours: checks.is_critical(LOSS, yours),
    "same_function": lambda yours: checks.same_function(START, yours, kernels.erf, np.random.default_rng(0)),
}


@pytest.mark.parametrize("name", CHECKS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(yours=JUNK | INTEGERS | FLOATS)
@example(yours=10**400)
@example(yours=[10**400, 1.0])
@example(yours=np.zeros(10**6))
def test_any_junk_of_a_student_passes_or_fails_its_check(name, yours):
    try:
        CHECKS[name](yours)
    except AssertionError as failure:
        assert len(str(failure)) < 600


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_any_junk_is_taken_or_refused(name, data):
    """Warnings are errors in these tests, also NumPy's."""
    function, *strategies = FUNCTIONS[name]
    arguments = [data.draw(strategy) for strategy in strategies]
    try:
        function(*arguments)
    except ValueError as refusal:
        assert len(str(refusal)) < 600
