"""Whatever lib makes is the same after a copy, a pickle, and a pickle of cloudpickle, which Dask sends."""

import copy
import pickle

import numpy as np
import pytest
from cases import EVERY_KERNEL, random_network

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average,
    copy_average_spectrum,
    gradient_flow,
    identify,
    kernels,
    one_neuron,
    perturbed_copies_spectrum,
    phase_boundaries,
)
from lib.classroom.mlpgradientflow import read_training
from lib.kernels import Kernel
from lib.students.perturbed import erf_perturbed_copies
from lib.students.symmetric import Classes, symmetric_student

cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "cloudpickle": lambda it: pickle.loads(cloudpickle.dumps(it)),
    **{f"pickle {p}": lambda it, p=p: pickle.loads(pickle.dumps(it, p)) for p in range(2, 6)},
}
STUDENT = random_network(np.random.default_rng(0), 3, 5)
TEACHER = random_network(np.random.default_rng(1), 4, 5)


def every_result():
    L = PopulationLoss(Network.orthonormal(4, 5), kernels.erf)
    flow = gradient_flow(L, STUDENT, snapshot_times=[0.1, 1.0], max_steps=5)
    weights = {"w1": STUDENT.W, "w2": STUDENT.a}
    layers = ((3, "sigmoid2", False), (1, "identity", False))
    return {
        "Network": STUDENT,
        "Flow": flow,
        "Snapshots": flow.snapshots,
        "Counts": flow.counts,
        "Certificate": certify(L, copy_average([1, 3], d=5)),
        "Configuration": identify(PopulationLoss(Network.orthonormal(4), kernels.erf), copy_average([1, 3])),
        "OneNeuron": one_neuron(kernels.erf, 3),
        "Blocks": copy_average_spectrum(7, 3) + perturbed_copies_spectrum(7, 3),
        "PhaseBoundaries": phase_boundaries(50),
        "PerturbedCopies": erf_perturbed_copies(7, 3),
        "SymmetricStudent": symmetric_student(kernels.relu, Classes(2, 0, 3, 1)),
        "Training": read_training({"x": weights, "trajectory": {0.0: weights}, "layerspec": layers}),
    }


RESULTS = every_result()


def assert_same(found, expected):
    """Of one type, entry by entry, to the last bit; a kernel is the kernel itself."""
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        for mine, theirs in zip(found, expected, strict=True):
            assert_same(mine, theirs)
    elif isinstance(expected, Network):
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
        assert not found.W.flags.writeable and not found.a.flags.writeable
    elif isinstance(expected, Kernel):
        assert found is expected
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_a_kernel_stays_itself(kernel, way):
    again = WAYS[way]([kernel, {"its": kernel}])
    assert again[0] is kernel and again[1]["its"] is kernel


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_stays_what_it_is(name, way):
    assert_same(WAYS[way](RESULTS[name]), RESULTS[name])


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_kernel_names_the_same_configuration(way):
    student = copy_average([1, 1, 4])
    L = PopulationLoss(Network.orthonormal(6), WAYS[way](kernels.erf))
    assert identify(L, student).kind == "copy-average"


def check_loss(L, again):
    assert type(again) is type(L) and again.kernel is L.kernel
    assert_same(again.teacher, L.teacher)
    assert again(STUDENT) == L(STUDENT)
    assert_same(again.gradient(STUDENT), L.gradient(STUDENT))
    assert_same(again.hessian(STUDENT), L.hessian(STUDENT))
    direction = np.ones(18)
    np.testing.assert_array_equal(again.hessian_operator(STUDENT) @ direction, L.hessian_operator(STUDENT) @ direction)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_a_loss_has_the_same_values_to_the_last_bit(kernel, way):
    L = PopulationLoss(TEACHER, kernel)
    check_loss(L, WAYS[way](L))
    operator = L.hessian_operator(STUDENT)
    np.testing.assert_array_equal(WAYS[way](operator) @ np.ones(18), operator @ np.ones(18))


def test_a_compiled_loss_has_the_same_values_to_the_last_bit(compiled_apart):
    pytest.importorskip("numba", reason="numba is not installed")
    from lib.fast.compiled import CompiledLoss

    for teacher in (TEACHER, Network.orthonormal(5)):
        L = CompiledLoss(teacher)
        for way in WAYS.values():
            check_loss(L, way(L))


class Cubed(Kernel):
    """A user's kernel, that of x^3: E[(w.x)^3 (v.x)^3] = 9 s p q + 6 s^3."""

    def value_at(self, pairs):
        return 9 * pairs.s * pairs.p * pairs.q + 6 * pairs.s**3


def cube(x):
    return x**3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["cube", "erf", "np", "two words", ""])
def test_a_users_kernel_becomes_no_other(name, way):
    """Its name may be that of one of lib's, or of anything else in the user's module."""
    mine = Cubed(name, cube, 1.0)
    again = WAYS[way](mine)
    assert type(again) is Cubed and again.name == name and again is not kernels.erf
    assert again(1.0, 2.0, 3.0) == mine(1.0, 2.0, 3.0) == 60.0
    assert again.activation(2.0) == 8.0


def test_a_kernel_of_libs_own_classes_is_not_taken_for_its_namesake():
    """A finer erf is pickled as what it is, or refused, but never as kernels.erf."""
    finer = type(kernels.erf)("erf", cube, [1.0, 2.0], [0.5, 0.5])
    again = pickle.loads(pickle.dumps(finer))
    assert again is not kernels.erf and again(0.5, 1.0, 1.0) == finer(0.5, 1.0, 1.0) != kernels.erf(0.5, 1.0, 1.0)
    with pytest.raises((pickle.PicklingError, AttributeError)):  # a lambda has no name to be found again by
        pickle.dumps(type(kernels.erf)("erf", lambda x: x, [1.0]))
