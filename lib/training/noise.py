"""Tables of what noise and finite samples do to the two minima; made with those of tables.

training_limits: up to which noise a minimum is a stable fixed point of one-pass SGD.
training_trajectories: SGD with single inputs against its order-parameter equations.
training_persistence: whether a minimum of the exact loss persists on N inputs, and what descent
finds where it does not.
"""

import numpy as np

from lib import kernels
from lib.descent.flow import glorot
from lib.fast import accelerator
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.averaging import copy_average
from lib.students.perturbed import perturbed_copies
from lib.sweeps.plans import Plan
from lib.training.loop import fate, train
from lib.training.optimisers import GradientDescent
from lib.training.order_parameters import noise_limit
from lib.training.samples import EmpiricalLoss, continued_minimum, nearest_minimum

MINIMA = "copy-average", "perturbed-copies"
TIMES = 2.0, 5.0, 10.0, 20.0  # rate times steps
NOISE = 0.5  # rate times d
DIMENSIONS = 20, 40, 80, 160, 320
RUNS = 100
RATIOS = 32, 64, 128, 256, 512, 1024  # N / d
PLACES = (8, 6, 9, 1024), (10, 6, 11, 256), (8, 6, 16, 128)  # k, n, d, and the largest ratio
_SETS = 20


def minimum(name, k, n, d):
    """One of the two minima in d dimensions, by the name that `identify` gives it."""
    if name == "copy-average":
        return copy_average([1] * (n - 1) + [k - n + 1], d)
    return perturbed_copies(kernels.erf, k, n, d)


def limit_rows(k, n, name, d):
    """The noise limit of a minimum; d 0 for the limit of many dimensions. Followed to noise 2."""
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)
    found = noise_limit(L, minimum(name, k, n, k + 1), most=2.0, d=d or None)
    return [(k, n, name, d, f"{found.noise:.9g}", int(found.ceases), f"{found.loss:.9g}")]


def start(k, n, d):
    """A Glorot student of k + 1 inputs, the same for all d, as one of d inputs."""
    student = glorot(np.random.default_rng([k, n, 0]), n, k + 1)
    return Network(np.pad(student.W, ((0, 0), (0, d - k - 1))), student.a)


def trajectory_rows(k, n, d, seeds):
    """Loss and some order parameters of students in d dimensions at the TIMES of SGD."""
    L, rows, before = PopulationLoss(Network.orthonormal(k, d), kernels.erf), [], 0
    rule = GradientDescent(NOISE / d)
    students, rngs = [start(k, n, d)] * len(seeds), [np.random.default_rng([d, s]) for s in seeds]
    for time in TIMES:
        steps = round(time * d / NOISE)
        students, before = train(L, students, rule, steps - before, rngs, 1), steps
        for seed, student in zip(seeds, students, strict=True):
            numbers = L(student), *summary(student.W @ student.W.T, student.W[:, :k], student.a)
            rows.append((k, n, d, seed, time, *(f"{x:.6g}" for x in numbers)))
    return rows


def summary(Q, R, a):
    """Four numbers of order parameters: the columns of training_trajectories after the loss."""
    return np.trace(Q), np.sum(Q) - np.trace(Q), np.sum(a[:, None] * R), np.sum(a)


def persistence_rows(k, n, d, name, ratio, seeds):
    """Whether a minimum persists on ratio d inputs, for each of some data sets.

    Where it does, excess is that of its exact loss, and training_loss that on the data; where it
    does not, they are those of the end of a descent from the minimum of the exact loss, and kind
    tells the basin of that end.
    """
    L, rows = accelerator.loss(Network.orthonormal(k, d), kernels.erf), []
    first = minimum(name, k, n, d)
    for seed in seeds:
        x = np.random.default_rng([k, n, d, ratio, seed, 5]).standard_normal((ratio * d, d))
        data = EmpiricalLoss(L.teacher, x)
        found = continued_minimum(data, first)
        end, kind = found.student, name
        if not found.persists:
            end = nearest_minimum(data, first).student
            kind = fate(L, end).kind
        numbers = found.reached, found.distance, L(end) - L(first), data(end)
        rows.append((k, n, d, name, ratio, seed, *(f"{x:.6g}" for x in numbers), kind))
    return rows


def plans(smaller=1):
    """The three tables; `smaller` divides the numbers of runs and of data sets."""
    sizes = [(k, n, name) for k, n in ((6, 5), (8, 6)) for name in MINIMA]
    limits = [
        (*size, d)
        for size in sizes
        for d in (0, size[0] + 1)
        if d == 0 or size[0] == 6 or size[2] == "copy-average"
    ]
    runs, sets = range(max(2, RUNS // smaller)), range(max(2, _SETS // smaller))
    trajectories = [(8, 6, d, runs) for d in reversed(DIMENSIONS)]
    persistence = [
        (k, n, d, name, ratio, sets)
        for k, n, d, most in PLACES
        for ratio in RATIOS
        for name in MINIMA
        if ratio <= most
    ]
    return [
        Plan(
            "training_limits",
            ("k", "n", "minimum", "d", "noise", "ceases", "loss"),
            limits,
            limit_rows,
        ),
        Plan(
            "training_trajectories",
            ("k", "n", "d", "seed", "time", "loss", "lengths", "products", "overlaps", "outgoing"),
            trajectories,
            trajectory_rows,
        ),
        Plan(
            "training_persistence",
            ("k", "n", "d", "minimum", "ratio", "seed", "reached", "distance", "excess",
             "training_loss", "kind"),
            persistence,
            persistence_rows,
        ),
    ]  # fmt: skip
