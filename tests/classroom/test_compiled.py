"""What numba has compiled of lib reaches the sandboxes, in which nothing is compiled."""

import os
import subprocess
import sys

import pytest
from small_course import ASSIGNMENTS, WALLS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytest.importorskip("numba", reason="numba is not installed")
sys.path.insert(0, str(ASSIGNMENTS))
from grading import compiled, sandbox  # noqa: E402

pytestmark = pytest.mark.slow

A_FLOW = """
import sys
sys.path.insert(0, {behind!r})
import behind_walls
behind_walls.fetch_compiled()
import numpy as np
from lib import Network, PopulationLoss, glorot, gradient_flow, kernels
from lib.fast import compiled_kernels
gradient_flow(PopulationLoss(Network.orthonormal(3), kernels.erf), glorot(np.random.default_rng(0), 2, 3))
counts = compiled_kernels.correct.stats
print(sum(counts.cache_hits.values()), sum(counts.cache_misses.values()))
"""


@pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here")
def test_behind_walls_a_flow_is_loaded_and_not_compiled(tmp_path):
    for part in ("work", "given", "io"):
        (tmp_path / part).mkdir()
    command = sandbox.python(sandbox.walls(tmp_path), sandbox.environment(f"{tmp_path}/work"))
    code = A_FLOW.format(behind=str(sandbox.INSIDE.parent))
    ran = subprocess.run([*command, "-c", code], capture_output=True, text=True)
    assert ran.stdout.split() == ["1", "0"], ran.stderr


def test_it_is_compiled_once(tmp_path, monkeypatch):
    """And again for other sources; without numba, or where it does not work, there is none."""
    calls = []

    def run(command, **settings):
        calls.append(settings["env"]["NUMBA_CACHE_DIR"])
        return subprocess.CompletedProcess(command, int(broken))

    monkeypatch.setattr(compiled.subprocess, "run", run)
    monkeypatch.setattr(compiled.sys, "prefix", str(tmp_path))
    folder, broken = compiled.folder.__wrapped__, False
    first = folder()
    assert folder() == first and first.parent == tmp_path / "compiled" and len(calls) == 1
    monkeypatch.setattr(compiled, "version", lambda name: "0.0")
    second = folder()
    assert second != first and second.is_dir() and len(calls) == 2
    monkeypatch.setattr(compiled, "processor", lambda: ["another"])
    broken = True
    assert folder() is None and len(calls) == 3

    def missing(name):
        raise compiled.PackageNotFoundError(name)

    monkeypatch.setattr(compiled, "version", missing)
    assert folder() is None and len(calls) == 3


def test_where_the_environment_cannot_be_written_it_is_compiled_for_this_run(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    (tmp_path / "compiled").write_text("in the way")
    monkeypatch.setattr(compiled.sys, "prefix", str(tmp_path))
    found = compiled.folder.__wrapped__()
    assert found.is_dir() and tmp_path not in found.parents
    os.rmdir(found)
