"""Sort what Moodle or Canvas hands out into one folder a student, and note who handed in what and when.

Moodle: "Doe Jane_12345_assignsubmission_file_/one_neuron.ipynb", or the same in one name. Canvas:
"doejane_LATE_1234_5678_one_neuron.ipynb". The platform's part comes first: no file can claim to be another student's.
"""

import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from . import archive, late, roster, submissions
from .grader import COURSE, write

MOODLE = re.compile(r"_(?P<number>\d+)_assignsubmission_[a-z]+(?:_|$)")
CANVAS = re.compile(r"(?P<who>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<version>\d{1,18})_(?P<file>.+)", re.IGNORECASE)
AGAIN = re.compile(r"-(\d{1,9})(?:\.\w+)+$")  # Canvas numbers what is handed in again under one name
COLUMNS = "folder set key name platform who number version file submitted late note".split()
BESIDE = 20  # files that come with a notebook


class Piece(NamedTuple):
    """One file that somebody handed in."""

    platform: str
    who: str
    number: str
    version: int
    late: bool
    file: str
    entry: archive.Entry

    @property
    def age(self):
        again = AGAIN.search(self.file) if self.platform == "canvas" else None
        return self.version, int(again[1]) if again else 0, self.entry.time or datetime.min, self.file


def collect(download, list_of_class, problem_set=None):
    """Sort `download` into COURSE/handed_in; what was collected before stays unless this is newer."""
    sets = sorted(path.stem for path in COURSE.glob("source/*/*.ipynb") if path.stem == path.parent.name)
    if problem_set and problem_set not in sets:
        sys.exit(f"There is no problem set {problem_set!r}: choose one of {', '.join(sets)}")
    people, rules = roster.read(list_of_class), late.read()
    entries, trouble = archive.entries(download)
    pieces = []
    for entry in entries:
        piece = piece_of(entry, people)
        if piece:
            pieces.append(piece)
        else:
            trouble.append(f"{entry.path}: neither Moodle nor Canvas names a file so")
    if not pieces:
        print(*trouble, sep="\n")
        sys.exit(f"{download} holds nothing that Moodle or Canvas calls a submission")
    before = {(row["folder"], row["set"]): row for row in collected()}
    groups, used = {}, {}
    for piece in pieces:
        groups.setdefault((piece.platform, piece.number), []).append(piece)
    rows = []
    # First whoever the roster knows by this very name: a name of which it knows only a part must not take their place.
    for group in sorted(groups.values(), key=lambda group: not people.of(words=group[0].who)):
        who = group[0].who
        person, note = whose(group[0], people)
        if note:
            trouble.append(f"{who}: {note}")
        folder = folder_of(person, group[0], people)
        if used.setdefault(folder, group[0]) is not group[0]:
            trouble.append(f"{who}: a second one for {folder}, left out")
            continue
        try:
            taken = notebooks(group, sets, problem_set, trouble)
            for name, found in taken.items():
                rows.append(stored(name, found, group, folder, person, note, rules, before, trouble))
        except (ValueError, OSError) as error:
            trouble.append(f"{who}: {error}")
    for name in {row["set"] for row in rows}:
        (COURSE / "rosters").mkdir(exist_ok=True)
        shutil.copyfile(list_of_class, COURSE / "rosters" / f"{name}.csv")
    again = {(row["platform"], row["who"], row["number"], row["set"]): row["folder"] for row in rows}
    for key, row in list(before.items()):  # of a student whom another roster called otherwise
        if again.get((row["platform"], row["who"], row["number"], row["set"]), row["folder"]) != row["folder"]:
            shutil.rmtree(COURSE / "handed_in" / row["folder"] / row["set"], ignore_errors=True)
            del before[key]
    merged = before | {(row["folder"], row["set"]): row for row in rows}
    write(COURSE / "collected.csv", lambda file: roster.write(file, COLUMNS, [merged[key] for key in sorted(merged)]))
    summary(rows, people, trouble)


def piece_of(entry, people):
    """What the name of a file says of it, or None.

    Moodle's part of the name ends where it says _assignsubmission_ for the first time: what a student wrote comes
    later. Only if the name of a student goes on beyond it, and the roster knows that name, it ends later, too.
    """
    parts = entry.path.split("/")
    for place, part in enumerate(parts):
        if matches := [match for match in MOODLE.finditer(part) if match.start()]:
            known = (match for match in reversed(matches[1:]) if people.of(words=part[: match.start()]))
            match = next(known, matches[0])
            file = "/".join(parts[place + 1 :]) or part[match.end() :]
            return Piece("moodle", part[: match.start()], match["number"], 0, False, file, entry)
    if match := CANVAS.fullmatch(parts[-1]):
        version, is_late = int(match["version"]), bool(match["late"])
        return Piece("canvas", match["who"], match["number"], version, is_late, match["file"], entry)
    return None


def whose(piece, people):
    """The person of the roster who handed in `piece`, or None and why not."""
    if piece.platform == "canvas" or people.kind == "worksheet":
        found = people.of(number=piece.number)
    else:
        # Moodle puts the name of a group before the name of the student
        names = [piece.who, *(piece.who[dash.end() :] for dash in re.finditer("-", piece.who))]
        found = next(filter(None, (people.of(words=name) for name in names)), [])
    if len(found) == 1:
        return found[0], ""
    if found:
        return None, "several in the roster have this name; Moodle's grading worksheet as the roster tells them apart"
    return None, "not in the roster"


def folder_of(person, piece, people):
    """The name of a student's folder, another one for everybody."""
    if person is None:
        name = f"{piece.who} {piece.number}"
    else:
        alike = people.of(words=person.name)
        name = person.name if len(alike) == 1 else f"{person.name} {person.key}"
    plain = " ".join(name.replace(",", " ").split()).lstrip("._ ")
    return submissions.identifier(plain or f"student {piece.number if piece else person.key}")


def notebooks(group, sets, problem_set, trouble):
    """{problem set: pieces that are notebooks of it} among what one student handed in."""
    taken = {}
    for piece in group:
        stem = submissions.NOTEBOOK.fullmatch(Path(piece.file).name)
        named = [name for name in sets if stem and submissions.is_called(stem["stem"], name)]
        if stem and (problem_set or len(named) == 1):
            name = problem_set or named[0]
            taken.setdefault(name, []).append(piece)
        elif stem or len(group) == 1:
            trouble.append(f"{piece.who}: {piece.file or 'a text'} is not called after a problem set")
    if problem_set:  # of several notebooks the one that is called so counts before newer ones
        found = taken.get(problem_set, [])
        if called := [piece for piece in found if submissions.is_called(Path(piece.file).stem, problem_set)]:
            taken[problem_set] = called
    return taken


def stored(name, found, group, folder, person, note, rules, before, trouble):
    """Store the newest of the notebooks `found` and what lies beside it; its row in collected.csv."""
    newest = max(found, key=lambda piece: piece.age)
    submitted = submission_time(person)
    row = {
        "folder": folder,
        "set": name,
        "key": person.key if person else "",
        "name": person.name if person else newest.who,
        "platform": newest.platform,
        "who": newest.who,
        "number": newest.number,
        "version": newest.version,
        "file": newest.file,
        "submitted": submitted.isoformat(" ", "seconds") if submitted else "",
        "late": "yes" if late.is_late(newest.late, submitted, rules.due_of(name, person)) else "no",
        "note": "; ".join(filter(None, [note, f"the newest of {len(found)}" * (len(found) > 1)])),
    }
    earlier = before.get((folder, name))
    if earlier and (int(earlier["version"] or 0), earlier["submitted"]) > (newest.version, row["submitted"]):
        trouble.append(f"{folder}: {name} was collected before in a newer version, which stays")
        return earlier
    content = newest.entry.read()
    home = COURSE / "handed_in" / folder / name
    unfinished = home.with_name(f".{name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    others = sorted((piece for piece in group if piece not in found), key=lambda piece: piece.age)
    for piece in others[-BESIDE:]:
        file = Path(piece.file).name
        if file and not submissions.hidden(file) and not submissions.NOTEBOOK.fullmatch(file):
            (unfinished / file.encode()[-100:].decode(errors="ignore")).write_bytes(piece.entry.read())
    (unfinished / f"{name}.ipynb").write_bytes(content)
    shutil.rmtree(home, ignore_errors=True)
    unfinished.rename(home)
    return row


def submission_time(person):
    """When Moodle's worksheet says that it was handed in. The times in a zip may be those of its making."""
    return late.moment(person.row.get("Last modified (submission)", "")) if person else None


def collected():
    """The rows of collected.csv."""
    path = COURSE / "collected.csv"
    return roster.written(path) if path.is_file() else []


def summary(rows, people, trouble):
    for line in trouble:
        print(f"  {line}")
    for name in sorted({row["set"] for row in rows}):
        those = [row for row in rows if row["set"] == name]
        keys = {row["key"] for row in those}
        absent = [person.name for person in people.people if person.key not in keys]
        more = f" and {len(absent) - 10} more" * (len(absent) > 10)
        print(
            f"{name}: {len(those)} of {len(people.people)} handed in, {sum(row['late'] == 'yes' for row in those)} late"
            + f"; nothing from {', '.join(absent[:10])}{more}" * bool(absent)
        )
    print(f"Sorted into {COURSE / 'handed_in'}")
