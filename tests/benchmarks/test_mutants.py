"""Small mistakes on purpose: each can still be made, its tests exist, and some are made here."""

import ast
from collections import defaultdict

import pytest

from benchmarks.trust import mutants
from benchmarks.trust.mutants import Mutant, Workshop, mutate, read_mutants
from tests.helpers.repository import REPOSITORY

MUTANTS = read_mutants()
FILES = sorted({mutant.file for mutant in MUTANTS})


@pytest.mark.parametrize("file", FILES)
def test_every_mutant_can_still_be_made(file):
    """Where this fails the code has changed: write the mutant in mutants.toml anew, or drop it."""
    before = ast.dump(ast.parse((REPOSITORY / file).read_text(encoding="utf-8")))
    made = [mutate(mutant, REPOSITORY) for mutant in MUTANTS if mutant.file == file]
    trees = {ast.dump(ast.parse(text)) for text in made}
    assert before not in trees, "it changes nothing but a comment or the layout"
    assert len(trees) == len(made), "the same mutant stands there twice"


def test_the_tests_of_every_mutant_are_there():
    named = defaultdict(set)
    for mutant in MUTANTS:
        assert mutant.tests, mutant
        for test in mutant.tests:
            file, _, name = test.partition("::")
            named[file].add(name)
    for file, names in named.items():
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not names - there, file


def test_there_are_mutants_of_every_room():
    assert len(MUTANTS) >= 100
    for model in (REPOSITORY / "models").glob("*/modules.py"):
        assert any(mutant.file.startswith(f"models/{model.parent.name}/") for mutant in MUTANTS)
    for room in ("vae/", "vae/analysis/", "vae/faces/", "utils/text/", "utils/training/"):
        assert sum(mutant.file.startswith(room) for mutant in MUTANTS) >= 10, room
    for room in ("utils/images/", "utils/digits/"):
        assert sum(mutant.file.startswith(room) for mutant in MUTANTS) >= 8, room


def test_some_mutants_are_killed(capsys):
    assert mutants.main(["--quick"]) == 0
    out = capsys.readouterr().out
    assert f"| all | {mutants.QUICK_COUNT} | {mutants.QUICK_COUNT} (100.0 %) |" in out


def write_list(path, old, new, test="test_schedules_as_tables"):
    """Writes a list of one mutant of vae/losses.py, and one that is killed."""
    sound = '["step / steps) if steps", "step * steps) if steps", "test_schedules_as_tables"]'
    path.write_text(
        "[[file]]\npath = 'vae/losses.py'\ntests = 'vae/test_vae.py'\n"
        f"mutants = [['{old}', '{new}', '{test}'], {sound}]\n",
        encoding="utf-8",
    )
    return path


def test_a_mutant_that_survives_is_named(tmp_path, monkeypatch, capsys):
    listed = write_list(tmp_path / "mutants.toml", "min(1.0, step", "min(1, step")
    monkeypatch.setattr(mutants, "LIST", listed)
    assert mutants.main(["--only", "vae"]) == 2
    out, err = capsys.readouterr()
    assert "survived: vae/losses.py: min(1.0, step -> min(1, step\n" in out
    assert "| vae/losses.py | 2 | 1 |\n| all | 2 | 1 (50.0 %) |\n" in out
    assert err.startswith("error: 1 not killed: vae/losses.py: min(1.0, step -> min(1, step\n")


@pytest.mark.parametrize(
    ("old", "test", "words"),
    [
        ("no such line", "test_schedules_as_tables", "'no such line' stands 0 times in vae/losses"),
        ("math.log", "test_schedules_as_tables", "'math.log' stands 5 times in vae/losses.py, not"),
        ("min(1.0, step", "test_nowhere", "do not pass as they are: tests/vae/test_vae.py::test_n"),
    ],
)
def test_a_list_that_does_not_fit_the_code_is_refused(
    old, test, words, tmp_path, monkeypatch, capsys
):
    listed = write_list(tmp_path / "mutants.toml", old, "x", test)
    monkeypatch.setattr(mutants, "LIST", listed)
    assert mutants.main(["--only", "vae"]) == 2
    assert words in capsys.readouterr().err
    assert mutants.main(["--only", "nowhere"]) == 2
    assert "mutants.toml has no mutant of --only nowhere" in capsys.readouterr().err


def test_tests_that_never_end_are_ended_and_the_copy_is_as_it_was():
    mutant = Mutant("vae/losses.py", "0.5 * (mu**2", "(mu**2", ("tests/vae/test_vae.py::test_x",))
    with Workshop(workers=1, seconds=0.01) as workshop:
        assert [what for _, what in workshop.try_mutants([mutant])] == ["longer than 0.01 s"]
        room = workshop.rooms.get_nowait()
        copied = (room / mutant.file).read_bytes()
    assert copied == (REPOSITORY / mutant.file).read_bytes()
    assert not room.exists()
