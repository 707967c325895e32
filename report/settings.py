"""report.toml: whose report it is, and in which language its fixed words are.

title = "Recurrent and generative networks"
language = "en"                                 # or "de"

[[people]]
name = "Ada Lovelace"
number = "1234567"
email = "ada@example.org"
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import facts
from report.facts import Fact
from utils.errors import UserError
from utils.files import show, write_whole

TEMPLATES = Path(__file__).with_name("templates")
LANGUAGES = ("en", "de")
PERSON = ("name", "number", "email")
LONGEST = 500  # characters of a text


@dataclass(frozen=True)
class Settings:
    """What report.toml holds."""

    title: Fact
    language: str
    people: tuple[dict[str, Fact], ...]


def read_settings(folder: Path) -> Settings:
    """Reads report.toml of a folder, made there on the first call. UserError for what is wrong."""
    file = folder / "report.toml"
    if not file.exists():
        write_whole(file, (TEMPLATES / "report.toml").read_bytes())
        print(f"wrote {show(file)}: put in your names")
    values = facts.read(file)
    check_keys(values, ("title", "language", "people"), file, "")
    for name in ("title", "language"):
        if name not in values:
            raise UserError(f"{show(file)}: {name} is missing")
        check_text(values[name], name, file)
    if values["language"] not in LANGUAGES:
        known = " or ".join(LANGUAGES)
        raise UserError(f"{show(file)}: language is {values['language']!r:.40}, not {known}")
    people = values.get("people", [])
    if not isinstance(people, list) or not all(isinstance(one, dict) for one in people):
        raise UserError(f"{show(file)}: people are not [[people]], a part for each person")
    for index, person in enumerate(people):
        check_keys(person, PERSON, file, f"people {index + 1}: ")
        for name, value in person.items():
            check_text(value, f"{name} of people {index + 1}", file)
    return Settings(
        Fact(values["title"].strip(), file, "title", values["title"]),
        values["language"],
        tuple(
            {
                name: Fact(person[name].strip(), file, f"people.{index}.{name}", person[name])
                for name in PERSON
                if person.get(name, "").strip()
            }
            for index, person in enumerate(people)
        ),
    )


def check_keys(values: dict[str, Any], known: tuple[str, ...], file: Path, where: str) -> None:
    for name in values:
        if name not in known:
            raise UserError(
                f"{show(file)}: {where}unknown key {name!r:.60} (known: {', '.join(known)})"
            )


def check_text(value: Any, name: str, file: Path) -> None:
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        what = f"is not a text of at most {LONGEST} characters on one line, in quotation marks"
        raise UserError(f"{show(file)}: {name} {what}")


def read_template(name: str) -> dict[str, Any]:
    """Reads a table of fixed words that ships with the project."""
    return tomllib.loads((TEMPLATES / name).read_text(encoding="utf-8"))
