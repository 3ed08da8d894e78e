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
import numbers
import sys
from pathlib import Path

import numpy as np

from lib import kernels
from lib.arguments import first_argument, integer, shown, whole_number
from lib.descent.certificate import certify
from lib.descent.flow import gradient_flow
from lib.fast.accelerator import compile_apart
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.recognition import identify
from lib.sweeps.experiment import experiment, from_settings, packed, unpacked
from lib.sweeps.processes import UNGUARDED, ending, local_processes, progress
from lib.sweeps.table import Table, locked, replace


@first_argument(
    "L",
    (PopulationLoss, numbers.Integral),
    "sweep(PopulationLoss(teacher, kernel), widths, seeds, init='normal')",
)
def sweep(
    L, widths, seeds, init="normal", executor=None, path=None, *, rtol=1e-5, gradient_tol=1e-8
):
    """Gradient flows of students of every width from every seed, each certified and named.

    Flow (n, seed) starts from ``init(np.random.default_rng([k, n, seed]), n, d)``, for a teacher of
    k neurons and d inputs, so that its row depends neither on the order nor on the number of
    processes. Each finished flow is appended to the file at once, and the same call again goes on
    where it was stopped, by Ctrl-C or anything else. The command line for the teachers of the book
    is ``python -m lib.sweeps``.

    Parameters
    ----------
    L : PopulationLoss or int
        Of any teacher and kernel; erf is compiled where numba is installed. k stands for
        ``PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)``.
    widths : list of int
    seeds : list of int, or number
        10 stands for range(10), and 1e3 for range(1000).
    init : {'normal', 'uniform'} or callable
        The law of `glorot`, or a function ``init(rng, n, d)`` of your own for any n >= 1, such as
        one that scales what `glorot` gives; it returns a Network.
    executor : concurrent.futures.Executor
        Any whose workers can import lib, of one thread each (OPENBLAS_NUM_THREADS=1); None makes a
        pool of one process per core, for which a script calls `sweep` below ``if __name__ ==
        "__main__":``, and a notebook imports its own init or kernel from a file.
    path : str or pathlib.Path
        CSV file: created, or continued if it holds flows of the same settings; None keeps nothing.
    rtol, gradient_tol : float
        As for `gradient_flow`.

    Returns
    -------
    structured array
        A row for each flow, in the order (n, seed). Columns: ``k``, ``n``, ``seed``; ``law``, the
        name of init; of the flow ``loss``, ``gradient_norm``, ``status``, ``end_time``, ``steps``,
        ``gradients``, ``products``; of `certify` ``certificate``, ``smallest_eigenvalue``,
        ``newton_step``; of `identify` ``kind`` and ``sizes``, where ``24*1+26`` are 24 groups of 1
        and one of 26.

    Raises
    ------
    ValueError
        For a file of other settings, and for one that another sweep is writing. Another teacher,
        kernel or init, told by a fingerprint in the third line of the file, is another setting.
        At the end, when some flows have no beginning, such as those from vectors longer than a
        kernel of `Kernel.from_activation` was made for; the message names one.
    OSError
        Where the file cannot be written.
    RuntimeError
        Where a process of the pool died; what was finished is in the file.
    KeyboardInterrupt
        At Ctrl-C; it ends a script with one line.

    Notes
    -----
    A flow that leaves the lengths for which a kernel of `Kernel.from_activation` was made ends as
    'out of range', and is judged there. One that passes a saddle so closely that ``|grad L|`` falls
    to gradient_tol on the way (1 of 1000 at k = 50) is run again to a hundredth of that.

    On a cluster, with dask or mpi4py, the second in a script started by ``mpiexec -n 65 python -m
    mpi4py.futures script.py``::

        sweep(1000, widths, seeds, path="k1000.csv", executor=dask_client.get_executor())
        sweep(1000, widths, seeds, path="k1000.csv", executor=mpi4py.futures.MPIPoolExecutor())

    In pandas the table is ``pandas.DataFrame(table)``, and its file
    ``pandas.read_csv(path, comment="#")``; `load_sweep` reads it without pandas.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def small(rng, n, d):
    ...     start = glorot(rng, n, d)
    ...     return Network(0.1 * start.W, 0.1 * start.a)
    >>> L = PopulationLoss(Network(np.eye(3), [2.0, 1.0, 1.0]), kernels.erf)
    >>> table = sweep(L, widths=[1, 2], seeds=2, init=small, executor=ThreadPoolExecutor(1))
    >>> table["n"], set(table["certificate"].tolist())
    (array([1, 1, 2, 2]), {'strict minimum'})
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(UNGUARDED)  # a worker is still importing the script: the parent explains
    if not isinstance(L, PopulationLoss):
        k = integer("k", L, least=1)
        L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)
    if isinstance(seeds, numbers.Real):
        seeds = range(whole_number("seeds", seeds, least=1))
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ValueError(
            "executor must be None, for a process on each core, or a pool of workers such as "
            f"concurrent.futures.ThreadPoolExecutor(1), got {shown(executor)}"
        )
    widths, seeds = _distinct("widths", widths, 1), _distinct("seeds", seeds, 0)
    common = experiment(L, init, rtol, gradient_tol)
    wanted = list(itertools.product(widths, seeds))
    table, refusals = Table(path, common.settings()), []
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(table)
            done = {run for run, row in table.rows.items() if row["status"] != "interrupted"}
            missing = {*wanted, *table.again} - done
            # The longest first: none is alone at the end.
            missing = sorted(missing, key=lambda run: (-run[0], run[1]))
            compiled = compile_apart() if missing and L.kernel is kernels.erf else True
            futures = []
            # Runs after the pool below, which ends by itself.
            stack.callback(lambda: [future.cancel() for future in futures])
            if missing and executor is None:
                common = packed(common)
                executor = stack.enter_context(local_processes(len(missing)))
            row = functools.partial(flow_row, compiled=compiled)
            futures += [executor.submit(row, n, seed, common) for n, seed in missing]
            completed = concurrent.futures.as_completed(futures)
            bar = progress(completed, len(wanted), "flow", done=len(wanted) - len(missing))
            stack.callback(getattr(bar, "close", lambda: None))  # ends its line
            for future in bar:
                try:
                    table.append(future.result())
                except ValueError as refusal:  # one flow does not cost the others
                    refusals.append(str(refusal))
            table.sort()
    except KeyboardInterrupt:
        finished = len({*wanted} & {*table.rows})
        advice = "with a path they would be kept" if path is None else "the same call goes on"
        message = f"sweep: interrupted after {finished} of {len(wanted)} flows; {advice}"
        raise ending(KeyboardInterrupt, message) from None
    if refusals:
        kept = "not kept without a path" if path is None else "kept"
        raise ValueError(
            f"{len(refusals)} of {len(missing)} flows cannot be followed, the others are {kept}: "
            f"{min(refusals)}"
        )
    return table.array(wanted)


def flow_row(n, seed, common, compiled=True):
    """One flow as a row of the table, a dictionary; runs in the workers. compiled: may it be?

    common: the `Experiment`, or its bytes.
    """
    common = unpacked(common) if isinstance(common, bytes) else common
    try:
        return _row(n, seed, common, *certified_flow(n, seed, common, compiled))
    except ValueError as error:
        raise ValueError(f"n={n}, seed={seed}: {error}") from error


def save_end_points(path, table, settings, n):
    """Write the first end point of every kind at width n to an .npz file.

    Its arrays are W_<kind>, a_<kind>, seed_<kind>. At one stroke: a file that was there stays whole
    until the new one is. Raises ValueError if n is no width of the table.
    """
    if n not in table["n"]:
        raise ValueError(f"n must be a width of the table, got {n}")
    arrays = {}
    compiled, common = compile_apart(), from_settings(settings)
    for kind in np.unique(table["kind"][table["n"] == n]):
        seed = int(table["seed"][(table["n"] == n) & (table["kind"] == kind)].min())
        student = certified_flow(n, seed, common, compiled)[1].student
        arrays |= {f"W_{kind}": student.W, f"a_{kind}": student.a, f"seed_{kind}": seed}
    content = io.BytesIO()
    path = Path(path).resolve()
    np.savez_compressed(content, **arrays)
    with locked(path):
        replace(path, content.getvalue())


def certified_flow(n, seed, common, compiled=True):
    """(Flow, Certificate) of one flow of this `Experiment`. compiled: may it be?"""
    L = common.loss(compiled)
    start = common.start(np.random.default_rng([common.k, n, seed]), n)
    gradient_tol = common.gradient_tol
    while True:
        flow = gradient_flow(
            L, start, rtol=common.rtol, gradient_tol=gradient_tol, progress=False, compiled=compiled
        )
        if flow.status == "interrupted":  # by Ctrl-C in this very process: no end, and no row
            raise KeyboardInterrupt
        certificate = certify(L, flow.student)
        goes_down = certificate.smallest_eigenvalue < 0.0 or certificate.dead
        leads_on = certificate.kind in ("saddle", "not critical") and goes_down
        if not leads_on or flow.status == "out of range" or gradient_tol <= 1e-12:
            return flow, certificate
        gradient_tol *= 0.01


def _row(n, seed, common, flow, certificate):
    configuration = identify(common.loss(compiled=False), certificate.student)
    return dict(
        k=common.k, n=n, seed=seed, law=common.law,
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
        raise ValueError(
            f"{name} must be integers, such as range(10) or [3, 5], got {shown(values)}"
        )
    values = [integer(name, value, least) for value in values]
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must be distinct, got {shown(values)}")
    return values
