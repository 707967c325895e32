"""Arrays are sized by their header before anything is unpacked."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest

from utils.errors import UserError
from utils.images import arrays
from utils.images.files import load_images


def npy(shape, kind="|u1", fortran=False, data=b""):
    """A .npy file that claims this shape."""
    stream = io.BytesIO()
    header = {"descr": kind, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def room(monkeypatch):
    """One million bytes of free memory."""
    monkeypatch.setattr(arrays, "available_memory", lambda: 10**6)


BEYOND = {
    "a.npz": lambda: zipped({"x.npy": npy((4000, 64, 64), data=bytes(4000 * 4096))}),
    "f.npz": lambda: zipped({"x.npy": npy((500, 64, 64), "<f8", data=bytes(500 * 4096 * 8))}),
    "f.npy": lambda: npy((4000, 64, 64), fortran=True, data=bytes(4000 * 4096)),
    "train-images-idx3-ubyte": lambda: IDX + bytes(60_000 * 784),
    "train-images-idx3-ubyte.gz": lambda: gzip.compress(IDX + bytes(60_000 * 784), 1),
}
IDX = bytes([0, 0, 8, 3]) + struct.pack(">3i", 60_000, 28, 28)


@pytest.mark.parametrize("name", BEYOND)
def test_what_memory_has_no_room_for_is_not_unpacked(name, room, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(BEYOND[name]())
    for unpack in ("read_array", "open_memmap"):
        monkeypatch.setattr(np.lib.format, unpack, None)
    with pytest.raises(UserError, match=r"GB of pictures, more than the 0.0 GB of memory"):
        load_images(tmp_path / name)


def test_an_npy_file_is_read_from_the_disk_whatever_its_size(room, repository, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(500 * 4096).astype(np.uint8).reshape(500, 64, 64))
    images = load_images(tmp_path / "a.npy", channels=1, memory_limit=10**6)
    assert isinstance(images.pixels.base, np.memmap)
    assert images.pixels[3, 0, 0, 5] == 5


LIES = {
    "huge.npy": lambda: npy((10**12, 64, 64)),
    "negative.npy": lambda: npy((-1, 64, 64), data=bytes(4096)),
    "both negative.npy": lambda: npy((-1, -64, 64), data=bytes(4096)),
    "objects.npy": lambda: npy((4, 8, 8), "|O", data=b"x"),
    "text.npy": lambda: npy((4, 8, 8), "<U5", data=bytes(4 * 64 * 20)),
    "no dict.npy": lambda: npy((4, 8, 8)).replace(b"{", b"["),
    "huge.npz": lambda: zipped({"x.npy": npy((10**12, 64, 64))}),
    "short.npz": lambda: zipped({"x.npy": npy((9, 64, 64), data=bytes(4096))}),
    "negative.npz": lambda: zipped({"x.npy": npy((-9, 64, 64), data=bytes(4096))}),
    "nested.npz": lambda: zipped({"x.npy": zipped({"x.npy": npy((9, 64, 64))})}),
    "many.npz": lambda: zipped({f"{n}.npy": b"" for n in range(1200)}),
    "cut-ubyte.gz": lambda: gzip.compress(IDX + bytes(99)),
    "longer-ubyte": lambda: bytes([0, 0, 8, 3]) + struct.pack(">3i", 2, 8, 8) + bytes(129),
    "huge-ubyte": lambda: bytes([0, 0, 8, 3]) + struct.pack(">3i", 2**31 - 1, 28, 28),
    "negative-ubyte": lambda: bytes([0, 0, 8, 3]) + struct.pack(">3i", -2, 28, 28),
    "unknown-ubyte": lambda: bytes([0, 0, 7, 3]) + struct.pack(">3i", 2, 8, 8) + bytes(128),
    "no-ubyte": lambda: b"<html>",
}


@pytest.mark.parametrize("name", LIES)
def test_what_a_header_claims_is_held_against_the_file(name, tmp_path):
    (tmp_path / name).write_bytes(LIES[name]())
    with pytest.raises(UserError) as stop:
        load_images(tmp_path / name)
    said = str(stop.value)
    assert said.startswith(str(tmp_path / name))
    assert "right would be one array of numbers" in said or "GB of memory that are free" in said
    assert "\n" not in said


def test_fortran_order_and_foreign_byte_order(tmp_path):
    stack = np.random.default_rng(0).integers(0, 60_000, (5, 8, 8)).astype(">u2")
    stack[0, 0, 0] = 65535
    wanted = np.rint(stack / 257.0)[:, None]
    for name in ("a.npy", "a.npz"):
        (np.save if name.endswith("npy") else np.savez)(tmp_path / name, np.asfortranarray(stack))
        assert np.array_equal(load_images(tmp_path / name, 8, 1).pixels, wanted)


def test_only_the_pictures_of_an_archive_are_unpacked(tmp_path):
    pictures = npy((2, 8, 8), data=bytes(range(128)))
    content = zipped({"labels.npy": npy((10**9,), data=bytes(9)), "x.npy": pictures, "a.txt": "b"})
    (tmp_path / "a.npz").write_bytes(content)
    assert load_images(tmp_path / "a.npz", 8, 1).pixels[1, 0, 0, 0] == 64


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_in_the_format_of_mnist(packed, tmp_path):
    content = bytes([0, 0, 8, 3]) + struct.pack(">3i", 2, 28, 28) + bytes(range(98)) * 16
    name = "train-images-idx3-ubyte"
    file = tmp_path / (f"{name}.gz" if packed else name)
    file.write_bytes(gzip.compress(content) if packed else content)
    for path in (tmp_path, file):
        images = load_images(path, 28, 1)
        assert (images.shape, len(images)) == ((1, 28, 28), 2)
        assert images.pixels[0, 0, 1, 3] == 31


def test_the_memory_that_is_free_is_known():
    assert 10**7 < arrays.available_memory() < 10**14
