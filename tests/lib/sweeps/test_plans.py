"""Tables of jobs: in order, whatever was finished first, and resumed where they were stopped."""

import gzip

import pytest

from lib.sweeps import plans
from lib.sweeps.plans import Plan


def squares(first, numbers):
    return [(first, number, number**2, "x") for number in numbers]


def plan(jobs):
    return Plan("squares", ("first", "number", "square", "kind"), jobs, squares)


def test_a_table_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    jobs = [(1, range(3)), (0, range(2)), (2, range(1))]
    plans.write(plan(jobs), tmp_path)
    (table,) = tmp_path.iterdir()
    assert table.name == "squares.csv.gz"
    whole = gzip.decompress(table.read_bytes()).decode("utf-8")
    assert whole.splitlines()[2:] == ["0,0,0,x", "0,1,1,x", "1,0,0,x", "1,1,1,x", "1,2,4,x", "2,0,0,x"]
    half = "\n".join(whole.splitlines()[:7]) + "\n2,0"  # killed within the row of the third job
    table.unlink()
    (tmp_path / "squares.csv").write_text(half, "utf-8")
    (tmp_path / "squares.jobs").write_text("0\n1\n", "utf-8")
    plans.write(plan(jobs), tmp_path)
    assert gzip.decompress(table.read_bytes()).decode("utf-8") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["squares.csv.gz"]
    monkeypatch.setattr(plans, "local_processes", None)
    plans.write(plan(jobs), tmp_path)  # nothing is left to be done


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / "squares.csv").write_text("# no table\na,b\n", "utf-8")
    with pytest.raises(ValueError, match="folder must hold no squares.csv"):
        plans.write(plan([]), tmp_path)


def test_a_table_of_another_name_is_refused():
    for name, shown in (("late", "'late'"), (["early"], r"\['early'\]"), (None, "None")):
        with pytest.raises(ValueError, match=f"name must be one of early, fates, got {shown}"):
            plans.load("training", ("early", "fates"), name)


def test_a_committed_table_has_its_columns_and_all_its_rows(tmp_path, monkeypatch):
    """Its first line says how it was made, its second names the columns."""
    plans.write(plan([(1, range(3)), (0, range(2))]), tmp_path)
    (tmp_path / "squares.csv.gz").rename(tmp_path / "tables_squares.csv.gz")
    monkeypatch.setattr(plans, "data_file", lambda name: tmp_path / name)
    table = plans.load("tables", ("squares",), "squares")
    assert table.dtype.names == ("first", "number", "square", "kind")
    assert table.tolist() == [(0, 0, 0, "x"), (0, 1, 1, "x"), (1, 0, 0, "x"), (1, 1, 1, "x"), (1, 2, 4, "x")]
