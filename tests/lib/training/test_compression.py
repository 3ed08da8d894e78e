"""The tables on compression: rows reproduced, and the commands that make them."""

import gzip

import numpy as np
import pytest

from lib import PopulationLoss, kernels
from lib.training import compression, load_compression, load_digits, load_teacher


def stored(name, *key):
    """{(method, trial): row} of one job."""
    table = load_compression(name)
    columns = table.dtype.names[: len(key)]
    rows = table[np.all([table[c] == value for c, value in zip(columns, key, strict=True)], axis=0)]
    return {(str(row["method"]), int(row["trial"])): row for row in rows}


def compare(made, rows, first, columns):
    """Columns, from number `first` on, and how much each may differ."""
    assert len(made) == len(rows) == 10
    for row in made:
        known = rows[row[first - 2], row[first - 1]]
        for entry, (column, much) in zip(row[first:], columns.items(), strict=True):
            if much is not None:
                assert float(entry) == pytest.approx(known[column], rel=much), (row, column)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_rows_of_a_trained_network_are_reproduced(name, monkeypatch):
    """Of the stored network; what the optimiser makes of it differs between processors."""
    stored_teacher = load_digits(20, 4), load_teacher(name, 4)
    monkeypatch.setattr(compression, "trained_teacher", lambda name, seed: stored_teacher)
    exact, flow = dict.fromkeys(("energy", "teacher_error", "bound", "start_loss"), 1e-4), 0.02
    free = dict.fromkeys(("start_error", "flow_error", "trained_error", "direct_error"))
    columns = exact | {"flow_loss": flow} | free
    compare(compression.digit_rows(name, 12, 4), stored("digits", name, 12, 4), 5, columns)


def test_rows_of_a_random_teacher_are_reproduced():
    made = compression.cluster_rows(0.6, 1, 10, 4)
    columns = dict.fromkeys(("energy", "bound", "start_loss"), 1e-4) | {"flow_loss": 0.02}
    compare(made, stored("clusters", 0.6, 1, 10, 4), 6, columns)


def test_a_network_trained_again_is_as_good():
    digits, teacher = compression.trained_teacher("relu", 0)
    again, known = (digits.test_error(one, kernels.relu) for one in (teacher, load_teacher("relu", 0)))
    assert abs(again - known) < 0.01


def test_clustered_teachers_have_their_cosines():
    """Over 40 teachers: 0.6 within clusters and 0 outside, by 5 standard errors."""
    inside, outside = [], []
    same = np.kron(np.eye(5), np.ones((4, 4))) > 0
    for seed in range(40):
        teacher = compression.clustered_teacher(0.6, 0, seed)
        cosines = teacher.W @ teacher.W.T
        assert np.allclose(cosines.diagonal(), 1.0) and set(teacher.a) == {1.0}
        inside.append(cosines[same & ~np.eye(20, dtype=bool)].mean())
        outside.append(cosines[~same].mean())
    for found, expected in ((inside, 0.6), (outside, 0.0)):
        error = np.std(found) / np.sqrt(40)
        assert abs(np.mean(found) - expected) < 5 * error + 0.01
    logs = np.log([compression.clustered_teacher(0.6, 1, s).a for s in range(40)])
    assert abs(logs.std() - 1.0) < 0.1


def test_tables_are_complete_and_of_the_methods():
    digits, clusters = load_compression("digits"), load_compression("clusters")
    assert set(digits["method"]) == set(clusters["method"]) == {*compression.METHODS, "random"}
    for table, plan in zip((digits, clusters), compression.plans(), strict=True):
        assert table.dtype.names == plan.columns and len(table) == 10 * len(plan.jobs)
        jobs = zip(*(table[column].tolist() for column in plan.columns[: len(plan.jobs[0])]), strict=True)
        assert sorted(jobs) == sorted(10 * plan.jobs)  # five methods, five random starts
        assert (table["flow_loss"] > table["bound"]).all()


def test_students_have_their_best_outgoing_weights():
    L = PopulationLoss(load_teacher("relu", 0), kernels.relu)
    for _, _, student in compression.students(L, 8, 0):
        assert np.abs(L.gradient(student).a).max() < 1e-8


def test_ten_networks_are_trained_unless_fewer_are_asked_for(tmp_path, monkeypatch):
    network, asked = load_teacher("relu", 0), []
    monkeypatch.setattr(compression, "plans", lambda seeds: asked.append(seeds) or [])
    monkeypatch.setattr(compression, "trained_teacher", lambda name, seed: (None, network))
    for options, seeds in (({}, 10), ({"smaller": 4}, 2), ({"smaller": 100}, 1)):
        compression.make(tmp_path, **options)
        with np.load(tmp_path / "compression_teachers.npz") as file:
            assert file["erf"].shape == file["relu"].shape == (seeds, 420) and asked[-1] == seeds


def test_a_small_table_is_made(tmp_path, monkeypatch):
    """By the plans, with fewer jobs; a second call makes nothing again."""
    plan = compression.plans(1)[1]
    small = plan._replace(jobs=plan.jobs[:1])
    monkeypatch.setattr(compression, "plans", lambda seeds: [small])
    monkeypatch.setattr(compression, "KERNELS", {"relu": kernels.relu})
    compression.make(tmp_path, smaller=10)
    table = tmp_path / f"{small.name}.csv.gz"
    lines = gzip.decompress(table.read_bytes()).decode("utf-8").splitlines()
    assert len(lines) == 12 and lines[1] == ",".join(small.columns)
    with np.load(tmp_path / "compression_teachers.npz") as file:
        assert file["relu"].shape == (1, 420)
    before = table.stat().st_mtime_ns
    compression.make(tmp_path, smaller=10)
    assert table.stat().st_mtime_ns == before
