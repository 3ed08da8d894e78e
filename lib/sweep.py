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
import io
import itertools
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from lib import accelerator, kernels
from lib.accelerator import compile_apart
from lib.arguments import instance, integer, real
from lib.certificate import certify
from lib.flow import glorot, gradient_flow
from lib.kernels import Kernel
from lib.networks import Network
from lib.recognition import identify
from lib.table import Table, locked, read, replace

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_UNGUARDED = 77  # the exit status of a worker that came upon the call of `sweep` when it imported the script


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

    Raises ValueError for other arguments, for a file of other settings and for one that another sweep is
    writing, OSError where the file cannot be written, and RuntimeError where a process of the pool
    died; what was finished is in the file.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(_UNGUARDED)  # a worker is still importing the script: the parent explains
    k, widths, seeds = integer("k", k, least=1), _distinct("widths", widths, 1), _distinct("seeds", seeds, 0)
    settings = _settings(k, instance("kernel", kernel, Kernel), law, rtol, gradient_tol)
    wanted = list(itertools.product(widths, seeds))
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(Table(path, settings))
        missing = {*wanted, *table.again} - {run for run, row in table.rows.items() if row["status"] != "interrupted"}
        missing = sorted(missing, key=lambda run: (-run[0], run[1]))  # the longest first: none is alone at the end
        compiled = compile_apart() if missing and kernel is kernels.erf else True
        futures = []
        stack.callback(lambda: [future.cancel() for future in futures])  # after the pool below, which ends by itself
        if missing and executor is None:
            executor = stack.enter_context(_local_processes(len(missing)))
        row = functools.partial(flow_row, compiled=compiled)
        futures += [executor.submit(row, n, seed, settings) for n, seed in missing]
        done = concurrent.futures.as_completed(futures)
        for future in _progress(done, len(wanted), len(wanted) - len(missing)):
            table.append(future.result())
        table.sort()
    return table.array(wanted)


def flow_row(n, seed, settings, compiled=True):
    """One flow as a row of the table, a dictionary; runs in the worker processes. compiled: may it be?"""
    return _row(n, seed, settings, *_certified_flow(n, seed, settings, compiled))


def save_end_points(path, table, settings, n):
    """Write the first end point of every kind at width n to an .npz file: W_<kind>, a_<kind>, seed_<kind>.

    At one stroke: a file that was there stays whole until the new one is. Raises ValueError if n is
    no width of the table.
    """
    if n not in table["n"]:
        raise ValueError(f"n must be a width of the table, got {n}")
    arrays, compiled = {}, compile_apart()
    for kind in np.unique(table["kind"][table["n"] == n]):
        seed = int(table["seed"][(table["n"] == n) & (table["kind"] == kind)].min())
        student = _certified_flow(n, seed, settings, compiled)[1].student
        arrays |= {f"W_{kind}": student.W, f"a_{kind}": student.a, f"seed_{kind}": seed}
    content, path = io.BytesIO(), Path(path).resolve()
    np.savez_compressed(content, **arrays)
    with locked(path):
        replace(path, content.getvalue())


def _certified_flow(n, seed, settings, compiled):
    k = settings["k"]
    L = _loss(k, getattr(kernels, settings["kernel"]), compiled)
    start = glorot(np.random.default_rng([k, n, seed]), n, k + 1, settings["law"])
    gradient_tol = settings["gradient_tol"]
    while True:
        flow = gradient_flow(L, start, gradient_tol, settings["rtol"])
        if flow.status == "interrupted":  # by Ctrl-C in this very process: no end, and no row
            raise KeyboardInterrupt
        certificate = certify(L, flow.student)
        if certificate.kind != "saddle" or gradient_tol <= 1e-12:
            return flow, certificate
        gradient_tol *= 0.01


def _loss(k, kernel, compiled=True):
    """The loss of the teacher, compiled where that is possible."""
    return accelerator.loss(Network.orthonormal(k, k + 1), kernel, compiled)


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
    if isinstance(values, str) or not np.iterable(values):
        raise ValueError(f"{name} must be integers, such as range(10) or [3, 5], got {values!r}")
    values = [integer(name, value, least) for value in values]
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must be distinct, got {values}")
    return values


def _settings(k, kernel, law, rtol, gradient_tol):
    if getattr(kernels, kernel.name, None) is not kernel:
        raise ValueError(f"kernel must be one of lib.kernels, which every process can name, got {kernel!r}")
    glorot(np.random.default_rng(0), 1, 1, law)  # refuses a law that it does not know before any process starts
    rtol, gradient_tol = real("rtol", rtol, 1e-11, 1e-4), real("gradient_tol", gradient_tol, 1e-14)
    return dict(k=k, kernel=kernel.name, law=law, rtol=rtol, gradient_tol=gradient_tol)


class _Worker(multiprocessing.context.SpawnProcess):
    """A process that Ctrl-C does not reach, from its first moment on: the parent alone hears it."""

    def start(self):
        if not hasattr(signal, "pthread_sigmask"):  # Windows: `_live_with_parent` comes soon
            return super().start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits it
        try:
            return super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Workers(multiprocessing.context.SpawnContext):
    """Spawns processes and remembers them."""

    def __init__(self):
        self.started = []

    def Process(self, *arguments, **options):
        self.started.append(_Worker(*arguments, **options))
        return self.started[-1]


def _live_with_parent():
    """In a worker: leave Ctrl-C to the parent, and end when it ends, however that happens."""

    def end():
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end, daemon=True).start()


@contextlib.contextmanager
def _local_processes(most):
    """A pool of one single-threaded process per core; spawned, so that they read the variables below."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers, count = _Workers(), min(most, cores, 61)  # Windows waits for no more at a time
    try:
        with concurrent.futures.ProcessPoolExecutor(count, workers, _live_with_parent) as pool:
            try:
                yield pool
            except BaseException:  # Ctrl-C, a full disk: nobody waits for the flows that are running
                for process in workers.started:
                    if process.pid is not None:
                        process.kill()
                raise
    except BrokenProcessPool as error:
        if _UNGUARDED in [process.exitcode for process in workers.started]:
            raise RuntimeError(
                "sweep starts processes, and each of them imports this script first: "
                'call sweep below `if __name__ == "__main__":`, and they will not call it too'
            ) from None
        raise RuntimeError(
            "a process of the sweep died, perhaps for want of memory; what was finished is kept, "
            "and the same call goes on with the others"
        ) from error
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
    try:
        for part in text.split(","):
            ends, _, step = part.partition(":")
            first, _, last = ends.partition("-")
            chosen = range(int(first), int(last or first) + 1, int(step or 1))
            if not 0 < len(chosen) <= 10**6:
                raise ValueError
            values += chosen
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be like 1-50, 2-50:2 or 5,10, got {text!r}") from None
    return values


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments=None):
    about = "Gradient flows from many random students: widths x seeds, each certified."
    parser = _Parser(prog="python -m lib.sweep", description=about)
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
    beside = Path(options.path).with_name(Path(options.path).stem + ".npz") if Path(options.path).name else None
    if options.end_points is not None and options.end_points not in widths:
        parser.error(f"argument --end-points: must be one of the widths, got {options.end_points}")
    if options.end_points is not None and beside == Path(options.path):
        parser.error(f"path must not end in .npz, the name of the end points, got {options.path}")
    try:
        kernel = getattr(kernels, options.kernel)
        table = sweep(options.k, widths, options.seeds, kernel, path=options.path, law=options.law, rtol=options.rtol)
        if options.end_points is not None:
            save_end_points(beside, table, read(options.path)[1], options.end_points)
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: interrupted; the same command goes on with the flows that are missing\n")
    except (ValueError, OSError, RuntimeError, RuntimeWarning) as error:
        parser.error(" ".join(str(error).split()))
    for column in ("status", "certificate", "kind"):
        names, counts = np.unique(table[column], return_counts=True)
        print(f"{column}:", ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True)))


if __name__ == "__main__":
    main()
