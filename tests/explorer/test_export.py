"""The static edition: one file that shows every view from the disk, and asks for nothing else."""

import time

import pytest

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")

from explorer import export, recording
from explorer.views import faces
from tests.helpers.every_command import call
from tests.helpers.explorer import take_notes
from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.text_commands import TRAIN, small
from utils import files

TEXT = "The old bridge hums at noon."
OPTIONS = [f"--text={TEXT}", "--prompt=the", "--seed=5", "--run", *TRAIN]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Makes a repository with a small run of each kind."""
    root = tmp_path_factory.mktemp("edition")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        training_files(root)
        for kind, main in TRAIN.items():
            options = ["--training.epochs=2", "--layers=2"] if kind == "transformer" else []
            assert call(main, small(kind, f"--ckpt_name={kind}", *options)).status == 0
        yield root


@pytest.fixture(scope="module")
def edition(root):
    file = root / "lecture.html"
    made = call(export.main, [str(file), *OPTIONS])
    assert made.status == 0, made.err
    assert made.out.splitlines()[-1].startswith("wrote lecture.html, 0.")
    return file


@pytest.fixture
def page(browser, edition):
    """Opens the edition without a network, on a page that notes what happens on it."""
    context = browser.new_context(offline=True)
    page = take_notes(context.new_page())
    page.goto(edition.as_uri())
    yield page
    context.close()


def check_faults(page):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs the extra browser: axe"
    )
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(page).response["violations"]
    bad = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert not bad, [(fault["id"], fault["nodes"][0]["html"]) for fault in bad]


def test_every_view_is_there_without_a_network(page, edition):
    def opens(name, part, count):
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_selector(f"[data-ready={name.lower()}]")
        page.locator(part).nth(count - 1).wait_for(state="attached")
        assert page.locator("[role=alert]:not(:empty)").all_inner_texts() == []
        check_faults(page)

    opens("Write", ".bars button", 24)
    assert page.get_by_label("Prompt", exact=True).is_disabled()
    assert page.get_by_label("Prompt", exact=True).input_value() == "the"
    for _ in range(2):
        page.get_by_role("button", name="One step").click()
    page.locator(".written [data-place='1']").nth(2).wait_for()
    page.get_by_label("Pace", exact=True).select_option("all at once")
    page.get_by_role("button", name="Play").click()
    page.locator(".written [data-place='299']").nth(2).wait_for()
    opens("Cells", ".coloured span", len(TEXT))
    pick = page.locator("tbody button").last
    unit = pick.get_attribute("aria-label").removeprefix("show ").split(", which")[0]
    pick.click()
    page.get_by_role("heading", name=unit).wait_for()
    page.get_by_label("Model", exact=True).select_option("transformer")
    page.get_by_role("heading", name="block").wait_for()
    opens("Attention", ".matrix", 2)
    page.get_by_label("Layer").press("ArrowRight")
    page.wait_for_url("**layer=2**")
    opens("Reach", ".bar", 3)
    page.get_by_role("slider").first.press("End")
    page.locator("[aria-valuetext^='full stop']").nth(2).wait_for(state="attached")
    opens("Runs", ".curve", 6)
    page.get_by_role("link", name="Write", exact=True).click()
    page.locator(".bars button").nth(23).wait_for()
    assert {url.split("#")[0] for url in page.asked} == {edition.as_uri()}
    assert page.said == []


def test_a_face_has_sliders_that_stop_where_it_was_drawn(page, root, monkeypatch):
    """One latent at a time, or a turn: of one model here, measured on few faces."""
    model = root / "pretrained" / "vae_beta_20.pt"
    model.write_bytes((REPOSITORY / "pretrained" / model.name).read_bytes())
    monkeypatch.setattr(recording, "FACES", ("vae_beta_20",))
    monkeypatch.setattr(faces, "PICTURES", 100)
    file = root / "faces.html"
    made = call(export.main, [str(file), f"--text={TEXT}", "--prompt=the", "--run=lstm"])
    model.unlink()  # the other tests know nothing of it
    assert made.status == 0, made.err
    page.goto(f"{file.as_uri()}#faces")
    page.locator(".latent input").first.wait_for()
    canvas = page.locator(".portraits canvas").nth(1)
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    page.locator(".latent input").first.press("End")
    deadline = time.monotonic() + 60
    while canvas.evaluate("canvas => canvas.toDataURL()") == before:
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)
    page.wait_for_url("**z=*")
    page.get_by_label("Turn to a yaw of").press("ArrowRight")
    page.wait_for_url("**turn=*")
    assert "z=" not in page.url
    assert page.get_by_label("Random").is_disabled()
    assert page.get_by_label("smile").is_disabled()
    assert page.locator("[role=alert]:not(:empty)").all_inner_texts() == []
    check_faults(page)
    assert page.said == []


def test_the_same_page_comes_out_again(edition):
    before = edition.read_bytes()
    refused = call(export.main, [str(edition), *OPTIONS])
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.endswith("is there already: take another name, or --overwrite\n")
    assert call(export.main, [str(edition), *OPTIONS, "--overwrite"]).status == 0
    assert edition.read_bytes() == before


def test_nothing_may_be_loaded(edition):
    text = edition.read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:; script-src 'sha256-" in text
    assert "src=" not in text
    assert "@import" not in text
    for start in ("http://", "https://", "url("):
        assert start not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["a.txt"], "a.txt would be no page: give it the ending .html"),
        (["none/a.html"], "none is no folder: make it first"),
        (["a.html", "--run", "lstm", "lstm"], "give one to three different runs"),
        (["a.html", "--run", "a", "b", "c", "d"], "give one to three different runs"),
        (["a.html", "--run", "../lstm"], "there is no run '../lstm' here: choose one of lstm"),
        (["a.html", "--run", "lstm", "--prompt", ""], "the prompt is empty"),
        (["a.html", "--run", "lstm", "--prompt", "字"], "not in this model's alphabet"),
        (["a.html", "--run", "lstm", "--text", "字"], "not in this model's alphabet"),
        (["a.html", "--text", "a" * 2000], "--text has 2,000 characters"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_no_file(root, argv, says, monkeypatch):
    monkeypatch.chdir(root)
    status, _, err = call(export.main, argv)
    assert status == 2
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1
    assert not (root / argv[0]).exists()


def test_modules_become_one_script():
    modules = {
        "app.js": 'import { a as b, c } from "./x/y.js";\nimport d from "./z.js";\nb(c, d);',
        "x/y.js": 'import z from "../z.js";\nexport function a() {}\nexport const c = z;',
        "z.js": "let hidden = 1;\nexport default { hidden };",
    }
    script = export.bundle(modules, "app.js")
    order = [script.index(f'modules["{name}"] =') for name in ("z.js", "x/y.js", "app.js")]
    assert order == sorted(order)
    assert 'const { a: b, c } = modules["x/y.js"];' in script
    assert 'const { default: d } = modules["z.js"];' in script
    assert "return { a, c };" in script
    assert "return { default: whole };" in script
    for form in ("export * from './z.js';", "import './z.js';", "export { d };"):
        with pytest.raises(ValueError, match=r"app.js has a form"):
            export.bundle(modules | {"app.js": form}, "app.js")
