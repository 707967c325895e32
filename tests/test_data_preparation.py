"""A text file becomes numbers, and the numbers become the text again."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import data_preparation
from benchmarks.raw_data import find_raw_data
from data_preparation import txt_to_numpy
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.errors import UserError
from utils.helper_functions import char_to_one_hot, one_hot_to_char
from utils.text import preparation
from utils.text.data import DataConfig, decode, load_text
from utils.text.preparation import encode_text, read_blocks, read_text, split_lines, write

TEXTS = {
    "plain": "Two lines.\nAnd no end",
    "windows": "One.\r\n\r\nTwo.\r\n",
    "old mac": "One.\rTwo.\r",
    "mixed": "a\rb\nc\r\nd\n\re",
    "blank lines": "\n\n  \nOne.\n\n",
    "chinese": "道可道,非常道。\n名可名,非常名。\n",
    "emoji": "🙂 and 👩\u200d🚀, e\u0301 and é\n",
    "controls": "tab\tbell\x07 form\x0c\x0b\x1c\x85\u2028 end\n",
    "byte order mark": "\ufeffone\n",
}


def whole_of(text):
    """Joins what a text is cut into: all of its codes (N,)."""
    return np.concatenate([text.training, text.validation])


@pytest.mark.parametrize("form", ["one_hot", "codes"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_raw_text_comes_back_exactly(text, form, repository, capsys):
    file = repository / "some text.txt"
    file.write_bytes(text.encode("utf-8"))
    argv = ["--text", str(file), "--raw", "--name", "some", "--format", form]
    assert data_preparation.main(argv) == 0
    loaded = load_text(DataConfig(name="some"))
    assert decode(whole_of(loaded), loaded.alphabet).encode("utf-8") == file.read_bytes()
    assert loaded.alphabet == sorted(set(text))
    assert f"{len(text)} characters" in capsys.readouterr().out


def test_samples_are_the_lines_of_the_course(repository):
    file = repository / "tale.txt"
    file.write_text("The Bridge\n\n   \nHums.\r\nNo end", encoding="utf-8", newline="")
    assert data_preparation.main(["--text", str(file)]) == 0
    folder = repository / "data" / "tale"
    alphabet = np.load(folder / "alphabet.npy")
    lines = ["the bridge\n", "hums.\r\n", "no end"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "alphabet.npy",
        "prepared.json",
        *(f"sample_{index:04}.npy" for index in range(3)),
    ]
    for index, line in enumerate(lines):
        sample = np.load(folder / f"sample_{index:04}.npy")
        assert sample.dtype == np.uint8
        assert sample.shape == (len(line), len(alphabet))
        for row, char in zip(sample, line, strict=True):
            assert (row == char_to_one_hot(char, alphabet)).all()
            assert one_hot_to_char(row, alphabet) == char


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "as in the course"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_command_writes_what_the_readable_form_returns(text, raw, repository):
    file = repository / "some.txt"
    file.write_bytes(text.encode("utf-8"))
    assert data_preparation.main(["--text", str(file), *(["--raw"] if raw else [])]) == 0
    alphabet, samples = txt_to_numpy(read_text(file, raw=raw))
    names = ["alphabet.npy", *(f"sample_{index:04}.npy" for index in range(len(samples)))]
    folder = repository / "data" / "some"
    assert {p.name for p in folder.iterdir()} == {*names, "prepared.json"}
    for name, expected in zip(names, [alphabet, *samples], strict=True):
        content = io.BytesIO()
        np.save(content, expected)
        assert (folder / name).read_bytes() == content.getvalue(), name


def test_the_readable_form_worked_by_hand():
    alphabet, samples = txt_to_numpy("ab\na")
    assert alphabet.tolist() == ["\n", "a", "b"]
    first, second = samples
    assert (first.dtype, first.tolist()) == (np.uint8, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert second.tolist() == [[0, 1, 0]]


def test_index_is_as_wide_as_the_count_needs(repository):
    file = repository / "long.txt"
    file.write_text("ab\n" * 10_001, encoding="utf-8")
    assert data_preparation.main(["--text", str(file)]) == 0
    names = sorted(p.name for p in (repository / "data" / "long").glob("sample_*"))
    assert (names[0], names[-1]) == ("sample_00000.npy", "sample_10000.npy")


def test_preparing_again_leaves_nothing_of_the_last_time(repository):
    file = repository / "tale.txt"
    file.write_text("one\ntwo\nthree\n", encoding="utf-8")
    data_preparation.main(["--text", str(file)])
    data_preparation.main(["--text", str(file), "--format", "codes"])
    folder = repository / "data" / "tale"
    assert sorted(p.name for p in folder.iterdir()) == [
        "alphabet.npy",
        "codes.npy",
        "prepared.json",
    ]
    assert not list((repository / "data").glob(".*"))


def test_one_hot_vectors_that_do_not_fit_on_the_disk_are_refused(repository, capsys, monkeypatch):
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    text = repository / "tale.txt"
    text.write_text("abcdefghijklmnopqrstuvwxyz" * 30, encoding="utf-8")
    assert data_preparation.main(["--text", str(text)]) == 2
    assert "more than is free: --format codes takes" in capsys.readouterr().err
    assert not (repository / "data" / "tale").exists()
    assert data_preparation.main(["--text", str(text), "--format", "codes"]) == 0


def test_codes_take_as_few_bytes_as_the_alphabet_allows():
    for count, dtype in ((2, np.uint8), (256, np.uint8), (257, np.uint16), (65_537, np.uint32)):
        text = "".join(chr(0x10000 + index) for index in range(count))
        alphabet, codes = encode_text([text])
        assert codes.dtype == dtype
        assert (codes == np.arange(count)).all()
        assert "".join(alphabet) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_lines_keep_their_ends(text):
    alphabet, codes = encode_text([text])
    lines = [decode(line, list(alphabet)) for line in split_lines(alphabet, codes)]
    assert lines == list(io.StringIO(text, newline=""))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "as in the course"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_in_blocks_is_the_text(text, raw, tmp_path):
    """Blocks far smaller than its lines change nothing: neither what is kept nor a small letter."""
    text = f"{text} ΣΑΣ ΟΔΟΣ.ΑΒ İ ß\n{text}"
    file = tmp_path / "text.txt"
    file.write_bytes(text.encode("utf-8"))
    whole = text
    if not raw:
        lines = io.StringIO(text.replace("\ufeff", ""), newline="")
        whole = "".join(line for line in lines if line.strip()).lower()
    for size in (1, 2, 7, 2**20):
        blocks = read_blocks(file, raw=raw, size=size)
        assert "".join(blocks) == whole
        assert size > 7 or len(blocks) > 1
        for one, other in zip(encode_text(blocks), encode_text([whole]), strict=True):
            assert one.dtype == other.dtype
            assert (one == other).all()


def test_the_place_of_a_wrong_byte_is_that_in_the_file(tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes(b"one line\n" * 30 + b"an\xff")
    for raw in (True, False):
        with pytest.raises(UserError, match=r"is not UTF-8 text \(byte 272\)"):
            read_blocks(file, raw=raw, size=10)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak memory")
def test_the_benchmark_of_large_texts_runs():
    warnings = ("-W", "error", "-W", "ignore::ResourceWarning")  # torch 2.6 leaves a folder open
    done = subprocess.run(
        [sys.executable, *warnings, str(REPOSITORY / "benchmarks/speed/large_texts.py"), "--quick"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 10
    assert "| 20 steps from the memory map | 1 |" in done.stdout


def test_one_hot_refuses_what_is_no_character():
    alphabet = ["a", "b", "c"]
    assert char_to_one_hot("b", alphabet).tolist() == [0, 1, 0]
    for char in ("d", "", "ab"):
        with pytest.raises(ValueError, match="alphabet"):
            char_to_one_hot(char, alphabet)
    for vector in ([0, 0, 0], [1, 1, 0], [0, 2, 0], [0, 1]):
        with pytest.raises(ValueError, match="expected one 1"):
            one_hot_to_char(np.array(vector), alphabet)


def test_validation_is_the_last_tenth(repository):
    codes = np.zeros(1_115_394, dtype=np.uint8)
    write(repository / "data" / "long", np.array(["a"]), codes, "codes")
    text = load_text(DataConfig("long"))
    assert (len(text.training), len(text.validation)) == (1_003_854, 111_540)


def test_the_real_shakespeare_comes_back_exactly():
    file = find_raw_data("tinyshakespeare.txt")
    if file is None:
        pytest.skip("data/raw/tinyshakespeare.txt is not there")
    text = read_text(file, raw=True)
    alphabet, codes = encode_text([text])
    assert (len(codes), len(alphabet), codes.dtype) == (1_115_394, 65, np.uint8)
    assert decode(codes, list(alphabet)) == file.read_text(encoding="utf-8")
    assert len(split_lines(alphabet, codes)) == text.count("\n")


def test_the_default_text_is_what_it_should_be():
    text = (files.ROOT / "data" / "text.txt").read_text(encoding="utf-8")
    assert 60_000 <= len(text) <= 80_000
    assert "“" in text
    assert '"' not in text
    paragraphs = [line for line in text.splitlines() if line]
    assert len(set(paragraphs)) == len(paragraphs)


FRENCH = "Le garçon a mangé une pêche à la forêt. Où êtes-vous né, mon frère?\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
RUSSIAN = "Широка страна моя родная, много в ней лесов, полей и рек.\n"
ENCODED = {
    "latin-1": FRENCH,
    "cp1252": FRENCH + "“It’s late,” he said – naïve café…\n",
    "shift-jis": JAPANESE,
    "koi8-r": RUSSIAN,
    "cp1251": RUSSIAN,
    "utf-16": RUSSIAN + FRENCH,
    "utf-16-le": RUSSIAN,
    "utf-16-be": FRENCH,
    "gb18030": "道可道,非常道。名可名,非常名。无名天地之始。\n",
}


@pytest.mark.parametrize("length", [1, 3000], ids=["a line", "many"])
@pytest.mark.parametrize("code", ENCODED)
def test_the_likely_encoding_is_named_and_then_taken(code, length, repository, capsys):
    """Wherever in the file the first letter is that tells: here after 100,000 others at most."""
    text = "plain words\n" * (length * 3 % 9000) + ENCODED[code] * 3
    file = repository / "old.txt"
    file.write_bytes(text.encode(code))
    assert data_preparation.main(["--text", str(file), "--raw", "--format", "codes"]) == 2
    err = capsys.readouterr().err
    assert f": it may be {code}: --encoding {code}\n" in err
    argv = ["--text", str(file), "--raw", "--format", "codes", "--encoding", code.upper()]
    assert data_preparation.main(argv) == 0
    loaded = load_text(DataConfig(name="old"))
    assert decode(whole_of(loaded), loaded.alphabet) == text


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "shift-jis", "utf-8-sig"])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "as in the course"])
def test_another_encoding_in_blocks_is_the_text(code, raw, tmp_path):
    text = "One.\r\n\n \nTWO 猫\rthree"
    text = f"\ufeff{text}" if code == "utf-16-le" else text  # the others' decoders take it off
    (tmp_path / "utf8.txt").write_text(text, encoding="utf-8", newline="")
    (tmp_path / "other.txt").write_text(text, encoding=code, newline="")
    expected = "".join(read_blocks(tmp_path / "utf8.txt", raw=raw))
    for size in (1, 2, 7, 2**20):
        blocks = read_blocks(tmp_path / "other.txt", raw=raw, encoding=code, size=size)
        assert "".join(blocks) == expected


def test_a_byte_order_mark_is_a_character_of_a_raw_text_alone(tmp_path):
    """Also where two files that begin with one were joined."""
    file = tmp_path / "text.txt"
    file.write_bytes("one\n".encode("utf-8-sig") + "two\n".encode("utf-8-sig"))
    assert read_text(file) == "one\ntwo\n"
    assert read_text(file, raw=True) == "\ufeffone\n\ufefftwo\n"
    file.write_bytes("\n".encode("utf-8-sig"))
    for raw in (True, False):
        with pytest.raises(UserError, match="no text in it"):
            read_text(file, raw=raw)


NAMES = {
    "my book.txt": "my_book",
    "book.v2.txt": "book.v2",
    "-book.txt": "book",
    "--raw": "raw",
    ".txt": "txt",
    "book..txt": "book",
    "con.txt": "text_con",
    "NUL.v1.txt": "text_NUL.v1",
    "Café.txt": "Cafe",
    "a:b?*.txt": "a_b",
    "a\\b.txt": "a_b",
    "$HOME.txt": "HOME",
    "книга.txt": "text_bff225f9",
    "道德经.txt": None,
    "🙂.txt": None,
    "Война и мир 2.txt": None,
    "x" * 150 + ".txt": None,
    "...": None,
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot have these files")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_gets_a_folder_and_it_is_said(name, repository, capsys):
    file = repository / "mine" / name
    file.parent.mkdir()
    file.write_text("a text\n", encoding="utf-8")
    for place in ("", ", in place of what was there"):
        assert data_preparation.main([f"--text={file}"]) == 0
        made = {path.name for path in (repository / "data").iterdir()} - {"text.txt"}
        assert len(made) == 1
        folder = made.pop()
        assert files.check_name(folder, "it") == folder
        assert NAMES[name] in (None, folder)
        said = f"data goes to data/{folder}/{place} (--name takes another)\n"
        assert (said in capsys.readouterr().out) == (folder != file.stem)


def test_other_letters_make_other_names():
    stems = ["книга", "книги", "道德经", "论语", "🙂🙃", "y" * 101, "y" * 102, "мир 1", "мир 2"]
    names = [preparation.make_name(stem) for stem in stems]
    assert len(set(names)) == len(names)
    assert all(files.check_name(name, "it") == name for name in names)
