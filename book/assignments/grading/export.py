"""Marks and feedback in the shapes that Moodle and Canvas take back, and one table of all sets for the lecturer."""

import re
import sys
import zipfile

from . import late, roster, table
from .collect import collected
from .grader import COURSE, write


def export():
    """Write marks.csv and, for each set that was collected, what the learning platform imports, into COURSE/export."""
    handed_in, rules = collected(), late.read()
    if not handed_in:
        sys.exit("Nothing was collected yet: make collect comes first, and tells whose submission is whose")
    table.write_table([])
    marks = read_marks()
    lists = {path.stem: roster.read(path) for path in sorted((COURSE / "rosters").glob("*.csv"))}
    people = {person.key: person for people in lists.values() for person in people.people}
    folder, everything = COURSE / "export", {key: {"name": person.name, "key": key} for key, person in people.items()}
    for name, people_of_set in lists.items():
        rows = {row["key"]: row for row in handed_in if row["set"] == name and row["key"]}
        final, unfinished = {}, 0
        for key, row in rows.items():
            graded = marks.get((row["folder"], name), {})
            if graded.get("score", "") == "" or key not in people:
                continue
            late_by, note = late.days(row, rules, people[key])
            final[key] = late.after(float(graded["score"]), late_by, rules)
            unfinished += graded["needs_marking"] == "yes"
            everything[key] |= {
                name: final[key],
                f"{name} before deduction": float(graded["score"]),
                f"{name} days late": late_by,
                f"{name} note": "; ".join(filter(None, [note, "answers wait" * (graded["needs_marking"] == "yes")])),
            }
        place = write_import(folder / name, name, people_of_set, final, maximum(marks, name))
        pages = write_feedback(folder / name / "feedback.zip", name, rows.values())
        print(f"{name}: {len(final)} marks in {place}, {pages} pages of feedback")
        if unfinished:
            print(f"  {unfinished} of them are not final: answers in words wait to be marked")
        for row in handed_in:
            if row["set"] == name and not row["key"]:
                print(f"  {row['folder']}: {row['note']}, so in no file for the platform")
    columns = [f"{name}{part}" for name in lists for part in ("", " before deduction", " days late", " note")]
    for row in everything.values():
        row["total"] = round(sum(row.get(name, 0.0) for name in lists), 2)
    rows = sorted(everything.values(), key=lambda row: row["name"])
    write(folder / "marks.csv", lambda file: roster.write(file, ["name", "key", *columns, "total"], rows))
    print(f"All sets: {folder / 'marks.csv'}")


def read_marks():
    """{(folder of a student, set): row of grades.csv}."""
    return {(row["student"], row["set"]): row for row in roster.written(COURSE / "grades.csv")}


def maximum(marks, name):
    return next((row["max_score"] for (_, its_set), row in marks.items() if its_set == name), "")


def write_import(folder, name, people, final, most):
    """Write the marks of one set as the platform of this roster imports them; the path."""
    if people.kind == "canvas":
        given = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        header = [column for column in given if column in people.header] + [canvas_column(people.header, name)]
        by_row = {id(person.row): final[person.key] for person in people.people if person.key in final}
        points = [row for row in people.rows if row.get("Student", "").strip() == "Points Possible"]
        rows = [row | {header[-1]: most} for row in points] + [
            row | {header[-1]: by_row[id(row)]} for row in people.rows if id(row) in by_row
        ]
        path = folder / "canvas.csv"
    else:
        column = "Grade" if people.kind == "worksheet" else name
        header = people.header if people.kind == "worksheet" else [*people.header, name]
        rows = [person.row | {column: final[person.key]} for person in people.people if person.key in final]
        path = folder / "moodle.csv"
    write(path, lambda file: roster.write(file, header, rows))
    return path


def canvas_column(header, name):
    """The column of the assignment in Canvas's gradebook, such as "One neuron (4711)"; else a new one of this name."""
    plain = re.sub(r"[\W_]+", " ", name.lower())
    return next((column for column in header if plain in re.sub(r"[\W_]+", " ", column.lower())), name)


def write_feedback(path, name, rows):
    """Pack the pages of feedback under the names by which the platform finds the students; how many there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for row in rows:
            page = COURSE / "feedback" / row["folder"] / name / f"{name}.html"
            if page.is_file():
                pages += 1
                packed.write(page, feedback_name(row))
    return pages


def feedback_name(row):
    """Moodle looks for the number behind the first _; Canvas for the first two numbers between them."""
    if row["platform"] == "moodle":
        return f"{row['who'].replace('_', ' ')}_{row['number']}_assignsubmission_file_/feedback.html"
    return f"{row['who']}_{'LATE_' * (row['late'] == 'yes')}{row['number']}_{row['version']}_{row['set']}.html"
