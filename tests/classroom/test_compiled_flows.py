"""What numba has compiled of lib reaches the sandboxes, in which nothing is compiled."""

import subprocess
import sys

import pytest
from small_course import ASSIGNMENTS, WALLS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
pytest.importorskip("numba", reason="numba is not installed")
sys.path.insert(0, str(ASSIGNMENTS))
from grading import compiled_flows, sandbox  # noqa: E402

pytestmark = pytest.mark.slow

A_FLOW = """
import sys
sys.path.insert(0, {behind!r})
import behind_walls
behind_walls.fetch_compiled_flows()
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
    """And again for another version; without numba, or where it does not work, there is none, and nothing is left."""
    calls, broken, folder = [], False, compiled_flows.folder.__wrapped__

    def run(command, **settings):
        calls.append(settings["env"]["NUMBA_CACHE_DIR"])
        return subprocess.CompletedProcess(command, int(broken))

    def missing(name):
        raise compiled_flows.PackageNotFoundError(name)

    monkeypatch.setattr(compiled_flows.subprocess, "run", run)
    monkeypatch.setattr(compiled_flows.sys, "prefix", str(tmp_path))
    first = folder()
    assert first.is_dir() and tmp_path in first.parents and folder() == first and len(calls) == 1
    monkeypatch.setattr(compiled_flows, "version", lambda name: "0.0")
    second = folder()
    assert second != first and second.is_dir() and len(calls) == 2
    monkeypatch.setattr(compiled_flows, "processor", lambda: ["another"])
    broken = True
    assert folder() is None and len(calls) == 3
    monkeypatch.setattr(compiled_flows, "version", missing)
    assert folder() is None and len(calls) == 3
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_where_the_environment_is_of_somebody_else_a_run_compiles_once_too(tmp_path, monkeypatch):
    """In a folder that all its processes find, and that nobody else can have filled."""
    room = tmp_path / "room"
    room.mkdir()
    (tmp_path / "share").write_text("in the way")
    monkeypatch.setattr(compiled_flows.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(compiled_flows.tempfile, "tempdir", str(room))
    monkeypatch.setattr(compiled_flows.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    found = compiled_flows.folder.__wrapped__()
    assert room in found.parents and compiled_flows.folder.__wrapped__() == found
    found.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="yours alone"):
        compiled_flows.folder.__wrapped__()
