"""lib.fast.accelerator: a numba that is there and does not work costs one warning, and no flow."""

import os
import shutil
import subprocess
import sys

import pytest
from guards import ROOT

from lib.fast import accelerator

SWEEP = """
import sys
from lib import Network, kernels, sweep
from lib.fast import accelerator
from lib.sweeps.table import read
if __name__ == "__main__":
    table = sweep(2, [1, 2], range(2), path=sys.argv[1])
    assert sorted(read(sys.argv[1])[0]["seed"]) == [0, 0, 1, 1]
    print(type(accelerator.loss(Network.orthonormal(2), kernels.erf, accelerator.compile_apart())).__name__)
"""
BROKEN = {
    "too old for NumPy": "raise ImportError('Numba needs NumPy 2.2 or less')",
    "at odds with itself": "raise SystemError('initialization of _internal failed')",
    "half of it": "njit = None",
    "killed": "import os\nos.kill(os.getpid(), 9)" if os.name == "posix" else "raise OSError",
    "another package of this name": "import a_package_that_is_missing",
}


def swept(tmp_path, *options, **environment):
    """A sweep by two workers, in a process whose first folder of modules is tmp_path."""
    script = tmp_path / "script.py"
    script.write_text(SWEEP)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return subprocess.run(
        [sys.executable, *options, script, tmp_path / "table.csv"],
        env=os.environ | {"PYTHONPATH": path} | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_broken_numba_costs_one_warning(tmp_path):
    """From the parent, not from its workers; the flows take NumPy."""
    (tmp_path / "numba.py").write_text(BROKEN["too old for NumPy"])
    done = swept(tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "PopulationLoss", done.stderr
    assert done.stderr.count("Warning: ") == 1 and "Traceback" not in done.stderr
    assert "RuntimeWarning: numba is installed but does not work (ImportError: Numba needs NumPy" in done.stderr


@pytest.mark.parametrize("how", BROKEN)
def test_whatever_breaks_numba_is_said_with_a_cure(tmp_path, monkeypatch, how):
    """An exception of any kind, half a package, a process that dies of it."""
    if "numba" in sys.modules and sys.modules["numba"] is None:
        pytest.skip("numba is kept out of this process")
    (tmp_path / "numba.py").write_text(BROKEN[how])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    with pytest.warns(RuntimeWarning, match="does not work .* pip install 'numba>=0.60,<1', or remove it"):
        assert not accelerator.compile_apart.__wrapped__()


def test_where_warnings_are_errors_it_is_this_one(tmp_path):
    (tmp_path / "numba.py").write_text(BROKEN["too old for NumPy"])
    done = swept(tmp_path, "-W", "error")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeWarning: numba is installed but does not work (ImportError")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Another package `lib` with a function that is quick to compile, and what keeps its compiled form."""
    numba = pytest.importorskip("numba")
    folder = tmp_path / "lib" / "fast"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "lib" / "fast" / "compiled_kernels.py", folder)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    prepare = "from lib.fast.compiled_kernels import _is_short\nimport numpy\n"
    (folder / "compiled.py").write_text(prepare + "def prepare(): assert _is_short(numpy.eye(2))\n")
    monkeypatch.chdir(tmp_path)  # where `python -c` looks first
    monkeypatch.setenv("NUMBA_CACHE_DIR", "restored to what it was")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    return folder / "__pycache__"


def test_a_cache_that_fails_is_replaced_by_a_temporary_one(small, monkeypatch):
    """Corrupt, then with no place for it at all; one that works costs no warning."""
    compile_apart = accelerator.compile_apart.__wrapped__
    assert compile_apart() and "NUMBA_CACHE_DIR" not in os.environ
    (index,) = small.glob("*_is_short*.nbi")
    index.write_bytes(index.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match="could not use the compiled code .*Error.* remove __pycache__ beside"):
        assert compile_apart()
    assert os.path.isdir(os.environ["NUMBA_CACHE_DIR"])
    del os.environ["NUMBA_CACHE_DIR"]
    shutil.rmtree(small)
    small.write_text("in the place of the folder")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(small))
    with pytest.warns(RuntimeWarning, match="numba finds no folder .* Set NUMBA_CACHE_DIR to a folder"):
        assert compile_apart()
    assert accelerator._failure(os.environ) is None


def test_a_compiler_that_is_switched_off_is_none():
    pytest.importorskip("numba")
    assert "NUMBA_DISABLE_JIT is set" in accelerator._failure(os.environ | {"NUMBA_DISABLE_JIT": "1"})
