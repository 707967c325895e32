"""What the explorer's tests share: a server, a browser, a page that notes what happens on it."""

import shutil

import pytest

from tests.helpers.explorer import serving, take_notes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("uvicorn", reason="needs the extra explore: uvicorn is not installed")
    with serving() as client:
        yield client


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs the extra browser: playwright is not installed"
    )
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, client):
    """Gives a page that notes what it asks for, what its console says and what fails."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    page = take_notes(context.new_page())
    page.opens = lambda name, state="": (
        page.goto(f"{client.address}#{name}{state}"),
        page.wait_for_selector(f"[data-ready={name}]"),
    )
    yield page
    context.close()
