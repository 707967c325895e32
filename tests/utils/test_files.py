"""How a file is written: whole, on the disk, and only then under its name."""

import errno
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from utils import files
from utils.errors import ENDING, UserError, end_in_order
from utils.files import check_name, lock, preparing, show, swap, sweep, tidy, write_whole
from utils.text import preparation
from utils.text.data import DataConfig, load_text


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """After a power cut a renamed file whose bytes were not flushed would be there, and empty."""
    path, content, calls = tmp_path / "new" / "a.bin", os.urandom(100_000), []
    fsync, replace = os.fsync, os.replace

    def syncing(number):
        calls.append(("fsync", os.fstat(number).st_size, path.exists()))
        fsync(number)

    def replacing(source, target):
        calls.append(("replace", os.path.getsize(source), path.exists()))
        assert os.path.dirname(source) == os.path.dirname(target), "no rename across disks"
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    assert write_whole(path, content) == path
    order = [call for call in calls if call[1] == len(content)]  # a folder may be flushed, too
    assert [call[0] for call in order] == ["fsync", "replace"]
    assert not any(call[2] for call in order), "nothing has its name before"
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_the_file_of_before_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_whole(path, b"before")

    def full(number):
        assert path.read_bytes() == b"before"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_are_short_inside_the_repository():
    assert show(files.ROOT / "data" / "a.txt") == "data/a.txt"
    assert check_name("a-1_b.c", "the name") == "a-1_b.c"


def hold(path, ready):
    with lock(path):
        ready.set()
        time.sleep(60)


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path, capsys):
    path, context = tmp_path / "made", multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(path, ready))
    holder.start()
    assert ready.wait(60)
    with lock(path, wait=False) as free:
        assert not free
    os.kill(holder.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    holder.join()
    with lock(path) as free:
        assert free
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_says_so(tmp_path, capsys, monkeypatch):
    acquire, waits = FileLock.acquire, []

    def held_at_first(self, *args, **options):
        waits.append(options.get("timeout"))
        if len(waits) == 1:
            raise files.Timeout(self.lock_file)
        return acquire(self, *args, **options)

    monkeypatch.setattr(FileLock, "acquire", held_at_first)
    with lock(tmp_path / "made") as free:
        assert free
    assert waits == [1, None]
    assert capsys.readouterr().err.startswith("waiting for another process that makes ")


def test_where_there_are_no_locks_nothing_is_taken_from_others(tmp_path, monkeypatch):
    def unsupported(*args, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", unsupported)
    with lock(tmp_path / "made") as free:
        assert free
    with lock(tmp_path / "made", wait=False) as free:
        assert not free
    theirs = preparing(tmp_path / "data" / "other")
    theirs.mkdir(parents=True)
    sweep(parts_of(tmp_path))
    assert theirs.is_dir()


def parts_of(root):
    return {part: root / part for part in files.PARTS}


def fill(folder, name):
    folder.mkdir()
    (folder / name).write_text(name)


@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link"])
def test_a_kill_while_folders_are_swapped_leaves_the_old_or_the_new(
    tmp_path, monkeypatch, calls, linked
):
    """Killed before the first rename, between both, before the old one is removed."""
    path = place = tmp_path / "made"
    if linked:
        (tmp_path / "disk").mkdir()
        place = tmp_path / "disk" / "elsewhere"
        path.symlink_to(place)
    fill(place, "old")
    fill(preparing(place), "new")
    left, rename = iter(range(calls)), type(place).rename

    def killed(*args, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return rename(*args)

    with monkeypatch.context() as patched:
        patched.setattr(type(place), "rename", killed)
        patched.setattr(files.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            swap(place)
    with lock(path):
        tidy(path)
    assert [file.name for file in path.iterdir()] == ["new" if calls == 2 else "old"]
    assert [entry.name for entry in place.parent.iterdir() if entry.name.startswith(".")] == []


LEFT = [
    "data/.text.preparing/sample_0000.npy",
    "data/.text.lock",
    "data/images/.0123.npy.preparing",
    "data/images/0123.npy.partial",
    "data/raw/MNIST/raw/.train-images-idx3-ubyte.gz.preparing",
    "checkpoints/.run.lock",
    "checkpoints/.run.owner",
    "checkpoints/run/last.pt.partial",
    "checkpoints/run/.last.pt.lock",
    "results/run/loss.png.partial",
    "results/run/faces/0001.png.partial",
    "disk/.elsewhere.preparing/alphabet.npy",
]


@pytest.mark.parametrize("left", LEFT)
def test_a_command_removes_what_dead_processes_left_and_nothing_else(left, tmp_path):
    parts, file = parts_of(tmp_path), tmp_path / left
    for part in parts.values():
        part.mkdir()
        (part / "kept").write_text("kept")
    (tmp_path / "disk" / "elsewhere").mkdir(parents=True)
    (parts["data"] / "linked").symlink_to(tmp_path / "disk" / "elsewhere")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("half")
    sweep(parts)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not file.exists()
    assert not list(tmp_path.rglob(".*"))


def test_left_overs_of_the_living_stay(tmp_path):
    parts = parts_of(tmp_path)
    run = parts["checkpoints"] / "run"
    run.mkdir(parents=True)
    parts["data"].mkdir()
    fill(preparing(parts["data"] / "text"), "half")
    (run / "last.pt.partial").write_text("half")
    before = {*tmp_path.rglob("*")}
    with lock(parts["data"] / "text"), lock(run / "last.pt"):
        sweep(parts)
        assert before < {*tmp_path.rglob("*")}
    sweep(parts)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_text_whose_swap_was_killed_is_back_before_another_is_looked_for(repository, tmp_path):
    """Else that of the project would be taken for it."""
    mine = tmp_path / "mine" / "data"
    mine.mkdir(parents=True)
    fill(mine / ".tale.replaced", "mine")
    (repository / "data" / "tale").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ASKED", tmp_path / "mine")
        assert (files.find("data", "tale") / "mine").is_file()


def test_what_earlier_versions_left_goes_after_an_hour(tmp_path):
    for name, seconds in {".preparing-new": time.time(), ".preparing-old": 1}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        os.utime(tmp_path / "data" / name, (seconds, seconds))
    sweep(parts_of(tmp_path))
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".preparing-new"]


def test_a_signal_between_the_renames_of_a_swap_leaves_the_old(tmp_path, monkeypatch):
    """The old one is back by itself, before any other command."""
    fill(tmp_path / "made", "old")
    fill(preparing(tmp_path / "made"), "new")
    kind = type(tmp_path)
    rename = kind.rename

    def interrupted(path, target):
        if path.suffix == ".preparing":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(kind, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        swap(tmp_path / "made")
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["old"]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_while_a_lock_comes_or_goes_leaves_no_file(number, tmp_path, monkeypatch):
    """Nor does it come while what is new takes its place: it ends the command afterwards."""
    unlink, acquire = type(tmp_path).unlink, FileLock.acquire

    def signalled(usual):
        def act(*args, **options):
            signal.raise_signal(number)
            return usual(*args, **options)

        return act

    for holder, name, usual in ((type(tmp_path), "unlink", unlink), (FileLock, "acquire", acquire)):
        with monkeypatch.context() as patch, end_in_order():
            patch.setattr(holder, name, signalled(usual))
            with pytest.raises(KeyboardInterrupt), lock(tmp_path / "made"):
                pass
        assert list(tmp_path.iterdir()) == []
    fill(tmp_path / "made", "old")
    fill(preparing(tmp_path / "made"), "new")
    with monkeypatch.context() as patch, end_in_order():
        patch.setattr(type(tmp_path), "rename", signalled(type(tmp_path).rename))
        with pytest.raises(KeyboardInterrupt):
            swap(tmp_path / "made")
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


def test_several_writers_of_a_file_wait_for_each_other(tmp_path):
    """Each leaves a whole one, and none finds that another has moved its own away."""
    with ThreadPoolExecutor(4) as threads:
        done = [
            threads.submit(write_whole, tmp_path / "file", bytes([n % 5]) * 10**5)
            for n in range(40)
        ]
        for each in done:
            each.result()
            content = (tmp_path / "file").read_bytes()
            assert len(content) == 10**5
            assert len(set(content)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_link_to_a_disk_that_is_not_there_is_named(tmp_path):
    (tmp_path / "text").symlink_to(tmp_path / "no" / "disk")
    locked = lock(tmp_path / "text")
    with pytest.raises(UserError, match=r"is a link to .*, which is not there"):
        locked.__enter__()
    assert not (tmp_path / "no").exists()


@pytest.fixture
def prepared(repository):
    """A text of ten lines, prepared."""
    text = repository / "tale.txt"
    text.write_text("".join(f"line {n}\n" for n in range(10)), encoding="utf-8")
    return preparation.prepare(text, "tale")


@pytest.mark.parametrize("kept", [9, 3, 1])
def test_samples_that_are_missing_are_counted(prepared, kept):
    for sample in sorted(prepared.glob("sample_*.npy"))[kept:]:
        sample.unlink()
    with pytest.raises(UserError, match=f"has {kept} of its 10 samples: prepare it again"):
        load_text(DataConfig(name="tale"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("name", ["sample_0003.npy", "alphabet.npy", "codes.npy"])
def test_a_pipe_among_the_files_of_a_text_is_not_waited_for(name, prepared):
    files.remove(prepared / name)
    os.mkfifo(prepared / name)
    with pytest.raises(UserError, match="prepare it"):
        load_text(DataConfig(name="tale"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("codes.npy", [0, 1, -1]),
        ("codes.npy", [0.0, 0.5, 1.0]),
        ("codes.npy", []),
        ("codes.npy", [[0, 1]]),
        ("codes.npy", [float("nan")]),
        ("alphabet.npy", ["a"] * 40),
        ("alphabet.npy", ["ab", *map(chr, range(97, 120))]),
        ("alphabet.npy", ["\ud800", *map(chr, range(97, 120))]),
    ],
)
def test_arrays_that_are_no_codes_or_no_alphabet_are_refused(name, content, prepared):
    (prepared / "prepared.json").unlink()
    np.save(prepared / name, np.array(content))
    with pytest.raises(UserError, match="prepare it again"):
        load_text(DataConfig(name="tale"))


@pytest.mark.parametrize("name", ["sample_0003.npy", "alphabet.npy", "codes.npy"])
def test_an_array_of_10_to_the_12_nothings_is_not_looked_through(name, prepared):
    """A few bytes are enough for it: what has no size takes no place."""
    with open(prepared / name, "wb") as file:
        header = {"descr": "|V0", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match=rf"{name} holds \|V0, 2 dim.*prepare it again"):
        load_text(DataConfig(name="tale"))


ONE_HOT = {
    "of another alphabet": np.eye(9, dtype=np.uint8)[[0, 1]],
    "of none": np.zeros((2, 16), np.uint8),
    "of all": np.ones((2, 16), np.uint8),
    "of two in one row": np.eye(16, dtype=np.uint8)[[0, 1]] + np.eye(16, dtype=np.uint8)[[1, 2]],
    "none in one row, two in another": np.array([[0] * 16, [1, 1] + [0] * 14], np.uint8),
    "of shares": np.full((2, 16), 1 / 16),
    "scaled": 7 * np.eye(16, dtype=np.uint8)[[0, 1]],
    "NaN": np.full((2, 16), np.nan),
}


@pytest.mark.parametrize("what", ONE_HOT)
def test_a_sample_that_is_not_one_hot_is_no_text(what, prepared):
    """Its largest number would be taken for the character, whatever it is."""
    (prepared / "prepared.json").unlink()
    np.save(prepared / "sample_0003.npy", ONE_HOT[what])
    with pytest.raises(UserError, match="a sample is not one-hot, of the alphabet's 16 characters"):
        load_text(DataConfig(name="tale"))


def test_a_gap_between_samples_is_seen_without_a_record(prepared):
    (prepared / "prepared.json").unlink()
    (prepared / "sample_0003.npy").unlink()
    with pytest.raises(UserError, match="prepare it again"):
        load_text(DataConfig(name="tale"))
    (prepared / "sample_0009.npy").rename(prepared / "sample_3.npy")
    with pytest.raises(UserError, match="prepare it again"):
        load_text(DataConfig(name="tale"))


def test_ten_gigabytes_of_nothing_are_no_sample_and_no_alphabet(prepared):
    sample, alphabet = ((10**9, 16), "|u1"), ((10**9,), "<U4")
    for name, (shape, kind) in (("sample_0003.npy", sample), ("alphabet.npy", alphabet)):
        with open(prepared / name, "wb") as file:
            header = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 16 * 10**9)
        with pytest.raises(UserError, match="prepare it again"):
            load_text(DataConfig(name="tale"))


def test_a_text_of_earlier_versions_has_no_record(prepared):
    (prepared / "prepared.json").unlink()
    assert len(load_text(DataConfig(name="tale")).alphabet) > 10


@pytest.mark.parametrize("record", ["", "[]", "{", '{"files": 10, "characters": 7}'])
def test_a_broken_record_is_one_line(prepared, record):
    (prepared / "prepared.json").write_text(record)
    with pytest.raises(UserError, match="prepare it again"):
        load_text(DataConfig(name="tale"))


def test_a_text_that_is_replaced_while_it_is_read_is_read_again(prepared, monkeypatch):
    """The old alphabet does not meet the new codes, although they would fit it."""
    load, seen = np.load, []

    def swapping(file, *args, **options):
        seen.append(file)
        if len(seen) == 2:  # after the alphabet
            text = prepared.parents[1] / "new.txt"
            text.write_text("abc\n" * 5, encoding="utf-8")
            preparation.prepare(text, "tale")
        return load(file, *args, **options)

    monkeypatch.setattr(np, "load", swapping)
    assert load_text(DataConfig(name="tale")).alphabet == ["\n", "a", "b", "c"]


def test_a_full_disk_leaves_the_text_of_before_and_is_named(prepared, monkeypatch):
    def full(*args):
        raise OSError("12 requested and 0 written")  # as numpy says it

    monkeypatch.setattr(preparation.np, "save", full)
    with pytest.raises(OSError, match="No space left") as caught:
        preparation.prepare(prepared.parents[1] / "tale.txt", "tale")
    assert caught.value.filename == "data/tale"
    assert len(list(prepared.glob("sample_*.npy"))) == 10
    assert not list(prepared.parent.glob(".*"))


def test_output_goes_where_it_is_asked_to(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ASKED", None)
    monkeypatch.delenv(files.VARIABLE, raising=False)
    assert files.output("data") == repository / "data"
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "by variable"))
    assert files.output("data") == tmp_path / "by variable" / "data"
    monkeypatch.setattr(files, "ASKED", tmp_path / "asked")
    assert files.output("checkpoints") == tmp_path / "asked" / "checkpoints"
    assert files.result_folder("run") == tmp_path / "asked" / "results" / "run"
    (repository / "checkpoints" / "theirs").mkdir(parents=True)
    assert files.find("checkpoints", "theirs") == repository / "checkpoints" / "theirs"
    assert files.find("checkpoints", "mine") == tmp_path / "asked" / "checkpoints" / "mine"


@pytest.fixture
def read_only(repository, tmp_path, monkeypatch):
    """Makes a function that closes parts of the repository to writing; the home is another."""
    access, closed = os.access, set()
    monkeypatch.setattr(os, "access", lambda p, how: Path(p) not in closed and access(p, how))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.delenv(files.VARIABLE, raising=False)
    monkeypatch.setattr(files, "ASKED", None)
    files.choose_output.cache_clear()
    yield lambda *parts: closed.update(repository / part for part in parts)
    files.choose_output.cache_clear()


CLOSED = [
    (("", "data"), files.PARTS),  # data/ is there, the others would be made
    (("data",), ("data",)),
    (("checkpoints", "results"), ("checkpoints", "results")),
    (("",), ("checkpoints", "results")),
]


@pytest.mark.parametrize(("closed", "elsewhere"), CLOSED)
def test_what_cannot_be_written_to_goes_to_the_home_and_one_line_says_so(
    closed, elsewhere, repository, read_only, tmp_path, capsys
):
    if "" not in closed:
        for part in files.PARTS:
            (repository / part).mkdir(exist_ok=True)
    read_only(*closed)
    home = tmp_path / "home" / repository.name
    for part in files.PARTS:
        assert files.output(part) == (home if part in elsewhere else repository) / part
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: ")
    what = f"{'/, '.join(elsewhere)}/ of {repository}"
    what = str(repository) if elsewhere == files.PARTS else what
    assert f"{what} cannot be written to: output goes to {home} (--output-dir DIR" in line


@pytest.fixture
def homeless(read_only, tmp_path, monkeypatch):
    """Closes the whole repository, puts a file in place of the home; gives a temporary folder."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "file"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    read_only("", "data")
    return tmp_path / "temporary"


def test_without_a_home_output_goes_to_one_temporary_folder(repository, homeless, capsys):
    folder = files.output("results").parent
    assert folder.parent == homeless
    assert folder.name.startswith(repository.name)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{repository} cannot be written to: output goes to {folder}, which may vanish" in line
    files.choose_output.cache_clear()
    assert files.output("results").parent == folder  # the next command's, too


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="on Windows it is the user's own")
def test_a_temporary_folder_of_somebody_else_is_not_written_to(homeless, monkeypatch):
    monkeypatch.setattr(Path, "lstat", lambda path: SimpleNamespace(st_uid=os.getuid() + 1))
    with pytest.raises(UserError, match=r" cannot be written to, and .*--output-dir DIR takes"):
        files.output("results")


def test_where_nothing_can_be_written_what_is_there_is_still_found(
    repository, homeless, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(homeless.parent / "file"))
    (repository / "data" / "tale").mkdir()
    assert files.find("data", "tale") == repository / "data" / "tale"
    with pytest.raises(UserError, match="--output-dir DIR takes another"):
        files.find("data", "other")


@pytest.mark.parametrize(("part", "name"), [("data", "tale"), ("results", "run")])
def test_a_file_where_a_folder_would_be_is_named(part, name, repository):
    for place in (repository / part / name, repository / part):
        if place.is_dir():
            files.remove(place)
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
        with pytest.raises(UserError, match=f"^{files.show(place)} is a file where a folder"):
            {"data": files.data_folder, "results": files.result_folder}[part](name)
        place.unlink()


@pytest.mark.parametrize("asked", ["file", "file/below", "~nobodyatall/x"])
def test_an_output_that_cannot_be_is_one_line(asked, tmp_path):
    (tmp_path / "file").write_text("")
    asked = asked if asked.startswith("~") else tmp_path / asked
    with pytest.raises(UserError, match="--output-dir DIR takes another"):
        files.choose_output(asked, tmp_path)
