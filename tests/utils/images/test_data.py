"""Images out of folders and arrays: what is read, what is refused, how it is cut into batches."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from utils import files as places
from utils.errors import UserError
from utils.images import data, files, store
from utils.images.data import Batches, Images, Rows, split, to_unit_range
from utils.images.files import load_images
from utils.images.levels import Levels
from utils.images.sources import add_attributes
from utils.images.store import collect

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write_noise(folder, count, side=10, first=0):
    """Pictures photo_000.png, ... of random colours; returns them as (N, 3, side, side)."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(first).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"photo_{first + number:03}.png")
    return pixels.transpose(0, 3, 1, 2)


def numbered(count):
    """Images whose every pixel is their number."""
    pixels = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 1, 2, 2)
    )
    return Images(pixels, "numbers", labels=np.arange(count))


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files decoded so far."""
    names, decode = [], files.decode_picture

    def spy(path, *how):
        names.append(path.name)
        return decode(path, *how)

    monkeypatch.setattr(files, "decode_picture", spy)
    return names


# Folders


def test_a_folder_is_read_at_any_depth_in_the_order_of_its_names(tmp_path, capsys):
    write_noise(tmp_path / "b" / "deep", 2)
    write_noise(tmp_path / "a", 1, first=7)
    (tmp_path / "a" / "notes.txt").write_text("no image, and not called one")
    for hidden in (".cache", "__MACOSX"):
        write_noise(tmp_path / hidden, 1)
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "._photo.png")
    images = load_images(tmp_path, size=10)
    assert images.shape == (3, 10, 10)
    assert len(images) == 3
    assert images.pixels.dtype == np.uint8
    again = write_noise(tmp_path / "a", 1, first=7)
    assert np.array_equal(images.pixels[0], again[0]), "a/ comes before b/deep/, bytes unchanged"
    assert images.source == f"{tmp_path}/"
    skipped = f"skipped 1 of 4 files in {tmp_path}/: 1 .txt: Pillow here cannot read it\n"
    assert capsys.readouterr().out == skipped


def test_endings_in_any_case_and_every_format(tmp_path):
    names = ["a.JPG", "b.Jpeg", "-c.png", "d.BMP", "e.webp", "f.gif", "g.TIF", "h.tiff", "i i.PNG"]
    for name in names:
        Image.new("RGB", (9, 5), RED).save(tmp_path / name)
    images = load_images(tmp_path, size=4)
    assert len(images) == len(names)
    assert np.abs(images.pixels - np.array(RED).reshape(3, 1, 1)).max() <= 3, "all of them are red"


def test_every_mode_comes_out_with_its_colour(tmp_path):
    """Each of these is a third dark (85 of 255) or of one strong colour, however it is stored."""
    grey16 = np.full((6, 6), 85 * 257, np.uint16)
    clear = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    palette = Image.new("RGB", (6, 6), BLUE).convert("P", palette=Image.Palette.ADAPTIVE)
    holes = Image.new("P", (6, 6), 0)
    holes.putpalette([*GREEN, *BLUE])
    # file: (picture, colour, options)
    pictures = {
        "grey.png": (Image.new("L", (6, 6), 85), (85, 85, 85), {}),
        "grey16.png": (Image.fromarray(grey16), (85, 85, 85), {}),
        "grey16.tif": (Image.fromarray(grey16), (85, 85, 85), {}),
        "float.tif": (Image.fromarray((grey16 / 65535).astype(np.float32)), (85, 85, 85), {}),
        "bits.png": (Image.new("1", (6, 6), 1), (255, 255, 255), {}),
        "palette.png": (palette, BLUE, {}),
        "holes.png": (holes, (255, 255, 255), {"transparency": 0}),
        "alpha.png": (Image.new("RGBA", (6, 6), (*RED, 255)), RED, {}),
        "clear.png": (clear, (255, 255, 255), {}),
        "grey_alpha.png": (Image.new("LA", (6, 6), (85, 255)), (85, 85, 85), {}),
        "cmyk.jpg": (Image.new("CMYK", (6, 6), (0, 255, 255, 0)), RED, {"quality": 100}),
        "one.png": (Image.new("RGB", (1, 1), GREEN), GREEN, {}),
        "thin.png": (Image.new("RGB", (300, 1), GREEN), GREEN, {}),
    }
    for name, (picture, _, options) in pictures.items():
        picture.save(tmp_path / name, **options)
    images = load_images(tmp_path, size=4)
    for name, pixels in zip(sorted(pictures), images.pixels, strict=True):
        wanted = np.array(pictures[name][1]).reshape(3, 1, 1)
        assert np.abs(pixels.astype(int) - wanted).max() <= 3, f"{name}: {pixels[:, 0, 0]}"
    grey = load_images(tmp_path, size=4, channels=1)
    assert grey.shape == (1, 4, 4)
    assert abs(int(grey.pixels[sorted(pictures).index("grey.png"), 0, 0, 0]) - 85) <= 1


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_the_centre_is_kept(tmp_path, turned):
    picture = np.zeros((20, 50, 3), np.uint8)
    picture[:, :15], picture[:, 15:35], picture[:, 35:] = RED, GREEN, BLUE
    picture[8:12, 23:27] = 255
    Image.fromarray(picture.swapaxes(0, 1) if turned else picture).save(tmp_path / "a.png")
    (pixels,) = load_images(tmp_path, size=20).pixels
    wanted = np.zeros((3, 20, 20), np.uint8)
    wanted[1] = 255
    wanted[:, 8:12, 8:12] = 255
    assert np.array_equal(pixels, wanted), "green around a white middle: nothing else, nothing cut"


def test_resizing_averages_instead_of_picking_pixels(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "board.png")
    pixels = load_images(tmp_path, size=8, channels=1).pixels
    assert np.abs(pixels.astype(int) - 127).max() < 10, "a fine chess board is grey from afar"


def test_a_large_jpeg_is_the_same_picture_as_its_png(tmp_path):
    across = np.linspace(0, 255, 700).astype(np.uint8)
    picture = np.stack([np.tile(across, (500, 1))] * 3, axis=2)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(picture).save(tmp_path / "b.png")
    jpeg, png = load_images(tmp_path, size=16).pixels.astype(int)
    assert np.abs(jpeg - png).max() <= 3


def test_a_camera_held_sideways(tmp_path):
    picture = Image.new("RGB", (8, 8), RED)
    picture.paste(BLUE, (0, 0, 8, 4))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees, clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    (pixels,) = load_images(tmp_path, size=8).pixels
    assert tuple(pixels[:, 4, 7]) == BLUE, "what was up is right"
    assert tuple(pixels[:, 4, 0]) == RED


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (GREEN, RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    images = load_images(tmp_path, size=8)
    assert len(images) == 1
    assert tuple(images.pixels[0, :, 0, 0]) == GREEN


def test_unreadable_files_are_skipped_and_counted(tmp_path, capsys):
    write_noise(tmp_path, 2, side=64)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.gif").write_bytes(b"")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(
        tmp_path / "cut.jpg"
    )
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")  # Pillow would run a program
    assert len(load_images(tmp_path, size=8)) == 2
    assert capsys.readouterr().out == (
        f"skipped 4 of 6 files in {tmp_path}/: 1 damaged: 'cut.jpg'; "
        "2 .png, 1 .gif: Pillow here cannot read it\n"
    )


def test_a_link_to_a_folder_above_does_not_hang(tmp_path):
    write_noise(tmp_path / "album", 2)
    write_noise(tmp_path / "elsewhere", 1)
    try:
        (tmp_path / "album" / "again").symlink_to(tmp_path / "album", target_is_directory=True)
        (tmp_path / "album" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "album" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    except OSError:
        pytest.skip("this system does not allow symbolic links")
    assert len(load_images(tmp_path / "album", size=8)) == 3


def test_folders_without_images(tmp_path):
    with pytest.raises(UserError, match="has no images in it"):
        load_images(tmp_path)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match=r"none of its 1 file can be read \(1 .png: Pillow"):
        load_images(tmp_path)
    with pytest.raises(UserError, match="no such folder or file"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no source of images"):
        load_images(tmp_path / "a.png")
    with pytest.raises(UserError, match="the channels are 1"):
        load_images(tmp_path, channels=4)


# Larger than memory


def test_a_memory_map_holds_the_same_pixels(repository, tmp_path, capsys, decoded):
    write_noise(tmp_path / "photos", 12)
    (tmp_path / "photos" / "broken.png").write_text("no image")
    held = load_images(tmp_path / "photos", size=6)
    mapped = load_images(tmp_path / "photos", size=6, memory_limit=100)
    assert isinstance(mapped.pixels, np.memmap)
    assert mapped.pixels.shape == (12, 3, 6, 6)
    assert np.array_equal(held.pixels, mapped.pixels)
    (file,) = (repository / "data" / "images").iterdir()
    assert file.suffix == ".npy"
    said = "skipped 1 of 13 files in {}/: 1 .png: Pillow here cannot read it".format
    notes = said(tmp_path / "photos")
    assert file.stat().st_size == 128 + mapped.pixels.nbytes + len(notes) + len("\0[0]")
    assert mapped.names == held.names == [f"photo_{n:03}.png" for n in range(12)]
    assert np.array_equal(np.load(file), held.pixels)
    assert f"into data/images/{file.name}" in capsys.readouterr().out

    decoded.clear()
    again = load_images(tmp_path / "photos", size=6, memory_limit=100)
    assert decoded == [], "decoded a second time"
    assert np.array_equal(again.pixels, held.pixels)
    assert capsys.readouterr().out == f"{notes}\n"


def test_a_changed_folder_is_decoded_again(repository, tmp_path, decoded):
    def load(size=6):
        decoded.clear()
        return load_images(tmp_path / "photos", size=size, memory_limit=100)

    write_noise(tmp_path / "photos", 3)
    load()
    new = write_noise(tmp_path / "photos", 1, first=3)  # one more
    assert len(load(size=10)) == 4
    assert np.array_equal(load(size=10).pixels[3], new[0])
    load()
    os.utime(tmp_path / "photos" / "photo_000.png", ns=(1, 1))  # another one of the same name
    load()
    assert len(decoded) == 4
    load(size=7)
    assert len(decoded) == 4, "another size"
    load(size=7)
    assert decoded == []


def test_an_interrupted_decode_leaves_nothing(repository, monkeypatch):
    monkeypatch.setattr(store, "BLOCK", 2)
    folder, interrupted = repository / "data" / "images", True

    def read(number):
        if number == 3 and interrupted:
            assert len(list(folder.glob(".*.preparing"))) == 1, "two pictures are written already"
            raise KeyboardInterrupt
        return np.full((3, 8, 8), number, np.uint8)

    arguments = (range(5), (3, 8, 8), ("key",), "photos/", 100, Levels())
    with pytest.raises(KeyboardInterrupt):
        collect(read, *arguments)
    assert list(folder.iterdir()) == []
    interrupted = False
    assert collect(read, *arguments)[0][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_what_killed_decodes_left_is_removed(repository, tmp_path):
    write_noise(tmp_path / "photos", 5)
    load_images(tmp_path / "photos", size=8, memory_limit=100)
    (file,) = (repository / "data" / "images").iterdir()
    own, others, running = (
        places.preparing(file.with_stem(stem)) for stem in (file.stem, "b", "c")
    )
    old = file.with_name("d.1234.partial")  # as earlier versions named it
    for left in (file.rename(own), others, running, old):
        left.write_bytes(b"half")
    with places.lock(file.with_stem("c")):
        places.choose_output.cache_clear()  # as the next command finds it
        assert len(load_images(tmp_path / "photos", size=8, memory_limit=100)) == 5
        left = {place for place in file.parent.iterdir() if place.suffix != ".lock"}
    assert left == {file, running}, "another process still writes its own"


def test_a_damaged_memory_map_is_decoded_again(repository, tmp_path, decoded):
    write_noise(tmp_path / "photos", 5)
    load_images(tmp_path / "photos", size=8, memory_limit=100)
    (file,) = (repository / "data" / "images").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    decoded.clear()
    assert len(load_images(tmp_path / "photos", size=8, memory_limit=100)) == 5
    assert len(decoded) == 5


def test_only_broken_files_leave_no_memory_map(repository, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("no image")
    with pytest.raises(UserError, match="none of its 1"):
        load_images(tmp_path / "photos", size=8, memory_limit=100)
    assert list((repository / "data" / "images").iterdir()) == []


def test_an_array_larger_than_memory_is_resized_onto_the_disk(repository, tmp_path):
    pixels = write_noise(tmp_path / "photos", 4)
    np.save(tmp_path / "photos.npy", pixels)
    mapped = load_images(tmp_path / "photos.npy", size=6, memory_limit=100)
    assert isinstance(mapped.pixels, np.memmap)
    assert np.array_equal(mapped.pixels, load_images(tmp_path / "photos", size=6).pixels)
    assert isinstance(
        load_images(tmp_path / "photos.npy", size=10, memory_limit=9).pixels, np.memmap
    )


def test_rows_of_a_large_array_are_read_only_when_asked_for(monkeypatch):
    monkeypatch.setattr(data, "MEMORY_LIMIT", 20)
    images = numbered(50)
    large = images.take(np.arange(0, 50, 2))
    assert isinstance(large.pixels, Rows)
    assert large.shape == (1, 2, 2)
    assert np.array_equal(large.pixels[:][:, 0, 0, 0], large.labels)
    twice = large.take(slice(1, 20))
    assert isinstance(twice.pixels, Rows)
    assert np.array_equal(twice.pixels[np.array([3, 0])][:, 0, 0, 0], [8, 2])
    small = twice.take(np.array([3, 0]))
    assert isinstance(small.pixels, np.ndarray)
    assert np.array_equal(small.pixels[:, 0, 0, 0], small.labels)
    assert twice.summary() == "19 images of 2 x 2, 1 channel, values 2 to 38, from numbers"


# Arrays


def test_arrays_in_any_order_of_axes(tmp_path):
    pixels = write_noise(tmp_path / "photos", 3)  # (3, 3, 10, 10)
    np.savez(tmp_path / "first.npz", pixels)
    np.savez_compressed(tmp_path / "last.npz", images=pixels.transpose(0, 2, 3, 1))
    np.save(tmp_path / "plain.npy", pixels.transpose(0, 2, 3, 1))
    for name in ("first.npz", "last.npz", "plain.npy"):
        for size in (10, 4, 13):
            images = load_images(tmp_path / name, size=size)
            assert images.source == str(tmp_path / name)
            wanted = load_images(tmp_path / "photos", size=size)
            assert np.array_equal(images.pixels, wanted.pixels), (name, size)


def test_grey_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 6), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", faces=pixels, person=np.arange(5))
    np.savez(tmp_path / "b.npz", faces=pixels[:, None])
    np.savez(tmp_path / "c.npz", faces=pixels[..., None])
    for name in "abc":
        images = load_images(tmp_path / f"{name}.npz", size=6, channels=1)
        assert np.array_equal(images.pixels[:, 0], pixels[:, 1:7]), "the centre of 8 rows"
        colour = load_images(tmp_path / f"{name}.npz", size=6)
        assert np.array_equal(colour.pixels, np.repeat(images.pixels, 3, axis=1))


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"x": np.zeros((4, 8, 8), np.complex64)}, r"no arrays.*found: x complex64 \(4, 8, 8\)"),
        ({"x": np.zeros((4, 64), np.uint8)}, r"no arrays.*x uint8 \(4, 64\)"),
        ({"x": np.zeros((8, 8, 3), np.uint8)}, "no arrays"),
        ({"x": np.zeros((4, 8, 8, 2), np.uint8)}, "no arrays"),
        ({"x": np.zeros((0, 8, 8), np.uint8)}, "no arrays"),
        ({"x": np.array([{}, []], dtype=object)}, "no arrays.*x of Python objects"),
        ({}, "no arrays.*found: nothing"),
        ({k: np.zeros((4, 8, 8), np.uint8) for k in "ab"}, "has 2 arrays.*a uint8.*b uint8"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, arrays, found):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=found + r".*right would be one array of numbers, \(N, H"):
        load_images(tmp_path / "a.npz")


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"no arrays of images \(found: array of Python objects"):
        load_images(tmp_path / "a.npy")


def test_names_as_objects_beside_the_images_do_no_harm(tmp_path):
    names = np.array(["ann", None], dtype=object)
    np.savez(tmp_path / "a.npz", names=names, faces=np.zeros((2, 8, 8), np.uint8))
    assert len(load_images(tmp_path / "a.npz", size=8)) == 2


def test_broken_and_pickled_files(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros((4, 8, 8), np.uint8))
    whole = (tmp_path / "a.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.zeros((4, 8, 8), np.uint8))
    contents = {
        "cut.npz": whole[: len(whole) // 2],
        "changed.npz": whole.replace(bytes(40), b"\1" * 40, 1),
        "empty.npz": b"",
        "text.npz": b"no array",
        "misnamed.npz": (tmp_path / "array.npy").read_bytes(),
        "misnamed.npy": whole,
        "cut.npy": (tmp_path / "array.npy").read_bytes()[:-9],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} cannot be read .*right would be one array"):
            load_images(tmp_path / name)


# CelebA


@pytest.fixture
def celeba(tmp_path):
    """Two images in CelebA's layout, with the list of their attributes and a picture beside."""
    folder = tmp_path / "celeba"
    folder_of_images = folder / "img_align_celeba"
    folder_of_images.mkdir(parents=True)
    names = ["000001.jpg", "000002.jpg"]
    for name, colour in zip(names, (RED, BLUE), strict=True):
        Image.new("RGB", (178, 218), colour).save(folder_of_images / name)
    rows = "000001.jpg -1  1\n000002.jpg  1  1\n"
    (folder / "list_attr_celeba.txt").write_text(f"2\nMale Young \n{rows}")
    Image.new("RGB", (9, 9)).save(folder / "samples.png")  # no part of it
    return folder


def as_torchvision(folder):
    return [folder, folder.parent]


def as_kaggle(folder):
    inner = folder / "img_align_celeba"
    inner.rename(folder / "inner")
    inner.mkdir()
    (folder / "inner").rename(inner / "img_align_celeba")
    (folder / "list_attr_celeba.txt").unlink()
    table = "image_id,Male,Young\n000001.jpg,-1,1\n000002.jpg,1,1\n"
    (folder / "list_attr_celeba.csv").write_text(table)
    return [folder.rename(folder.with_name("archive"))]


def as_a_bare_folder(folder):
    return [folder / "img_align_celeba"]


@pytest.mark.parametrize("layout", [as_torchvision, as_kaggle, as_a_bare_folder])
@pytest.mark.parametrize("listed", [True, False])
def test_celeba_is_recognised(celeba, layout, listed, capsys):
    for path in layout(celeba):
        for table in [] if listed else path.parent.rglob("list_attr_celeba.*"):
            table.unlink()
        images = load_images(path, size=16)
        assert len(images) == 2
        assert np.abs(images.pixels[1, :, 8, 8].astype(int) - BLUE).max() <= 3
        known = add_attributes(images, path).attributes
        assert (known is not None) == listed
        if listed:
            assert known.names == ("Male",)
            assert known.words == (("-1", "1"),)
            assert known.values[:, 0].tolist() == [0, 1]
            assert "left out Young: it never varies, it is 1" in capsys.readouterr().out


# Batches


def test_an_epoch_has_every_image_once():
    images = numbered(23)
    batches = Batches(images, batch_size=5, seed=1)
    assert batches.steps == 4
    seen = []
    for pixels, indices in batches.epoch(1):
        assert pixels.shape == (5, 1, 2, 2)
        assert pixels.dtype == torch.float32
        assert torch.equal((255 * pixels[:, 0, 0, 0]).round().long(), indices)
        seen += indices.tolist()
    assert len(seen) == len(set(seen)) == 20, "3 images are left for another epoch"


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, number, first=0):
        batches = Batches(numbered(23), batch_size=5, seed=seed)
        return [indices.tolist() for _, indices in batches.epoch(number, first)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2)[2:] == order(1, 2, first=2), "a run goes on where it stopped"
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2, first=4) == []


def test_bytes_become_floats_between_0_and_1():
    pixels = np.array([0, 51, 255, 128], np.uint8).reshape(1, 1, 2, 2)
    pixels.flags.writeable = False  # as in a memory map
    assert to_unit_range(pixels).flatten().tolist() == pytest.approx([0, 0.2, 1, 128 / 255])
    last = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert to_unit_range(np.moveaxis(last, 3, 1)).is_contiguous()


def test_too_few_images_for_a_batch():
    with pytest.raises(UserError, match="numbers: 4 training images, fewer than a batch of 5"):
        Batches(numbered(4), batch_size=5, seed=0)


def test_split_is_disjoint_and_complete():
    training, validation = split(numbered(50), share=0.1, seed=3)
    assert (len(training), len(validation)) == (45, 5)
    assert sorted([*training.labels, *validation.labels]) == list(range(50))
    for part in (training, validation):
        assert np.array_equal(part.pixels[:, 0, 0, 0], part.labels), "labels stay with their image"
    assert np.array_equal(split(numbered(50), 0.1, seed=3)[1].labels, validation.labels)
    assert not np.array_equal(split(numbered(50), 0.1, seed=4)[1].labels, validation.labels)
    assert [len(part) for part in split(numbered(2), 0.1, seed=0)] == [1, 1]
    with pytest.raises(UserError, match="too few"):
        split(numbered(1), 0.1, seed=0)


def test_summary():
    pixels = np.full((2000, 3, 4, 6), 7, np.uint8)
    assert Images(pixels, "rendered faces").summary() == (
        "2,000 images of 4 x 6, 3 channels, values 7 to 7 in a sample of 1,000, from rendered faces"
    )
    assert numbered(1).summary() == "1 image of 2 x 2, 1 channel, values 0 to 0, from numbers"
