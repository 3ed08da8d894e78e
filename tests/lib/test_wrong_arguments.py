"""Public functions with arguments of every wrong kind: a ValueError that says what must be, or an answer."""

import concurrent.futures
import re
from pathlib import Path

import numpy as np
import pytest

import lib
from lib import Network, PopulationLoss, checks, copy_average, explore, figures, gradient_flow, kernels, training
from lib.classroom.mlpgradientflow import read_training
from lib.fast import accelerator
from lib.students import correlated

RNG = np.random.default_rng(0)
TEACHER, START = Network.orthonormal(3), Network([[0.5, 0.1, 0.0], [-0.2, 0.3, 0.7]], [1.0, 0.5])
L = PopulationLoss(TEACHER, kernels.erf)
FLOW = gradient_flow(L, START, max_steps=2)
SIZES, COSINE = dict(k=4, n=3, d=5), dict(k=5, n=4, c=0.1)


class Thing:
    pass


WRONG = [
    None, "text", "", b"x", np.nan, np.inf, -1, -1.5, 0, 2.5, 10**400, True, [], [1, 2], [[1.0, 2.0], [3.0]], (), {},
    {1, 2}, range(3), np.ones((2, 2)), np.array(["a"]), np.array([np.nan]), 1j, Thing(), Thing, len, TEACHER, START, L,
    kernels.relu, kernels, RNG, FLOW, "relu",
]  # fmt: skip

# A right call of each function.
CALLS = {
    Network: dict(W=[[1.0, 0.0]], a=[1.0]),
    Network.orthonormal: dict(k=2, d=3),
    Network.unravel: dict(theta=[1.0, 2.0, 3.0], n=1, d=2),
    START.save: dict(path="student.npz"),
    Network.load: dict(path="student.npz"),
    START.__call__: dict(x=np.ones((2, 3)), kernel=kernels.erf),
    PopulationLoss: dict(teacher=TEACHER, kernel=kernels.erf),
    **dict.fromkeys([L.__call__, L.gradient, L.hessian, L.hessian_operator], dict(student=START)),
    L.monte_carlo: dict(student=START, rng=RNG, samples=10),
    kernels.Kernel.from_activation: dict(f=np.arctan, kinks=(), largest=1.0, tolerance=1e-6, name="mine"),
    kernels.erf.activation: dict(x=1.0),
    **dict.fromkeys([kernels.erf.__call__, kernels.erf.gradient, kernels.erf.hessian], dict(s=0.1, p=1.0, q=1.0)),
    kernels.leaky_relu: dict(slope=0.1),
    lib.copy_average: dict(sizes=[1, 2], d=3),
    lib.copy_average_like: dict(kernel=kernels.tanh, **SIZES, flipped=0),
    lib.copy_average_loss: dict(sizes=[1, 2]),
    lib.partitions: dict(k=4, n=2),
    lib.perturbed_copies: dict(kernel=kernels.erf, **SIZES, flipped=0),
    lib.one_neuron: dict(kernel=kernels.tanh, k=3),
    lib.identify: dict(L=L, student=START, tolerance=0.05),
    lib.copy_average_spectrum: SIZES,
    lib.perturbed_copies_spectrum: SIZES,
    lib.phase_boundaries: dict(k=8),
    lib.loss_lower_bound: dict(L=L, n=2),
    lib.glorot: dict(rng=RNG, n=2, d=3, law="normal"),
    gradient_flow: dict(
        L=L, student=START, rtol=1e-5, gradient_tol=1e-2, end_time=1.0, max_steps=0, snapshot_times=(), callback=None
    ),
    lib.certify: dict(L=L, student=START),
    lib.sweep: dict(
        L=2, widths=[1], seeds=[0], init="normal", executor=concurrent.futures.ThreadPoolExecutor(1),
        path="table.csv", rtol=1e-5, gradient_tol=1e-3,
    ),
    lib.load_sweep: dict(source="erf", k=8),
    correlated.equiangular: dict(k=3, c=0.1, d=4),
    correlated.correlated_copy_average: COSINE,
    correlated.correlated_copy_average_loss: dict(m=3, c=0.1),
    correlated.correlated_copies: COSINE,
    correlated.copies_advantage: COSINE,
    correlated.leaning_threshold: dict(m=3, c=0.1),
    correlated.correlated_boundaries: dict(k=7, c=0.0),
    figures.path_weights: dict(student=START, k=3),
    figures.roles: dict(weights=[[1.0, 0.0]]),
    figures.places: dict(weights=[[1.0, 0.0]], radii=[0.3]),
    figures.live_plot: dict(seconds=0.5),
    figures.draw_student: dict(ax=None, student=START, k=3, neuron_roles=["copy", "other"], spacing=20.0),
    read_training: dict(result={}),
    accelerator.loss: dict(teacher=TEACHER, kernel=kernels.erf),
    training.train: dict(
        L=L, students=START, optimiser=training.GradientDescent(0.1), steps=2, rng=RNG, batch=3
    ),
    training.fate: dict(L=L, student=copy_average([1, 2])),
    training.mean_step: dict(L=L, student=START, rate=0.1, batch=2),
    training.order_parameter_flow: dict(
        L=L, start=training.OrderParameters.of(START, TEACHER), noise=0.1, times=[0.0, 0.1], d=3
    ),
    training.noisy_fixed_point: dict(L=L, student=copy_average([1, 2]), noise=0.01, d=3),
    training.noise_limit: dict(L=L, student=copy_average([1, 2]), most=0.01, d=3),
    training.continued_minimum: dict(
        loss=training.EmpiricalLoss(TEACHER, np.random.default_rng(0).standard_normal((200, 3))),
        student=copy_average([1, 2]),
    ),
    training.load_training: dict(name="escapes"),
    training.averaged: dict(L=L, groups=[[0], [1, 2]]),
    training.kept: dict(L=L, neurons=[0, 2]),
    training.best_outgoing: dict(L=L, student=START),
    training.eliminated: dict(L=L, n=2),
    training.greedy_groups: dict(L=L, n=2),
    training.load_digits: dict(d=5, seed=0),
    training.load_teacher: dict(name="erf", seed=0),
    training.load_compression: dict(name="digits"),
    training.fit: dict(kernel=kernels.erf, student=START, x=np.eye(3), y=np.ones(3), decay=1e-3, steps=2),
    training.nearest_minimum: dict(loss=training.EmpiricalLoss(TEACHER, np.eye(3)), student=START),
    checks.choice: dict(name="it", yours="a", options="abc", questions=1),
    checks.number: dict(name="it", yours=1.0),
    checks.array: dict(name="it", yours=[1.0], shape=(1,)),
    checks.network: dict(name="it", yours=START, n=2, d=3),
    checks.close: dict(name="it", yours=1.0, expected=1.0, why="because", rtol=1e-9, atol=0.0),
    checks.mean_is: dict(name="it", samples=np.arange(4.0) - 1.5, expected=0.0, why="because"),
    checks.kernel_matches: dict(
        name="it", kernel=kernels.erf, activation=kernels.erf.activation, rtol=1e-7, kinks=[0.0]
    ),
    checks.gradient_matches: dict(
        name="it", loss=lambda x: x @ x, gradient=lambda x: 2 * x, at=[1.0, 2.0], rtol=1e-5
    ),
    checks.is_critical: dict(L=L, student=copy_average([1, 2]), tolerance=1e-10),
    checks.same_function: dict(first=START, second=START, kernel=kernels.erf, rng=RNG),
    explore.kernel: dict(name="erf", student_norm=1.0, teacher_norm=1.0),
    explore.valley: dict(sizes=(1, 2), reach=1.0),
    explore.sharings: dict(k=4, n=2),
    explore.one_neuron: dict(name="erf", k=3),
    explore.flow: dict(k=3, n=2, seed=0, law="normal"),
    explore.spectrum: dict(k=6, n=3),
    explore.two_kinds: dict(name="relu", k=4, n=2),
}  # fmt: skip
# Of these no argument can be wrong, or it is a function of the user's whose own errors are to be seen.
WITHOUT = {"use_style", "compile_apart", "prove", "enclose_boundaries", "prove_best_of_projections"}
THEIRS = {"callback", "loss", "gradient", "kernel", "activation", "init", "f"}
# Given by the author of a problem set or of a figure, who sees the error where it arises.
AUTHORS = {
    checks.network: {"n", "d"}, checks.mean_is: {"samples"}, checks.kernel_matches: {"activation"},
    checks.gradient_matches: {"rtol", "at"}, checks.close: {"rtol", "atol"}, checks.array: {"shape"},
    figures.roles: {"weights"}, figures.places: {"weights", "radii"},
    figures.draw_student: {"ax", "neuron_roles", "spacing"},
    lib.sweep: {"widths", "gradient_tol"},  # some of the wrong ones are right, and take long: see test_run.py
}  # fmt: skip
CASES = [(f, name) for f, right in CALLS.items() for name in right if name not in AUTHORS.get(f, ())]


def test_every_public_function_is_here():
    page = (Path(lib.__file__).parents[1] / "book" / "library.md").read_text(encoding="utf-8")
    named = {name.rsplit(".", 1)[-1] for name in re.findall(r"autofunction:: ([\w.]+)", page)}
    exported = {name for name in lib.__all__ if callable(getattr(lib, name)) and name[0].islower()}
    assert (named | exported) - {function.__name__ for function in CALLS} == WITHOUT


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    START.save("student.npz")


@pytest.mark.parametrize(("function", "name"), CASES, ids=[f"{f.__qualname__}({name})" for f, name in CASES])
def test_wrong_arguments_are_named(function, name):
    plt = pytest.importorskip("matplotlib.pyplot")
    for value in WRONG:
        plt.close("all")
        right = {key: plt.axes() if key == "ax" else given for key, given in CALLS[function].items()}
        try:
            answer = function(**right | {name: value})
            if hasattr(answer, "__next__"):
                next(answer)
        except AssertionError as refusal:
            says = str(refusal)
            assert function.__module__ == checks.__name__ and len(says) < 600, (value, says)
            assert any(word in says for word in ("must", "expected", "yours", "answered")), (value, says)
        except ValueError as refusal:
            assert " must " in str(refusal) and len(str(refusal)) < 600, (value, str(refusal))
        except FileNotFoundError:
            assert name in ("path", "source")
        except TypeError:
            if name not in THEIRS or not callable(value):
                raise
