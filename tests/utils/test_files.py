"""How a file is written: whole, on the disk, and only then under its name."""

import os

import pytest

from utils import files
from utils.files import check_name, make_csv, show, write_whole


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


def test_a_table_has_a_line_for_each_row():
    assert make_csv([{"a": 1, "b": 0.5}, {"a": 2, "b": 1e-9}]) == "a,b\n1,0.5\n2,1e-09\n"
