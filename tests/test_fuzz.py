"""Settings, texts and pictures, damaged: each case given to a command works, or one line says why.

    pytest tests/test_fuzz*.py                                    40 cases of each, as in the suite
    pytest tests/test_fuzz*.py --hypothesis-profile=whole         2,500 of each
    pytest tests/test_fuzz*.py --hypothesis-profile=commands      100 of each, each a real command

The cases are the same every time. `python benchmarks/trust/fuzz.py` tries all of them, kind by
kind and side by side, and counts how they ended.
"""

import copy
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.every_command import COMMANDS, small_config
from tests.helpers.fuzzing import PLACES, damaged, lies, no_file, survives, written
from utils import files
from utils.text.data import DataConfig, decode, load_text

# Config files

NUMBERS = [0, -1, 1, 2, 3, 7, 64, 0.5, -0.0, 1.0, 1e-300, 1e300, float("nan"), float("inf")]
NUMBERS += [2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, 10**400]
WORDS = ["", "auto", "none", "../x", "/x", "a/b", "con", "x" * 300, "text", "digits", "\ud800"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.integers()
    | st.floats(allow_subnormal=False)  # torch is told to take them for 0
    | st.sampled_from(WORDS)
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed_configs(draw: st.DrawFn, config: dict) -> Any:
    """The settings with up to three keys or sections set to anything, dropped, renamed, added."""
    config = copy.deepcopy(config)
    for _ in range(draw(st.integers(0, 3))):
        section = draw(st.sampled_from(sorted(config))) if config else None
        whole = section is None or not isinstance(config[section], dict)
        holder = config if whole or draw(st.integers(0, 5)) == 0 else config[section]
        key = draw(st.sampled_from(sorted(holder))) if holder else "model"
        how = draw(st.sampled_from(["set", "set", "set", "drop", "add", "rename"]))
        if how == "set":
            holder[key] = draw(values)
        elif how == "add":
            holder[draw(st.text(max_size=9) | st.sampled_from(["epochs", "name"]))] = draw(values)
        else:
            value = holder.pop(key, None)
            if how == "rename":
                holder[draw(st.text(max_size=9))] = value
    return config


def modest(value: Any) -> bool:
    """Whether a training with these settings is short and small."""
    if isinstance(value, dict | list):
        return all(map(modest, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or abs(value) <= 64 or abs(value) > 2**53


@given(data=st.data())
def test_config_files(data, as_commands):
    """Half of the cases only read the file (there is nothing to resume), half train a little."""
    names = [name for name, command in COMMANDS.items() if command.takes("--config")]
    command = COMMANDS[data.draw(st.sampled_from(names), label="command")]
    config = data.draw(changed_configs(small_config(command)), label="config")
    content = json.dumps(config, indent=data.draw(st.sampled_from([None, 2]))).encode()
    mode = "--dry-run" if modest(config) and data.draw(st.booleans()) else "--resume"
    ways = ["as it is"] * 5 + ["damaged", "nested", "digits", "utf-16", "no file"]
    how = data.draw(st.sampled_from(ways))
    if how == "damaged":
        content, mode = data.draw(damaged(content)), "--resume"
    elif how == "nested":
        depth = data.draw(st.integers(1, 3000))
        content = content.replace(b"1", b"[" * depth + b"1" + b"]" * depth, 1)
    elif how == "digits":
        content = content.replace(b"1", b"1" * data.draw(st.integers(17, 9000)), 1)
    elif how == "utf-16":
        content = content.decode().encode("utf-16")
    file = files.ROOT / "fuzzed.json"
    files.remove(file)
    if how == "no file":
        no_file(file, data.draw(st.sampled_from(PLACES)))
    else:
        file.write_bytes(content)
    argv = [f"--config={file}", mode, *(["--ckpt_name=none"] if mode == "--resume" else [])]
    survives(command, argv, as_commands)


# Texts

characters = st.characters(exclude_categories=["Cs"])
controls = [chr(point) for point in [*range(33), 127, 0x85, 0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFF]]
pieces = st.one_of(
    st.text(characters, max_size=40).map(str.encode),
    st.text(st.sampled_from(controls), max_size=20).map(str.encode),
    st.sampled_from(["\r\n", "\n\n", "a", "İ", "ß", "e\u0301", "👩\u200d🚀", "道可道"]).map(
        str.encode
    ),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=4).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=20),
)
# Most cases leave out the pieces that are no UTF-8, which end a case at once.
texts = st.one_of(
    st.text(characters, max_size=2000).map(str.encode),
    st.lists(st.text(characters | st.sampled_from(controls), max_size=60), max_size=30).map(
        lambda lines: "\n".join(lines).encode()
    ),
    st.lists(pieces, max_size=20).map(b"".join),
    st.text(characters, max_size=300).map(lambda text: text.encode("utf-16")),
)
TEXT_NAMES = ["t.txt", "-t.txt", "a b.txt", "é.txt", "t", ".txt", "x\n.txt", "$HOME.txt", "%s.txt"]
TEXT_NAMES += ["--raw", "con.txt", "t" * 120, "text.txt", os.fsdecode(b"\xff.txt")]


@given(data=st.data())
def test_texts(data, as_commands):
    """Prepared, and what was kept raw comes back; then, of some, trained on, or continued."""
    content = data.draw(texts, label="text")
    if content and data.draw(st.integers(0, 9), label="megabyte of it") == 0:
        content *= 1 + 2**20 // len(content)
    lines = sum(content.count(end) for end in (b"\n", b"\r"))
    large = lines > 300 or len(content) * len(set(content)) > 10**7
    raw = data.draw(st.booleans(), label="raw")
    form = "codes" if large else data.draw(st.sampled_from(["one_hot", "codes"]))
    name = data.draw(st.sampled_from(["fuzzed"] * 9 + [None, *WORDS[:-1]]), label="--name")
    with tempfile.TemporaryDirectory(dir=files.ROOT) as folder:
        file = written(Path(folder), data.draw(st.sampled_from(TEXT_NAMES)), content)
        if data.draw(st.integers(0, 19), label="no file") == 0:
            file.unlink()
            no_file(file, data.draw(st.sampled_from(PLACES)))
        argv = [f"--text={file}", f"--format={form}", *(["--raw"] if raw else [])]
        argv += [] if name is None else [f"--name={name}"]
        status = survives(COMMANDS["data_preparation"], argv, as_commands).status
    if status == 0 and raw and name == "fuzzed":
        text = load_text(DataConfig(name="fuzzed"))
        codes = np.concatenate([text.training, text.validation])
        assert decode(codes, text.alphabet).encode() == content
    then = data.draw(st.sampled_from(["nothing"] * 6 + ["train", "prompt", "prompt"]))
    if then == "train" and status == 0 and name == "fuzzed":
        names = [name for name, command in COMMANDS.items() if command.takes("--data.name")]
        command = COMMANDS[data.draw(st.sampled_from(names))]
        argv = [*command.small, "--data.name=fuzzed", "--dry-run"]
        survives(command, argv, as_commands)
    elif then == "prompt":
        names = [name for name, command in COMMANDS.items() if command.takes("--split")]
        prompt = os.fsdecode(content[:1000].replace(b"\0", b""))
        argv = [f"--prompt={prompt}", "--num_samples=1", "--length=4", "--device=cpu"]
        survives(COMMANDS[data.draw(st.sampled_from(names))], argv, as_commands)


# Folders of pictures

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
}
SIZES = [(1, 1), (1, 300), (300, 1), (2, 3), (64, 64), (65, 33), (70, 90)]
BOMBS = [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 0), (0, 5), (30_000, 3), (9000, 9000)]
PICTURES = ["a.png", "b.jpg", "c.JPEG", "d.gif", "-x.png", "--help.png", "a b.png", "é.png"]
PICTURES += ["x\n.png", "$x$.png", "{}.png", "%s.png", ".hidden.png", "deep/er/y.png", "t.txt"]
PICTURES += ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "\x1b[2J.png"]
PICTURES += ["n" * 200 + ".png", "none", "celeba/img_align_celeba/1.jpg", os.fsdecode(b"\xff.png")]
FOLDERS = ["photos", "-photos", "--help", "a b", "é", "$p$", "$x^$", "x\n", "celeba", "\\x"]
FOLDERS += ["\x1b[2J", "n" * 200, os.fsdecode(b"\xff")]


def bomb(size: tuple[int, int], bits: int, colour: int) -> bytes:
    """A small PNG that says it is a large one, with as much data as fits into a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A picture in any format and mode, whole, cut, damaged, animated, or one that is none."""
    how = draw(st.sampled_from(["whole"] * 4 + ["damaged"] * 4 + ["bomb", "none"]))
    if how == "none":
        return draw(st.binary(max_size=50))
    if how == "bomb":
        bits, colour = (
            draw(st.sampled_from([1, 8, 8, 16, 3])),
            draw(st.sampled_from([0, 2, 3, 6, 9])),
        )
        return bomb(draw(st.sampled_from(BOMBS)), bits, colour)
    form = draw(st.sampled_from(sorted(MODES)))
    mode, size = draw(st.sampled_from(MODES[form])), draw(st.sampled_from(SIZES))
    shades = np.linspace(0, 60_000 if mode == "I;16" else 255, size[0] * size[1])
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(shades.reshape(size[::-1]).astype(dtype))
    else:
        grey = Image.fromarray(shades.reshape(size[::-1]).astype(np.uint8))
        picture = grey.convert("RGB").convert(mode)
    options = {}
    if form in ("GIF", "WEBP", "TIFF", "PNG") and draw(st.booleans()) and mode not in ("I;16", "1"):
        options = {"save_all": True, "append_images": [picture.rotate(180)] * 2}
    if form == "JPEG" and draw(st.booleans()):
        options = {"exif": b"Exif\0\0" + draw(st.binary(max_size=40))}
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue() if how == "whole" else draw(damaged(buffer.getvalue()))


def zipped(content: bytes) -> bytes:
    """An .npz of one array."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content)
    return buffer.getvalue()


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A .npy or .npz file of any shape and type, or a damaged one."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([bytes, zipped]))(draw(lies()))
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 9, 64]), max_size=5)))
    dtype = draw(st.sampled_from([np.uint8] * 5 + [np.float32, np.int64, bool, object, "U3"]))
    array = np.zeros(shape[:4], dtype=dtype)
    buffer = io.BytesIO()
    if draw(st.booleans()):
        np.savez(buffer, **{draw(st.sampled_from(["x", "arr_0", "é", "a/b"])): array, "n": array})
    else:
        np.save(buffer, array)
    return buffer.getvalue() if draw(st.booleans()) else draw(damaged(buffer.getvalue()))


def link(place: Path, target: str) -> None:
    try:
        place.symlink_to(target)
    except OSError:  # it is there already, or this system has no links
        return


@given(data=st.data())
def test_image_folders(data, as_commands):
    """Most cases read the folder and then ask for a picture beyond its last, which is cheap."""
    tasks = ["--index=999999"] * 12 + ["reconstruction", "image", "train"]
    task = data.draw(st.sampled_from(tasks), label="task")
    with tempfile.TemporaryDirectory(dir=files.ROOT) as place:
        folder = Path(place) / data.draw(st.sampled_from(FOLDERS), label="folder")
        source = folder
        if data.draw(st.integers(0, 7), label="an array") == 0:
            ending = data.draw(st.sampled_from([".npy", ".npz", ".NPZ"]))
            source = written(folder, f"a{ending}", data.draw(arrays()))
        else:
            folder = written(folder, "notes.txt", b"").parent
            source = folder
            for name in data.draw(st.lists(st.sampled_from(PICTURES), max_size=6, unique=True)):
                written(folder, name, data.draw(pictures()))
            for name in data.draw(st.lists(st.sampled_from(["l.png", "loop", "deep/up"]))):
                targets = [name, ".", "..", "/nowhere", "a.png", "loop", str(folder)]
                (folder / name).parent.mkdir(exist_ok=True)
                link(folder / name, data.draw(st.sampled_from(targets)))
            if data.draw(st.integers(0, 9), label="no file") == 0:
                no_file(folder / "p.png", data.draw(st.sampled_from(PLACES)))
        command = COMMANDS["main"]
        if task == "train":
            small = [word for word in command.small if "images" not in word and "held" not in word]
            argv = [*small, "--dry-run", f"--data={source}"]
        else:
            argv = ["--ckpt_name=vae", "--device=cpu"]
            some = ["--task=reconstruction", "--num_samples=1"]
            argv += some if task == "reconstruction" else ["--task=rotate"]
            if task == "image":
                found = sorted(file for file in folder.rglob("*") if file.is_file())
                argv += [f"--image={data.draw(st.sampled_from(found))}", "--angles", "0"]
            else:
                argv += [f"--data={source}", *([task] if task.startswith("--") else [])]
        survives(command, argv, as_commands)
