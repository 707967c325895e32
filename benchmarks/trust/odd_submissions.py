"""Submissions as students send them, and worse: what a folder or an archive may be.

Each function makes one in a folder and returns the points that it must earn: those of a right
exercise where a student has merely an odd way of packing, 0 where the file is none. attacks.py
grades them, beside those that attack with code.
"""

import os
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FILE = "models/lstm/modules.py"
POINTS = 10  # of the exercise whose functions stand in it
MANY_FILES = 100_000


class Odd(NamedTuple):
    """A submission's name, what it earns, and what makes it."""

    name: str
    points: int
    make: Callable[[Path, str], None]  # folder of the class, the right text of FILE


ODD: list[Odd] = []


def odd(name: str, points: int) -> Callable:
    """Lists a function that makes a submission."""

    def list_it(make: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
        ODD.append(Odd(name, points, make))
        return make

    return list_it


def write(file: Path, content: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def pack(archive: Path, files: dict[str, str | bytes]) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)


@odd("mac", POINTS)
def from_a_mac(folder: Path, text: str) -> None:
    """Nested one deep, with __MACOSX and .DS_Store."""
    files = {f"edition/{FILE}": text, f"__MACOSX/edition/models/lstm/._{Path(FILE).name}": b"\0\5"}
    pack(folder / "mac.zip", files | {"edition/.DS_Store": b"\0\0\0\1Bud1"})


@odd("windows", POINTS)
def from_windows(folder: Path, text: str) -> None:
    """Windows line ends, a byte order mark, backslashes in the names."""
    content = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    pack(folder / "windows.zip", {"edition\\" + FILE.replace("/", "\\"): content})


@odd("nested twice", POINTS)
def nested_twice(folder: Path, text: str) -> None:
    pack(folder / "nested twice.zip", {f"hand in/final (2)/{FILE}": text})


@odd("nested folder", POINTS)
def nested_folder(folder: Path, text: str) -> None:
    write(folder / "nested folder" / "a" / "b" / FILE, text)


@odd("tabs", POINTS)
def tabs(folder: Path, text: str) -> None:
    write(folder / "tabs" / FILE, text.replace("    ", "\t"))


@odd("latin-1 that says so", POINTS)
def latin_1_that_says_so(folder: Path, text: str) -> None:
    plain = "# -*- coding: latin-1 -*-\n# Müller\n" + text.replace("σ", "s")
    write(folder / "latin-1 that says so" / FILE, plain.encode("latin-1", "replace"))


@odd("latin-1", 0)
def latin_1(folder: Path, text: str) -> None:
    text = text.replace("σ", "s") + '\nNAME = "Müller"\n'  # in a comment some Pythons let it be
    write(folder / "latin-1" / FILE, text.encode("latin-1", "replace"))


@odd("null bytes", 0)
def null_bytes(folder: Path, text: str) -> None:
    write(folder / "null bytes" / FILE, text + "\0\0")


@odd("syntax error", 0)
def syntax_error(folder: Path, text: str) -> None:
    write(folder / "syntax error" / FILE, text + "\nreturn )\n")


@odd("deep brackets", 0)
def deep_brackets(folder: Path, text: str) -> None:
    write(folder / "deep brackets" / FILE, text + "\nx = " + "(" * 100_000 + ")" * 100_000 + "\n")


@odd("notebook", 0)
def notebook(folder: Path, text: str) -> None:
    write(folder / "notebook" / "models" / "lstm" / "modules.ipynb", '{"cells": []}')


@odd("file in no folder", 0)
def file_in_no_folder(folder: Path, text: str) -> None:
    write(folder / "file in no folder" / "modules.py", text)


@odd("empty", 0)
def empty(folder: Path, text: str) -> None:
    (folder / "empty").mkdir()


@odd("link to a file", 0)
def link_to_a_file(folder: Path, text: str) -> None:
    """A link to the solution, as an attacker would guess its place."""
    file = folder / "link to a file" / FILE
    file.parent.mkdir(parents=True)
    file.symlink_to(Path(__file__).resolve().parents[2] / FILE)


@odd("link to a folder", 0)
def link_to_a_folder(folder: Path, text: str) -> None:
    (folder / "link to a folder").mkdir()
    target = Path(__file__).resolve().parents[2] / "models"
    (folder / "link to a folder" / "models").symlink_to(target, target_is_directory=True)


@odd("link as a whole", 0)
def link_as_a_whole(folder: Path, text: str) -> None:
    target = Path(__file__).resolve().parents[2]
    (folder / "link as a whole").symlink_to(target, target_is_directory=True)


@odd("link in a circle", 0)
def link_in_a_circle(folder: Path, text: str) -> None:
    (folder / "link in a circle").mkdir()
    (folder / "link in a circle" / "again").symlink_to(folder, target_is_directory=True)


@odd("pipe", 0)
def pipe(folder: Path, text: str) -> None:
    file = folder / "pipe" / FILE
    file.parent.mkdir(parents=True)
    os.mkfifo(file)


@odd("folder in a file's place", 0)
def folder_in_a_files_place(folder: Path, text: str) -> None:
    (folder / "folder in a file's place" / FILE).mkdir(parents=True)


@odd("closed", 0)
def closed(folder: Path, text: str) -> None:
    """A file that nobody may read; root may, so that it is empty, too."""
    file = folder / "closed" / FILE
    write(file, "")
    file.chmod(0)


@odd("many files", POINTS)
def many_files(folder: Path, text: str) -> None:
    """An environment is handed in, too: 100,000 files, which are not the student's work."""
    write(folder / "many files" / FILE, text)
    for n in range(MANY_FILES // 500):
        place = folder / "many files" / ".venv" / f"package-{n}"
        place.mkdir(parents=True)
        for m in range(500):
            (place / f"{m}.py").touch()


@odd("many entries", 0)
def many_entries(folder: Path, text: str) -> None:
    with zipfile.ZipFile(folder / "many entries.zip", "w") as target:
        for n in range(MANY_FILES):
            target.writestr(f"{n}.py", "")
        target.writestr(FILE, text)


@odd("large file", 0)
def large_file(folder: Path, text: str) -> None:
    write(folder / "large file" / FILE, text + "#" * 2**22)


@odd("outside", 0)
def outside(folder: Path, text: str) -> None:
    """Names that lead out of the folder it would be unpacked to."""
    names = (f"../../{FILE}", f"/{FILE}", f"C:\\{FILE}", f"a/../{FILE}", f"..\\..\\{FILE}")
    pack(folder / "outside.zip", dict.fromkeys(names, text))


@odd("bomb", 0)
def bomb(folder: Path, text: str) -> None:
    """A gigabyte of zeros in a megabyte."""
    archive = zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open(FILE, "w", force_zip64=True) as stream:
        for _ in range(1024):
            stream.write(bytes(2**20))


@odd("many bombs", 0)
def many_bombs(folder: Path, text: str) -> None:
    """Ten thousand files of a megabyte less a byte each: none of them is too large."""
    content = bytes(2**20 - 1)
    with zipfile.ZipFile(folder / "many bombs.zip", "w", zipfile.ZIP_DEFLATED) as target:
        first = zipfile.ZipInfo("a/0.py")
        first.compress_type = zipfile.ZIP_DEFLATED
        target.writestr(first, content)
        place = target.filelist[0]
        for n in range(1, 10_000):  # all of them are the same bytes in the archive
            entry = zipfile.ZipInfo(f"a/{n}.py")
            for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(entry, name, getattr(place, name))
            target.filelist.append(entry)


@odd("link in an archive", 0)
def link_in_an_archive(folder: Path, text: str) -> None:
    entry = zipfile.ZipInfo(FILE)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "link in an archive.zip", "w") as target:
        target.writestr(entry, str(Path(__file__).resolve().parents[2] / FILE))


@odd("encrypted", 0)
def encrypted(folder: Path, text: str) -> None:
    archive = folder / "encrypted.zip"
    pack(archive, {FILE: text})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag in the file's header, and in that of the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)


@odd("cut off", 0)
def cut_off(folder: Path, text: str) -> None:
    archive = folder / "cut off.zip"
    pack(archive, {FILE: text})
    archive.write_bytes(archive.read_bytes()[:-60])


@odd("damaged", 0)
def damaged(folder: Path, text: str) -> None:
    archive = folder / "damaged.zip"
    pack(archive, {FILE: text})
    content = bytearray(archive.read_bytes())
    content[60:80] = bytes(20)
    archive.write_bytes(content)


@odd("no archive", 0)
def no_archive(folder: Path, text: str) -> None:
    write(folder / "no archive.zip", "this is no archive")


@odd("another packer", 0)
def another_packer(folder: Path, text: str) -> None:
    write(folder / "another packer.rar", b"Rar!\x1a\7\0" + bytes(99))


@odd("twice in an archive", 0)
def twice_in_an_archive(folder: Path, text: str) -> None:
    """The same name twice: the last one counts, as it does when one unpacks it."""
    archive = zipfile.ZipFile(folder / "twice in an archive.zip", "w")
    with archive, warnings.catch_warnings(action="ignore"):  # of the name that comes again
        archive.writestr(FILE, text)
        archive.writestr(FILE, b"")


@odd("=1+1 \x1b[31m\x07<b>", POINTS)
def a_name_that_is_none(folder: Path, text: str) -> None:
    write(folder / "=1+1 \x1b[31m\x07<b>" / FILE, text)


@odd("a\nb", POINTS)
def a_name_of_two_lines(folder: Path, text: str) -> None:
    write(folder / "a\nb" / FILE, text)


@odd("Ünï çødé 学生 🎓", POINTS)
def a_name_in_unicode(folder: Path, text: str) -> None:
    write(folder / "Ünï çødé 学生 🎓" / FILE, text)


@odd("x" * 200, POINTS)
def a_long_name(folder: Path, text: str) -> None:
    write(folder / ("x" * 200) / FILE, text)
