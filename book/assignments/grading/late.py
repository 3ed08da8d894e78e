"""What is late, and what that costs: the rules in course.toml, beside grade.py."""

import math
import sys
from datetime import datetime, timedelta
from typing import NamedTuple

import tomllib

from .grader import COURSE

FORMS = ("%A, %d %B %Y, %I:%M %p", "%A, %d %B %Y, %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


class Rules(NamedTuple):
    due: dict  # {problem set: datetime}
    grace: timedelta
    per_day: float  # percent of the points, for each day that has begun
    cut_off: float  # days after which nothing counts
    extensions: dict  # {e-mail, number or name: {problem set: datetime}}

    def due_of(self, name, person):
        own = self.extensions.get(person.key) or self.extensions.get(person.name) if person else None
        return (own or {}).get(name) or self.due.get(name)


def read():
    """The rules of the course; those that are not given cost nothing."""
    path = COURSE / "course.toml"
    try:
        given = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        sys.exit(f"{path} cannot be read: {error}")
    late = {"grace_minutes": 0, "percent_per_day": 0, "cut_off_days": math.inf} | given.pop("late", {})
    due, extensions = given.pop("due", {}), given.pop("extensions", {})
    numbers = all(isinstance(value, int | float) and value >= 0 for value in late.values())
    if given or len(late) != 3 or not numbers or late["percent_per_day"] > 100:
        yours = ", ".join([*given, *(f"{what} = {late[what]}" for what in late)])
        sys.exit(
            f"{path}: known are [due], [extensions] and [late] with grace_minutes, percent_per_day (at most 100) and "
            f"cut_off_days, all at least 0; yours has {yours}"
        )
    try:
        due = {name: as_time(value) for name, value in due.items()}
        extensions = {who: {name: as_time(value) for name, value in own.items()} for who, own in extensions.items()}
    except (ValueError, AttributeError):
        sys.exit(
            f'{path}: a date is written one_neuron = "2027-04-12 23:59", '
            f'an extension "Doe Jane" = {{one_neuron = "2027-04-14 23:59"}}'
        )
    grace = timedelta(minutes=late["grace_minutes"])
    return Rules(due, grace, late["percent_per_day"], late["cut_off_days"], extensions)


def as_time(value):
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if (time := moment(str(value))) is None:
        raise ValueError(value)
    return time


def moment(text):
    """The time that `text` says, as Moodle's worksheet or course.toml writes it, or None."""
    for form in FORMS:
        try:
            return datetime.strptime(" ".join(text.split()), form)
        except ValueError:
            pass
    return None


def is_late(flag, submitted, due):
    """Whether it came after the day that is ours or, where we do not know one, the platform says so."""
    return submitted > due if submitted and due else flag


def days(row, rules, person):
    """How many days, begun ones counted, the submission in this row of collected.csv is late; a sentence if unsure."""
    due, submitted = rules.due_of(row["set"], person), moment(row["submitted"])
    if not due or not submitted:
        return (1, "late, counted as one day: nobody said by how much") if row["late"] == "yes" else (0, "")
    over = submitted - due
    return (math.ceil(over / timedelta(days=1)) if over > rules.grace else 0), ""


def after(points, days_late, rules):
    """What is left of `points`."""
    if days_late > rules.cut_off:
        return 0.0
    return round(points * max(0.0, 1 - rules.per_day / 100 * days_late), 2)
