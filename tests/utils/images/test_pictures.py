"""Pictures of every format and size: what their files are called does not matter, memory does."""

import io
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image, features

from tests.helpers.repository import REPOSITORY
from utils.errors import UserError
from utils.images import pictures
from utils.images.files import load_images, load_picture
from utils.images.levels import Levels
from utils.images.pictures import Budget, decode_picture, quiet_pillow

RED = (255, 0, 0)


def save(picture, **how):
    stream = io.BytesIO()
    picture.save(stream, **how)
    return stream.getvalue()


def png(width, height, depth, kind, data=b"", chunk=b""):
    """A PNG file of any header, made of few bytes."""

    def part(name, content):
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    end = part(b"IDAT", zlib.compress(data)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + chunk + end


def tiff(**tags):
    """A grey TIFF file whose header claims this; its one strip or tile is 1,000 packed zeros."""
    data = zlib.compress(bytes(1000))
    usual = {"256": 100, "257": 100, "258": 8, "259": 8, "262": 1, "277": 1}
    tags = {int(tag.strip("t")): value for tag, value in (usual | tags).items()}
    tags |= {324: 200, 325: len(data)} if 322 in tags else {273: 200, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + data


def patched(content, marker, offset, new):
    at = content.index(marker) + offset
    return content[:at] + new + content[at + len(new) :]


SMALL = Image.new("RGB", (64, 64), RED)
# Files of a few kilobytes that call for gigabytes.
BOMBS = {
    "png": lambda: png(2**31 - 1, 2**31 - 1, 16, 6),
    "png, wide": lambda: png(2**31 - 1, 1, 8, 2),
    "png, 8 bits": lambda: png(60_000, 60_000, 8, 0),
    "png, 1 bit": lambda: png(60_000, 60_000, 1, 0),
    "gif": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80" + GIF_FRAME,
    "gif, frame": lambda: b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80" + GIF_FRAME,
    "jpeg": lambda: patched(save(SMALL, format="JPEG"), b"\xff\xc0", 5, b"\xff\xdc" * 2),
    "jpeg, progressive": lambda: patched(
        save(SMALL, format="JPEG", progressive=True), b"\xff\xc2", 5, b"\x3f\xff" * 2
    ),
    "tiff": lambda: tiff(t256=60_000, t257=60_000, t278=60_000),
    "tiff, tile": lambda: tiff(t322=65520, t323=65520),
    "ppm": lambda: b"P6 100000 100000 255\n" + bytes(9),
    "bmp": lambda: patched(save(SMALL, format="BMP"), b"BM", 18, struct.pack("<ii", 60000, 60000)),
}
GIF_FRAME = bytes(8) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;"


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_never_unpacked(bomb, tmp_path, capfd):
    (tmp_path / "bomb.png").write_bytes(BOMBS[bomb]())
    SMALL.save(tmp_path / "good.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(load_images(tmp_path, size=8)) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    out, err = capfd.readouterr()
    assert "skipped 1 of 2 files" in out
    assert "1 beyond 500 MB of memory or 250 million pixels: 'bomb.png'" in out
    assert err == ""
    with pytest.raises(UserError, match=r"bomb.png is no picture that can be read: beyond 500 MB"):
        load_picture(tmp_path / "bomb.png")


def test_what_c_libraries_say_is_not_heard(tmp_path, capfd):
    (tmp_path / "a.tif").write_bytes(tiff(t322=0, t323=0))
    SMALL.save(tmp_path / "good.png")
    assert len(load_images(tmp_path, size=8)) == 1
    os.write(2, b"heard")
    out, err = capfd.readouterr()
    assert "1 damaged: 'a.tif'" in out
    assert err == "heard"


SIZES = {
    "i16.png": ("I;16", 2500, {}),
    "rgb.png": ("RGB", 1800, {}),
    "rgba.png": ("RGBA", 1800, {}),
    "grey_alpha.png": ("LA", 1800, {}),
    "palette.gif": ("P", 2500, {}),
    "progressive.jpg": ("RGB", 1800, {"progressive": True, "subsampling": 0}),
    "cmyk.jpg": ("CMYK", 1800, {"progressive": True}),
    "whole_strip.tif": (
        "RGB",
        1800,
        {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 1800}},
    ),
    "float.tif": ("F", 1800, {}),
    "bits.tif": ("1", 2500, {"compression": "group4"}),
    "lossless.webp": ("RGBA", 1200, {"lossless": True, "method": 0}),
    "colour.jp2": ("RGB", 1200, {}),
    "alpha.jp2": ("RGBA", 1200, {}),
    "colour.avif": ("RGB", 1200, {"speed": 10, "subsampling": "4:4:4"}),
    "colour.ppm": ("RGB", 1800, {}),
}
MEASURE = """
import os, resource, sys
from pathlib import Path
from utils.images import pictures
from utils.images.levels import Levels
estimates, estimate = [], pictures.estimate_memory
pictures.BAND = 2**14  # so that what is counted for a band hides nothing
pictures.estimate_memory = lambda *header: estimates.append(estimate(*header)) or estimates[-1]
with pictures.quiet_pillow():
    for file in sorted(Path(sys.argv[1]).iterdir()):
        if os.fork() == 0:  # a process for each: the peak of a process never falls
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            pictures.decode_picture(file, (3, 64, 64), Levels())
            taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            print(file.name, estimates[-1], taken, flush=True)
            os._exit(0)
        os.wait()
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Bytes of memory by the name of a picture: as estimated, as taken."""
    folder = tmp_path_factory.mktemp("sizes")
    for name, (mode, side, options) in SIZES.items():
        if not name.endswith(".avif") or features.check("avif"):
            grey16 = Image.fromarray(np.zeros((side, side), np.uint16))
            picture = grey16 if mode == "I;16" else Image.new(mode, (side, side))
            picture.save(folder / name, **options)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, folder],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: (int(estimated), int(taken)) for name, estimated, taken in lines}


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts kilobytes on Linux alone")
@pytest.mark.parametrize("name", SIZES)
def test_a_picture_takes_no_more_memory_than_was_estimated(name, measured):
    if name.endswith(".avif") and name not in measured:
        pytest.skip("Pillow here has no AVIF")
    (estimated, taken), side = measured[name], SIZES[name][1]
    assert taken <= estimated + 8_000_000, "what a format needs once is not counted"
    assert estimated < 64 * 2**14 + 25 * side**2, "pictures of many megapixels are read"


def test_threads_share_the_memory():
    budget, running, most = Budget(100), [0], [0]
    guard = threading.Lock()

    def take(amount):
        with budget.take(amount):
            with guard:
                running[0] += amount
                most[0] = max(most[0], running[0])
            time.sleep(0.001)
            with guard:
                running[0] -= amount

    threads = [threading.Thread(target=take, args=(amount,)) for amount in [60, 40, 30, 100] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 <= most[0] <= 100
    assert budget.free == 100


def test_a_picture_waits_for_memory_and_gives_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "BUDGET", Budget(0))
    SMALL.save(tmp_path / "a.png")
    done = []
    with quiet_pillow():
        reader = threading.Thread(
            target=lambda: done.append(decode_picture(tmp_path / "a.png", (3, 8, 8), Levels()))
        )
        reader.start()
        reader.join(0.05)
        assert not done
        with pictures.BUDGET.changed:
            pictures.BUDGET.free = 10**9
            pictures.BUDGET.changed.notify_all()
        reader.join()
    assert done[0].shape == (3, 8, 8)
    assert pictures.BUDGET.free == 10**9


def test_large_pictures_are_the_same_in_bands(tmp_path, monkeypatch):
    """Turned, cropped, shrunk: Pillow's own functions on the whole are the reference."""
    rng = np.random.default_rng(0)
    for way in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = way
        noise = Image.fromarray(rng.integers(0, 256, (90, 130, 3), dtype=np.uint8))
        noise.resize((391, 275)).save(tmp_path / f"{way}.png", exif=exif)
    whole = load_images(tmp_path, size=20).pixels
    monkeypatch.setattr(pictures, "BAND", 3000)
    assert np.array_equal(load_images(tmp_path, size=20).pixels, whole)
    for way, pixels in enumerate(whole, start=1):
        with Image.open(tmp_path / f"{way}.png") as image:
            turn = pictures.TURNS.get(way)
            upright = image.transpose(turn) if turn is not None else image
            left, top = (upright.width - 275) // 2, (upright.height - 275) // 2
            square = upright.crop((left, top, left + 275, top + 275))
            wanted = square.resize((20, 20), Image.Resampling.LANCZOS, reducing_gap=3.0)
        assert np.array_equal(pixels, np.asarray(wanted).transpose(2, 0, 1)), way


def test_content_counts_and_not_the_ending(tmp_path, capsys):
    kinds = {
        "a": "PNG", "b.txt": "JPEG", "c.JFIF": "JPEG", "d.jpg": "PNG", "e.png": "WEBP",
        "f.PNG": "GIF", "g.pgm": "PPM", "h.jp2": "JPEG2000", "i.tiff": "BMP", "j.heic": "JPEG",
    }  # fmt: skip
    if features.check("avif"):
        kinds["k.avif"] = "AVIF"
    for name, kind in kinds.items():
        (tmp_path / name).write_bytes(save(SMALL, format=kind))
    pages = [Image.new("RGB", (9, 9), colour) for colour in (RED, (0, 255, 0))]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    images = load_images(tmp_path, size=8)
    assert len(images) == len(kinds) + 1
    assert np.abs(images.pixels.astype(int) - np.reshape(RED, (3, 1, 1))).max() <= 3
    assert capsys.readouterr().out == ""


def test_what_is_skipped_is_counted_by_kind(tmp_path, capsys):
    for number in range(3):
        SMALL.save(tmp_path / f"{number}.jpg")
    for number in range(8):
        (tmp_path / f"{number}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypmif1" + bytes(99))
    (tmp_path / "drawing.svg").write_text("<svg/>")
    (tmp_path / "cut.png").write_bytes(save(SMALL, format="PNG")[:100])
    for clutter in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.jpg"):
        (tmp_path / clutter).write_bytes(b"clutter")
    assert len(load_images(tmp_path, size=8)) == 3
    assert capsys.readouterr().out == (
        f"skipped 11 of 14 files in {tmp_path}/: 9 HEIC, 1 .svg: Pillow here cannot read it; "
        "1 damaged: 'cut.png'\n"
    )


def test_a_plugin_for_heic_is_asked(tmp_path, monkeypatch):
    """Pillow's plugins register a format: here one that reads every such file as a red picture."""

    def register():
        opened = SMALL.copy()
        opened.format, opened.draft, opened.load = "HEIF", lambda *_: None, lambda: None
        Image.register_open("HEIF", lambda *_: opened, lambda start: start[4:8] == b"ftyp")

    monkeypatch.setitem(Image.OPEN, "HEIF", None)
    module = type(sys)("pillow_heif")
    module.register_heif_opener = register
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    assert tuple(load_images(tmp_path, size=8).pixels[0, :, 0, 0]) == RED
    Image.ID.remove("HEIF")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_pipes_sockets_devices_and_loops_are_no_files(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    SMALL.save(folder / "good.png")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.png"))
    for name, target in {"zero.png": "/dev/zero", "loop.png": "loop.png", "here": "."}.items():
        (folder / name).symlink_to(target)
    assert len(load_images(folder, size=8)) == 1
    assert capsys.readouterr().out == ""
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("pipe.npy", "photos/pipe.png"):
        with pytest.raises(UserError, match="is no source of images"):
            load_images(tmp_path / name)
    with pytest.raises(UserError, match="no such picture"):
        load_picture(folder / "pipe.png")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has shorter paths")
@pytest.mark.parametrize(("name", "depth", "found"), [("f", 1500, 2), ("f" * 200, 30, 1)])
def test_deep_folders(name, depth, found, tmp_path, capsys, monkeypatch):
    """Any number of them; what lies beyond the system's longest path is said to be left out."""
    top = tmp_path / "top"
    top.mkdir()
    monkeypatch.chdir(top)
    SMALL.save("a.png")
    for _ in range(depth):
        os.mkdir(name)
        os.chdir(name)
    SMALL.save("b.png")
    os.chdir(tmp_path)
    assert len(load_images(top, size=8)) == found
    assert ("left out 1 folder in" in capsys.readouterr().out) == (found == 1)
    subprocess.run(["rm", "-rf", top], check=True)  # shutil.rmtree calls itself


def test_a_broken_exif_does_no_harm(tmp_path):
    content = save(SMALL, format="JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(9))
    (tmp_path / "a.jpg").write_bytes(content)
    assert len(load_images(tmp_path, size=8)) == 1
