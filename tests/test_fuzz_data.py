"""Data that others made: prepared texts, tables of attributes, and what is no file at all.

How many and how: tests/test_fuzz.py.
"""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import utils.errors
from tests.helpers.every_command import COMMANDS, Command
from tests.helpers.fuzzing import PLACES, damaged, lies, no_file, survives
from utils import files
from utils.images.data import Images
from utils.images.files import load_images
from utils.images.sources import add_attributes
from utils.text.data import DataConfig, load_text
from utils.text.preparation import prepare

# Texts that others prepared

CODES = [0, 1, 2, 9, 255, 256, -1, 2**31, 2**63, 0.5, float("nan"), float("inf"), True]
SYMBOLS = ["a", "ab", "", "\n", "\x1b[2J", "\u202e", "\ud800", "\0", "é", "👩\u200d🚀", 7, None]
RECORDS = ["", "{", "[]", "null", '{"files": -1}', '{"files": "x"}', '{"characters": 1e400}']
RECORDS += ["[" * 3000, '{"files": {}}', '{"characters": null}', "1" * 9000, '{"files": NaN}']
RECORDS += ['{"characters": 460, "files": 1e9}', '{"characters": [460]}', '"x"', '{"files": true}']
SHAPES = [(0, 12), (3, 0), (3, 1), (5, 12), (5, 11), (5, 13), (12,), (), (2, 3, 12), (9, 300)]
FOREIGN = ["sample_9999.npy", "sample_.npy", "sample_0000.npz", "sample_x.npy", "codes.npz"]
FOREIGN += [".sample_0001.npy", "alphabet.txt", "notes/sample_0001.npy", "text.txt"]
READ = Command("reading", utils.errors.command(lambda _: load_text(DataConfig("strange"))), {})


@st.composite
def prepared_files(draw: st.DrawFn, whole: bytes) -> bytes:
    """An array of anything, one that lies about itself, a file of another format, or damage."""
    hows = ["damaged", "damaged", "symbols", "codes", "one-hot", "turned", "header", "foreign"]
    how = draw(st.sampled_from(hows))
    if how == "damaged":
        return draw(damaged(whole))
    if how == "header":
        return draw(lies())
    buffer = io.BytesIO()
    if how == "foreign":
        kind = draw(st.sampled_from(["text", "npz", "pickle", "json", "pt"]))
        if kind == "npz":
            np.savez(buffer, alphabet=np.array(["a", "b"]), codes=np.zeros(9, np.uint8))
        elif kind == "pickle":
            np.save(buffer, np.array([["a"], {}], dtype=object), allow_pickle=True)
        words = {"text": b"the bridge hums\n" * 9, "json": b'["a", "b"]', "pt": b"PK\3\4" + whole}
        return words.get(kind, buffer.getvalue())
    if how == "one-hot":
        kind = draw(st.sampled_from([np.uint8, bool, np.float32, ">i4", np.float64]))
        array = np.full(draw(st.sampled_from(SHAPES)), draw(st.sampled_from([0, 1, 255])), kind)
        if array.ndim == 2 and array.shape[1] and draw(st.booleans()):
            array = np.eye(array.shape[1])[np.zeros(len(array), int)].astype(kind)
    elif how == "turned":
        try:
            array = np.lib.format.read_array(io.BytesIO(whole))
        except Exception:  # it is damaged already, or of another format
            array = np.zeros(3)
        turns = [np.asfortranarray(array), array[None], array.T, array.astype(">U4")]
        turns += [array[::-1], array[: len(array) // 2]] if array.ndim else []
        turns += [array.astype(object), np.stack([array, array])]
        array = draw(st.sampled_from(turns))
    else:
        some = st.sampled_from(SYMBOLS if how == "symbols" else CODES)
        content = draw(st.lists(some, max_size=draw(st.sampled_from([3, 60]))))
        array = np.array(content, dtype=draw(st.sampled_from([None, object])))
    np.save(buffer, array)
    return buffer.getvalue()


@given(data=st.data())
def test_prepared_texts(data, as_commands):
    """With up to three of its files changed it is read; of four one is trained on, or prepared."""
    folder = files.ROOT / "data" / "strange"
    for place in (folder, files.preparing(folder), files.replaced(folder)):
        files.remove(place)
    source = files.ROOT / "short.txt"
    source.write_text("the bridge hums\nat noon\n" * 10, encoding="utf-8")
    prepare(source, "strange", form=data.draw(st.sampled_from(["one_hot", "codes"])))
    for _ in range(data.draw(st.integers(1, 3))):
        there = sorted(path.name for path in folder.iterdir())
        ways = ["changed"] * 5 + ["missing", "no file", "record", "foreign", "half", "moved"]
        how = data.draw(st.sampled_from(ways), label="how")
        named = there[:5] + ["alphabet.npy", "codes.npy"] + FOREIGN * (how == "foreign")
        place = folder / data.draw(st.sampled_from(named))
        whole = place.read_bytes() if place.is_file() and place.stat().st_size < 2**20 else b""
        if how == "record":
            place = folder / "prepared.json"
        if how in ("half", "moved"):
            for name in there[len(there) // 2 :]:
                files.remove(folder / name)
            if how == "moved" and not files.replaced(folder).exists():
                folder.rename(files.replaced(folder))
                folder.mkdir()
            continue
        files.remove(place)
        place.parent.mkdir(exist_ok=True)
        if how in ("changed", "foreign"):
            place.write_bytes(data.draw(prepared_files(whole)))
        elif how == "no file":
            no_file(place, data.draw(st.sampled_from(PLACES)))
        elif how == "record":
            place.write_text(data.draw(st.sampled_from(RECORDS)), encoding="utf-8")
    then = data.draw(st.sampled_from(["read"] * 6 + ["train", "prepare"]), label="then")
    if then == "train":
        names = [name for name, command in COMMANDS.items() if command.takes("--data.name")]
        command = COMMANDS[data.draw(st.sampled_from(names))]
        survives(command, [*command.small, "--data.name=strange", "--dry-run"], as_commands)
    elif then == "prepare":
        argv = [f"--text={source}", "--name=strange"]
        survives(COMMANDS["data_preparation"], argv, as_commands)
    else:
        survives(READ, [], real=False)


# Tables of attributes

NAMES = [f"{n:02}.png" for n in range(12)]
NAMED = [NAMES, NAMES, NAMES[:5], NAMES[::-1], NAMES + NAMES[:2], ["other"] * 12]
CELLS = ["", "nan", "1", "-1", "0", "26", "2,5", "1e400", "-inf", "yes", "no", "é", "\x1b[2J", "\0"]
CELLS += ["\u202e", "\ud800", "x" * 500, "9" * 5000, '"', "a,b", "=1+1", "\u200b", "٣", "none"]
TITLES = ["image", "age", "hat", "smile", "yaw", "", " ", "age", "\x1b[2J", "x" * 300, "$x^$"]
TITLES += ["a=b", "é", "\ufeffage", "{age}", "None", "--along", "1", "\u202e"]
ENCODINGS = ["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "utf-7"]
TABLE_FILES = ["t.csv", "t.csv", "t.tsv", "t.txt", "t", "$x^$.csv", "\x1b[2J.csv", "t.npz", "t.NPZ"]
PATTERNS = ["{}", "{age}", "{a}{b}.png", "{a}_{a}", "{" * 400, "{x}*", "({", "{\x1b[2J}.png"]
PATTERNS += ["{a}" * 300, "{0}", "{a}\0"]
SURROGATES = "surrogatepass"
any_pattern = st.sampled_from(PATTERNS) | st.text(st.sampled_from("{}*.ab("), min_size=2)
MEMBERS = ["age", "names", "é", "\x1b[2J", "a/../b"]
MEMBER_TYPES = ["f4", "i8", "U3", "S2", "?", "O", "c8", "M8[s]", "<U100000"]


def join_rows(rows: list[list[str]], delimiter: str, quoted: bool) -> str:
    if not quoted:
        return "\n".join(delimiter.join(row) for row in rows)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A table as CSV, TSV or CelebA's list: of any cells, ragged, wide, long, in any encoding."""
    how = draw(st.sampled_from(["plain"] * 4 + ["ragged", "wide", "long", "binary", "celeba"]))
    if how == "binary":
        return draw(st.binary(max_size=300))
    wide = draw(st.sampled_from([999, 1001, 100_000])) if how == "wide" else 0
    titles = draw(st.lists(st.sampled_from(TITLES), min_size=1, max_size=5))
    titles = ["image", *titles, *(f"c{n}" for n in range(wide))]
    cells = st.sampled_from(CELLS if draw(st.booleans()) else CELLS[:11])
    few = draw(st.lists(cells, min_size=1, max_size=7))
    names = draw(st.sampled_from(NAMED))
    names = names * (20_000 // len(names)) if how == "long" else names
    rows = [titles] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    for n, name in enumerate(names):
        rows.append([name, *(few[(n * c) % len(few)] for c in range(1, len(titles)))])
    if how == "ragged":
        for row in rows:
            del row[draw(st.integers(0, len(row))) :]
            row += draw(st.lists(cells, max_size=2))
    delimiter = draw(st.sampled_from([",", "\t", ";", " ", "|"]))
    if how == "celeba":
        delimiter = " "
        rows = [[draw(st.sampled_from(["12", "0", "99", "-1"]))], titles[1:], *rows[1:]]
    ends = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\u2028", "\0"]))
    text = join_rows(rows, delimiter, draw(st.booleans())).replace("\n", ends)
    encoding = draw(st.sampled_from(ENCODINGS))
    content = text.encode(encoding, "replace" if encoding in ("cp1252", "utf-7") else SURROGATES)
    return draw(damaged(content)) if draw(st.integers(0, 4)) == 0 else content


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """An .npz of arrays for 12 pictures, of any types, or of members that lie."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw(st.lists(st.sampled_from(MEMBERS), max_size=3, unique=True)):
            member = io.BytesIO()
            shape = draw(st.sampled_from([(12,), (12, 1), (12, 3), (3,), (11,), (), (12, 0)]))
            kind = draw(st.sampled_from(MEMBER_TYPES))
            np.save(member, np.zeros(shape, kind), allow_pickle=True)
            content = draw(lies()) if draw(st.integers(0, 3)) == 0 else member.getvalue()
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue() if draw(st.booleans()) else draw(damaged(buffer.getvalue()))


def make_photos() -> Path:
    """Makes twelve pictures, once."""
    folder = files.ROOT / "photos"
    if not folder.exists():
        folder.mkdir()
        for n, name in enumerate(NAMES):
            Image.new("RGB", (64, 64), (20 * n, 90, 255 - 20 * n)).save(folder / name)
    return folder


PHOTOS: list[Images] = []  # loaded once


@given(data=st.data())
def test_attribute_tables(data, as_commands):
    """Most tables are read and joined; some are found beside the pictures, or used by a task."""
    folder = make_photos()
    PHOTOS[:] = PHOTOS or [load_images(folder)]
    how = data.draw(st.sampled_from(["table"] * 8 + ["pattern", "no file"]), label="how")
    beside = how == "table" and data.draw(st.integers(0, 5)) == 0
    file = files.ROOT / ("photos.csv" if beside else data.draw(st.sampled_from(TABLE_FILES)))
    files.remove(file)
    asked: str | None = str(file)
    try:
        if how == "pattern":
            asked = data.draw(any_pattern)
        elif how == "no file":
            no_file(file, data.draw(st.sampled_from(PLACES)))
        elif file.suffix.lower() == ".npz":
            file.write_bytes(data.draw(archives()))
        else:
            file.write_bytes(data.draw(tables()))
        then = data.draw(st.sampled_from(["read"] * 5 + ["latent_analysis", "traverse", "rotate"]))
        if then == "read":
            read = utils.errors.command(
                lambda _: add_attributes(PHOTOS[0], folder, None if beside else asked) and None
            )
            survives(Command("reading", read, {}), [], real=False)
        else:
            argv = [f"--task={then}", "--ckpt_name=vae", "--device=cpu", f"--data={folder}"]
            argv += [] if beside else [f"--attributes={asked}"]
            if then == "traverse":
                argv.append(f"--along={data.draw(st.sampled_from(TITLES))}")
            survives(COMMANDS["main"], argv, as_commands)
    finally:
        files.remove(file)


# What is no file, in the place of every file that a command takes

PATHS = ("--config", "--text", "--data", "--data.data", "--image", "--attributes", "--prompt_file")
PATHS += ("--output", "--output-dir", "--to")
TAKING = [
    (name, path)
    for name, command in COMMANDS.items()
    for path in PATHS
    if command.takes(path) and not name.startswith(("benchmarks", "report", "explorer", "docs"))
]
ENDINGS = [
    "",
    "",
    ".npy",
    ".npz",
    ".txt",
    ".csv",
    ".png",
    ".json",
    "-ubyte",
    "-images-idx3-ubyte.gz",
]


@given(data=st.data())
def test_no_files(data, as_commands):
    """A pipe, a socket, a device, a folder, 10 GB of nothing: given as any path there is."""
    name, path = data.draw(st.sampled_from(TAKING), label="option")
    command, place = COMMANDS[name], files.ROOT / f"place{data.draw(st.sampled_from(ENDINGS))}"
    photos = make_photos()
    files.remove(place)
    no_file(place, data.draw(st.sampled_from(PLACES), label="place"))
    argv = [f"{path}={place}"]
    if command.trains:
        small = command.small
        if path == "--data.data":
            small = [word for word in small if "dataset" not in word and "images" not in word]
        argv = [*(small if path != "--config" else []), "--dry-run", *argv]
        if path in ("--image", "--attributes"):
            argv = [
                f"--task={data.draw(st.sampled_from(['rotate', 'latent_analysis', 'traverse']))}"
            ]
            argv += [f"{path}={place}", "--ckpt_name=vae", "--device=cpu"]
            argv += [f"--data={photos}"] if path == "--attributes" else []
    elif command.takes("--ckpt_name"):
        argv += ["--num_samples=1", "--device=cpu", f"--ckpt_name={command.run}"]
        argv += ["--length=4"] if command.takes("--length") and path != "--text" else []
    elif path != "--text":
        argv.append(f"--text={files.ROOT / 'data' / 'text.txt'}")
    try:
        survives(command, argv, as_commands)
    finally:
        files.remove(place)
