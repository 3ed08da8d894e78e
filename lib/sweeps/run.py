"""Gradient flows from many random students: widths x seeds, each certified, on many processes.

Every finished flow is appended to the file at once; the same call again continues where it was
stopped, by whatever means. Flow (k, n, seed) starts from ``numpy.random.default_rng([k, n,
seed])``, so its row depends neither on the order nor on the number of processes. Machines of
different kinds may round differently.
"""

import concurrent.futures
import contextlib
import functools
import io
import itertools
import multiprocessing
import sys
from pathlib import Path

import numpy as np

from lib import kernels
from lib.arguments import instance, integer, real
from lib.descent.certificate import certify
from lib.descent.flow import glorot, gradient_flow
from lib.fast import accelerator
from lib.fast.accelerator import compile_apart
from lib.kernels import Kernel
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.recognition import identify
from lib.sweeps.processes import UNGUARDED, local_processes
from lib.sweeps.table import Table, locked, replace


def sweep(
    k,
    widths,
    seeds,
    kernel=kernels.erf,
    executor=None,
    path=None,
    law="normal",
    rtol=1e-5,
    gradient_tol=1e-8,
):
    """Gradient flows of students of every width from every seed, each certified and named.

    The teacher is ``Network.orthonormal(k, k + 1)``; flow (n, seed) starts from
    ``glorot(np.random.default_rng([k, n, seed]), n, k + 1, law)``, so that its row depends neither
    on the order nor on the number of processes. Each finished flow is appended to the file at once,
    and the same call again goes on where it was stopped. The command line is ``python -m
    lib.sweeps``.

    Parameters
    ----------
    k : int
        Teacher neurons.
    widths, seeds : lists of int
    kernel : kernels.Kernel
        One of the six; erf is compiled where numba is installed.
    executor : concurrent.futures.Executor
        Any whose workers can import lib, of one thread each (OPENBLAS_NUM_THREADS=1); None makes a
        pool of one process per core, for which a script calls `sweep` below ``if __name__ ==
        "__main__":``.
    path : str or pathlib.Path
        CSV file: created, or continued if it holds flows of the same settings; None keeps nothing.
    law : str
        As for `glorot`.
    rtol, gradient_tol : float
        As for `gradient_flow`.

    Returns
    -------
    structured array
        A row for each flow, in the order (n, seed). Columns: ``k``, ``n``, ``seed``, ``law``; of
        the flow ``loss``, ``gradient_norm``, ``status``, ``end_time``, ``steps``, ``gradients``,
        ``products``; of `certify` ``certificate``, ``smallest_eigenvalue``, ``newton_step``; of
        `identify` ``kind`` and ``sizes``, where ``24*1+26`` are 24 groups of 1 and one of 26.

    Raises
    ------
    ValueError
        For a file of other settings, and for one that another sweep is writing.
    OSError
        Where the file cannot be written.
    RuntimeError
        Where a process of the pool died; what was finished is in the file.

    Notes
    -----
    A flow that passes a saddle so closely that ``|grad L|`` falls to gradient_tol on the way (1 of
    1000 at k = 50) is run again to a hundredth of that. On a cluster, with dask or mpi4py, the
    second in a script started by ``mpiexec -n 65 python -m mpi4py.futures script.py``::

        sweep(1000, widths, seeds, path="k1000.csv", executor=dask_client.get_executor())
        sweep(1000, widths, seeds, path="k1000.csv", executor=mpi4py.futures.MPIPoolExecutor())

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> table = sweep(3, widths=[1, 2], seeds=range(2), executor=ThreadPoolExecutor(1))
    >>> table["n"], set(table["kind"].tolist())
    (array([1, 1, 2, 2]), {'copy-average'})
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(UNGUARDED)  # a worker is still importing the script: the parent explains
    k = integer("k", k, least=1)
    widths, seeds = _distinct("widths", widths, 1), _distinct("seeds", seeds, 0)
    settings = _settings(k, instance("kernel", kernel, Kernel), law, rtol, gradient_tol)
    wanted = list(itertools.product(widths, seeds))
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(Table(path, settings))
        done = {run for run, row in table.rows.items() if row["status"] != "interrupted"}
        missing = {*wanted, *table.again} - done
        # The longest first: none is alone at the end.
        missing = sorted(missing, key=lambda run: (-run[0], run[1]))
        compiled = compile_apart() if missing and kernel is kernels.erf else True
        futures = []
        # Runs after the pool below, which ends by itself.
        stack.callback(lambda: [future.cancel() for future in futures])
        if missing and executor is None:
            executor = stack.enter_context(local_processes(len(missing)))
        row = functools.partial(flow_row, compiled=compiled)
        futures += [executor.submit(row, n, seed, settings) for n, seed in missing]
        completed = concurrent.futures.as_completed(futures)
        for future in _progress(completed, len(wanted), len(wanted) - len(missing)):
            table.append(future.result())
        table.sort()
    return table.array(wanted)


def flow_row(n, seed, settings, compiled=True):
    """One flow as a row of the table, a dictionary; runs in the workers. compiled: may it be?"""
    return _row(n, seed, settings, *certified_flow(n, seed, settings, compiled))


def save_end_points(path, table, settings, n):
    """Write the first end point of every kind at width n to an .npz file.

    Its arrays are W_<kind>, a_<kind>, seed_<kind>. At one stroke: a file that was there stays whole
    until the new one is. Raises ValueError if n is no width of the table.
    """
    if n not in table["n"]:
        raise ValueError(f"n must be a width of the table, got {n}")
    arrays = {}
    compiled = compile_apart()
    for kind in np.unique(table["kind"][table["n"] == n]):
        seed = int(table["seed"][(table["n"] == n) & (table["kind"] == kind)].min())
        student = certified_flow(n, seed, settings, compiled)[1].student
        arrays |= {f"W_{kind}": student.W, f"a_{kind}": student.a, f"seed_{kind}": seed}
    content = io.BytesIO()
    path = Path(path).resolve()
    np.savez_compressed(content, **arrays)
    with locked(path):
        replace(path, content.getvalue())


def certified_flow(n, seed, settings, compiled=True):
    """(Flow, Certificate) of one flow of a table of these settings. compiled: may it be?"""
    k = settings["k"]
    kernel = getattr(kernels, settings["kernel"])
    L = accelerator.loss(Network.orthonormal(k, k + 1), kernel, compiled)
    start = glorot(np.random.default_rng([k, n, seed]), n, k + 1, settings["law"])
    gradient_tol = settings["gradient_tol"]
    while True:
        flow = gradient_flow(L, start, gradient_tol, settings["rtol"])
        if flow.status == "interrupted":  # by Ctrl-C in this very process: no end, and no row
            raise KeyboardInterrupt
        certificate = certify(L, flow.student)
        goes_down = certificate.smallest_eigenvalue < 0.0 or certificate.dead
        leads_on = certificate.kind in ("saddle", "not critical") and goes_down
        if not leads_on or gradient_tol <= 1e-12:
            return flow, certificate
        gradient_tol *= 0.01


def _row(n, seed, settings, flow, certificate):
    k = settings["k"]
    L = PopulationLoss(Network.orthonormal(k, k + 1), getattr(kernels, settings["kernel"]))
    configuration = identify(L, certificate.student)
    return dict(
        k=settings["k"], n=n, seed=seed, law=settings["law"],
        loss=float(flow.losses[-1]), gradient_norm=float(flow.gradient_norms[-1]),
        status=flow.status, end_time=float(flow.times[-1]),
        certificate=certificate.kind, smallest_eigenvalue=certificate.smallest_eigenvalue,
        newton_step=certificate.newton_step,
        kind=configuration.kind, sizes=_short(configuration.sizes),
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
        raise ValueError(
            f"kernel must be one of lib.kernels, which every process can name, got {kernel!r}"
        )
    glorot(np.random.default_rng(0), 1, 1, law)  # refuses an unknown law before any process starts
    rtol = real("rtol", rtol, 1e-11, 1e-4)
    gradient_tol = real("gradient_tol", gradient_tol, 1e-14)
    return dict(k=k, kernel=kernel.name, law=law, rtol=rtol, gradient_tol=gradient_tol)


def _progress(futures, total, done):
    try:
        from tqdm import tqdm
    except ImportError:
        return futures
    return tqdm(futures, total=total, initial=done, unit="flow", smoothing=0.0)
