"""The view Runs in a browser: it stays live, whatever becomes of a run."""

import re

import pytest
from filelock import FileLock

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the extra browser: playwright is not installed"
)

from utils import files

expect = playwright.expect
expect.set_options(timeout=60_000)  # the page asks every few seconds, and a machine may be busy


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Gives an empty folder of runs of one's own."""
    monkeypatch.setattr(files, "ASKED", tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def write_history(folder, values):
    folder.mkdir(exist_ok=True)
    lines = [f"{epoch},{value}" for epoch, value in enumerate(values, 1)]
    text = "\n".join(["epoch,val_nats", *lines])
    (folder / "history.csv").write_text(text, encoding="utf-8")


def write_protocol(checkpoints, run, epochs):
    folder = checkpoints.parent / "results" / run
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"   epoch {epoch}  text {epoch}" for epoch in range(1, epochs + 1)]
    text = "\n".join(["## Passage 1", "```", "    prompt  the", *lines, "```"])
    (folder / "protocol.md").write_text(text, encoding="utf-8")


def test_a_training_is_drawn_on_while_it_trains(page, checkpoints):
    """From its first epoch on; who looks at the last epoch of its protocol goes on to the next."""
    write_history(checkpoints / "done", [3, 2])
    (checkpoints / ".mine.owner").touch()
    legend, end = page.locator(".legend"), page.locator(".wrote")
    with FileLock(checkpoints / ".mine.lock"):
        page.opens("runs", "?runs=mine,done")
        expect(page.get_by_label("mine (in its first epoch)")).to_be_checked()
        write_protocol(checkpoints, "mine", 1)
        write_history(checkpoints / "mine", [2.5])
        expect(legend).to_contain_text("mine: lowest 2.500 at epoch 1")
        expect(page.get_by_label("mine (training now)")).to_be_checked()
        expect(end).to_contain_text("text 1")
        write_protocol(checkpoints, "mine", 2)
        write_history(checkpoints / "mine", [2.5, 1.25])
        expect(legend).to_contain_text("mine: lowest 1.250 at epoch 2")
        expect(end).to_contain_text("text 2")
    page.get_by_role("slider").press("Home")
    expect(end).to_contain_text("text 1")
    page.wait_for_url(re.compile("step=0"))
    assert page.said == []


def test_a_run_that_vanishes_leaves_the_others(page, checkpoints):
    write_history(checkpoints / "stays", [3, 2])
    write_history(checkpoints / "goes", [3, 1])
    page.opens("runs", "?runs=goes,stays")
    expect(page.locator(".chart .curve")).to_have_count(2)
    (checkpoints / "goes" / "history.csv").unlink()
    error = page.locator("[role=alert]:not(:empty)")
    expect(error).to_have_text("there is no history of goes (any more)")
    expect(page.locator(".chart .curve")).to_have_count(1)
    write_history(checkpoints / "goes", [3, 1])  # trained again
    expect(page.locator(".chart .curve")).to_have_count(2)
    expect(error).to_have_count(0)
    assert page.said == []


def test_a_curve_is_broken_where_there_is_no_number(page, checkpoints):
    write_history(checkpoints / "mine", [3, 2, "nan", "inf", 1, ""])
    write_history(checkpoints / "none", ["nan", "nan"])
    page.opens("runs", "?runs=mine,none&beside=none")
    curve = page.locator(".chart .thick").first.get_attribute("d")
    assert re.fullmatch(r"M[\d. ]+L[\d. ]+M[\d. ]+", curve)
    assert page.locator(".dot").count() == 1  # the fifth epoch stands alone
    legend = page.locator(".legend").inner_text()
    assert "mine: lowest 1.000 at epoch 5, no number in 3 of 6 epochs" in legend
    assert "none: no number in 2 of 2 epochs" in legend


def test_hundreds_of_runs_are_chosen_by_name(page, checkpoints):
    for number in range(300):
        write_history(checkpoints / f"run_{number:03}", [2, 1])
    page.set_viewport_size({"width": 360, "height": 740})
    page.opens("runs")
    boxes = page.locator(".picks input[type=checkbox]")
    page.get_by_label("Names with").fill("run_")  # whoever tests may have runs of other names
    expect(boxes).to_have_count(300)
    assert page.locator(".picks").bounding_box()["height"] < 250
    page.get_by_label("Names with").fill("_17")
    expect(boxes).to_have_count(14)  # ten of that name, and the four that are shown
    page.get_by_role("checkbox", name="run_175").check()
    page.wait_for_url(re.compile("run_175"))
    expect(page.locator(".legend")).to_contain_text("run_175")
    expect(page.locator(".chart .thick")).to_have_count(5)
