"""The annotated pages: every equation has its lines, every link its end, every name its shape."""

import ast
import re
import shutil
from html import unescape

import pytest

from docs import annotate
from docs.annotation.equations import find_equations
from docs.annotation.papers import address_of, papers, unknown_citations
from docs.annotation.places import spellings
from docs.annotation.sources import PAGES, parse_source, proofs_of, read_source
from docs.annotation.stamp import fingerprint
from tests.helpers.every_command import call
from tests.helpers.repository import REPOSITORY
from utils.errors import UserError

EXTRA = "needs the extra docs: uv run --extra docs pytest tests/docs"
every_page = pytest.mark.parametrize("name", PAGES)
REMAKE = "make the pages anew: uv run --extra docs docs/annotate.py"


@pytest.fixture(scope="module")
def make():
    """The module that makes pages, where the packages are that it needs."""
    for package in annotate.NEEDED:
        pytest.importorskip(package, reason=EXTRA)
    from docs.annotation import make

    return make


@pytest.fixture(scope="module")
def pages(make):
    return make.make_pages()


def source_of(name):
    return read_source(REPOSITORY / PAGES[name])


def changed(name, old, new):
    """The source of a page with one text replaced, as an editor would."""
    source = source_of(name)
    assert source.text.count(old) == 1, old
    return parse_source(source.path, source.text.replace(old, new))


# equations and their lines


@every_page
def test_every_equation_has_lines_and_a_test(name):
    blocks = find_equations(source_of(name))
    assert blocks
    for equation in (equation for block in blocks for equation in block.equations):
        proven = [
            proof
            for place in equation.places
            for proof in proofs_of(place.source)
            if any(s.lines[0] <= proof.line <= s.lines[1] for s in place.behind)
        ]
        assert equation.places
        assert proven, f"no line of mutants.toml changes what computes {equation.formula.text}"


@every_page
def test_a_symbol_that_the_lines_do_not_have_is_named(name):
    """Each symbol of each equation in turn becomes another one."""
    source = source_of(name)
    lines = source.text.splitlines()
    equations = [e for block in find_equations(source) for e in block.equations]
    for equation in equations:
        line, right = lines[equation.line - 1], equation.formula.text.split(" = ")[-1]
        if right not in line:
            continue  # it has more spaces there than one
        for base in {symbol.base for symbol in equation.formula.symbols}:
            other, count = re.subn(rf"(?<![A-Za-z`]){base}(?![A-Za-z`])", "ω", right, count=1)
            if count:  # else it is on the left side alone
                edited = [*lines]
                edited[equation.line - 1] = line.replace(right, other)
                text = "\n".join(edited)
                with pytest.raises(UserError, match=f"{source.path}:{equation.line}: .*ω"):
                    find_equations(parse_source(source.path, text))


BROKEN = {
    "another gate": ("lstm", "i_t * g_t      ", "i_t * o_t      ", r"names o_t, but step does not"),
    "another weight": ("lstm", "σ(W_i x_t", "σ(V_i x_t", "names V_i"),
    "an index": ("lstm", "σ(W_i x_t", "σ(W_e x_t", r"names W_e \(its index e\)"),
    "another function": ("lstm", "o_t = σ(", "o_t = exp(", "names exp"),
    "a line is gone": ("lstm", "c = f * c + i * g", "c = f * c", "names i_t, g_t"),
    "a name is another": (
        "lstm",
        "    h = o * torch.tanh(c)",
        "    y = o * torch.tanh(c)",
        "h_t = o",
    ),
    "a left side": ("lstm", "    c_t = f_t", "    e_t = f_t", "no line of step computes the left"),
    "nobody computes it": ("lstm", "`step` computes", "step computes", "must name, in backticks"),
    "a gradient": ("recurrence", "da_g  = dc * i", "da_g  = dh * k", "names k"),
    "a reason": ("recurrence", "since h = o * tanh(c)", "since h = v * tanh(c)", "names v"),
    "a reason unread": ("recurrence", "since h = o * tanh(c)", "since it is so", "the reason"),
    "no alias": ("attention", "m' (`largest`)", "m'", "m'"),
    "a wrong alias": ("attention", "S (`scores`)", "S (`score`)", "names S"),
    "a product": ("attention", "o.mul_(fade).baddbmm_(P, V[:, keys])", "o.mul_(fade)", "names V"),
    "another place": (
        "losses",
        "vae.training.VAETask.objective",
        "vae.training.VAETask.step",
        "total",
    ),
    "a mean": ("losses", "(log_q_z_given_x - log_q_z).mean()", "log_q_z_given_x", "names E"),
    "a returned symbol": ("tcn", "Computes R: how", "Computes how", "left side of 'R = "),
    "an exponent": ("tcn", "(2**levels - 1)", "2", "names L"),
    "at the margin": ("tcn", "        R = 1 + 2 (k", "    R = 1 + 2 (k", "equation at the margin"),
    "an unread line": ("tcn", "R = 1 + 2 (k - 1)", "R = 1 + 2 (k - 1", "cannot read|has"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_equation_that_does_not_fit_its_lines_is_refused(what):
    name, old, new, words = BROKEN[what]
    source = changed(name, old, new)
    with pytest.raises(UserError, match=f"^{PAGES[name]}:\\d+: ") as refused:
        find_equations(source)
    assert re.search(words, str(refused.value)), refused.value


# pages


@every_page
def test_every_function_line_and_equation_is_on_the_page(name, pages):
    page, source = pages[f"{name}.html"], source_of(name)
    for definition in source.definitions:
        assert f'id="{definition}"' in page
    shown = unescape(re.sub(r"<[^>]+>", "", page.replace("</code></span>", "\n")))
    words = {line for node in ast.walk(source.tree) for line in docstring_lines(node)}
    for number, line in enumerate(source.lines, start=1):
        comment = line.strip().startswith("#")
        if line.strip() and number not in words and not comment:
            assert page.count(f'id="L{number}"') == 1
            assert line.rstrip() in shown
    equations = sum(len(block.equations) for block in find_equations(source))
    assert page.count('<div class="equation" ') == equations
    assert page.count("<math") >= 2 * equations
    assert page.count(">its test</a>") == equations


def docstring_lines(node):
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    if not documented or not ast.get_docstring(node):
        return []
    return range(node.body[0].lineno, node.body[0].end_lineno + 1)


@every_page
def test_every_name_of_a_function_has_its_shape(name, make):
    from docs.annotation.shapes import Rewriter

    source, run = source_of(name), make.RUNS[name]
    found = make.record_shapes(source.path, source.text, run.sizes, run.call)
    rewriter = Rewriter()
    rewriter.visit(ast.parse(source.text))
    assert not set(rewriter.places) - set(found)
    assert sum("(B" in said or "T, B" in said for said in found.values()) >= 10


SEEN = {
    ("lstm", "i, f, g, o = torch.addmm(Wx_b", "Wx_b"): "(B, 4 H) = (3, 44)",
    ("lstm", "i = torch.sigmoid(i)", "i"): "(B, H) = (3, 11)",
    ("recurrence", "hs, cs = h.new_empty", "hs"): "(T + 1, B, H) = (8, 3, 11)",
    ("transformer", "out = a @ v.to(exact)", "out"): "(B, N, T, D) = (3, 2, 7, 10)",
    ("attention", "P = scores.sub_(L_part", "P"): "(N, 4, 4) = (2, 4, 4)",
    ("losses", "pairs = log_normal(z[:, None]", "pairs"): "(B, B, Z) = (3, 3, 5)",
}


@pytest.mark.parametrize("place", SEEN, ids=" ".join)
def test_shapes_are_those_of_the_run(place, pages):
    name, line, variable = place
    source = source_of(name)
    number = next(n for n, text in enumerate(source.lines, 1) if text.strip().startswith(line))
    shown = re.search(rf'id="L{number}".*?</code>', pages[f"{name}.html"])[0]
    said = re.search(rf'<var title="([^"]*)">{variable}</var>', shown)[1]
    assert unescape(said).split(" or ")[0] == SEEN[place]


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_a_page_stands_alone(name, pages):
    page = pages[f"{name}.html"]
    assert not re.findall(r"\bsrc=|url\(|@import|<link|<iframe|fetch\(|XMLHttp", page)
    assert set(re.findall(r'href="(https?://[^/"]+)', page)) <= {
        "https://arxiv.org", "https://ar5iv.labs.arxiv.org", "https://doi.org",
        "https://openreview.net", "https://proceedings.mlr.press", "https://cdn.openai.com",
    }  # fmt: skip


# links


@pytest.mark.parametrize(
    "href", ["#nowhere", "gone.html", "lstm.html#nowhere", "../../models/gone.py",
             "https://arxiv.org/abs/9999.99999", "https://example.org/", "http://arxiv.org/abs/1706.03762"],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_refused(href, make, pages):
    page = pages["lstm.html"].replace("<main>", f'<main><a href="{href}">x</a>')
    with pytest.raises(UserError, match=re.escape(href)):
        make.check_links(pages | {"lstm.html": page}, make.FOLDER)


def test_a_test_that_is_gone_is_named():
    from docs.annotation.sources import text_of_test

    with pytest.raises(UserError, match="there is no test tests/vae/test_vae"):
        text_of_test("tests/vae/test_vae.py::test_gone")


def test_citations_lead_to_the_part_of_the_paper():
    assert unknown_citations("as Nobody & Noone 2020 say, and (Vaswani et al. 2017)") == [
        "Nobody & Noone 2020"
    ]
    html = "https://ar5iv.labs.arxiv.org/html/1706.03762#"
    parts = {
        "S3.SS2": [("section", "3.2")],
        "A2": [("appendix", "B")],
        "alg1": [("algorithm", "1")],
    }
    parts |= {"S3.E1": [("section", "3.2"), ("equation", "1")]}
    for anchor, cited in parts.items():
        assert address_of("Vaswani et al. 2017", cited) == html + anchor
    assert address_of("Vaswani et al. 2017", [("equation", "1")]) == papers()["Vaswani et al. 2017"]
    assert address_of("Werbos 1990", [("section", "2")]) == "https://doi.org/10.1109/5.58337"


def test_every_listed_paper_is_cited_and_has_the_form_of_an_address():
    from docs.annotation.papers import is_address

    words = " ".join(" ".join(source_of(name).text.replace("#", " ").split()) for name in PAGES)
    assert [paper for paper in papers() if paper not in words] == []
    assert all(map(is_address, papers().values()))


# the pages of the repository


@every_page
def test_the_page_in_the_repository_is_of_these_files(name):
    source = source_of(name)
    page = (annotate.TO / f"{name}.html").read_text(encoding="utf-8")
    made_of = re.search(r'name="made-of" content="(\w+)"', page)[1]
    assert made_of == fingerprint(source, find_equations(source)), REMAKE


def test_the_pages_in_the_repository_are_what_is_made(make, pages):
    there = {file.name: file.read_text(encoding="utf-8") for file in annotate.TO.iterdir()}
    assert sorted(there) == sorted(pages)
    made_with = re.search(r'name="made-with" content="([^"]+)"', there["index.html"])[1]
    if made_with != make.made_with():
        pytest.skip(f"they were made with {made_with}, here are {make.made_with()}")
    assert [name for name in there if there[name] != pages[name]] == [], REMAKE
    assert sum(map(len, there.values())) < 1_000_000


def test_the_command_writes_them_anywhere(make, pages, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "make_pages", lambda folder: pages)
    outcome = call(annotate.main, ["--to", str(tmp_path / "here")])
    assert outcome.status == 0, outcome.err
    assert len(list((tmp_path / "here").glob("*.html"))) == len(PAGES) + 1


def test_a_file_is_no_folder_and_nothing_is_written(make, tmp_path):
    (tmp_path / "here").write_text("x")
    outcome = call(annotate.main, ["--to", str(tmp_path / "here")])
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "is a file, the pages go to a folder" in outcome.err


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(annotate, "NEEDED", {"no_such_module": "no-such-package"})
    outcome = call(annotate.main, [])
    assert outcome.status == 2
    assert "no-such-package not installed: uv run --extra docs" in outcome.err


def test_a_reader_with_a_keyboard_sees_shapes_and_nothing_is_fetched(pages, tmp_path):
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("needs chromium")
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    asked = []
    with sync.sync_playwright() as play:
        window = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page(viewport={"width": 360, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        for name in pages:
            page.goto((tmp_path / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        page.goto((tmp_path / "lstm.html").as_uri())
        page.focus(".rows")
        page.keyboard.press("ArrowRight")
        assert page.inner_text(".shape") == "Wx_b (B, 4 H) = (3, 44)"
        page.keyboard.press("ArrowDown")
        assert page.inner_text(".shape").startswith("i (B, H)")
        page.keyboard.press("Escape")
        assert not page.is_visible(".shape")
        page.hover(".r:has-text('h = o * torch.tanh(c)') var")
        assert page.inner_text(".shape").startswith("h (B, H)")
        window.close()
    assert all(url.startswith("file://") for url in asked)
    assert asked


def test_spellings_come_from_the_docstring_first():
    from docs.annotation.formulas import Symbol

    assert spellings(Symbol("S"), "a block of scores S (`scores`)") == ["scores"]
    assert spellings(Symbol("m", (), "'"), "makes m' (`largest`) of m") == ["largest"]
    assert spellings(Symbol("m"), "makes m' (`largest`) of m") == ["m"]
    assert spellings(Symbol("da", ("o",)), "") == ["da_o", "da"]
