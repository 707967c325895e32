"""The view Digits: what it decodes is the project's own, each thing asked has bounds."""

import base64
import re

import numpy as np
import pytest
import torch

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
pytest.importorskip("uvicorn", reason="needs the extra explore: uvicorn is not installed")

from explorer.library import Library
from explorer.pictures import draw, pack, read_digits
from explorer.views import digits as view
from explorer.web import Query
from models.aae.modules import Autoencoder, ModelConfig
from utils import files
from utils.errors import UserError
from utils.images import mnist
from utils.images.data import Images
from utils.images.figures import to_bytes
from utils.training import checkpoint
from vae.latents import build_manifold, draw_latents


@pytest.fixture(scope="module")
def library():
    return Library()


def ask(route, library, **asked):
    return view.ROUTES[route](Query({key: str(value) for key, value in asked.items()}), library)


def unpack(found):
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return pixels.reshape(found["shape"])


def test_pictures_arrive_as_they_were():
    pictures = torch.rand(3, 2, 5, 4).transpose(2, 3)
    assert np.array_equal(unpack(pack(pictures)), to_bytes(pictures))


def test_the_map_is_the_manifold_and_a_square_of_it_is_its_place(library):
    """The middle of the square in column 4, row 12 from below, decodes to that square."""
    grid = unpack(ask("map", library)).reshape(16, 16, 1, 28, 28)
    point = ask("point", library, x=100 * 4.5 / 16, y=100 * 12.5 / 16)
    z = build_manifold(16)[15 - 12, 4]
    assert point["z"] == pytest.approx(z.tolist(), abs=2e-3)
    difference = np.abs(unpack(point)[0].astype(int) - grid[15 - 12, 4])
    assert difference.max() <= 1
    assert ask("map", library)["ticks"][2] == [0, 50]
    other = unpack(ask("point", library, x=80, y=20))[0].astype(int)
    assert np.abs(other - grid[15 - 12, 4]).max() > 50


def test_a_way_begins_and_ends_where_it_was_told(library):
    found = ask("way", library, a=3, b=4)
    linear, spherical = map(unpack, found["rows"])
    loaded = library.image_model("gan")
    ends = [draw(loaded, draw_latents(1, 100, seed))[0] for seed in (3, 4)]
    for row in (linear, spherical):
        for end, picture in zip((row[0], row[-1]), ends, strict=True):
            assert np.abs(end.astype(int) - to_bytes(picture)).max() <= 1
    straight, arc = found["lengths"]
    low, high = found["usual"]
    assert straight[50] < low < min(arc) <= max(arc) < high  # that is why
    middle = ask("step", library, a=3, b=4, step=50)
    assert middle["lengths"] == pytest.approx([straight[50], arc[50]], abs=0.01)
    for row, strip in zip(middle["rows"], (linear, spherical), strict=True):  # 5th of 9 steps
        assert np.abs(unpack(row)[0].astype(int) - strip[4]).max() <= 1


def test_lengths_of_the_prior_are_those_of_the_chi_distribution():
    """Of 2 latents the squared length is exponential: P(|z| > r) = exp(-r^2 / 2)."""
    low, high = view.measure_lengths(2)
    assert low == pytest.approx((-2 * np.log(0.995)) ** 0.5, abs=0.03)
    assert high == pytest.approx((-2 * np.log(0.005)) ** 0.5, abs=0.12)


def test_middles_of_lines_are_other_digits_than_those_of_arcs(library):
    """On the line one digit of ten takes a fifth; three deviations of 400 are 6 %."""
    line, arc = ask("middles", library)["shares"]
    assert sum(line) == pytest.approx(1)
    assert max(line) > max(arc) + 0.05


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_only_the_chosen_layer_is_drawn_anew(library, layer):
    model = library.image_model("mnist_ladder").model
    z = draw_latents(4, model.z_dim, 0)
    anew = view.draw_anew(model, z, layer, seed=9)
    for place, (before, after) in enumerate(
        zip(model.decoder.split(z), model.decoder.split(anew), strict=True)
    ):
        assert torch.equal(before, after) == (place != layer)
    assert len(anew.unique(dim=0)) == 4


def test_a_ladder_holds_the_digit_at_its_top(library):
    top, coarse, fine = ask("layers", library)["layers"]
    assert top["moves"] > coarse["moves"] > fine["moves"] > 0
    assert top["stays"] < 0.5 < coarse["stays"] < fine["stays"]
    first = ask("ladder", library, seed=5, layer=3, draws=4)
    again = ask("ladder", library, seed=5, layer=3, draws=4, again=1)
    assert first["digit"] == again["digit"]
    assert first["anew"] != again["anew"]
    assert first["anew"]["shape"] == [4, 1, 28, 28]


def test_a_code_is_turned(library):
    free = ask("code", library, number=3)
    turned = ask("code", library, number=3, turn="1_2,7_-0.5")
    assert [turned["z"][1], turned["z"][7]] == [2, -0.5]
    kept = [place for place in range(8) if place not in (1, 7)]
    assert [turned["z"][place] for place in kept] == [free["z"][place] for place in kept]
    assert turned["length"] == pytest.approx(np.linalg.norm(turned["z"]), abs=0.01)
    rows = [unpack(row) for row in turned["rows"]]
    assert len(rows) == 8
    assert np.abs(rows[1][5].astype(int) - unpack(turned["picture"])[0]).max() <= 1  # 2 of -3..3
    z = torch.tensor([turned["z"]])
    z[0, 4] = -3
    alone = to_bytes(draw(library.image_model("aae"), z))[0]
    assert np.abs(rows[4][0].astype(int) - alone).max() <= 1


@pytest.fixture
def pretend(monkeypatch):
    """Stands for MNIST: three test pictures that are there, or none."""

    def stand(there):
        pixels = np.zeros((3, 1, 28, 28), np.uint8)
        pixels[:, 0, 5:20, 13:15] = 255
        images = Images(pixels, "three", np.array([1, 1, 7]))
        monkeypatch.setattr(mnist, "is_there", lambda dataset: there)
        monkeypatch.setattr(mnist, "digits", lambda dataset: (images, images))
        view.load_test.cache_clear()

    yield stand
    view.load_test.cache_clear()


def test_a_test_digit_is_encoded_where_it_is_there(library, pretend):
    pretend(True)
    found = ask("code", library, of="test", number=2)
    assert found["original"]["label"] == 7
    autoencoder = library.image_model("aae").model
    with torch.no_grad():
        expected = autoencoder.encoder(
            torch.from_numpy(unpack(found["original"]) / np.float32(255))
        )
    assert found["z"] == pytest.approx(expected[0].tolist(), abs=1e-3)
    with pytest.raises(UserError, match="there are 3 test pictures, counted from 0: not 3"):
        ask("code", library, of="test", number=3)


def test_without_mnist_only_test_digits_are_missing(library, pretend):
    pretend(False)
    assert ask("code", library)["test"] is False
    with pytest.raises(UserError, match="the test pictures of mnist are not on this machine"):
        ask("code", library, of="test")


def test_nothing_is_downloaded_to_know_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist.files, "ROOT", tmp_path)
    monkeypatch.setattr(mnist, "_download", lambda name: pytest.fail("it downloads"))
    assert not any(map(mnist.is_there, ("mnist", "fashion_mnist", "kmnist")))
    assert mnist.is_there("digits")


def test_digits_are_read_where_a_classifier_knows_them(library):
    loaded = library.image_model("gan")
    pictures = draw(loaded, draw_latents(5, 100, 0))
    reads = read_digits(loaded, pictures)
    assert len(reads) == 5
    assert all(0 <= digit <= 9 and 0.1 <= sure <= 1 for digit, sure in reads)
    faces = library.image_model("vae_beta_4")
    assert read_digits(faces, draw(faces, draw_latents(2, 20, 0))) == []


@pytest.mark.parametrize(
    ("path", "asked", "says"),
    [
        ("map", {"run": "mnist_4bit"}, "the map takes 2 latents, this model has 20"),
        ("map", {"run": "lstm"}, "there is no run 'lstm' here"),
        ("map", {"run": "../mnist_2d"}, "there is no run"),
        ("map", {"side": "1000"}, "'side' is no setting here"),
        ("point", {"x": "0"}, "give a number in 0.1..99.9"),
        ("point", {"y": "nan"}, "give a number in 0.1..99.9"),
        ("point", {"x": "1e9"}, "give a number in 0.1..99.9"),
        ("way", {"a": "-1"}, "give a whole number in 0.."),
        ("way", {"b": "9" * 19}, "give a whole number in 0.."),
        ("step", {"step": "101"}, "give a whole number in 0..100"),
        ("middles", {"count": "1000000000"}, "'count' is no setting here"),
        ("ladder", {"run": "mnist_2d"}, "mnist_2d has its latents in one layer"),
        ("ladder", {"layer": "4"}, "give a whole number in 1..3"),
        ("ladder", {"draws": "1000000000"}, "give a whole number in 2..30"),
        ("layers", {"run": "gan"}, "there is no run 'gan' here"),
        ("code", {"run": "gan"}, "there is no run 'gan' here: choose one of aae"),
        ("code", {"of": "train"}, "give one of prior, test"),
        ("code", {"turn": "8_1"}, "a place below 8 and a value in -5..5"),
        ("code", {"turn": "0_nan"}, "right would be PLACE_VALUE"),
        ("code", {"turn": "0_1e300"}, "right would be PLACE_VALUE"),
        ("code", {"turn": "-1_1"}, "right would be PLACE_VALUE"),
        ("code", {"turn": "0_1," * 400}, "at most 1,000 are taken"),
    ],
    ids=str,
)
def test_what_is_asked_has_bounds(client, path, asked, says):
    reply = client.ask(f"/api/digits/{path}", asked)
    assert reply.status == 400
    assert says in reply.json()["error"]
    assert "\n" not in reply.json()["error"]


def test_answers_are_small(client):
    """What a pointer or a slider asks for again and again."""
    for path, most in [("point", 2_000), ("step", 4_000), ("ladder", 20_000), ("code", 70_000)]:
        assert len(client.ask(f"/api/digits/{path}", {}).body) < most


def test_ones_own_run_of_two_latents_has_a_map(tmp_path, monkeypatch):
    """An autoencoder is as good for the map as a VAE, and its epochs are in the list."""
    content = checkpoint.load(files.ROOT / "pretrained" / "aae.pt")
    content["config"]["model"] |= {"name": "mine", "z_dim": 2, "hidden_size": 8}
    content["model"] = Autoencoder(ModelConfig("mine", 2, 8)).state_dict()
    checkpoint.save(tmp_path / "checkpoints" / "mine" / "epoch_0010.pt", content)
    monkeypatch.setattr(files, "ASKED", tmp_path)
    library = Library()
    entry = library.entries()["mine"]
    assert (entry.kind, entry.data, entry.z_dim, entry.epochs) == ("aae", "mnist", 2, ("10",))
    assert ask("map", library, run="mine@10")["shape"] == [256, 1, 28, 28]
    assert len(ask("code", library, run="mine")["rows"]) == 2


@pytest.fixture
def room(page):
    """Opens a room of the view; at the end the console has said nothing."""
    yield lambda state="": page.opens("digits", state)
    assert page.said == []


def test_the_map_follows_the_mouse_and_the_keys(page, room):
    room()
    box = page.locator(".map").bounding_box()

    def place(x, y):
        return box["x"] + box["width"] * x, box["y"] + box["height"] * (1 - y)

    page.mouse.move(*place(0.9, 0.5))
    page.wait_for_url(re.compile("x=(90|89.9|90.1)"))
    page.wait_for_selector(".map[aria-valuetext*='read as 0']")
    page.mouse.click(*place(0.2, 0.95))  # it stays there
    page.wait_for_selector(".map.held[aria-valuetext*='read as 1']")
    page.mouse.move(*place(0.9, 0.5))
    page.locator(".map").press("Shift+ArrowRight")
    page.wait_for_url(re.compile("x=(26.[1-4])"))
    page.reload()
    page.wait_for_selector(".map.held[aria-valuetext*='first latent −0.6']")


def test_of_many_places_only_the_last_is_asked_for(page, room):
    """Sixty moves in one breath: the first is asked for, and the last."""
    room()
    page.asked.clear()
    page.evaluate(
        """() => { const map = document.querySelector(".map"), box = map.getBoundingClientRect();
        for (let n = 0; n < 60; n++) map.dispatchEvent(new PointerEvent("pointermove",
        { pointerType: "mouse", clientX: box.left + 100 + 5 * n, clientY: box.top + 200 })); }"""
    )
    x = page.locator(".map").get_attribute("aria-valuenow")
    page.wait_for_function(
        "part => performance.getEntriesByType('resource').some(one => one.name.includes(part))",
        arg=f"x={x}&",
    )
    points = [url for url in page.asked if "/point?" in url]
    assert 1 <= len(points) <= 3
    assert f"x={x}&" in points[-1]


def test_a_slider_moves_along_both_ways(page, room):
    room("?show=ways&a=3&b=4&step=0")
    slider = page.get_by_role("slider")
    slider.press("End")
    page.wait_for_url(re.compile("step=100"))
    page.wait_for_selector("[aria-valuetext^='100 percent; linear: length']")
    texts = page.locator(".pair .says").all_inner_texts()
    assert texts[0] == texts[1]
    assert page.locator(".curve").count() == 2


def test_a_layer_is_chosen_by_key(page, room):
    room("?show=ladder&draws=6")
    page.locator(".layers button").nth(2).press("Enter")
    page.wait_for_url(re.compile("layer=3"))
    assert page.locator("[aria-pressed=true]").all_inner_texts()[0].startswith("fine")
    page.get_by_role("button", name="Another digit").click()
    page.wait_for_url(re.compile("seed=2"))


def test_a_code_is_turned_by_slider_and_click(page, room):
    room("?show=code")
    page.get_by_role("slider", name="z3").press("Home")
    page.wait_for_url(re.compile(r"turn=3_-3\.0"))
    page.wait_for_selector(".rows > :nth-child(4) p:text-is('z3 = −3.00')")
    strip = page.locator(".rows > :nth-child(1) .strip")
    size = strip.bounding_box()
    strip.click(position={"x": size["width"] - 3, "y": 5})
    page.wait_for_selector(".rows > :nth-child(1) p:text-is('z0 = 3.00')")
    page.get_by_role("button", name="Turn back").click()
    page.wait_for_url(lambda url: "turn" not in url)


@pytest.mark.parametrize("show", ["ways", "ladder", "code"])  # the map: tests/explorer/test_page.py
def test_every_room_has_no_faults(page, room, show):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs the extra browser: axe is missing"
    )
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    room(f"?show={show}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    found = axe.Axe().run(page).response["violations"]
    bad = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert not bad, [(fault["id"], fault["nodes"][0]["html"]) for fault in bad]
    page.set_viewport_size({"width": 1920, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1920


def test_an_error_is_one_line(page, room):
    room("?show=code&turn=9_1")
    page.wait_for_selector("[role=alert]:text('a place below 8')")
    page.said.clear()  # the browser itself notes that 400 was answered
