"""Gradient flows from many random students: widths x seeds, each certified, on any number of processes.

    python -m lib.sweep --k 50 --widths 1-50 --seeds 0-19 sweep.csv

Every finished flow is appended to the file at once; the same command again continues where it was
stopped, by whatever means. Flow (k, n, seed) starts from `numpy.random.default_rng([k, n, seed])`, so
its row depends neither on the order nor on the number of processes. Machines of different kinds
may round differently.

A cluster: pass any concurrent.futures.Executor whose workers can import lib, one thread each
(OPENBLAS_NUM_THREADS=1), for example for k = 1000

    sweep(1000, range(100, 1001, 100), range(20), path="k1000.csv", executor=dask_client.get_executor())
    sweep(1000, range(100, 1001, 100), range(20), path="k1000.csv", executor=mpi4py.futures.MPIPoolExecutor())

the second in a script started by `mpiexec -n 65 python -m mpi4py.futures script.py`.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import importlib.util
import itertools
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from lib import kernels
from lib.arguments import instance, integer
from lib.certificate import certify
from lib.configurations import identify
from lib.flow import glorot, gradient_flow
from lib.kernels import Kernel
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.table import Table, read

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def sweep(
    k, widths, seeds, kernel=kernels.erf, executor=None, path=None, law="normal", rtol=1e-5, gradient_tol=1e-8
):
    """Gradient flows of students of every width n from every seed, teacher Network.orthonormal(k, k + 1).

    widths, seeds: integers. kernel: one of lib.kernels; erf is compiled where numba is installed.
    executor: any concurrent.futures.Executor; None makes a pool of one process per core. path: CSV file,
    created, or continued if it holds flows of the same settings; None keeps nothing. law: of `glorot`.
    rtol, gradient_tol: of `gradient_flow`.

    Returns the structured array of all its flows (see lib.table) in the order (n, seed). loss, gradient_norm,
    status, end_time and counts are those of the flow; certificate, smallest_eigenvalue and newton_step
    those of `certify`; kind and sizes those of `identify` for the certified student: sizes '24*1+26' are
    24 groups of 1 and one of 26. For relu the first counts of sizes tell how many neurons the student amounts to.
    A flow that passes a saddle so closely that |grad L| falls to gradient_tol on the way (1 of 1000 at k = 50) is
    run again to a hundredth of that.

    Raises ValueError for other arguments and for a file of other settings.
    """
    k, widths, seeds = integer("k", k, least=1), _distinct("widths", widths, 1), _distinct("seeds", seeds, 0)
    settings = _settings(k, instance("kernel", kernel, Kernel), law, rtol, gradient_tol)
    table = Table(path, settings)
    wanted = list(itertools.product(widths, seeds))
    missing = [(n, seed) for n, seed in wanted if (n, seed) not in table.rows]
    missing.sort(key=lambda run: (-run[0], run[1]))  # the longest first: no process is left alone at the end
    with contextlib.ExitStack() as stack:
        stack.enter_context(table)
        if missing and kernel is kernels.erf:
            compile_apart()
        if missing and executor is None:
            executor = stack.enter_context(_local_processes(len(missing)))
        futures = [executor.submit(flow_row, n, seed, settings) for n, seed in missing]
        stack.callback(lambda: [future.cancel() for future in futures])
        for future in _progress(concurrent.futures.as_completed(futures), len(wanted), len(wanted) - len(missing)):
            table.append(future.result())
        table.sort()
    return table.array(wanted)


@functools.cache
def compile_apart():
    """Have lib.compiled compiled by a process of its own, if it can be, so that every other one loads it.

    Not only to compile once: a process that compiles numba functions itself rounds their sums in
    another order than those that load them, and rows would differ in the 13th digit.
    """
    if importlib.util.find_spec("numba"):
        subprocess.run([sys.executable, "-c", "from lib.compiled import prepare; prepare()"], check=True)


def flow_row(n, seed, settings):
    """One flow as a row of the table, a dictionary; runs in the worker processes."""
    return _row(n, seed, settings, *_certified_flow(n, seed, settings))


def save_end_points(path, table, settings, n):
    """Write the first end point of every kind at width n to an .npz file: W_<kind>, a_<kind>, seed_<kind>."""
    arrays = {}
    for kind in np.unique(table["kind"][table["n"] == n]):
        seed = int(table["seed"][(table["n"] == n) & (table["kind"] == kind)].min())
        student = _certified_flow(n, seed, settings)[1].student
        arrays |= {f"W_{kind}": student.W, f"a_{kind}": student.a, f"seed_{kind}": seed}
    np.savez_compressed(path, **arrays)


def _certified_flow(n, seed, settings):
    k = settings["k"]
    L = _loss(k, getattr(kernels, settings["kernel"]))
    start = glorot(np.random.default_rng([k, n, seed]), n, k + 1, settings["law"])
    gradient_tol = settings["gradient_tol"]
    while True:
        flow = gradient_flow(L, start, gradient_tol, settings["rtol"])
        certificate = certify(L, flow.student)
        if certificate.kind != "saddle" or gradient_tol <= 1e-12:
            return flow, certificate
        gradient_tol *= 0.01


def _loss(k, kernel):
    """The loss of the teacher, compiled where that is possible."""
    teacher = Network.orthonormal(k, k + 1)
    if kernel is kernels.erf:
        with contextlib.suppress(ImportError):
            from lib.compiled import CompiledLoss

            return CompiledLoss(teacher)
    return PopulationLoss(teacher, kernel)


def _row(n, seed, settings, flow, certificate):
    configuration = identify(certificate.student, settings["k"], kernel=getattr(kernels, settings["kernel"]))
    return dict(
        k=settings["k"], n=n, seed=seed, law=settings["law"],
        loss=float(flow.losses[-1]), gradient_norm=float(flow.gradient_norms[-1]),
        status=flow.status, end_time=float(flow.times[-1]),
        certificate=certificate.kind, smallest_eigenvalue=certificate.smallest_eigenvalue,
        newton_step=certificate.newton_step, kind=configuration.kind, sizes=_short(configuration.sizes),
        **flow.counts._asdict(),
    )  # fmt: skip


def _short(sizes):
    groups = [(size, len(list(group))) for size, group in itertools.groupby(sizes)]
    return "+".join(f"{count}*{size}" if count > 1 else f"{size}" for size, count in groups)


def _distinct(name, values, least):
    values = [integer(name, value, least) for value in values]
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must be distinct, got {values}")
    return values


def _settings(k, kernel, law, rtol, gradient_tol):
    glorot(np.random.default_rng(0), 1, 1, law)  # refuses a law that it does not know before any process starts
    return dict(k=k, kernel=kernel.name, law=law, rtol=float(rtol), gradient_tol=float(gradient_tol))


@contextlib.contextmanager
def _local_processes(most):
    """A pool of one single-threaded process per core; spawned, so that they read the variables below."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    workers = max(1, min(most, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    try:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield pool
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _progress(futures, total, done):
    try:
        from tqdm import tqdm
    except ImportError:
        return futures
    return tqdm(futures, total=total, initial=done, unit="flow", smoothing=0.0)


def _range(text):
    """'1-50', '2-50:2' for every second of them, '3' or '1-5,8' as a list of integers."""
    values = []
    for part in text.split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        values += range(int(first), int(last or first) + 1, int(step or 1))
    return values


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m lib.sweep", description=__doc__.partition("\n")[0])
    parser.add_argument("path", help="CSV file: created, or continued where it was stopped")
    parser.add_argument("--k", type=int, default=50, help="number of teacher neurons (default: %(default)s)")
    parser.add_argument("--widths", type=_range, help="student widths, like 1-50, 2-50:2 or 5,10 (default: 1-k)")
    parser.add_argument("--seeds", type=_range, default="0-19", help="seeds of the students (default: %(default)s)")
    parser.add_argument("--kernel", default="erf", choices=["erf", "tanh", "sigmoid", "relu", "softplus", "gelu"])
    parser.add_argument("--law", default="normal", choices=["normal", "uniform"], help="law of the initial weights")
    parser.add_argument("--rtol", type=float, default=1e-5, help="local error per step (default: %(default)s)")
    parser.add_argument("--end-points", type=int, metavar="N", help="also keep one end point of each kind at width N")
    options = parser.parse_args(arguments)
    widths = range(1, options.k + 1) if options.widths is None else options.widths
    kernel = getattr(kernels, options.kernel)
    table = sweep(options.k, widths, options.seeds, kernel, path=options.path, law=options.law, rtol=options.rtol)
    if options.end_points is not None:
        settings = read(options.path)[1]
        save_end_points(Path(options.path).with_suffix(".npz"), table, settings, options.end_points)
    for column in ("status", "certificate", "kind"):
        names, counts = np.unique(table[column], return_counts=True)
        print(f"{column}:", ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True)))


if __name__ == "__main__":
    main()
