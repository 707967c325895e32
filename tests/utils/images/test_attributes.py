"""What is known of pictures: kinds of columns, tables of every form, names, how rows are found."""

import io
import os
import time
import zipfile

import numpy as np
import pytest

from utils.errors import UserError
from utils.images.attributes import make_attributes, read_column
from utils.images.data import Images
from utils.images.sources import add_attributes

NAMES = ["a.png", "b/c.png", "b/d.jpg"]


def images(names=NAMES, count=None):
    """Makes pictures of one pixel with these names, or `count` of an array."""
    pixels = np.arange(count or len(names), dtype=np.uint8)[:, None, None, None]
    return Images(pixels, "photos/", names=None if count else list(names))


def known(table, tmp_path, pictures=None, name="table.csv", encoding="utf-8"):
    """Reads a table of these words: {attribute: its values, None where missing}."""
    file = tmp_path / name
    file.write_text(table, encoding=encoding)
    found = add_attributes(pictures or images(), tmp_path, str(file)).attributes
    return as_lists(found)


def as_lists(found):
    """Lists the values of every attribute: words of categories, numbers of numbers."""
    columns = {}
    for f, (name, words) in enumerate(zip(found.names, found.words, strict=True)):
        cells = zip(found.values[:, f].tolist(), found.valid[:, f].tolist(), strict=True)
        columns[name] = [(words[int(v)] if words else v) if valid else None for v, valid in cells]
    return columns


# Kinds


@pytest.mark.parametrize(
    ("name", "cells", "words"),
    [
        ("Male", "-1 1 1 -1", ("-1", "1")),
        ("male", "0 1 1 0", ("0", "1")),
        ("male", "true False False true", ("False", "true")),
        ("hair", "long short bald long short bald", ("bald", "long", "short")),
        ("hair", "0 1 2 0 1 2", ("0", "1", "2")),
        ("hair", "0.0 1.0 2.0 0.0 1.0 2.0", ("0", "1", "2")),
        ("age", "20 21 22 20 21 22", ()),  # a number, whatever its values
        ("head_yaw", "-45 0 45 -45 0 45", ()),
        ("size", "20 21 22 23", ()),  # each different: they count something
        ("size", "0.5 0.25 0.75 0.5 0.25", ()),
        ("size", "1e3 0.25 -7 0.5", ()),
        ("person", " ".join(f"{n} {n}" for n in range(40)), tuple(map(str, range(40)))),
        ("years", " ".join(f"{n} {n}" for n in range(40)), ()),
        ("male", "0 1 ? 0 NA null 1", ("0", "1")),
        ("glasses", "none sun none sun", ("none", "sun")),
        ("price", " ".join([*(f"{n}.5" for n in range(40)), "unknown"]), ()),
    ],
)
def test_a_column_is_a_number_or_a_category_by_what_stands_in_it(name, cells, words):
    cells = cells.split()
    column = read_column(name, cells)
    assert column.words == words
    lacking = {"?", "NA", "null", "unknown"}
    assert column.valid.tolist() == [cell not in lacking for cell in cells]
    for cell, value, valid in zip(cells, column.values, column.valid, strict=True):
        if valid and words:
            assert words[int(value)] in (cell, f"{float(cell):g}" if cell[-1].isdigit() else cell)
        elif valid:
            assert value == float(cell)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["1", "1", ""], "it never varies, it is 1"),
        (["yes", "yes"], "it never varies, it is 'yes'"),
        (["", "nan", "?"], "all of its cells are missing"),
        (["a.png", "b.png", "c.png"], "3 different words in 3 cells"),
    ],
)
def test_what_tells_nothing_is_left_out_and_said(cells, why):
    assert read_column("x", cells).startswith(why)
    found, left_out = make_attributes({"x": cells, "y": ["0", "1", "1"][: len(cells)]})
    assert found.names == ("y",)
    assert left_out[0].startswith(f"left out x: {why}")
    with pytest.raises(UserError, match="no attribute is left"):
        make_attributes({"x": cells})


def test_attributes_are_described_and_taken():
    found, _ = make_attributes({"age": ["3", "", "40"], "hat": ["no", "yes", "no"]})
    assert found.describe() == ["age: a number, 3 to 40; 1 missing", "hat: no (67 %), yes (33 %)"]
    assert found.categories == (0, 2)
    assert as_lists(found.take(slice(1, 3))) == {"age": [None, 40], "hat": ["yes", "no"]}
    assert found.find("HAT", "--along") == 1
    with pytest.raises(UserError, match="--along 'nose': no such attribute, known are age, hat"):
        found.find("nose", "--along")


# Tables

AGES = {"age": [26.0, 31.0, 7.0]}
TABLES = {
    "commas": "file,age\nb/d.jpg,7\na.png,26\nb/c.png,31\n",
    "tabs, Windows": "file\tage\r\na.png\t26\r\nb\\c.png\t31\r\nb\\d.jpg\t7\r\n",
    "semicolons": "file;age\na.png;26,0\nb/c.png;31,0\nb/d.jpg;7,0\n",
    "quoted": '"file","age"\n"a.png","26"\n"c.png","31"\n"d.jpg","7"\n',
    "no ending": "id,age\na,26\nc,31\nd,7\n",
    "another ending": "id,age\na.jpeg,26\nC.JPEG,31\nd.jpeg,7\n",
    "whole paths": "path,age\n/home/me/a.png,26\n/home/me/b/c.png,31\n./b/d.jpg,7\n",
    "as pandas writes": ",file,age\n0,a.png,26\n1,c.png,31\n2,d.jpg,7\n",
    "names last": "age,file\n26,a.png\n31,c.png\n7,d.jpg\n",
    "as CelebA": "3\nage \na.png   26\nc.png   31\nd.jpg 7\n",
    "empty lines": "\nfile,age,\n\na.png,26,\nc.png,31,\n\nd.jpg,7,\n\n",
}


@pytest.mark.parametrize("form", TABLES)
def test_tables_of_every_form(form, tmp_path):
    assert known(TABLES[form], tmp_path) == AGES


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_in_other_encodings(encoding, tmp_path):
    table = "Datei,Größe\na.png,26\nc.png,31\nd.jpg,7\n"
    assert known(table, tmp_path, encoding=encoding) == {"Größe": AGES["age"]}


def test_numbers_in_names_need_no_zeros(tmp_path):
    pictures = images([f"{n:06}.jpg" for n in (1, 2, 30)])
    assert known("id,age\n30,7\n1,26\n2,31\n", tmp_path, pictures) == AGES


def test_missing_rows_and_pictures_are_counted(tmp_path, capsys):
    table = "file,age,hat\na.png,26,\nc.png,31,no\nx.png,1,no\ny.png,2,yes\n"
    found = known(table, tmp_path, images([*NAMES, "e.png"]))
    assert found == {"age": [26.0, 31.0, None, None]}
    out = capsys.readouterr().out
    assert "age: a number, 26 to 31; 2 missing" in out
    assert "left out hat: it never varies, it is 'no'" in out
    assert "2 pictures of photos/ without a row" in out
    assert "2 rows without a picture" in out


def test_what_two_pictures_are_called_is_no_name(tmp_path):
    pictures = images(["a/0.png", "b/0.png", "b/1.png"])
    table = "file,age\n0.png,5\n1.png,7\n2.png,7\n"
    with pytest.raises(UserError, match="no attribute is left"):
        known(table, tmp_path, pictures)
    table = "file,age\na/0.png,5.5\nb/0.png,6.5\nb/1.png,8\n"
    assert known(table, tmp_path, pictures) == {"age": [5.5, 6.5, 8]}


def test_arrays_go_by_number_or_order(tmp_path):
    assert known("age,hat\n26,1\n31,0\n7,1\n", tmp_path, images(count=3))["age"] == [26, 31, 7]
    for first in (0, 1):
        rows = "".join(f"{first + n},{age}\n" for n, age in ((2, 7), (0, 26), (1, 31)))
        assert known(f"index,age\n{rows}", tmp_path, images(count=3)) == AGES


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("age,hat\n26,0\n31,1\n7,1\n", "no row of it fits a picture of photos/: right would be a "
         "first column of names such as 'a.png', here 'age' has '26'"),
        ("file,age\nx.png,1\ny.png,2\n", "no row of it fits"),
        ("file,a\nx.png,a\ny.png,c\n", "no row of it fits"),  # a column that is called as one
        ("file,age,age\na.png,1,2\n", "two columns are called 'age'"),
        ("a.png,26\nc.png,31\nd.jpg,7\n", "it has no header: its first line is 'a.png'"),
        ("file,age\na.png,1\na.png,2\n", "two rows of 'a.png' differ"),
        ("file,age\na.png,1,2\n", "row 2 has 3 cells, the header 2"),
        ("file,age\na.png,7\nc.png,7\nd.jpg,7\n", "no attribute is left (left out age: it never"),
        ("", "it has no table"),
        ("age\n1\n2\n", "it has no table"),
        ('file,age\n"a.png', "no attribute is left"),
        ("\0\0\0", "it is no text"),
    ],
)  # fmt: skip
def test_mistakes_in_a_table(table, why, tmp_path):
    with pytest.raises(UserError) as caught:
        known(table, tmp_path)
    assert f"table.csv: {why}" in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        add_attributes(images(), tmp_path, str(tmp_path / "nowhere.csv"))


def test_a_table_of_another_number_of_pictures(tmp_path):
    with pytest.raises(UserError, match="it has 2 rows, photos/ 3 pictures without names"):
        known("age,hat\n26,1\n31,0\n", tmp_path, images(count=3))


# Arrays, names, folders


def test_arrays_beside_the_pictures(tmp_path):
    file = tmp_path / "faces.npz"
    np.savez(
        file,
        images=np.zeros((4, 9, 9, 3), np.uint8),
        age=np.array([1, 50, 20, 3], np.uint8),
        sex=np.array([b"f", b"m", b"m", b"f"]),
        ethnicity=np.array([["x"], ["y"], ["x"], ["y"]]),
        smile=np.array([0.5, np.nan, 0.25, -1], np.float32),
        attributes=np.array([[0, 1], [1, 1], [0, 0], [1, 0]]),
        attribute_names=np.array(["hat", "beard"]),
        one=np.array(3),
        others=np.arange(5),
        objects=np.array([{}] * 4),
    )
    pictures = images(count=4)
    expected = {
        **{"age": [1, 50, 20, 3], "sex": ["f", "m", "m", "f"], "ethnicity": ["x", "y", "x", "y"]},
        **{"smile": [0.5, None, 0.25, -1], "hat": ["0", "1", "0", "1"]},
        "beard": ["1", "1", "0", "0"],
    }
    assert as_lists(add_attributes(pictures, file).attributes) == expected
    assert as_lists(add_attributes(pictures, tmp_path, str(file)).attributes) == expected
    with pytest.raises(UserError, match="it has no array of 3 numbers or words"):
        add_attributes(images(count=3), tmp_path, str(file))


UTKFACE = ["26_1_2_20170104.jpg.chip.jpg", "3_0_4_20170105.jpg.chip.jpg", "61_1_20170109142.jpg"]


def test_names_tell(tmp_path, capsys):
    found = as_lists(add_attributes(images(UTKFACE), tmp_path).attributes)
    assert found == {
        "age": [26, 3, 61],
        "gender": ["female", "male", "female"],
        "ethnicity": ["Asian", "other", None],
    }
    assert "from files' names, taken for age_gender_ethnicity_date" in capsys.readouterr().out
    pairs = ["age=26_hat=no.png", "age=3_hat=yes.png", "x_age=61.png"]
    found = as_lists(add_attributes(images(pairs), tmp_path).attributes)
    assert found == {"age": [26, 3, 61], "hat": ["no", "yes", None]}
    people = ["anna/1.png", "anna/2.png", "bert/1.png", "bert/2.png"]
    found = as_lists(add_attributes(images(people), tmp_path).attributes)
    assert found == {"folder": ["anna", "anna", "bert", "bert"]}
    numbered = ["126_0_a.png", "700_1_b.png"]  # nobody is 700 years old
    for plain in (["img_001.png", "img_002.png"], ["x/1.png", "x/2.png"], numbered):
        assert add_attributes(images(plain), tmp_path).attributes is None


def test_a_pattern_of_names(tmp_path):
    names = ["p/000_f_26.png", "p/001_m_3.png", "odd.png"]
    found = add_attributes(images(names), tmp_path, "{}_{sex}_{age}").attributes
    assert as_lists(found) == {"sex": ["f", "m", None], "age": [26, 3, None]}
    found = add_attributes(images(UTKFACE), tmp_path, "{age}_{sex}_*").attributes
    assert as_lists(found) == {"age": [26, 3, 61], "sex": ["1", "0", "1"]}
    with pytest.raises(UserError, match="no file is called so: there are names as 'p/000"):
        add_attributes(images(names), tmp_path, "{age}-{sex}-x")
    with pytest.raises(UserError, match="photos/ has no files whose names"):
        add_attributes(images(count=3), tmp_path, "{age}_*")


def test_tables_are_found_by_themselves(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "notes.csv").write_text("what,when\nnothing,never\nelse,now\n")
    assert add_attributes(images(), folder).attributes is None
    assert "notes.csv gives no attributes: no row of it fits" in capsys.readouterr().out
    (tmp_path / "photos.tsv").write_text(TABLES["tabs, Windows"])
    assert as_lists(add_attributes(images(), folder).attributes) == AGES
    (folder / "notes.csv").write_text("file,hat\na.png,no\nc.png,no\nd.jpg,yes\n")
    assert as_lists(add_attributes(images(), folder).attributes) == {"hat": ["no", "no", "yes"]}


def test_twenty_thousand_pictures_with_forty_attributes_take_a_second(tmp_path):
    names = [f"img_align_celeba/{n:06}.jpg" for n in range(20_000)]
    cells = np.where(np.random.default_rng(0).random((20_000, 40)) < 0.3, " 1", "-1")
    lines = [f"{name[-10:]} {' '.join(row)}" for name, row in zip(names, cells, strict=True)]
    header = " ".join(f"attribute_{n}" for n in range(40))
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["20000", header, *lines]))
    pictures = Images(np.zeros((20_000, 1, 1, 1), np.uint8), "celeba/", names=names)
    began = time.process_time()
    found = add_attributes(pictures, tmp_path).attributes
    assert time.process_time() - began < 4  # 0.7 measured; of 200,000 pictures 7.5
    assert np.array_equal(found.values, cells == " 1")


def test_a_table_of_too_many_columns_is_refused_at_once(tmp_path, capsys):
    header = ",".join(["file", *(f"c{n}" for n in range(100_000))])
    began = time.process_time()
    with pytest.raises(UserError, match="it has 100,001 columns: right would be 1,000 at most"):
        known(f"{header}\na.png,1\n", tmp_path)
    assert time.process_time() - began < 2  # 0.1 measured; looking for names twice took minutes
    columns = [f"c{n}" for n in range(99)]
    rows = [",".join([name, *["7"] * 60, *[str(n)] * 39]) for n, name in enumerate(NAMES)]
    known("\n".join([",".join(["file", *columns]), *rows]), tmp_path)
    out = capsys.readouterr().out
    assert out.count("left out") == 50
    assert "and 10 more" in out


def test_an_array_that_is_vast_or_no_file_says_nothing(tmp_path):
    header = np.zeros(3, "<U3")
    buffer = io.BytesIO()
    np.save(buffer, header)
    lie = buffer.getvalue().replace(b"'<U3'", b"'<U100000000'").replace(b" " * 9 + b"\n", b" \n")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("name.npy", lie)
        archive.writestr("age.npy", buffer.getvalue())
    with pytest.raises(UserError, match="no attribute is left"):
        add_attributes(images(), tmp_path, str(tmp_path / "a.npz"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npz")
        with pytest.raises(UserError, match="is a pipe, a socket or a device"):
            add_attributes(images(), tmp_path, str(tmp_path / "pipe.npz"))
