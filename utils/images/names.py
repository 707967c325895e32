"""What the names of files and of their folders say of pictures.

read_pattern("{age}_{gender}_*", ["26_0_a.png", "31_1_b.png"])  # {"age": ["26", "31"], ...}
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from utils.errors import UserError
from utils.images.tables import Columns, check_header, last

# <age>_<gender>_<ethnicity>_<date>.jpg, where the third may lack (UTKFace, Zhang et al. 2017)
UTKFACE = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?:(?P<ethnicity>[0-4])(?=[_.]))?")
UTKFACE_WORDS = {
    "gender": ("male", "female"),
    "ethnicity": ("White", "Black", "Asian", "Indian", "other"),
}
OLDEST = 120
PAIR = re.compile(r"(?:^|[_, &-])([A-Za-z][A-Za-z ]*)=([^_, &=]+)")
ENOUGH = 0.9  # of the names, for a guess


def read_pattern(pattern: str, names: Sequence[str]) -> Columns:
    """Reads {name} in a pattern of files' names; {} and * stand for anything.

    UserError where no file is called so.
    """
    titles = [title for title in re.findall(r"\{([^{}]*)\}", pattern) if title]
    check_header(titles)
    parts = re.split(r"(\{[^{}]*\}|\*)", pattern)  # what is kept has the odd places
    words = [
        re.escape(part) if not place % 2 else "(.*?)" if part.strip("{}*") else ".*?"
        for place, part in enumerate(parts)
    ]
    rest = re.compile("".join(words) + ("" if pattern.endswith("*") else r"(\.[^/]*)?$"))
    found = [rest.match(last(name)) for name in names]
    if not any(found):
        raise UserError(f"no file is called so: there are names as {names[0]!r:.80}")
    return {
        title: [match[place] if match else "" for match in found]
        for place, title in enumerate(titles, 1)
    }


def find_readers(names: Sequence[str]) -> Iterator[tuple[str, Callable[[], Columns]]]:
    """Finds what names say by themselves: where from, and a function that reads it."""
    utkface = [UTKFACE.match(last(name)) for name in names]
    ages = [int(match["age"]) for match in utkface if match]
    if ages and len(ages) >= ENOUGH * len(names) and max(ages) <= OLDEST:
        yield "files' names, taken for age_gender_ethnicity_date", lambda: read_utkface(names)
    elif sum(bool(PAIR.search(last(name))) for name in names) >= ENOUGH * len(names):
        yield "name=value in the files' names", lambda: read_pairs(names)
    if read_folders(names):
        yield "the folders' names", lambda: read_folders(names)


def read_utkface(names: Sequence[str]) -> Columns:
    """Reads age, gender and ethnicity, in words, from names as UTKFace has them."""
    columns: Columns = {key: [] for key in UTKFACE.groupindex}
    for name in names:
        match = UTKFACE.match(last(name))
        for key, cells in columns.items():
            cell = (match and match[key]) or ""
            cells.append(UTKFACE_WORDS[key][int(cell)] if cell and key in UTKFACE_WORDS else cell)
    return columns


def read_pairs(names: Sequence[str]) -> Columns:
    """Reads name=value in names: "age=26_smile=yes.png"."""
    found = [dict(PAIR.findall(Path(last(name)).stem)) for name in names]
    titles = dict.fromkeys(title for pairs in found for title in pairs)
    return {title: [pairs.get(title, "") for pairs in found] for title in titles}


def read_folders(names: Sequence[str]) -> Columns:
    """Reads the folders of files, those below one another apart, where files differ in them."""
    parts = [name.split("/")[:-1] for name in names]
    deepest = max(map(len, parts), default=0)
    columns = [[part[n] if n < len(part) else "" for part in parts] for n in range(deepest)]
    columns = [cells for cells in columns if len(set(cells) - {""}) > 1]
    return {f"folder{f'_{n}' if n > 1 else ''}": cells for n, cells in enumerate(columns, 1)}
