"""For tests of sweeps: an executor without processes, and what a command that sweeps says."""

import concurrent.futures
import re
import time

_PROGRESS = re.compile(r" *\d+%\|.*\[.*flow.*\] *$")


def in_process():
    """An executor that works in this thread, one flow after the other."""

    class Now(concurrent.futures.Executor):
        def submit(self, function, /, *arguments, **options):
            future = concurrent.futures.Future()
            try:
                future.set_result(function(*arguments, **options))
            except Exception as error:
                future.set_exception(error)
            return future

    return Now()


def said(errors):
    """The lines on an error stream, without those of the progress bar."""
    lines = errors.replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip() and not _PROGRESS.match(line)]


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
