"""The tables: made again in part, and the committed rows reproduced."""

import gzip

import numpy as np
import pytest

from lib import certify, copy_average, identify, kernels, perturbed_copies
from lib.sweeps.table import data_file
from lib.training import tables
from lib.training.tables import Start, Training


def stored(name, *, sample, seed=0):
    """Some rows of a committed table, as tuples of text; the test is skipped without it."""
    lines = gzip.decompress(data_file(f"{name}.csv.gz").read_bytes()).decode("utf-8").splitlines()[2:]
    rows = [tuple(line.split(",")) for line in lines]
    return [rows[i] for i in np.random.default_rng(seed).choice(len(rows), sample, replace=False)]


def test_starts_are_paired_and_scaled():
    plain, scaled = Start(5, 3), Start(5, 3, "normal", 0.5, 4.0)
    assert np.array_equal(scaled.student(7).W, 0.5 * plain.student(7).W)
    assert np.array_equal(scaled.student(7).a, 4.0 * plain.student(7).a)
    unit = Start(5, 3, "unit").student(1)
    assert np.allclose(np.linalg.norm(unit.W, axis=1), 1.0) and set(np.abs(unit.a)) == {1.0}
    assert not np.array_equal(plain.student(0).W, Start(5, 3, "uniform").student(0).W)


def test_statistics_of_known_students():
    copies = tables.early_statistics(copy_average([1, 1, 1, 1], 5), 4)
    assert np.allclose(copies, (4, 1, 1, 1, 1, 1), atol=1e-12)
    average = copy_average([1, 3], 5)
    found = tables.early_statistics(average, 4)
    p = average.W[1] @ average.W[1]
    share = 3 * np.sqrt(p / 3) * np.sqrt(2 / (1 + p))
    assert np.allclose(found, (2, share, share, 3**-0.5, p**0.5, 1))
    both = tables.early_statistics(copy_average([2, 2], 5) * -1.0, 4)
    assert both == pytest.approx(tables.early_statistics(copy_average([2, 2], 5), 4))


def test_what_leaves_a_minimum_is_another_student():
    """With one input at a time and rate 0.02 all of four leave copy-average; rate 0.001 does not."""
    left = tables.escape_rows(9, 7, "copy-average", 0.02, 1, range(4))
    assert all(row[6] in tables.CHECKPOINTS and row[7] == "perturbed-copies" for row in left)
    (stays,) = tables.escape_rows(9, 7, "copy-average", 0.001, 10, [0])
    assert stays[6:] == (0, "copy-average")


def test_minima_have_the_names_that_identify_gives():
    L = tables.exact_loss(9)
    for name in ("copy-average", "perturbed-copies"):
        student = tables.minimum_of(name, 9, 7)
        assert identify(L, student).kind == name and certify(L, student).kind == "strict minimum"
    assert np.array_equal(
        tables.minimum_of("perturbed-copies", 9, 7).W,
        perturbed_copies(kernels.erf, 9, 7, 10).W,
    )


def test_every_plan_makes_rows_of_its_columns():
    for part in tables.plans(smaller=400):
        job = min(part.jobs, key=lambda job: job[1].steps if part.name.endswith("fates") else 0)
        if part.name == "training_escapes":
            continue  # its rows are made above
        (*rest, seeds) = job
        rows = part.rows(*rest, seeds[:1])
        assert {len(row) for row in rows} == {len(part.columns)}
    escapes = tables.plans()[2]
    assert len(tables.escape_rows(9, 7, "copy-average", 0.1, 1, [0])[0]) == len(escapes.columns)


def keys(name, columns):
    """The first so many entries of all rows of a committed table, numbers as numbers."""

    def entry(text):
        try:
            return float(text)
        except ValueError:
            return text

    lines = gzip.decompress(data_file(f"{name}.csv.gz").read_bytes()).decode("utf-8").splitlines()[2:]
    return sorted(tuple(map(entry, line.split(",")[:columns])) for line in lines)


def test_committed_tables_have_the_rows_of_their_plans_and_no_others():
    """What a job is called and which seeds it has, of every job; so the tables can be made again."""
    fates, early, escapes, samples = tables.plans()
    wanted = [
        (fates, [(*start, *training, s) for start, training, seeds in fates.jobs for s in seeds]),
        (early, [(*start[:2], s, t) for start, seeds in early.jobs for s in seeds for t in tables.TIMES]),
        (escapes, [(*job, s) for *job, seeds in escapes.jobs for s in seeds]),
        (samples, [(*job, s) for *job, seeds in samples.jobs for s in seeds]),
    ]
    for plan, rows in wanted:
        assert keys(plan.name, len(rows[0])) == sorted(rows), plan.name  # and none is planned twice


def test_committed_fates_are_reproduced():
    """Twelve rows of flows and of trainings with exact gradients: kind, and loss to 1e-8."""
    rows = [row for row in stored("training_fates", sample=400) if row[7] == "0"]
    for row in [r for r in rows if r[5] == "flow"][:8] + [r for r in rows if r[5] != "flow"][:4]:
        start = Start(int(row[0]), int(row[1]), row[2], float(row[3]), float(row[4]))
        training = Training(row[5], float(row[6]), int(row[7]), int(row[8]))
        (found,) = tables.fate_rows(start, training, [int(row[9])])
        assert found[-2] == row[-2] and abs(float(found[-1]) - float(row[-1])) < 1e-8, row


def test_committed_samples_are_reproduced():
    """Four minima on data that moved little: exact losses to 1e-5."""
    rows = [row for row in stored("training_samples", sample=300) if row[2] != "adam" and int(row[3]) in (256, 512)]
    for row in rows[:4]:
        (found,) = tables.sample_rows(int(row[0]), int(row[1]), row[2], int(row[3]), [int(row[4])])
        assert abs(float(found[6]) - float(row[6])) < 1e-5 and found[-1] == row[-1], row
