"""The list of a class, as Moodle or Canvas export it, and tables that a spreadsheet may open."""

import csv
import io
import re
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

# What stands at the head of a column, in small letters.
FIRST = ("first name", "vorname", "prénom", "nombre")
LAST = ("last name", "surname", "nachname", "nom", "nom de famille", "apellido(s)")
NAME = ("student", "full name", "vollständiger name", "name", "nom complet", "nombre completo")
EMAIL = ("email address", "email", "e-mail", "e-mail-adresse", "adresse de courriel", "dirección de correo")
ID = ("id", "id number", "id-nummer", "student id", "numéro d'identification", "número de id")
NO_STUDENT = re.compile(r"\s*(points possible|student, test)\s*", re.IGNORECASE)
# Spreadsheets take a cell for a formula that begins with one of these, also the wide forms of the letters; and some of
# them begin a new one at a semicolon or a tab, whatever the others do.
FORMULA = re.compile(r" *'*[=+\-@\t\r\n＝＋－＠]")
INSIDE = re.compile(r"(?<=[;\t])(?P<space> *)(?='*[=+\-@＝＋－＠])")


class Person(NamedTuple):
    key: str  # the same in every list of the class: e-mail, number or name
    name: str  # as the list has it
    number: str  # by which the platform knows the student
    row: dict


class Roster(NamedTuple):
    kind: str  # canvas, worksheet (of one assignment, from Moodle), moodle or plain
    header: list
    rows: list
    people: list

    def of(self, number="", words=""):
        """The persons with this number or, without one, of this name in whatever order its words are."""
        if number:
            return [person for person in self.people if person.number == number]
        return [person for person in self.people if spelled(person.name) == spelled(words)]


def read(path):
    """The roster in the CSV file at `path`; ends with a sentence where it is none."""
    try:
        text = decoded(Path(path).read_bytes())
    except OSError as error:
        sys.exit(f"The roster {path} cannot be read: {error.strerror}")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    header = [cell.strip() for cell in rows[0]] if rows else []
    rows = [dict(zip(header, row, strict=False)) for row in rows[1:]]
    small = {name.lower(): name for name in header}
    first, last, name, email, number = (
        next((small[known] for known in names if known in small), None) for names in (FIRST, LAST, NAME, EMAIL, ID)
    )
    if not name and not (first and last):
        sys.exit(
            f"{path} is no roster: its columns are {', '.join(header) or 'none'}. Needed are a name (or first name and "
            "last name) and an e-mail or an ID, as in Moodle's list of participants or Canvas's export of the gradebook"
        )
    if "identifier" in small and "grade" in small:
        kind = "worksheet"
    elif small.get("student") and small.get("id"):
        kind = "canvas"
    else:
        kind = "moodle" if email else "plain"
    people = []
    for row in rows:
        whole = row.get(name, "") if name else f"{row.get(last, '')} {row.get(first, '')}"
        if NO_STUDENT.fullmatch(whole) or not whole.strip():
            continue
        its_own = row.get(small["identifier"], "") if kind == "worksheet" else row.get(number, "")
        its_own = re.sub(r"\D", "", its_own) if kind == "worksheet" else its_own.strip()
        address = row.get(email, "").strip().lower() if email else ""
        people.append(Person(address or its_own or whole.strip(), " ".join(whole.split()), its_own, row))
    keys = [person.key for person in people]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        sys.exit(f"{path}: several rows have {', '.join(doubled[:5])}, so nobody could say whose marks are whose")
    return Roster(kind, header, rows, people)


def decoded(content):
    for encoding in ("utf-8-sig", "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    return content.decode("latin-1")


def spelled(name):
    """The words of a name in an order of their own: "Doe, Jane" and "jane doe" are one."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return sorted(re.findall(r"[^\W_]+", "".join(letter for letter in plain if not unicodedata.combining(letter))))


def harmless(cell):
    """`cell` as no spreadsheet takes it for a formula. Numbers stay numbers, and a dash alone is none."""
    text = str(cell)
    if isinstance(cell, int | float) or text.strip() == "-":
        return cell
    return "'" * bool(FORMULA.match(text)) + INSIDE.sub(r"\g<space>'", text)


def as_it_was(cell):
    """The text of which `harmless` made `cell`."""
    cell = cell[1:] if cell.startswith("'") and FORMULA.match(cell, 1) else cell
    return re.sub(r"(?<=[;\t])( *)'(?='*[=+\-@＝＋－＠])", r"\1", cell)


def write(file, header, rows):
    """Write the dictionaries `rows` as a table with this `header`."""
    writer = csv.writer(file)
    writer.writerow([harmless(name) for name in header])
    writer.writerows([harmless(row.get(name, "")) for name in header] for row in rows)


def written(path):
    """The rows of a table that `write` has made."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: as_it_was(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
