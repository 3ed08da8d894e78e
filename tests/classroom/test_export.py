"""What goes back to the learning platform: marks after the late rules, no formulas for spreadsheets, feedback.

The last test is the whole loop: from a download to files for import, with a second grading of one student between.
"""

import csv
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from simulated_class import SMALL, hand_in, small_set
from small_course import ASSIGNMENTS, FLAGS, new_course, released

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import export, late, roster  # noqa: E402

PERSON = roster.Person("ada@example.org", "Ada Lovelace", "1", {})
DUE = datetime(2027, 4, 12, 23, 59)


def rules(text, tmp_path, monkeypatch):
    monkeypatch.setattr(late, "COURSE", tmp_path)
    (tmp_path / "course.toml").write_text(text)
    return late.read()


def row(submitted="", flag="no"):
    return {"set": "small", "submitted": submitted, "late": flag}


@pytest.mark.parametrize(
    "after_due, days, points",
    [
        (timedelta(minutes=-1), 0, 10.0),
        (timedelta(minutes=15), 0, 10.0),
        (timedelta(minutes=16), 1, 9.0),
        (timedelta(days=1), 1, 9.0),
        (timedelta(days=1, seconds=1), 2, 8.0),
        (timedelta(days=3), 3, 7.0),
        (timedelta(days=3, seconds=1), 4, 0.0),
    ],
)
def test_late_rules(tmp_path, monkeypatch, after_due, days, points):
    text = '[due]\nsmall = "2027-04-12 23:59"\n[late]\ngrace_minutes = 15\npercent_per_day = 10\ncut_off_days = 3\n'
    ours = rules(text, tmp_path, monkeypatch)
    submitted = (DUE + after_due).isoformat(" ", "seconds")
    assert late.days(row(submitted), ours, PERSON) == (days, "")
    assert late.after(10.0, days, ours) == points


def test_without_a_time_the_flag_counts_one_day_and_an_extension_moves_the_day(tmp_path, monkeypatch):
    ours = rules("[late]\npercent_per_day = 25\n", tmp_path, monkeypatch)
    assert late.days(row(), ours, PERSON) == (0, "")
    assert late.days(row(flag="yes"), ours, PERSON)[0] == 1 and late.after(8.0, 1, ours) == 6.0
    assert late.after(8.0, 400, ours) == 0.0  # no less than nothing
    text = '[due]\nsmall = 2027-04-12T23:59:00\n[extensions]\n"Ada Lovelace" = {small = "2027-04-14"}\n'
    ours = rules(text, tmp_path, monkeypatch)
    assert late.days(row("2027-04-13 12:00:00", "yes"), ours, PERSON) == (0, "")
    assert late.days(row("2027-04-13 12:00:00"), ours, None) == (1, "")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[late]\npercent = 10\n", "known are"),
        ("[late]\npercent_per_day = 110\n", "at most 100"),
        ("[late]\ngrace_minutes = -1\n", "at least 0"),
        ("[lat]\n", "known are"),
        ('[due]\nsmall = "tomorrow"\n', "a date is written"),
        ("[due\n", "cannot be read"),
    ],
)
def test_rules_that_are_none_end_with_a_sentence(tmp_path, monkeypatch, text, sentence):
    with pytest.raises(SystemExit, match=sentence):
        rules(text, tmp_path, monkeypatch)


def test_the_rules_that_come_with_the_sets_cost_nothing_within_two_weeks():
    shipped = late.read()
    assert shipped.due == {} and late.after(10.0, 14, shipped) == 10.0 and late.after(10.0, 15, shipped) == 0.0


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "\n=1"])
def test_no_cell_begins_like_a_formula(tmp_path, name):
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        roster.write(file, ["name", name, "points"], [{"name": name, name: "x", "points": -1.5}])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        head, cells = csv.reader(file)
    assert head[1] == cells[0] == roster.harmless(name) and cells[0].startswith("'") and cells[2] == "-1.5"


DIVIDED = ["Doe;=1+1", "a; =1", "a\t@x", ";=1", "\t=1", "a;=1;+2;;-3", "=1;=2", "a;'=1", "''=1", "-", "'-", "a; b"]


@pytest.mark.parametrize("text", DIVIDED)
def test_no_cell_begins_like_a_formula_where_others_divide_it_either(tmp_path, text):
    """German spreadsheets end a cell at a semicolon, others at a tab too; and what we read again is what it was."""
    roster_file = tmp_path / "a.csv"
    with open(roster_file, "w", newline="", encoding="utf-8") as file:
        roster.write(file, ["name", "x"], [{"name": text, "x": "y"}])
    assert roster.written(roster_file) == [{"name": text, "x": "y"}]
    for cell in re.split("[;\t]", rows_of(roster_file)[0]["name"]):
        assert not re.match(" *[=+@＝]", cell) and (not re.match(" *-", cell) or text == "-")


def table(text, path):
    path.write_text(text)
    return roster.read(path)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_canvas_gets_its_own_columns_and_the_points_of_the_assignment(tmp_path):
    people = table(
        "Student,ID,SIS User ID,SIS Login ID,Section,Small problem set (77),Other (78),Final Score\n"
        '    Points Possible,,,,,10,5,(read only)\n"=Doe, Jane",1235,s2,jane,A,,4,1\n"B, A",1234,s1,a,A,,,\n',
        tmp_path / "list.csv",
    )
    path = export.write_import(tmp_path / "out", "small_problem_set", people, {"1235": 7.5}, "11.0")
    points, jane = rows_of(path)
    assert path.name == "canvas.csv" and points["Small problem set (77)"] == "11.0"
    assert jane == {
        "Student": "'=Doe, Jane",
        "ID": "1235",
        "SIS User ID": "s2",
        "SIS Login ID": "jane",
        "Section": "A",
        "Small problem set (77)": "7.5",
    }
    assert export.canvas_column(people.header, "one_neuron") == "one_neuron"


def test_moodle_gets_the_columns_of_its_roster_or_its_worksheet_filled_in(tmp_path):
    people = table("First name,Last name,Email address\nJane,Doe,Jane@example.org\nA,B,a@b.c\n", tmp_path / "a.csv")
    (jane,) = rows_of(export.write_import(tmp_path, "small", people, {"jane@example.org": 7.5}, "11.0"))
    assert jane == {"First name": "Jane", "Last name": "Doe", "Email address": "Jane@example.org", "small": "7.5"}
    people = table(
        "Identifier,Full name,Email address,Grade,Last modified (grade)\nParticipant 7,Jane Doe,j@e.f,,-\n",
        tmp_path / "b.csv",
    )
    (jane,) = rows_of(export.write_import(tmp_path, "small", people, {"j@e.f": 7.5}, "11.0"))
    assert jane["Identifier"] == "Participant 7" and jane["Grade"] == "7.5" and jane["Last modified (grade)"] == "-"


def test_feedback_is_called_as_the_platform_looks_for_it():
    """Moodle splits at _ and takes the second part for the student, Canvas the first two numbers."""
    moodle = {"platform": "moodle", "who": "van_der Berg Anna", "number": "101", "set": "small"}
    parts = export.feedback_name(moodle).split("/")[0].split("_", 4)
    assert parts == ["van der Berg Anna", "101", "assignsubmission", "file", ""]
    canvas = {"platform": "canvas", "who": "doejane", "number": "12", "version": "34", "set": "small", "late": "yes"}
    name = export.feedback_name(canvas)
    assert [part for part in name.split("_") if part.isdigit()][:2] == ["12", "34"] and name.endswith("_small.html")


def run(course, script, *arguments, succeeds=True):
    result = subprocess.run(
        [sys.executable, course / script, *arguments], capture_output=True, encoding="utf-8", timeout=900
    )
    assert (result.returncode == 0) == succeeds, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.other
def test_from_a_download_to_an_import_and_one_student_again(tmp_path):
    """One student again: no other page, record or mark is touched, and points given by hand stay."""
    course = new_course(tmp_path)
    (course / "course.toml").write_text('[due]\nsmall = "2027-04-12 23:59"\n[late]\npercent_per_day = 10\n')
    hand_in(tmp_path / "made", "small", small_set(), released(course), SMALL, ["correct", "empty", "hard_coded"])
    who = {"correct": "Ada Lovelace_101", "empty": "=1+1 Eve_102", "hard_coded": "Jane Doe_103"}
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as packed:
        for kind, name in who.items():
            packed.write(tmp_path / "made" / kind / "small.ipynb", f"{name}_assignsubmission_file_/small.ipynb")
        packed.writestr("../../escaped_1_assignsubmission_file_/small.ipynb", "{}")
    (tmp_path / "worksheet.csv").write_text(
        "Identifier,Full name,Email address,Grade,Last modified (submission),Last modified (grade)\n"
        'Participant 101,Ada Lovelace,ada@example.org,,"Monday, 12 April 2027, 11:05 PM",-\n'
        'Participant 102,=1+1 Eve,eve@example.org,,"Monday, 12 April 2027, 11:05 PM",-\n'
        'Participant 103,Jane Doe,jane@example.org,,"Wednesday, 14 April 2027, 9:00 AM",-\n'
        "Participant 104,Alan Turing,alan@example.org,,-,-\n"
    )
    assert "Nothing was collected yet" in run(course, "export.py", succeeds=False)
    said = run(course, "collect.py", tmp_path / "download.zip", tmp_path / "worksheet.csv")
    assert "3 of 4 handed in, 1 late; nothing from Alan Turing" in said and "leads out of its folder" in said
    run(course, "grade.py", *FLAGS)

    mark = f"""
from nbgrader.api import Gradebook
with Gradebook("sqlite:///{course / "gradebook.db"}") as gradebook:
    for student in ("Ada Lovelace", "Jane Doe"):
        grade = gradebook.find_grade("small-words", "small", "small", student)
        grade.manual_score, grade.needs_manual_grade = 2, False
    gradebook.db.commit()
"""
    subprocess.run([sys.executable, "-c", mark], check=True)
    assert " 2 new pages" in run(course, "grade.py", *FLAGS)
    before = {
        path: path.stat().st_mtime_ns for part in ("graded", "feedback", "autograded") for path in files(course / part)
    }
    said = run(course, "grade.py", *FLAGS, "--student", "Ada Lovelace", "--set", "small", "--again")
    assert "small  Ada Lovelace: graded" in said and "Jane" not in said
    assert "known are" in run(course, "grade.py", *FLAGS, "--student", "Nobody", succeeds=False)
    for path, time in before.items():
        if "Ada Lovelace" not in str(path):
            assert path.stat().st_mtime_ns == time, path

    said = run(course, "export.py")
    assert "not final" not in said
    first, eve, jane = rows_of(course / "export" / "small" / "moodle.csv")
    assert [first["Grade"], eve["Grade"], jane["Grade"]] == ["10.0", "0.0", "4.8"]  # 8 + 2; (4 + 2) less 2 days
    assert eve["Full name"] == "'=1+1 Eve" and first["Identifier"] == "Participant 101"
    together = {row["key"]: row for row in rows_of(course / "export" / "marks.csv")}
    assert together["jane@example.org"]["small days late"] == "2" and together["alan@example.org"]["small"] == ""
    with zipfile.ZipFile(course / "export" / "small" / "feedback.zip") as packed:
        names = [f"{name}_assignsubmission_file_/feedback.html" for name in who.values()]
        assert sorted(packed.namelist()) == sorted(names)
        assert b"<script" not in packed.read(names[0])
    assert not list(tmp_path.rglob("escaped*")) and nbformat.read(
        course / "handed_in" / "Ada Lovelace" / "small" / "small.ipynb", 4
    )
    shutil.rmtree(course)


def files(folder: Path):
    return [path for path in folder.rglob("*") if path.is_file()]
