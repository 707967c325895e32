"""The page in a browser: every view opens from an address, asks nobody else, and has no faults."""

import re

import pytest

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the extra browser: playwright is not installed"
)
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs the extra browser: axe is not installed"
)

from explorer.app import VIEWS

expect = playwright.expect
SIZES = {"phone": (360, 740), "projector": (1600, 900)}


@pytest.mark.parametrize("name", [view.NAME for view in VIEWS])
def test_a_view_asks_nobody_else_and_has_no_faults(page, client, name):
    for scheme, (width, height) in zip(("light", "dark"), SIZES.values(), strict=True):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        page.goto("about:blank")
        page.opens(name)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        bad = [fault for fault in found if fault["impact"] in ("serious", "critical")]
        assert not bad, [(fault["id"], fault["nodes"][0]["html"]) for fault in bad]
    own = (client.address, "about:blank")
    assert page.asked
    assert not [url for url in page.asked if not url.startswith(own)]
    assert page.said == []


def test_an_address_holds_the_moment(page):
    page.opens("write", "?prompt=the+bridge&seed=3&at=12&force=10.122")
    expect(page.locator(".written [data-place]")).to_have_count(36, timeout=60_000)
    first = page.locator(".written").first
    assert first.inner_text().startswith("the bridge")
    assert first.locator(".forced").inner_text() == "z"
    page.get_by_role("button", name="One step").click()
    page.wait_for_url(re.compile("at=13"))
    expect(page.locator(".written [data-place]")).to_have_count(39, timeout=60_000)
    page.goto("about:blank")
    page.go_back()
    expect(page.locator(".written [data-place]")).to_have_count(39, timeout=60_000)


def test_a_bar_forces_its_character(page):
    page.opens("write", "?at=5")
    bar = page.locator(".bars").first.locator("button").nth(1)
    bar.wait_for()
    char = bar.evaluate("button => button.char")
    bar.press("Enter")  # the keyboard does it, too
    page.wait_for_url(re.compile("force=5[.]"))
    page.wait_for_selector(".written .forced")
    assert page.locator(".written .forced").first.text_content() == char


def test_an_error_is_one_line_where_it_happens(page):
    page.opens("write", "?prompt=字")
    expect(page.locator("[role=alert]:not(:empty)")).to_have_count(3, timeout=60_000)
    assert "alphabet" in page.locator("[role=alert]").first.inner_text()


@pytest.mark.parametrize("name", ["cells", "attention", "reach"])
def test_the_keys_choose_a_letter_and_it_is_said(page, name):
    """All keys at once: each starts from where the one before it leads, not from what is drawn."""
    page.opens(name)
    text = page.get_by_role("slider").and_(page.locator("[aria-valuetext]")).first
    text.focus()
    for key in ("Home", "ArrowRight", "PageUp", "ArrowRight", "ArrowLeft"):
        text.press(key)
    page.wait_for_url(re.compile("at=11"))
    said = re.compile("character 12 of ")  # it comes with the answer
    expect(text).to_have_attribute("aria-valuetext", said, timeout=60_000)
    assert text.get_attribute("aria-valuenow") == "11"


def test_a_slider_moves_a_face(page):
    """By keys; the address holds what was set, and a turn is folded into the codes it changed."""

    def see(fits):
        for _ in range(600):
            if fits(shown := canvas.evaluate("canvas => canvas.toDataURL()")):
                return shown
            page.wait_for_timeout(50)
        pytest.fail("the face does not change as it should")

    page.opens("faces", "?runs=vae_beta_4,vae_beta_20")
    canvas, slider = page.locator(".portraits canvas").nth(1), page.locator(".latent input").first
    turn = page.get_by_label("Turn to a yaw")
    slider.wait_for()
    expect(turn).to_be_enabled()
    before = see(lambda shown: True)
    slider.press("End")
    page.wait_for_url(re.compile("z=14[*]3_"))
    said = re.compile("^.+ 3[.]00, latent 14, 2[.]6 nats$")
    expect(slider).to_have_attribute("aria-valuetext", said)
    after = see(lambda shown: shown != before)
    turn.press("Home")
    page.wait_for_url(re.compile("turn=-45"))
    turned = see(lambda shown: shown not in (before, after))
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    see(lambda shown: shown == turned)
    expect(turn).to_have_value("-45")
    slider.press("Home")
    page.wait_for_url(lambda url: "turn" not in url and "19*" in url)
    see(lambda shown: shown not in (before, after, turned))
    page.get_by_role("button", name="As it was").click()
    page.wait_for_url(lambda url: "z=" not in url)
    see(lambda shown: shown == before)


def test_a_photograph_leaves_nothing_but_its_codes(page, tmp_path):
    image = pytest.importorskip("PIL.Image")
    file = tmp_path / "me.png"
    image.effect_noise((300, 200), 90).convert("RGB").save(file)
    page.opens("faces", "?face=photograph&runs=vae_beta_4")
    drawn, original = (
        page.locator(".portraits canvas").nth(1),
        page.locator(".portraits canvas").first,
    )
    page.locator("input[type=file]").set_input_files(file)
    page.wait_for_url(re.compile("z=0[*].*[*]19[*]"))
    expect(page.locator("figcaption").nth(1)).to_contain_text("squared error 0.")
    assert original.evaluate("canvas => canvas.classList.contains('empty')") is False
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("figcaption").nth(1)).to_contain_text(
        "drawn from its codes", timeout=60_000
    )
    assert original.evaluate("canvas => canvas.classList.contains('empty')")
    assert drawn.evaluate("c => c.getContext('2d').getImageData(32, 32, 1, 1).data[3]") == 255
    (tmp_path / "me.txt").write_text("no picture")
    page.locator("input[type=file]").set_input_files(tmp_path / "me.txt")
    expect(page.locator("[role=alert]:not(:empty)")).to_contain_text("no picture that can be read")
    assert page.url == address
