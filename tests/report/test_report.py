"""The report: what it shows is in the files it names, and nothing in it is read as a program."""

import importlib.util
import json
import os
import re
import shutil
import subprocess

import pytest
import torch
from PIL import Image

from tests.helpers.every_command import call
from utils import files
from utils.training import checkpoint

for package in ("markdown_it", "latex2mathml"):
    pytest.importorskip(package, reason="needs the extra `report`: uv run --extra report pytest")

from report import check, discussion, facts, write
from report.blocks import list_facts
from report.comparing import find_single_changes
from report.curves import PAPER, Scale, draw
from report.produce import get_part
from report.runs import read_run
from report.sections import Writer
from report.settings import read_template

needs_typst = pytest.mark.skipif(
    importlib.util.find_spec("typst") is None, reason="needs typst, of the extra `report`"
)
RUNS = ["aae", "gan", "lstm", "palindrome", "tcn", "transformer", "vae"]


@pytest.fixture(scope="module")
def whole(every_run, tmp_path_factory):
    """A repository with a small finished run of every kind, and its report in hand_in/."""
    root = tmp_path_factory.mktemp("report") / "repository"
    shutil.copytree(every_run, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        patch.setattr(files, "ASKED", None)
        outcome = call(write.main, [])
    assert outcome.status in (0, 2), outcome.err  # 2: without typst
    return root


@pytest.fixture
def there(whole, tmp_path, monkeypatch):
    """A copy of it, to spoil."""
    root = tmp_path / "repository"
    shutil.copytree(whole, root)
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def page(whole, monkeypatch):
    monkeypatch.setattr(files, "ROOT", whole)
    return (whole / "hand_in" / "report.html").read_text("utf-8")


def read_page(page):
    reading = check.Reading()
    reading.feed(page)
    return reading


# What it shows


def test_every_number_is_in_the_file_it_names(whole, page):
    outcome = call(check.main, [])
    assert outcome.status == 0, outcome.out
    assert len(read_page(page).facts) > 300


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (r'(title="[^"]*train_nats[^"]*"[^>]*>)[\d.]+<', r"\g<1>7.777<", "that is"),
        (r"</main>", r"<p>It is better by 12.5 percent.</p></main>", "carries no file"),
        (r'data-value="8"', r'data-value="9"', "there is"),
        (r'data-file="[^"]*history\.csv"', r'data-file="nothing.csv"', "is not there"),
    ],
)
def test_a_number_that_is_not_in_its_file_is_found(there, before, after, fault):
    file = there / "hand_in" / "report.html"
    changed, count = re.subn(before, after, file.read_text("utf-8"), count=1)
    assert count == 1
    file.write_text(changed, "utf-8")
    outcome = call(check.main, [])
    assert outcome.status == 2
    assert fault in outcome.out


@pytest.mark.parametrize(
    ("text", "value", "way", "right"),
    [
        ("1.389", "1.3888625680698299", "", True),
        ("1.388", "1.3888625680698299", "", False),
        ("2.004", "1.3888625680698299", "in bits", True),
        ("314,408", "314408", "", True),
        ("2.5", "150", "in minutes", True),
        ("1.2e-05", "1.23e-05", "", True),
        ("1.3e-05", "1.23e-05", "", False),
        ("adamw", "adamw", "", True),
        ("adamw", "muon", "", False),
    ],
)
def test_a_number_is_its_value_rounded(text, value, way, right):
    assert check.agrees(text, value, way) is right


def test_the_weights_that_are_counted_are_those_that_are_learned(there):
    """Batch normalisation, in the GAN and here in two others, also keeps what it has counted."""
    for name in RUNS:
        run = read_run(name)
        learned = sum(p.numel() for p in run.of.build(run.config, run.content).parameters())
        assert facts.look_up(run.best, "weights") == learned


def test_a_place_in_a_table(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text("epoch,val,seconds\n1,3.5,2\n2,,4.25\n", "utf-8")
    assert facts.look_up(file, "epoch=1/val") == "3.5"
    assert facts.take_number(file, "epoch=2/val") is None
    assert facts.look_up(file, "epoch=3/val") is None
    assert facts.look_up(file, "all rows/seconds") == "6.25"
    assert facts.take_number(file, "all rows/seconds", "in minutes").text == "0.1042"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1234567, "1,234,567"), (1.38886, "1.389"), (6992.4, "6,992"), (0.0, "0"),
     (0.000012345, "1.234e-05"), (0.00071, "0.00071"), (-2.5, "-2.500"), (12345678.9, "1.235e+07")],
)  # fmt: skip
def test_numbers_are_shown_short(value, shown):
    assert facts.shorten(value) == shown


def test_what_is_written_is_what_is_checked(page):
    """The words that a reader sees beside a number name the file, the place and the value there."""
    history = [f for f in read_page(page).facts if f.marks["data-file"].endswith("history.csv")]
    for fact in history:
        assert fact.marks["title"].startswith(fact.marks["data-file"])
        assert fact.marks["data-value"] in fact.marks["title"]


@needs_typst
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler's pdftotext")
def test_the_numbers_of_the_pdf_are_those_of_the_page(whole, page):
    pdf = whole / "hand_in" / "report.pdf"
    shown = read_page(page).facts
    marked, faults = check.check_pdf(pdf, shown)
    assert marked > 200
    assert not faults
    less = [f for f in shown if f.marks["data-at"] == "size" or "lstm" not in f.marks["data-file"]]
    assert check.check_pdf(pdf, less)[1]


@pytest.mark.parametrize("run", RUNS)
def test_each_run_has_its_section(page, run):
    text = re.sub(r"<[^>]+>", "", page)
    assert f"<code>{run}</code></h3>" in page
    assert run in text


def test_the_settings_that_differ_are_named(there):
    run = read_run("lstm")
    config = json.loads((there / "checkpoints" / "lstm" / "config.json").read_text("utf-8"))
    assert ("model", "hidden_size") in run.changed
    assert f"--hidden_size {config['model']['hidden_size']}" in run.command.text
    assert ("training", "clip_norm") not in run.changed


def test_the_command_makes_the_same_settings(there):
    from models.lstm.train import Config
    from utils.command_line import parse

    run = read_run("lstm")
    argv = run.command.text.replace("'", "").split()[2:]
    made = parse(
        argv, "", Config, facts.Path(write.__file__).parents[1] / "models/lstm/config.json"
    )
    assert made.config == run.config


def test_the_protocol_is_shown(there):
    words = read_template("words.toml")["en"]
    run = read_run("lstm")
    shown = list(list_facts(list(Writer(run, words, as_is=True).protocol())))
    lines = (there / "results" / "lstm" / "protocol.md").read_text("utf-8")
    assert shown
    assert any(fact.text == "epoch 1" for fact in shown)
    assert all(fact.text in lines for fact in shown)


# Runs side by side


def test_runs_that_differ_in_one_setting_are_compared(there):
    """Two copies with another seed, and one that differs in two settings: it is in no table."""
    for name, changes in {
        "b": {("training", "seed"): 7},
        "c": {("training", "seed"): 3},
        "d": {("training", "seed"): 9, ("training", "learning_rate"): 0.5},
    }.items():
        copy_run(there, "palindrome", name, changes)
    runs = [read_run(name) for name in ("b", "c", "d", "palindrome")]
    ((place, group),) = find_single_changes(runs)
    assert place == ("training", "seed")
    assert [run.name for run in group] == ["palindrome", "c", "b"]  # by the seed: 0, 3, 7


def copy_run(root, name, new, changes):
    folder = root / "checkpoints" / new
    shutil.copytree(root / "checkpoints" / name, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["model"]["name"] = new
    for (section, key), value in changes.items():
        config[section][key] = value
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for file in folder.glob("*.pt"):
        content = dict(checkpoint.load(file)) | {"config": config}
        checkpoint.save(file, content)


# The same files, the same bytes; no request


@needs_typst
def test_the_same_runs_give_the_same_bytes(whole, monkeypatch):
    monkeypatch.setattr(files, "ROOT", whole)
    names = ["report.html", "report.pdf"]
    first = [(whole / "hand_in" / name).read_bytes() for name in names]
    assert call(write.main, []).status == 0
    assert [(whole / "hand_in" / name).read_bytes() for name in names] == first
    assert b"CreationDate" not in first[1]


def test_nothing_is_fetched(page):
    assert not re.findall(r'(?:src|href|srcset|action)="(?!#|data:)', page)
    assert not re.findall(r"@import|url\(|<script|<iframe|<object|<form", page)
    assert "default-src 'none'" in page


HOSTILE = """
<script>alert(1)</script> <img src="https://example.org/a.png"> &lt; {{body}} #import "x" $x$

![outside](../report.toml) ![far](https://example.org/b.png) ![own](own.png) ![no](own.txt)

[link](javascript:alert(1)) [other](https://example.org) <https://example.org/c>

| a | b |
|---|---|
| <b>1</b> | 2 |

1. one
   - two

```
code <x>
```
"""


@needs_typst
def test_markdown_is_data(there):
    folder = there / "hand_in" / "discussion"
    file = folder / "1b_lstm.md"
    file.write_text(file.read_text("utf-8") + HOSTILE, "utf-8")
    Image.new("RGB", (40, 30), "red").save(folder / "own.png")
    (folder / "own.txt").write_text("no picture", "utf-8")
    before = (there / "hand_in" / "report.html").read_text("utf-8")
    outcome = call(write.main, ["--as-is"])
    assert outcome.status == 0, outcome.err
    page = (there / "hand_in" / "report.html").read_text("utf-8")
    test_nothing_is_fetched(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{body}}" in page
    assert page.count("<img") == before.count("<img") + 1  # its own one
    assert page.count("not shown: a picture must be") == 3
    pdf = (there / "hand_in" / "report.pdf").read_bytes()
    assert b"/URI" not in pdf


def test_a_picture_behind_a_link_is_outside(tmp_path):
    (tmp_path / "d").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "d" / "way.png").symlink_to(tmp_path / "secret.png")
    words = read_template("words.toml")["en"]
    for name in ("way.png", "../secret.png", str(tmp_path / "secret.png"), "%2e%2e/secret.png"):
        (block,) = discussion.read_blocks(f"![x]({name})", tmp_path / "d", words)
        assert type(block).__name__ == "Paragraph"


def test_an_empty_discussion_is_not_written_yet(page):
    assert "Not written yet: <code>discussion/1b_lstm.md</code>" in page


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_new_file_has_a_question_and_three_points_and_no_text(tmp_path, language):
    words = read_template("words.toml")
    for question in read_template("sheet.toml")["question"]:
        assert all(len(question["points"][one]) == 3 for one in ("en", "de"))
        file = discussion.make_file(tmp_path, question, language, words[language])
        assert discussion.read_text(file, question, words) == ""
        file.write_text(file.read_text("utf-8") + "\nMine.\n", "utf-8")
        assert discussion.read_text(file, question, words) == "Mine."
        discussion.make_file(tmp_path, question, language, words[language])  # it stays


def test_both_languages_have_all_words():
    words = read_template("words.toml")
    for name, text in words["en"].items():
        other = words["de"][name]
        assert type(other) is type(text), name
        if isinstance(text, dict):
            assert other.keys() == text.keys()
        else:
            assert other.count("{}") == text.count("{}"), name
    assert words["de"].keys() == words["en"].keys()


# What it looks like


@needs_typst
@pytest.mark.parametrize("language", ["en", "de"])
def test_long_and_foreign_names_fit(there, language):
    people = [("x" * 80, "1"), ("Αθηνά Παπαδοπούλου", "2"), ("王小明", "3"), ("", "")]
    lines = [f'title = "Bericht Ωμέγα"\nlanguage = "{language}"\n']
    lines += [f'[[people]]\nname = "{name}"\nnumber = "{number}"\n' for name, number in people]
    (there / "hand_in" / "report.toml").write_text("".join(lines), "utf-8")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert outcome.status == 0, outcome.err
    page = (there / "hand_in" / "report.html").read_text("utf-8")
    assert all(name in page for name, _ in people)
    assert len(outcome.err.splitlines()) <= 1  # a line about characters without a font
    assert call(check.main, []).status == 0


def test_equations_are_the_same_in_both_notations():
    """Their symbols, once what either writes around them is left out."""
    markup = (
        r"\\(?:mathcal|mathbb|mathrm|frac|left|right|ldots|top|qquad|[,!|])|cal|bb|upright|dots"
    )
    markup += r"|quad|top|dot\.o|odot|norm"
    for name, equation in read_template("equations.toml").items():
        symbols = [
            sorted(set(re.findall(r"[A-Za-z]+|\d+", re.sub(markup, " ", equation[notation]))))
            for notation in ("latex", "typst")
        ]
        short = [{s for s in found if len(s) == 1 and s.isalpha()} for found in symbols]
        assert short[0] == short[1], name


def test_a_curve_is_drawn_where_its_values_are(there):
    run = read_run("lstm")
    (chart,) = Writer(run, read_template("words.toml")["en"], as_is=True).curves()
    svg = draw(chart, PAPER, "serif")
    assert svg.count("<polyline") == 2
    assert len(chart.series[0][1]) == run.epochs
    scale = Scale([1.0, 3.0], 200, 0)
    assert scale(3.0) < scale(2.0) < scale(1.0)
    assert scale(2.0) == pytest.approx(100)
    ticks = Scale([1.0, 1000.0], 0, 300, logarithmic=True)
    assert ticks(10.0) == pytest.approx(100)
    assert ticks.ticks()[0][1] == "1"


# Mistakes


def spoil(change):
    """Changes a file of the run lstm, as its text."""

    def apply(root):
        name, before, after = change
        file = root / "checkpoints" / "lstm" / name
        text = file.read_text("utf-8")
        assert re.search(before, text), before
        file.write_text(re.sub(before, after, text, count=1), "utf-8")

    return apply


MISTAKES = {
    "no such run": (["--run", "none"], None, "no run 'none'; there is: aae"),
    "other settings": ([], ("config.json", r'"hidden_size": 8', '"hidden_size": 9'),
                       "config.json does not fit its checkpoint: model.hidden_size is 9"),
    "no number": ([], ("history.csv", r"\n1,\d+,[\d.]+", r"\n1,2,x"), "is 'x', not a number"),
    "another number": ([], ("history.csv", r"\n1,\d+,[\d.]+", r"\n1,2,5.5"), "history.csv is"),
    "another epoch": ([], ("history.csv", r"\n1,", r"\n2,"), "is of epoch '2', not 1"),
    "a row less": ([], ("history.csv", r"\n1,[^\n]*", ""), "history.csv"),
    "half a row": ([], ("history.csv", r"\n1,([^\n]*),[^\n]*", r"\n1,\1"), "history.csv"),
    "an empty history": ([], ("history.csv", r"(?s).+", ""), "history.csv"),
    "no JSON": ([], ("config.json", r"\{", "["), "config.json cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_run_is_refused_by_name(there, mistake):
    argv, change, fault = MISTAKES[mistake]
    if change:
        spoil(change)(there)
    shutil.rmtree(there / "hand_in")
    outcome = call(write.main, ["--as-is", *argv])
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.splitlines()) == 1
    assert fault in outcome.err
    assert not (there / "hand_in").exists()


def test_weights_that_do_not_fit_are_refused(there):
    file = there / "checkpoints" / "lstm" / "best.pt"
    content = dict(checkpoint.load(file))
    content["model"] = {"W": torch.ones(3)}
    checkpoint.save(file, content)
    outcome = call(write.main, ["--as-is"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "checkpoints/lstm/best.pt" in outcome.err


TOML = {
    "unknown": ('titel = "x"\ntitle = "x"\nlanguage = "en"', "unknown key 'titel' (known: title"),
    "person": ('title = "x"\nlanguage = "en"\n[[people]]\nage = 3', "people 1: unknown key 'age'"),
    "language": ('title = "x"\nlanguage = "fr"', "language is 'fr', not en or de"),
    "missing": ('title = "x"', "language is missing"),
    "number": ('title = 3\nlanguage = "en"', "title is not a text"),
    "people": ('title = "x"\nlanguage = "en"\npeople = 3', "people are not [[people]]"),
    "broken": ("title = ", "report.toml cannot be read"),
    "lines": ('title = "a\\nb"\nlanguage = "en"', "title is not a text"),
}


@pytest.mark.parametrize("mistake", TOML)
def test_a_wrong_report_toml_is_one_line(there, mistake):
    text, fault = TOML[mistake]
    (there / "hand_in" / "report.toml").write_text(text, "utf-8")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert fault in outcome.err


def test_a_discussion_that_is_not_utf8_is_one_line(there):
    (there / "hand_in" / "discussion" / "5_palindromes.md").write_bytes(b"caf\xe9")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "5_palindromes.md is not UTF-8 text (byte 3)" in outcome.err


def test_no_runs_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    outcome = call(write.main, [])
    assert outcome.status == 2
    assert outcome.err == (
        "error: there are no runs: train one, as python models/lstm/train.py does\n"
    )


def test_a_discussion_that_links_out_of_its_folder_is_one_line(there):
    file = there / "hand_in" / "discussion" / "5_palindromes.md"
    file.unlink()
    (there / "secret.txt").write_text("a secret", "utf-8")
    file.symlink_to(there / "secret.txt")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "5_palindromes.md is a link out of its folder" in outcome.err


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("latent_analysis.csv", "a,b\n1,2\n", "latent_analysis.csv has other columns"),
        ("latent_analysis.csv", "a,b\n1\n", "latent_analysis.csv cannot be read"),
        (
            "latent_analysis.json",
            '{"scores": {"mig": "much"}}',
            "scores.mig is 'much', not a number",
        ),
        ("latent_analysis.json", "{", "latent_analysis.json cannot be read"),
    ],
)
def test_a_spoilt_result_is_one_line(there, name, text, fault):
    folder = there / "results" / "vae"
    Image.new("RGB", (9, 9)).save(folder / "latent_analysis.png")
    table = "latent,kl_nats,active,name\n3,1.5,True,\n"
    (folder / "latent_analysis.csv").write_text(table, "utf-8")
    (folder / name).write_text(text, "utf-8")
    outcome = call(write.main, ["--as-is", "--run", "vae"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert fault in outcome.err


@needs_typst
def test_controls_are_made_visible(there):
    file = there / "hand_in" / "discussion" / "5_palindromes.md"
    file.write_text("bell \x07 and \x1b[31m red \u202e turned", "utf-8")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert outcome.status == 0, outcome.err
    page = (there / "hand_in" / "report.html").read_text("utf-8")
    assert "bell \\x07 and \\x1b[31m red \\u202e turned" in page


def test_a_folder_that_is_a_file_is_one_line(there):
    outcome = call(
        write.main, ["--as-is", "--run", "palindrome", "--to", "repository/data/text.txt"]
    )
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "text.txt is a file: --to takes a folder" in outcome.err


def test_a_broken_picture_is_one_line(there):
    (there / "results" / "gan" / "samples.png").write_bytes(b"no picture")
    outcome = call(write.main, ["--as-is", "--run", "gan"])
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "results/gan/samples.png is no picture" in outcome.err


def test_without_typst_the_page_is_written(there, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "typst", None)
    shutil.rmtree(there / "hand_in")
    outcome = call(write.main, ["--as-is", "--run", "palindrome"])
    assert outcome.status == 2
    assert "report.html is written; report.pdf needs typst: uv run --extra report" in outcome.err
    assert (there / "hand_in" / "report.html").is_file()
    assert not (there / "hand_in" / "report.pdf").exists()


def test_what_is_not_there_is_named_by_its_command(there):
    (there / "results" / "palindrome" / "test.txt").unlink()
    call(write.main, ["--as-is", "--run", "palindrome"])
    page = (there / "hand_in" / "report.html").read_text("utf-8")
    command = "python models/palindrome/test.py --ckpt_name palindrome"
    assert f"Not there yet: <code>{command}</code>" in page


def test_what_is_older_than_its_checkpoint_is_made_anew(there):
    file = there / "results" / "palindrome" / "test.txt"
    now = file.read_text("utf-8")
    file.write_text("of an earlier training", "utf-8")
    assert get_part(read_run("palindrome"), "test.txt", as_is=False).file == file
    assert file.read_text("utf-8") == "of an earlier training"  # it is newer
    os.utime(file, (1, 1))
    assert get_part(read_run("palindrome"), "test.txt", as_is=True).missing
    assert not get_part(read_run("palindrome"), "test.txt", as_is=False).missing
    assert file.read_text("utf-8") == now


# Shipped models


def test_a_shipped_model_is_marked(shipped):
    outcome = call(write.main, ["--as-is", "--run", "vae_beta_4", "lstm"])
    assert outcome.status in (0, 2), outcome.err
    page = (shipped / "hand_in" / "report.html").read_text("utf-8")
    assert page.count("ships with the project as one file") == 2
    assert "<polyline" not in page
    assert "python main.py --beta 4 --ckpt_name vae_beta_4" in page
    assert call(check.main, []).status == 0


def test_a_browser_asks_for_nothing(whole, tmp_path):
    """Chromium's own log of requests, in which there are the page, and addresses of its maker's."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium")
    log = tmp_path / "net.json"
    page = (whole / "hand_in" / "report.html").as_uri()
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--log-net-log={log}",
            "--dump-dom", page],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert b"</html>" in done.stdout
    found = re.findall(r'"url":"([^"]+)"', log.read_text("utf-8", errors="replace"))
    own = re.compile(r"https?://[^/]*\.(google|googleapis|gvt1)\.com/")
    hosts = [url for url in found if re.match("http|ws", url) and not own.match(url)]
    assert not hosts
