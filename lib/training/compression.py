"""The tables of the chapter on compression: k neurons to n, by keeping, averaging, or from scratch.

    python -m lib.training --compression book/data/running

makes the tables compression_digits (networks trained on digits) and compression_clusters (random
teachers) and compression_teachers.npz (the trained networks) there. The same command again
continues where it was stopped. Another processor trains networks that differ a little; the numbers
of the tables then agree to about a percent, and what the chapter concludes does not change.
"""

import functools

import numpy as np

from lib import kernels
from lib.arguments import integer, shown
from lib.descent.flow import glorot, gradient_flow
from lib.fast import accelerator
from lib.networks import Network
from lib.students.bounds import loss_lower_bound
from lib.sweeps.plans import Plan, load, write
from lib.sweeps.table import data_file
from lib.training.digits import fit, load_digits
from lib.training.merging import (
    averaged,
    best_outgoing,
    cluster_groups,
    copies_and_rest,
    eliminated,
    greedy_groups,
    kept,
    strongest,
)

KERNELS = {"erf": kernels.erf, "relu": kernels.relu}
METHODS = {  # how a student of n neurons is made of the teacher
    "strongest kept": lambda L, n: kept(L, strongest(L, n)),
    "eliminated": lambda L, n: kept(L, eliminated(L, n)),
    "copies and average": lambda L, n: averaged(L, copies_and_rest(L, n)),
    "clusters averaged": lambda L, n: averaged(L, cluster_groups(L, n)),
    "greedy averages": lambda L, n: averaged(L, greedy_groups(L, n)),
}
K = D = 20
WIDTHS = 2, 5, 8, 10, 12, 15, 18
COSINES = 0.0, 0.2, 0.4, 0.6, 0.8, 0.9
SIZE = 4  # of a cluster of teacher neurons
STARTS = 5  # random ones


@functools.cache
def trained_teacher(kernel, seed):
    """(digits, network of K neurons trained on them), the split and the start of this seed."""
    digits = load_digits(D, seed)
    start = glorot(np.random.default_rng([K, D, seed, 6]), K, D)
    return digits, fit(KERNELS[kernel], start, digits.x, digits.y)


def load_teacher(name, seed):
    """One of the trained networks of the book.

    Parameters
    ----------
    name : {'erf', 'relu'}
    seed : int
        0 to 9, of the split of the digits and of the initialisation.

    Returns
    -------
    Network (20, 20)

    Examples
    --------
    >>> from lib.training import load_digits, load_teacher
    >>> load_digits(20, seed=0).test_error(load_teacher("relu", 0), kernels.relu) < 0.03
    True
    """
    if not isinstance(name, str) or name not in KERNELS:
        raise ValueError(f"name must be 'erf' or 'relu', got {shown(name)}")
    with np.load(data_file("compression_teachers.npz")) as file:
        seed = integer("seed", seed, least=0, most=len(file[name]) - 1)
        return Network.unravel(file[name][seed], K, D)


def load_compression(name):
    """A table of the chapter on compression.

    Parameters
    ----------
    name : {'digits', 'clusters'}

    Returns
    -------
    structured array
        With a field for each column.

    Examples
    --------
    >>> from lib.training import load_compression
    >>> sorted(set(load_compression("clusters")["n"].tolist()))
    [5, 10, 15]
    """
    return load("compression", ("digits", "clusters"), name)


def clustered_teacher(cosine, unequal, seed):
    """K unit vectors in clusters of SIZE random ones that share a random part.

    Two of a cluster have about this cosine, others about 0. Outgoing weights are 1, or log-normal
    with a standard deviation of 1 of their logarithms.
    """
    rng = np.random.default_rng([K, seed, 7])
    common, own = rng.standard_normal((K // SIZE, D)), rng.standard_normal((K, D))
    common = np.repeat(common, SIZE, axis=0)
    V = np.sqrt(cosine) * common + np.sqrt(1.0 - cosine) * own
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    return Network(V, np.exp(rng.standard_normal(K)) if unequal else np.ones(K))


def students(L, n, seed):
    """(method, trial, student) for every method, with the best outgoing weights."""
    for name, method in METHODS.items():
        yield name, 0, best_outgoing(L, method(L, n))
    for trial in range(STARTS):
        start = glorot(np.random.default_rng([n, seed, trial, 8]), n, D)
        yield "random", trial, best_outgoing(L, start)


def relaxed(L, student):
    """The student after the flow: to a gradient of 1e-6, or to time 1e4, or 2000 steps."""
    return gradient_flow(
        L, student, gradient_tol=1e-6, end_time=1e4, max_steps=2000, progress=False
    ).student


def digit_rows(name, n, seed):
    """What each method makes of a network trained on digits."""
    kernel, (digits, teacher) = KERNELS[name], trained_teacher(name, seed)
    L, rows = accelerator.loss(teacher, kernel), []
    known = L.teacher_energy, digits.test_error(teacher, kernel), loss_lower_bound(L, n)
    for method, trial, student in students(L, n, seed):
        flowed = relaxed(L, student)
        trained = [fit(kernel, start, digits.x, digits.y, steps=300) for start in (flowed, student)]
        errors = [digits.test_error(one, kernel) for one in (student, flowed, *trained)]
        numbers = *known, L(student), L(flowed), *errors
        rows.append((name, n, seed, method, trial, *(f"{x:.6g}" for x in numbers)))
    return rows


def cluster_rows(cosine, unequal, n, seed):
    """What each method makes of a random teacher."""
    L, rows = accelerator.loss(clustered_teacher(cosine, unequal, seed), kernels.erf), []
    known = L.teacher_energy, loss_lower_bound(L, n)
    for method, trial, student in students(L, n, seed):
        numbers = *known, L(student), L(relaxed(L, student))
        rows.append((cosine, unequal, n, seed, method, trial, *(f"{x:.6g}" for x in numbers)))
    return rows


def plans(seeds=10):
    """The two tables; random teachers have twice as many seeds."""
    method, losses = ("seed", "method", "trial"), ("start_loss", "flow_loss")
    errors = "start_error", "flow_error", "trained_error", "direct_error"
    return [
        Plan(
            "compression_digits",
            ("kernel", "n", *method, "energy", "teacher_error", "bound", *losses, *errors),
            [(name, n, s) for name in KERNELS for n in WIDTHS[::-1] for s in range(seeds)],
            digit_rows,
        ),
        Plan(
            "compression_clusters",
            ("cosine", "unequal", "n", *method, "energy", "bound", *losses),
            [
                (c, unequal, n, s)
                for n in (15, 10, 5)
                for c in COSINES
                for unequal in (0, 1)
                for s in range(2 * seeds)
            ],
            cluster_rows,
        ),
    ]


def make(folder, smaller=1):
    """Make the tables in this folder, and the trained networks; rows there already are kept."""
    seeds = max(1, 10 // smaller)
    accelerator.compile_apart()
    for plan in plans(seeds):
        write(plan, folder)
    teachers = {
        name: [trained_teacher(name, seed)[1].ravel() for seed in range(seeds)] for name in KERNELS
    }
    np.savez_compressed(folder / "compression_teachers.npz", **teachers)
