"""Run a submission in a kernel that sees Python, the library of the book and an empty folder, and little else.

nbgrader itself, the gradebook and the solutions stay outside: only the kernel, in which student code runs, is shut in.
The tests run in a second sandbox, which that code does not enter: they ask the kernel what its functions return.
With bubblewrap both have no network, no other files and no other processes. Without, nothing is graded unless told so.
"""

import functools
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from itertools import islice
from json import dumps
from pathlib import Path

import matplotlib
import nbformat
import psutil
import zmq
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_output
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer, Unicode

import lib

from . import compiled_flows, examination, harmless, variants
from .behind_walls.answers import KIND as ANSWER
from .repair import STOPPED, grade_id, is_test
from .room import short_folder

COURSE = Path(__file__).resolve().parents[1]
INSIDE = Path(__file__).with_name("behind_walls")
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"]
LONGEST_MESSAGE = 2**23  # bytes
ANSWERS = "__import__('behind_walls.answers', fromlist=['call'])"
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


def walls(folder=None, more=()):
    """The command that shuts what follows it in: read-only Python and `lib`, no network, no variables of ours.

    All that can be written to is in memory and limited: /tmp, /dev/shm and `folder`/work; in `folder`/io, which we
    share, lie the sockets. bwrap is the first process inside, so its own environment is empty too.
    """
    library = Path(lib.__file__).parent
    data = library.parent / "book" / "data"  # in a checkout; an installed library carries its own
    python = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("-packages"))]
    readable = [os.path.realpath(path) for path in python] + python
    command = ["env", "-i", shutil.which("bwrap") or "bwrap", "--unshare-all", "--new-session", "--die-with-parent"]
    command += ["--cap-drop", "ALL", "--clearenv", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    command += ["--dev", "/dev", "--size", str(2**26), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    command += ["--size", str(2**28), "--tmpfs", "/tmp"]
    ours = [str(path) for path in (library, data, INSIDE, compiled_flows.folder()) if path]
    for path in [*SYSTEM, *readable, *ours, *more]:
        command += ["--ro-bind-try", path, path]
    if folder:
        work, given, sockets = f"{folder}/work", f"{folder}/given", f"{folder}/io"
        command += ["--bind", sockets, sockets, "--ro-bind", given, given]
        command += ["--size", str(2**28), "--tmpfs", work, "--chdir", work]
    return [*command, *["--chdir", "/tmp"] * (not folder), "--remount-ro", "/"]


def environment(home):
    """All that student code sees of the environment; passwords, tokens and the language of ours do not reach it."""
    kept = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    folders = {"HOME": home, "TMPDIR": home, "MPLCONFIGDIR": f"{home}/.matplotlib"}
    return {**kept, **threads, **folders, "PYTHONDONTWRITEBYTECODE": "1"}


def python(behind, variables):
    """The command that starts Python with these variables alone, `behind` walls if there are some."""
    if behind:
        if known := compiled_flows.folder():
            variables = variables | {"COMPILED_FLOWS": str(known), "NUMBA_CACHE_DIR": f"{variables['HOME']}/.numba"}
        start = behind + [word for item in variables.items() for word in ("--setenv", *item)]
    else:
        start = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    return [*start, sys.executable, "-P", "-X", "utf8"]


def examiner(no_sandbox):
    """The process that is copied for the tests of each submission, in a sandbox of its own."""
    fonts = matplotlib.get_cachedir()  # to search all fonts again takes some seconds
    variables = environment("/tmp") | {"MPLCONFIGDIR": fonts, "MPLBACKEND": "agg"}
    behind = None if no_sandbox else walls(more=[fonts])
    return examination.Examiner([*python(behind, variables), str(INSIDE / "tests.py")])


class SandboxedKernelManager(AsyncKernelManager):
    """Starts its kernel behind walls and talks to it through sockets in `folder`/io, where alone it can write."""

    def __init__(self, folder, limits, walled, **settings):
        super().__init__(**settings)
        self.folder, self.limits, self.walled = folder, limits, walled
        # What is longer is refused by the socket, before it is in our memory; of the rest only so many may wait.
        self.context.setsockopt(zmq.MAXMSGSIZE, LONGEST_MESSAGE)
        self.context.setsockopt(zmq.RCVHWM, 20)
        self.transport, self.connection_file, self.ip = "ipc", f"{folder}/io/kernel.json", f"{folder}/io/ipc"
        self.kernel_spec.interrupt_mode = "message"  # a signal would end the walls, not the cell

    async def start_kernel(self, **settings):
        """Start it without a way into what we say: all that it has to say goes through the sockets."""
        return await super().start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings)

    def format_kernel_cmd(self, extra_arguments=None):
        work = f"{self.folder}/work"
        variables = environment(work)
        if not self.walled:
            variables["JPY_PARENT_PID"] = str(os.getpid())  # the kernel ends when we do
        return [
            *python(walls(self.folder) if self.walled else None, variables),
            str(INSIDE / "kernel.py"),
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
    examiner = Unicode("", help="the socket of what `examiner` starts; without, it is started anew").tag(config=True)
    no_sandbox = Bool(False, help="run without bubblewrap, for notebooks of one's own").tag(config=True)
    files = Integer(256, help="files that a process of a submission may have open").tag(config=True)
    shown = Integer(10**6, help="characters of output that are kept of one cell").tag(config=True)
    shown_in_all = Integer(5 * 10**6, help="characters of output that are kept of a notebook").tag(config=True)
    ahead = Integer(5, help="seconds by which a submission may use more than one processor").tag(config=True)

    def limits(self):
        limits = {
            "RLIMIT_AS": self.memory,
            "RLIMIT_CPU": self.total + 60,
            "RLIMIT_FSIZE": self.file_size,
            "RLIMIT_NOFILE": self.files,
            "RLIMIT_CORE": 0,
        }
        if not self.no_sandbox and COUNTED_INSIDE:
            limits["RLIMIT_NPROC"] = self.processes
        return limits

    def create_kernel_manager(self):
        self.km = SandboxedKernelManager(self.folder, self.limits(), not self.no_sandbox, config=self.config)
        return self.km

    @contextmanager
    def tests_at_hand(self):
        """Have a process for the tests, a copy of the examiner of all submissions, or of one for this alone."""
        with ExitStack() as own:
            self.address = self.examiner or own.enter_context(examiner(self.no_sandbox)).address
            self.start_tests()
            try:
                yield
            finally:
                if self.process:
                    self.process.end()

    def start_tests(self):
        """Start the process of the tests: it has the cells of the source, and nothing of the submission."""
        cells = [code for test in self.tests.values() for _, code in test.cells]
        self.process = examination.Copy(self.address, self.limits(), cells)

    def watch(self, ended):
        """End a submission that has too many processes, all of them together too much memory, or files among ours.

        For what no limit of a process stops: many processes, of root too, whom RLIMIT_NPROC does not concern. Whoever
        uses more than one processor goes on with what the others leave, and takes no time of another's submission.
        """
        spent, began, io = {}, time.monotonic(), f"{self.folder}/io"
        while not ended.wait(0.3):
            started, memory = processes(getattr(getattr(self.km, "provisioner", None), "pid", None)), 0
            for process in started:
                with suppress(psutil.Error):  # it has ended
                    memory += process.memory_info().rss
                    spent[process] = sum(process.cpu_times()[:2])
            littered = is_littered(io) or any(has_nameless_file(process.pid, io) for process in started)
            if len(started) > self.processes or memory > 2 * self.memory or littered:
                for process in started:
                    with suppress(psutil.Error):
                        process.kill()
            elif sum(spent.values()) > time.monotonic() - began + self.ahead:
                for process in started:
                    with suppress(psutil.Error, OSError):
                        for thread in process.threads():
                            os.setpriority(os.PRIO_PROCESS, thread.id, 19)

    def preprocess(self, nb, resources):
        if not self.no_sandbox and (missing := without_bubblewrap()):
            raise RuntimeError(NO_SANDBOX.format(missing))
        self.over, self.deadline, self.cell_limit = None, time.monotonic() + self.total, self.timeout
        self.kept_in_all = 0
        name = resources["nbgrader"]
        solved = nbformat.read(COURSE / "source" / name["assignment"] / f"{name['notebook']}.ipynb", as_version=4)
        solved = variants.own(COURSE, name["student"], name["assignment"], solved, variants.variant)
        self.tests, self.tested = examination.tests(solved), set()
        texts = {grade_id(cell): cell.source for cell in solved.cells if is_test(cell)}
        for cell in filter(is_test, nb.cells):  # nbgrader has put in those of the class
            cell.source = texts.get(grade_id(cell), cell.source)
        submitted = resources["metadata"]["path"]
        own_folder = tempfile.TemporaryDirectory("", "kernel", short_folder(), ignore_cleanup_errors=True)
        with own_folder as self.folder, self.tests_at_hand():
            resources["metadata"]["path"] = f"{self.folder}/work"
            Path(self.folder, "work").mkdir()
            Path(self.folder, "io").mkdir()
            others = shutil.ignore_patterns("*.ipynb")  # the notebook itself holds the hidden tests by now
            fonts = Path(shutil.copytree(submitted, f"{self.folder}/given", ignore=others), ".matplotlib")
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
                subprocess.run(["rm", "-rf", f"{self.folder}/io"])  # however deep its folders are

    def end_processes(self):
        """What student code left running in the process group of its kernel; behind walls nothing is left."""
        group = getattr(getattr(self.km, "provisioner", None), "pgid", None)
        with suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(group, signal.SIGKILL)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        if is_test(cell):
            self.examine(cell, index)
        else:
            self.run_cell(cell, index)
        return cell, resources

    def run_cell(self, cell, index, history=True):
        """Run `cell` in the kernel of the student; whatever becomes of it is in its outputs."""
        left = int(self.deadline - time.monotonic())
        if not self.over and left < 1:
            self.over = "NotebookTimeout", f"the whole notebook may take {self.total} s"
        if not self.over:
            self.kept, self.timeout = 0, min(self.cell_limit, left)
            try:
                self.execute_cell(cell, index, store_history=history)
            except CellTimeoutError:  # the kernel does not listen to the interruption, or is still printing
                cell.outputs = failure("CellTimeoutError", "No reply from kernel before timeout")
            except Exception as error:  # DeadKernelError; others of many kinds for messages that are none
                if not isinstance(error, DeadKernelError):
                    self.log.warning("The kernel says what no kernel says: %s", type(error).__name__)
                self.over = "KernelDied", "the kernel died here or in an earlier cell"
        if self.over:
            cell.outputs = failure(*self.over)

    def run_beside(self, code, index):
        """Run `code` of ours in the kernel of the student, in no cell of the notebook: the outputs, and the answer."""
        self.answer, cell, kept = None, new_code_cell(code), self.nb.cells[index]
        self.run_cell(cell, index, history=False)
        self.nb.cells[index] = kept
        return cell.outputs, self.answer

    def examine(self, cell, index):
        """Run the test in `cell`: on the answers of the student, and if it fails, once more with right earlier ones.

        Right are those of the source, in place of answers that have been tested. So a mistake costs the points of its
        own task, and no answer of the source is in the kernel while it could still be taken for one of the student.
        What is chosen and not computed has one try: the second would be a second guess.
        """
        name, test = grade_id(cell), self.tests[grade_id(cell)]
        self.called = False
        cell.outputs = self.outputs_of(test, index)
        replaced, cells = self.right_answers(test)
        if cell.outputs and self.called and replaced and not self.over and cell.outputs[0].ename not in STOPPED:
            self.run_beside(f"{ANSWERS}.replace({cells!r}, {replaced!r})", index)
            own = [part for part in self.nb.cells if grade_id(part) in test.answers and part.cell_type == "code"]
            for part in own:
                self.run_beside(part.source, index)
            if not self.outputs_of(test, index):
                text = f"passed, with the solution of the problem set in place of your {', '.join(replaced)}"
                cell.outputs = [new_output("stream", name="stdout", text=text)]
            self.run_beside(f"{ANSWERS}.restore({replaced!r})", index)
        self.tested.add(name)
        later = [part.source for part in self.nb.cells[index + 1 :] if part.cell_type == "code" and not is_test(part)]
        passed = not any(output.output_type == "error" for output in cell.outputs)
        if passed and examination.is_needed(examination.visible(test.code), later):
            self.run_beside(examination.visible(test.code), index)

    def right_answers(self, test):
        """What the answer to `test` may call of earlier ones that are tested, and the code that defines it all."""
        left = {answer for name, other in self.tests.items() if name not in self.tested for answer in other.answers}
        own = " ".join(cell.source for cell in self.nb.cells if grade_id(cell) in (None, *test.answers))
        names = {name for other in self.tests.values() if not left.intersection(other.answers) for name in other.names}
        cells = [cell for other in self.tests.values() for cell in other.cells]
        return sorted(names.intersection(re.findall(r"\w+", own))), [code for name, code in cells if name not in left]

    def outputs_of(self, test, index):
        """Nothing when the test passes on what the kernel of the student has now; else the error."""
        spent = None

        def ask(question):
            nonlocal spent
            if "call" in question:
                self.called = True
                code = f"{ANSWERS}.call({question['call']!r}, {question['given']!r})"
            else:
                code = f"{ANSWERS}.fetch({question['fetch']!r})"
            outputs, answer = self.run_beside(code, index)
            stopped = [output for output in outputs if output.output_type == "error" and output.ename in STOPPED]
            spent = stopped[0] if stopped else None
            if answer is None and not spent:
                reason = outputs[0].get("ename", "") if outputs else ""
                answer = dumps({"error": reason or "RuntimeError", "message": "no answer came back", "traceback": ""})
            return None if spent else answer

        if self.over:
            return failure(*self.over)
        if self.process is None:
            self.start_tests()
        left = min(self.cell_limit, self.deadline - time.monotonic())
        verdict = self.process.verdict(test, max(left, 1), ask)
        if spent:
            return [spent]
        if verdict is None:
            self.process.end()
            self.process = None
            return failure("CellTimeoutError", "the test did not come to its end")
        if not verdict:
            return []
        where = f"Cell In [0], line {verdict['line']}; kind of input: {verdict['kind'] or 'not named'}"
        traceback = [where, harmless.text(verdict["traceback"])]
        return [new_output("error", ename=verdict["name"], evalue=verdict["message"], traceback=traceback)]

    def process_message(self, msg, cell, cell_index):
        """Take of what the kernel says only outputs and states: no widgets, no changes of what was shown before.

        And no more than `shown`, a print in an endless loop must not fill our memory; one error is always noted.
        """
        kind, content = msg["msg_type"], msg["content"]
        if kind == "display_data" and isinstance(content.get("data"), dict) and ANSWER in content["data"]:
            self.answer = str(content["data"][ANSWER])
            return None
        if kind in ("stream", "display_data", "execute_result", "error"):
            content.pop("transient", None)
            size, full = len(str(content)) + 100, self.kept > self.shown
            self.kept, self.kept_in_all = self.kept + size, self.kept_in_all + size
            if self.kept > self.shown or self.kept_in_all > self.shown_in_all:
                if kind != "error" or full:
                    return None
                self.kept = self.shown + 1
                msg["content"] = {"ename": str(content.get("ename"))[:200], "evalue": "", "traceback": []}
        elif kind not in ("status", "execute_input", "clear_output"):
            return None
        return super().process_message(msg, cell, cell_index)


def processes(group):
    """The process `group` and all that it started, as far as they are there."""
    with suppress(psutil.Error):
        return [psutil.Process(group), *psutil.Process(group).children(recursive=True)] if group else []
    return []


def is_littered(folder):
    """Whether more is in `folder` than a kernel needs: its sockets, and the file that names them."""
    kinds = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, 20):
            with suppress(OSError):  # it is gone
                known = entry.stat(follow_symlinks=False)
                kinds.append("socket" if stat.S_ISSOCK(known.st_mode) else "file" if is_small(known) else "other")
    return len(kinds) == 20 or kinds.count("file") > 1 or "other" in kinds


def has_nameless_file(process, folder):
    """Whether a process has a file open that was deleted, on the disk on which `folder` is."""
    with suppress(OSError):
        disk = os.stat(folder).st_dev
        for number in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                known = os.stat(f"/proc/{process}/fd/{number}")
                if stat.S_ISREG(known.st_mode) and known.st_dev == disk and not known.st_nlink:
                    return True
    return False


def is_small(known):
    return stat.S_ISREG(known.st_mode) and known.st_size <= 2**16


def failure(name, message):
    """Outputs that make a test fail."""
    return [new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])]
