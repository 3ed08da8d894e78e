"""Run a submission in a kernel that sees Python, the library of the book and an empty folder, and little else.

nbgrader itself, the gradebook and the solutions stay outside: only the kernel, in which student code runs, is shut in.
With bubblewrap it has no network, no other files and no other processes. Without, nothing is graded unless told so.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from copy import deepcopy
from json import dumps
from pathlib import Path

import matplotlib
import psutil
import zmq
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer

import lib

from . import harmless
from .repair import is_test
from .room import short_folder

KERNEL = Path(__file__).with_name("kernel.py")
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"]
LONGEST_MESSAGE = 2**23  # bytes
# Whether the system counts the processes of a sandbox apart from all others of who grades.
COUNTED_INSIDE = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (5, 14)


@functools.cache
def without_bubblewrap():
    """Why bubblewrap cannot be used here; an empty string when it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap (bwrap) is not installed"
    probe = subprocess.run([*walls(), "true"], capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"bubblewrap does not work here: {probe.stderr.strip()}"


NO_SANDBOX = (
    "NO SANDBOX: {}. Nothing is graded, because student code could read and change all that you can.\n"
    "On Debian and Ubuntu:  apt-get install bubblewrap.  Elsewhere, see 'How student code is isolated' on the\n"
    "teaching page. Notebooks of your own can be graded without:  --no-sandbox"
)


def walls(folder=None):
    """The command that shuts what follows it in: read-only Python and `lib`, no network, no variables of ours.

    All that can be written to is in memory and limited: /tmp, /dev/shm and `folder`/work; in `folder` itself, which is
    shared with us, lie the sockets. bwrap is the first process inside, so its own environment is empty too.
    """
    library = Path(lib.__file__).parent
    data = library.parent / "book" / "data"  # in a checkout; an installed library carries its own
    python = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("-packages"))]
    readable = [os.path.realpath(path) for path in python] + python
    command = ["env", "-i", shutil.which("bwrap") or "bwrap", "--unshare-all", "--new-session", "--die-with-parent"]
    command += ["--cap-drop", "ALL", "--clearenv", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    command += ["--dev", "/dev", "--size", str(2**26), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    command += ["--size", str(2**28), "--tmpfs", "/tmp"]
    for path in [*SYSTEM, *readable, str(library), str(data), str(KERNEL)]:
        command += ["--ro-bind-try", path, path]
    if folder:
        work, given = f"{folder}/work", f"{folder}/given"
        command += ["--bind", folder, folder, "--ro-bind", given, given]
        command += ["--size", str(2**28), "--tmpfs", work, "--chdir", work]
    return [*command, "--remount-ro", "/"]


def environment(home):
    """All that student code sees of the environment; passwords, tokens and the language of ours do not reach it."""
    kept = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    folders = {"HOME": home, "TMPDIR": home, "MPLCONFIGDIR": f"{home}/.matplotlib"}
    return {**kept, **threads, **folders, "PYTHONDONTWRITEBYTECODE": "1"}


class SandboxedKernelManager(AsyncKernelManager):
    """Starts its kernel behind walls and talks to it through sockets in `folder`, the only one that it can write to."""

    def __init__(self, folder, limits, walled, **settings):
        super().__init__(**settings)
        self.folder, self.limits, self.walled = folder, limits, walled
        # What is longer is refused by the socket, before it is in our memory; of the rest only so many may wait.
        self.context.setsockopt(zmq.MAXMSGSIZE, LONGEST_MESSAGE)
        self.context.setsockopt(zmq.RCVHWM, 20)
        self.transport, self.connection_file, self.ip = "ipc", f"{folder}/kernel.json", f"{folder}/ipc"
        self.kernel_spec.interrupt_mode = "message"  # a signal would end the walls, not the cell

    def format_kernel_cmd(self, extra_arguments=None):
        work = f"{self.folder}/work"
        variables = environment(work)
        if self.walled:
            start = walls(self.folder) + [word for item in variables.items() for word in ("--setenv", *item)]
        else:
            start = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
            start += [f"JPY_PARENT_PID={os.getpid()}"]  # the kernel ends when we do
        return [
            *start,
            sys.executable,
            "-P",
            *("-X", "utf8"),
            str(KERNEL),
            dumps(self.limits),
            "-f",
            self.connection_file,
            "--HistoryManager.hist_file=:memory:",
        ]


class SandboxedExecute(Execute):
    """nbgrader's Execute, in the sandbox; after a dead kernel or spent time the cells that are left fail, no others."""

    total = Integer(300, help="seconds that a whole notebook may take").tag(config=True)
    memory = Integer(2 * 2**30, help="bytes of address space for each process of a submission").tag(config=True)
    file_size = Integer(2**26, help="bytes that a submission may write to one file").tag(config=True)
    processes = Integer(64, help="processes and threads that a submission may have at a time").tag(config=True)
    no_sandbox = Bool(False, help="run without bubblewrap, for notebooks of one's own").tag(config=True)
    shown = Integer(10**6, help="characters of output that are kept of one cell").tag(config=True)

    def create_kernel_manager(self):
        limits = {
            "RLIMIT_AS": self.memory,
            "RLIMIT_CPU": self.total + 60,
            "RLIMIT_FSIZE": self.file_size,
            "RLIMIT_CORE": 0,
        }
        if not self.no_sandbox and COUNTED_INSIDE:
            limits["RLIMIT_NPROC"] = self.processes
        self.km = SandboxedKernelManager(self.folder, limits, not self.no_sandbox, config=self.config)
        return self.km

    def watch(self, ended):
        """End a submission that has too many processes, all of them together too much memory, or files among ours.

        For what no limit of a process stops: many processes, of root too, whom RLIMIT_NPROC does not concern.
        """
        while not ended.wait(0.3):
            group = getattr(getattr(self.km, "provisioner", None), "pid", None)
            with suppress(psutil.Error, OSError):
                started = [psutil.Process(group), *psutil.Process(group).children(recursive=True)] if group else []
                memory = sum(process.memory_info().rss for process in started)
                beside = sum(path.lstat().st_size for path in Path(self.folder).iterdir() if path.is_file())
                if len(started) > self.processes or memory > 2 * self.memory or beside > 2**20:
                    for process in started:
                        with suppress(psutil.Error):
                            process.kill()

    def preprocess(self, nb, resources):
        if not self.no_sandbox and (missing := without_bubblewrap()):
            raise RuntimeError(NO_SANDBOX.format(missing))
        self.over, self.deadline, self.cell_limit = None, time.monotonic() + self.total, self.timeout
        submitted = resources["metadata"]["path"]
        with tempfile.TemporaryDirectory("", "kernel", short_folder(), ignore_cleanup_errors=True) as self.folder:
            resources["metadata"]["path"] = f"{self.folder}/work"
            Path(self.folder, "work").mkdir()
            fonts = Path(shutil.copytree(submitted, f"{self.folder}/given"), ".matplotlib")
            fonts.mkdir(exist_ok=True)
            for known in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):
                shutil.copy(known, fonts)  # to search all fonts again takes some seconds
            metadata = deepcopy([part.metadata for part in (nb, *nb.cells)])
            ended = threading.Event()
            watcher = threading.Thread(target=self.watch, args=(ended,), daemon=True)
            watcher.start()
            try:
                return super().preprocess(nb, resources)
            finally:
                for part, its_own in zip((nb, *nb.cells), metadata, strict=True):
                    part.metadata = its_own  # without what the kernel says of itself
                for cell in nb.cells:
                    if cell.cell_type == "code":
                        cell.outputs, cell.execution_count = harmless.outputs(cell.outputs), None
                    else:  # already so, unless nbgrader was started without `make grade`
                        cell.attachments = harmless.attachments(cell.get("attachments", {}))
                        cell.source = harmless.markdown(cell.source, cell.attachments)
                resources["metadata"]["path"] = submitted
                self.timeout = self.cell_limit
                ended.set()
                watcher.join()
                self.end_processes()

    def end_processes(self):
        """What student code left running in the process group of its kernel; behind walls nothing is left."""
        group = getattr(getattr(self.km, "provisioner", None), "pgid", None)
        with suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(group, signal.SIGKILL)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        left = int(self.deadline - time.monotonic())
        if not self.over and left < 1:
            self.over = "NotebookTimeout", f"the whole notebook may take {self.total} s"
        if not self.over:
            self.kept, self.timeout = 0, min(self.cell_limit, left)
            try:
                cell, resources = super().preprocess_cell(cell, resources, index)
            except CellTimeoutError:  # the kernel does not listen to the interruption, or is still printing
                cell.outputs = failure("CellTimeoutError", "No reply from kernel before timeout")
            except DeadKernelError:
                self.over = "KernelDied", "the kernel died here or in an earlier cell"
        if self.over:
            cell.outputs = failure(*self.over)
        if is_test(cell):
            # A test passes unless it raises: no warning takes points away, and no printed number gives any.
            cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
        return cell, resources

    def process_message(self, msg, cell, cell_index):
        """Take of what the kernel says only outputs and states: no widgets, no changes of what was shown before.

        And no more than `shown`, a print in an endless loop must not fill our memory; an error is always noted.
        """
        kind, content = msg["msg_type"], msg["content"]
        if kind in ("stream", "display_data", "execute_result", "error"):
            content.pop("transient", None)
            self.kept += len(str(content))
            if self.kept > self.shown:
                if kind != "error":
                    return None
                msg["content"] = {"ename": str(content.get("ename"))[:200], "evalue": "", "traceback": []}
        elif kind not in ("status", "execute_input", "clear_output"):
            return None
        return super().process_message(msg, cell, cell_index)


def failure(name, message):
    """Outputs that make a test fail."""
    return [new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])]
