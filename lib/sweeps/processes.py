"""The processes of this machine that a sweep runs on; they end with it, however that happens."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading


class _QuietInterrupt(SystemExit, KeyboardInterrupt):
    """Ctrl-C that ends a script with its message, and no traceback."""


class _QuietError(SystemExit, RuntimeError):
    """The same for a mistake in a script."""


def ending(kind, message):
    """A KeyboardInterrupt or RuntimeError to raise; it ends a script, and no session, in one line.

    Examples
    --------
    >>> from lib.sweeps.processes import ending
    >>> isinstance(ending(KeyboardInterrupt, "interrupted"), KeyboardInterrupt)
    True
    """
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return kind(message)
    return {KeyboardInterrupt: _QuietInterrupt, RuntimeError: _QuietError}[kind](message)


def progress(items, total, unit, done=0, **options):
    """The items, with a bar where tqdm is installed.

    Examples
    --------
    >>> from lib.sweeps.processes import progress
    >>> list(progress("ab", 2, "letter", disable=True))
    ['a', 'b']
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, total=total, initial=done, unit=unit, smoothing=0.0, **options)


UNGUARDED = 77  # a worker's exit status: importing the script, it came upon the call of `sweep`
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


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
def local_processes(most):
    """A pool of one single-threaded process per core, and of `most` at most, as a context manager.

    They are spawned, so that they read the variables of the environment that are set here. Raises
    RuntimeError where one of them dies, or was started by a script that calls `sweep` unguarded.
    """
    # Not above: a browser, which imports lib as well, has no processes.
    from concurrent.futures.process import BrokenProcessPool

    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    count = min(most, cores, 61)  # Windows waits for no more at a time
    workers = _Workers()
    try:
        with concurrent.futures.ProcessPoolExecutor(count, workers, _live_with_parent) as pool:
            try:
                yield pool
            except BaseException:  # Ctrl-C, a full disk: nobody waits for the running flows
                for process in workers.started:
                    if process.pid is not None:
                        process.kill()
                raise
    except BrokenProcessPool as error:
        if UNGUARDED in [process.exitcode for process in workers.started]:
            raise ending(
                RuntimeError,
                "sweep starts processes, and each of them imports this script first: "
                'call sweep below `if __name__ == "__main__":`, and they will not call it too',
            ) from None
        raise RuntimeError(
            "a process of the sweep died, perhaps for want of memory; what was finished is kept, "
            "and the same call goes on with the others"
        ) from error
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
