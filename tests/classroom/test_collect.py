"""From a learning platform's download to one folder a student: who is who, what is newest, and what is refused."""

import io
import os
import stat
import sys
import zipfile
from types import SimpleNamespace

import pytest
from small_course import ASSIGNMENTS

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import archive, collect, late, roster  # noqa: E402

PARTICIPANTS = """First name,Last name,ID number,Email address
Ada,Lovelace,11,ada@example.org
Zoë,de la Cruz,12,zoe@example.org
Alan,Turing,13,alan@example.org
Jane,Doe,14,jane@example.org
Jane,Doe,15,jane2@example.org
"""
WORKSHEET = """Identifier,Full name,Email address,Grade,Maximum grade,Last modified (submission),Last modified (grade)
Participant 101,Ada Lovelace,ada@example.org,,11,"Monday, 12 April 2027, 11:05 PM",-
Participant 104,Jane Doe,jane@example.org,,11,"Tuesday, 13 April 2027, 12:10 AM",-
Participant 105,Jane Doe,jane2@example.org,,11,"Friday, 16 April 2027, 9:00 AM",-
"""
GRADEBOOK = """Student,ID,SIS User ID,SIS Login ID,Section,small (77)
    Points Possible,,,,,11
"Lovelace, Ada",1234,s1,ada,A,
"Doe, Jane",1235,s2,jane,A,
"=cmd, Eve",1236,s3,eve,A,
"Student, Test",9999,,x,A,
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one problem set; (course, collect) with what it says and leaves."""
    course = tmp_path / "course"
    (course / "source" / "small").mkdir(parents=True)
    (course / "source" / "small" / "small.ipynb").write_text("{}")
    for module in (collect, late):
        monkeypatch.setattr(module, "COURSE", course)

    def run(files, list_of_class=PARTICIPANTS, **options):
        (tmp_path / "list.csv").write_text(list_of_class)
        collect.collect(zipped(tmp_path / "download.zip", files), tmp_path / "list.csv", **options)
        return {row["folder"]: row for row in collect.collected()}

    return SimpleNamespace(folder=course, collect=run)


def zipped(path, files):
    """A zip of {name or ZipInfo: content}."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def handed_in(course):
    home = course.folder / "handed_in"
    return {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}


def test_moodle_names_students_in_both_shapes(course):
    """With folders, as since Moodle 4.1 and before, in one name, with underscores, behind the name of a group."""
    rows = course.collect(
        {
            "Ada Lovelace_101_assignsubmission_file_/small.ipynb": "ada",
            "Ada Lovelace_101_assignsubmission_file_/photo.png": "png",
            "de_la_Cruz_Zoe_102_assignsubmission_file/week 1/Small (1).ipynb": "zoe",
            "Group 7-Alan Turing_103_assignsubmission_file_small.ipynb": "alan",
            "Alan Turing_103_assignsubmission_onlinetext_/onlinetext.html": "<script>",
        }
    )
    assert handed_in(course) == {
        "Lovelace Ada/small/small.ipynb": "ada",
        "Lovelace Ada/small/photo.png": "png",
        "de la Cruz Zoë/small/small.ipynb": "zoe",
        "Turing Alan/small/small.ipynb": "alan",
        "Turing Alan/small/onlinetext.html": "<script>",  # that grading leaves behind
    }
    assert [(row["key"], row["number"]) for row in rows.values()] == [
        ("ada@example.org", "101"),
        ("alan@example.org", "103"),
        ("zoe@example.org", "102"),
    ]


def test_canvas_names_students_late_ones_and_newer_versions(course):
    rows = course.collect(
        {
            "lovelaceada_LATE_1234_5678_small-3.ipynb": "old",
            "lovelaceada_LATE_1234_5680_small-1.ipynb": "new",
            "lovelaceada_LATE_1234_5680_small-1.csv": "data",
            "doejane_1235_5679_small-9.ipynb": "nine",
            "doejane_1235_5679_small-10.ipynb": "ten",
        },
        GRADEBOOK,
    )
    assert handed_in(course) == {
        "Lovelace Ada/small/small.ipynb": "new",
        "Lovelace Ada/small/small-1.csv": "data",
        "Doe Jane/small/small.ipynb": "ten",
    }
    by_key = {row["key"]: row for row in rows.values()}
    assert by_key["1234"]["late"] == "yes" and by_key["1234"]["note"] == "the newest of 2"
    assert by_key["1235"]["late"] == "no"


def test_a_file_cannot_claim_to_be_another_students(course):
    rows = course.collect(
        {
            "Ada Lovelace_101_assignsubmission_file_Alan Turing_103_assignsubmission_file_small.ipynb": "ada",
            "Ada Lovelace_101_assignsubmission_file_/Alan Turing_103_assignsubmission_file_/small.ipynb": "ada",
        }
    )
    assert list(rows) == ["Lovelace Ada"]
    rows = course.collect({"lovelaceada_1234_5678_doejane_1235_5679_small.ipynb": "ada"}, GRADEBOOK)
    assert {row["key"] for row in rows.values()} == {"1234"}


def test_two_of_one_name_are_kept_apart_and_told_apart_by_the_worksheet(course, capsys):
    files = {
        "Jane Doe_104_assignsubmission_file_/small.ipynb": "one",
        "Jane Doe_105_assignsubmission_file_/small.ipynb": "two",
    }
    rows = course.collect(files)
    assert [(row["folder"], row["key"]) for row in rows.values()] == [("Jane Doe 104", ""), ("Jane Doe 105", "")]
    assert "several in the roster have this name" in capsys.readouterr().out
    rows = course.collect(files, WORKSHEET)
    keys = {row["number"]: row["key"] for row in rows.values()}
    assert keys == {"104": "jane@example.org", "105": "jane2@example.org"}
    assert sorted(handed_in(course).values()) == ["one", "two"]


def test_late_is_what_the_worksheet_and_the_course_say(course):
    (course.folder / "course.toml").write_text(
        '[due]\nsmall = "2027-04-12 23:59"\n[extensions]\n"jane2@example.org" = {small = "2027-04-20"}\n'
    )
    names = {101: "Ada Lovelace", 104: "Jane Doe", 105: "Jane Doe"}
    files = {f"{name}_{number}_assignsubmission_file_/small.ipynb": "x" for number, name in names.items()}
    rows = course.collect(files, WORKSHEET)
    assert {row["number"]: row["late"] for row in rows.values()} == {"101": "no", "104": "yes", "105": "no"}


def test_what_was_collected_before_stays_unless_this_is_newer(course, capsys):
    course.collect({"doejane_1235_5679_small.ipynb": "first"}, GRADEBOOK)
    course.collect({"lovelaceada_1234_5678_small.ipynb": "ada"}, GRADEBOOK)
    course.collect({"doejane_1235_5670_small.ipynb": "older"}, GRADEBOOK)
    assert sorted(handed_in(course).values()) == ["ada", "first"]
    assert "collected before in a newer version" in capsys.readouterr().out
    course.collect({"doejane_1235_5690_small.ipynb": "newer"}, GRADEBOOK)
    assert sorted(handed_in(course).values()) == ["ada", "newer"]


def test_any_name_is_taken_when_the_set_is_said(course, capsys):
    files = {"Ada Lovelace_101_assignsubmission_file_/my homework.ipynb": "ada"}
    with pytest.raises(SystemExit, match="no problem set 'large'"):
        course.collect(files, problem_set="large")
    assert course.collect(files) == {}
    assert "my homework.ipynb is not called after a problem set" in capsys.readouterr().out
    assert list(course.collect(files, problem_set="small")) == ["Lovelace Ada"]


def test_somebody_who_is_not_in_the_roster_is_named(course, capsys):
    rows = course.collect({"Eve Nobody_9_assignsubmission_file_/small.ipynb": "eve"})
    assert (rows["Eve Nobody 9"]["key"], rows["Eve Nobody 9"]["note"]) == ("", "not in the roster")
    assert "nothing from Lovelace Ada" in capsys.readouterr().out


def test_a_file_with_a_long_name_does_not_end_the_collection(course):
    """Of 100 letters that take four bytes each; numbers of thousands of digits."""
    rows = course.collect(
        {
            f"Ada Lovelace_101_assignsubmission_file_/{100 * chr(0x1F600)}.png": "png",
            "Ada Lovelace_101_assignsubmission_file_/small.ipynb": "ada",
            "Alan Turing_103_assignsubmission_file_/small.ipynb": "alan",
        }
    )
    assert list(rows) == ["Lovelace Ada", "Turing Alan"] and "png" in handed_in(course).values()
    digits = 5000 * "9"
    rows = course.collect(
        {
            f"doejane_1235_5678_small-{digits}.ipynb": "jane",
            f"x_1_{digits}_small.ipynb": "x",
            "lovelaceada_1234_5678_small.ipynb": "ada",
        },
        GRADEBOOK,
    )
    assert {"1234", "1235"} <= {row["key"] for row in rows.values()}


def test_what_cannot_be_stored_ends_the_collection_of_one_student(course, capsys, monkeypatch):
    stored = collect.stored

    def full(name, found, group, folder, *more):
        if folder == "Lovelace Ada":
            raise OSError(28, "No space left on device")
        return stored(name, found, group, folder, *more)

    monkeypatch.setattr(collect, "stored", full)
    names = ("Ada Lovelace_101", "Alan Turing_103")
    rows = course.collect({f"{name}_assignsubmission_file_/small.ipynb": "x" for name in names})
    assert list(rows) == ["Turing Alan"] and "No space left" in capsys.readouterr().out


CALLED_LIKE = """First name,Last name,Email address
Ada,Lovelace,ada@example.org
Alan,Turing,alan@example.org
Ada,Lovelace_101_assignsubmission_file_,eve@example.org
"""


@pytest.mark.parametrize("shape", ["{}_assignsubmission_file_/small.ipynb", "{}_assignsubmission_file_small.ipynb"])
def test_a_student_who_is_called_like_a_submission_of_another_is_not_taken_for_them(course, shape):
    eve = "Ada Lovelace_101_assignsubmission_file__999"
    files = {shape.format(eve): "eve", shape.format("Ada Lovelace_101"): "ada"}
    rows = course.collect(files, CALLED_LIKE)
    found = {row["key"]: handed_in(course)[f"{row['folder']}/small/small.ipynb"] for row in rows.values()}
    assert found == {"ada@example.org": "ada", "eve@example.org": "eve"}


def test_a_name_with_a_dash_takes_nobody_elses_place(course, capsys):
    """It might be a group's and a student's; but the student's own submission comes before."""
    rows = course.collect(
        {
            "A-Alan Turing_999_assignsubmission_file_/small.ipynb": "eve",
            "Alan Turing_103_assignsubmission_file_/small.ipynb": "alan",
        }
    )
    assert handed_in(course) == {"Turing Alan/small/small.ipynb": "alan"} and rows["Turing Alan"]["number"] == "103"
    assert "A-Alan Turing: a second one for Turing Alan, left out" in capsys.readouterr().out


def test_of_two_files_with_one_name_in_a_zip_the_newer_is_taken_whole(course, tmp_path):
    name = "Ada Lovelace_101_assignsubmission_file_/small.ipynb"
    infos = [zipfile.ZipInfo(name, (2027, 4, day, 12, 0, 0)) for day in (2, 1)]
    with pytest.warns(UserWarning, match="Duplicate name"):
        rows = course.collect(dict(zip(infos, ("newer", "older"), strict=True)))
    assert handed_in(course) == {"Lovelace Ada/small/small.ipynb": "newer"}
    assert rows["Lovelace Ada"]["note"] == "the newest of 2"


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


PREFIX = "Ada Lovelace_101_assignsubmission_file_/"
HOSTILE = {
    f"../../{PREFIX}small.ipynb": "leads out",
    f"{PREFIX}../../../small.ipynb": "leads out",
    f"{PREFIX}..\\..\\small.ipynb": "leads out",
    f"/etc/{PREFIX}small.ipynb": "absolute",
    f"C:\\{PREFIX}small.ipynb": "absolute",
    f"\\\\host\\{PREFIX}small.ipynb": "absolute",
    f"{PREFIX}small\u202ebypi.ipynb": "invisible letters",
    f"{PREFIX}small\n.ipynb": "invisible letters",
    f"{PREFIX}link/small.ipynb": "a link",
    f"{PREFIX}bomb/small.ipynb": "like a bomb",
}


def test_hostile_files_are_refused_one_by_one_and_nothing_is_written_elsewhere(course, capsys, tmp_path):
    files = {}
    for name, reason in HOSTILE.items():
        files[link(name) if reason == "a link" else name] = b"0" * (2**22 if "bomb" in reason else 3)
    files[f"{PREFIX}small.ipynb"] = "honest"
    course.collect(files)
    said = capsys.readouterr().out
    assert handed_in(course) == {"Lovelace Ada/small/small.ipynb": "honest"}
    for reason in set(HOSTILE.values()):
        assert said.count(reason) >= list(HOSTILE.values()).count(reason), said
    assert {path.name for path in tmp_path.iterdir()} == {"course", "list.csv", "download.zip"}


def test_names_that_begin_with_a_dot_or_hold_a_slash_stay_in_their_folder(course):
    odd = 'First name,Last name,Email address\n..,/etc,a@example.org\n"=1+1",@x,b@example.org\n'
    rows = course.collect(
        {
            "/etc .._7_assignsubmission_file_/small.ipynb".lstrip("/"): "a",
            "@x =1+1_8_assignsubmission_file_/small.ipynb": "b",
        },
        odd,
    )
    assert all(path.split("/")[1:] == ["small", "small.ipynb"] for path in handed_in(course))
    assert len(handed_in(course)) == len(rows) == 2
    assert not [row for row in (course.folder / "collected.csv").read_text().splitlines() if ",=" in row or ",@" in row]


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "feedback", "$(id)", "-rf", ".ssh", 10**4 * "x", "\u202ea", "*"])
def test_the_folder_of_a_student_lies_in_the_folder_of_the_class_whatever_the_name_is(tmp_path, name):
    """Also for a handout, before anything is handed in."""
    (tmp_path / "list.csv").write_text(f"Full name,Email address\nAda Doe,a@b\n{name},x@y\n", "utf-8")
    people = roster.read(tmp_path / "list.csv")
    ada, folder = (collect.folder_of(person, None, people) for person in people.people)
    assert ada == "Ada Doe" != folder and len(folder.encode()) <= 100
    assert not set(folder) & set("/\\*$\u202e") and not folder.startswith(".")


def test_a_broken_or_locked_file_is_named_and_a_broken_zip_ends_with_a_sentence(tmp_path):
    path = zipped(tmp_path / "a.zip", {"first": "1" * 500, "second": "2" * 500})
    content = bytearray(path.read_bytes())
    content[content.find(b"first") + 5] ^= 0xFF  # in the packed content
    path.write_bytes(content)
    found, refused = archive.entries(path)
    assert refused == [] and found[1].read() == b"2" * 500
    with pytest.raises(ValueError, match="cannot be unpacked"):
        found[0].read()
    path.write_bytes(b"PK no zip")
    with pytest.raises(SystemExit, match="no zip that can be read"):
        archive.entries(path)
    locked = io.BytesIO()
    with zipfile.ZipFile(locked, "w") as packed:
        packed.writestr("secret", "x")
    content = bytearray(locked.getvalue())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert archive.entries(path) == ([], ["secret: it needs a password"])


@pytest.mark.parametrize("limit, value", [("MOST", 2), ("TOGETHER", 10)])
def test_too_much_is_refused_as_a_whole(tmp_path, monkeypatch, limit, value):
    path = zipped(tmp_path / "a.zip", {f"{i}": "12345" for i in range(3)})
    assert len(archive.entries(path)[0]) == 3
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(SystemExit, match="nothing was taken"):
        archive.entries(path)


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 2**20)
    path = zipped(tmp_path / "a.zip", {"a": os.urandom(2**20 + 1), "b": "x"})
    found, refused = archive.entries(path)
    assert [entry.path for entry in found] == ["b"] and refused == ["a: larger than 1 MB"]


def test_a_folder_is_read_like_a_zip_and_links_are_refused(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "small.ipynb").write_text("x")
    (tmp_path / "a" / "link").symlink_to("/etc/passwd")
    (tmp_path / "a" / "folder").symlink_to("/etc")
    found, refused = archive.entries(tmp_path / "a")
    assert [(entry.path, entry.read()) for entry in found] == [("b/small.ipynb", b"x")]
    assert refused == [f"{name}: a link, or no ordinary file" for name in ("folder", "link")]


def test_names_of_a_zip_are_read_as_utf_8_also_where_it_does_not_say_so(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", {"Zoe\u0308/small.ipynb": "x"}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(mark) + place + 1] &= ~0x08 & 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    assert [entry.path for entry in archive.entries(tmp_path / "a.zip")[0]] == ["Zo\u00eb/small.ipynb"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", ",;\t")
def test_rosters_are_read_in_the_encodings_of_spreadsheets(tmp_path, encoding, delimiter):
    (tmp_path / "list.csv").write_bytes(PARTICIPANTS.replace(",", delimiter).encode(encoding))
    people = roster.read(tmp_path / "list.csv")
    assert people.kind == "moodle" and [person.name for person in people.people][1] == "de la Cruz Zoë"
    assert [person.number for person in people.of(words="Zoë de la Cruz")] == ["12"]


def test_the_kinds_of_roster(tmp_path):
    for text, kind, names in [
        (GRADEBOOK, "canvas", ["Lovelace, Ada", "Doe, Jane", "=cmd, Eve"]),
        (WORKSHEET, "worksheet", ["Ada Lovelace", "Jane Doe", "Jane Doe"]),
        ("Vorname;Nachname;E-Mail-Adresse\nAda;Lovelace;a@b.c\n", "moodle", ["Lovelace Ada"]),
        ("id,name\n1,Ada\n", "plain", ["Ada"]),
    ]:
        (tmp_path / "list.csv").write_text(text)
        people = roster.read(tmp_path / "list.csv")
        assert (people.kind, [person.name for person in people.people]) == (kind, names)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "its columns are none"),
        ("Colour,Size\nred,1\n", "its columns are Colour, Size"),
        ("id,name\n1,Ada\n1,Bob\n", "several rows have 1"),
    ],
)
def test_what_is_no_roster_ends_with_a_sentence(tmp_path, text, sentence):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(SystemExit, match=sentence):
        roster.read(tmp_path / "list.csv")
