"""The tables of the chapter on training: which minimum a student ends at, and what decides it.

    python -m lib.training book/data/running

makes the tables training_fates, training_early, training_escapes and training_samples there, and
those of lib.training.noise; the same command again continues where it was stopped.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lib import kernels
from lib.descent.flow import glorot, gradient_flow
from lib.fast import accelerator
from lib.networks import Network
from lib.pairs import squared_norms
from lib.sweeps.plans import Plan, load, write
from lib.training import noise
from lib.training.loop import fate, train
from lib.training.optimisers import Adam, GradientDescent
from lib.training.samples import EmpiricalLoss, nearest_minimum

SIZES = (8, 6), (9, 7), (12, 9), (20, 13)  # (k, n), where both minima are found
SCALES = tuple(2.0**power for power in range(-5, 3))
TIMES = 0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0
_SEEDS_AT_ONCE = 20
_TABLES = "fates", "early", "escapes", "samples", "limits", "trajectories", "persistence"


class Start(NamedTuple):
    """An initial student: a law of `glorot`, or 'unit', and factors of its weights."""

    k: int
    n: int
    law: str = "normal"
    scale_w: float = 1.0
    scale_a: float = 1.0

    def student(self, seed):
        rng = np.random.default_rng([self.k, self.n, seed])
        if self.law == "unit":
            W = rng.standard_normal((self.n, self.k + 1))
            W /= np.linalg.norm(W, axis=1, keepdims=True)
            student = Network(W, rng.choice([-1.0, 1.0], self.n))
        else:
            student = glorot(rng, self.n, self.k + 1, self.law)
        return Network(self.scale_w * student.W, self.scale_a * student.a)


class Training(NamedTuple):
    """How a student is trained before the flow: batch 0 for exact gradients, steps 0 for none."""

    optimiser: str = "flow"
    rate: float = 0.0
    batch: int = 0
    steps: int = 0

    def rule(self):
        if self.optimiser == "adam":
            return Adam(self.rate)
        return GradientDescent(self.rate, 0.9 if self.optimiser == "momentum" else 0.0)


def exact_loss(k):
    """The erf loss of the orthonormal teacher with k neurons in k + 1 dimensions."""
    return accelerator.loss(Network.orthonormal(k, k + 1), kernels.erf)


def fate_rows(start, training, seeds):
    """The fates of students of these seeds, trained together."""
    L, students = exact_loss(start.k), [start.student(seed) for seed in seeds]
    rngs = [np.random.default_rng([start.k, start.n, seed, 1]) for seed in seeds]
    batch = training.batch or None
    students = train(L, students, training.rule(), training.steps, rngs, batch)
    found = [fate(L, student) for student in students]
    return [
        (*start, *training, seed, end.kind, f"{end.loss:.9g}")
        for seed, end in zip(seeds, found, strict=True)
    ]


def early_statistics(student, k):
    """What may tell the fate of a student: the columns of training_early in `plans`."""
    W, a = student.W, student.a
    share = np.abs(a[:, None] * W[:, :k]) * np.sqrt(2.0 / (1.0 + squared_norms(W)))[:, None]
    cosine = np.abs(W[:, :k]) / np.linalg.norm(W, axis=1)[:, None]
    own = share[linear_sum_assignment(share, maximize=True)]
    signed = np.sign(a)[:, None] * W[:, :k]
    return (
        len(set(signed.argmax(axis=1))), share.max(axis=1).min(), own.min(),
        cosine.max(axis=1).min(), np.linalg.norm(W, axis=1).min(), np.abs(a).min(),
    )  # fmt: skip


STATISTICS = (
    "distinct", "weakest_share", "weakest_matched_share", "least_cosine", "shortest_w", "smallest_a"
)  # fmt: skip


def early_rows(start, seeds):
    """Statistics of students at some times of their flow, and its end."""
    L, rows = exact_loss(start.k), []
    for seed in seeds:
        flow = gradient_flow(L, start.student(seed), snapshot_times=TIMES, progress=False)
        kind = fate(L, flow.student).kind
        for time, W, a in zip(*flow.snapshots, strict=True):
            student = Network(W, a)
            numbers = [f"{x:.6g}" for x in (L(student), *early_statistics(student, start.k))]
            rows.append((start.k, start.n, seed, time, *numbers, kind))
    return rows


CHECKPOINTS = tuple(100 * 2**power for power in range(11))


def escape_rows(k, n, minimum, rate, batch, seeds):
    """After how many steps of SGD a student that started at a minimum is first seen elsewhere.

    steps 0: never, up to the last of the checkpoints. Looked at by a flow at each checkpoint.
    """
    L = exact_loss(k)
    at = minimum_of(minimum, k, n)
    rngs = [np.random.default_rng([k, n, seed, 2]) for seed in seeds]
    staying, left, before = dict(enumerate([at] * len(seeds))), {}, 0
    for checkpoint in CHECKPOINTS:
        if staying:
            numbers = list(staying)
            rule, of_these = GradientDescent(rate), [rngs[i] for i in numbers]
            now = train(L, list(staying.values()), rule, checkpoint - before, of_these, batch)
            staying, before = {}, checkpoint
            for i, student in zip(numbers, now, strict=True):
                kind = fate(L, student).kind
                if kind == minimum:
                    staying[i] = student
                else:
                    left[i] = checkpoint, kind
    return [
        (k, n, minimum, rate, batch, seed, *left.get(i, (0, minimum)))
        for i, seed in enumerate(seeds)
    ]


RATIOS = 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024  # N / d


def minimum_of(name, k, n):
    """One of the two minima, in d = k + 1 dimensions, by the name that `identify` gives it."""
    return noise.minimum(name, k, n, k + 1)


def sample_rows(k, n, start, ratio, seeds):
    """Where Newton's method on an empirical loss with N = ratio d inputs goes from a student.

    start: 'copy-average', 'perturbed-copies', or 'adam': a Glorot student that Adam trained on
    batches of at most 100 of the N inputs. test_loss is the exact loss at the end.
    """
    L, rows = exact_loss(k), []
    for seed in seeds:
        x = np.random.default_rng([k, n, ratio, seed, 3]).standard_normal((ratio * (k + 1), k + 1))
        data = EmpiricalLoss(L.teacher, x)
        if start == "adam":
            rng = np.random.default_rng([k, n, ratio, seed, 4])
            student = train(
                data, Start(k, n).student(seed), Adam(0.01), 3000, rng, min(100, len(x))
            )
        else:
            student = minimum_of(start, k, n)
        found = nearest_minimum(data, student)
        numbers = data(found.student), L(found.student), found.gradient, found.smallest_eigenvalue
        kind = fate(L, found.student).kind
        rows.append((k, n, start, ratio, seed, *(f"{x:.6g}" for x in numbers), kind))
    return rows


def load_training(name):
    """A table of the chapter on training.

    Parameters
    ----------
    name : {'fates', 'early', 'escapes', 'samples', 'limits', 'trajectories', 'persistence'}

    Returns
    -------
    structured array
        With a field for each column.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> from lib.training import load_training
    >>> table = load_training("fates")
    >>> sorted(set(table["optimiser"].tolist()))
    ['adam', 'flow', 'gradient descent', 'momentum']
    """
    return load("training", _TABLES, name)


def _groups(seeds):
    return [range(s, min(s + _SEEDS_AT_ONCE, seeds)) for s in range(0, seeds, _SEEDS_AT_ONCE)]


def trainings():
    """The ways of training that are compared, and how many seeds each gets."""
    yield Training(), 100
    for rate in (0.03, 0.1):
        yield Training("gradient descent", rate, 0, round(100 / rate)), 100
        yield Training("momentum", rate / 10, 0, round(100 / rate)), 100
    for rate in (0.003, 0.01, 0.03, 0.1):
        yield Training("adam", rate, 0, round(30 / rate)), 100
    for batch in (1, 10, 100, 1000):
        seeds = 100 if batch < 1000 else 40
        yield Training("gradient descent", 0.02, batch, 5000), seeds
        yield Training("adam", 0.01, batch, 3000), seeds
    yield Training("gradient descent", 0.1, 10, 1000), 100
    yield Training("gradient descent", 0.1, 100, 1000), 100
    yield Training("momentum", 0.002, 100, 5000), 100
    yield Training("adam", 0.03, 100, 1000), 100


def plans(smaller=1):
    """The four tables; `smaller` divides the number of seeds."""
    fates = []
    for size in SIZES:
        for scales in itertools.product(SCALES, SCALES):
            fates.append((Start(*size, "normal", *scales), Training(), 100 if size[0] < 10 else 40))
        fates += [(Start(*size), training, seeds) for training, seeds in trainings()]
        for law in ("uniform", "unit"):
            fates.append((Start(*size, law), Training(), 100))
            fates.append((Start(*size, law), Training("adam", 0.01, 0, 3000), 100))
        for scale in (0.03125, 0.125, 0.25, 0.5, 2.0, 4.0):
            start = Start(*size, "normal", scale, scale)
            for training in (
                Training("gradient descent", 0.03, 0, 3333),
                Training("gradient descent", 0.02, 1, 5000),
                Training("adam", 0.01, 0, 3000),
                Training("adam", 0.01, 10, 3000),
            ):
                fates.append((start, training, 100))
    for scale in SCALES:
        fates.append((Start(50, 25, "normal", scale, scale), Training(), 20))
    fates.append((Start(50, 25), Training("adam", 0.01, 0, 3000), 20))
    most = {}  # where a start is in two comparisons, the longer one holds the runs of both
    for start, training, seeds in fates:
        most[start, training] = max(seeds, most.get((start, training), 0))
    fate_jobs = [
        (start, training, group)
        for start, training in sorted(most, key=lambda job: -job[1].batch)
        for group in _groups(max(2, most[start, training] // smaller))
    ]
    early = [(Start(*size), group) for size in SIZES for group in _groups(400 // smaller)]
    escapes = [
        (k, n, minimum, rate, batch, group)
        for k, n in SIZES[:3]
        for minimum in ("copy-average", "perturbed-copies")
        for rate, batch in itertools.product((0.005, 0.01, 0.02, 0.05, 0.1), (1, 10))
        for group in _groups(max(2, 20 // smaller))
    ]
    samples = [
        (k, n, start, ratio, group)
        for k, n in SIZES[:1]
        for ratio in reversed(RATIOS)
        for start in ("copy-average", "perturbed-copies", "adam")
        for group in _groups(max(2, 20 // smaller))
    ]
    end = ("seed", "kind", "loss")
    of_samples = "training_loss", "test_loss", "gradient", "smallest_eigenvalue"
    return [
        Plan("training_fates", Start._fields + Training._fields + end, fate_jobs, fate_rows),
        Plan(
            "training_early",
            ("k", "n", "seed", "time", "loss", *STATISTICS, "kind"),
            early,
            early_rows,
        ),
        Plan(
            "training_escapes",
            ("k", "n", "minimum", "rate", "batch", "seed", "steps", "kind"),
            escapes,
            escape_rows,
        ),
        Plan(
            "training_samples",
            ("k", "n", "start", "ratio", "seed", *of_samples, "kind"),
            samples,
            sample_rows,
        ),
    ]


def make(folder, smaller=1):
    """Write what the files in the folder lack, on all cores."""
    accelerator.compile_apart()
    for plan in plans(smaller) + noise.plans(smaller):
        write(plan, folder)
