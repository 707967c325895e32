"""Measure the explorer in a browser, and take the pictures of its page for docs/explorer.md.

    python benchmarks/studies/explorer.py                 the table, and docs/figures/explorer_*.png
    python benchmarks/studies/explorer.py --quick         the table alone

It needs the extras explore and browser, and Debian's chromium. The view Runs is drawn where a run
of one's own has a history.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from utils import files
from utils.errors import UserError, command

RUNS = ("lstm", "tcn", "transformer")
MEASURING = 900_000  # milliseconds for all that a page waits for: latents, on a busy machine
# What each picture shows: the view's address, and the part that is there when it is ready.
PICTURES = {
    "write": ("?at=92&force=24.113", ".bars button"),
    "cells": ("?group=g1&unit=79", "tbody tr"),
    "attention": ("?layer=2&at=60", ".matrix"),
    "reach": ("", ".bar"),
    "faces": ("?factors=yaw*-15*glasses*yes", ".below > :last-child .latent"),
    "digits": ("?x=47&y=40.6", ".map.held[aria-valuetext]"),
    "runs": ("", ".curve"),
}
# Moves a slider, and waits until a canvas has been painted and the browser has shown it.
SLIDE = """async ([slider, canvas, times]) => {
  const inputs = document.querySelectorAll(slider), at = document.querySelectorAll(canvas);
  const input = inputs[Math.min(1, inputs.length - 1)], shown = at[at.length - 1], taken = [];
  for (let step = 0; step < times; step++) {
    const drawn = new Promise((done) => shown.addEventListener("drawn",
      () => requestAnimationFrame(() => done(performance.now())), { once: true }));
    const began = performance.now(), share = (step % 5) / 5;
    input.value = Number(input.min) + share * (input.max - input.min);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    taken.push(await drawn - began);
  }
  return taken.sort((a, b) => a - b)[times >> 1];
}"""
# Which slider is moved: a latent of the last model, a factor of the face that three models see.
SLIDERS = {"a latent": ".below > :last-child .latent input", "a factor": ".below .field input"}


def start() -> tuple[subprocess.Popen, str, float]:
    """Starts a server; returns it, its address, and the seconds until it answered, less torch's."""
    for _ in range(2):  # the second time its files are in memory, as for the server
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
    torch_seconds = time.perf_counter() - began
    began = time.perf_counter()
    script = files.ROOT / "explorer" / "serve.py"
    server = subprocess.Popen(
        [sys.executable, str(script), "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    line = server.stdout.readline() if server.stdout else ""
    if not line.startswith("http://"):
        raise UserError("the explorer did not start: uv run --extra explore explorer/serve.py")
    return server, line.split()[0], time.perf_counter() - began - torch_seconds


def measure_writing(address: str, length: int) -> float:
    """Reads three texts at once; returns the characters a second of the slowest."""
    from concurrent.futures import ThreadPoolExecutor

    def ask(run: str) -> float:
        began = time.perf_counter()
        with urlopen(f"{address}api/write/text?run={run}&length={length}") as reply:
            parts = [json.loads(line) for line in reply]
        written = sum(len(part.get("steps", ())) for part in parts)
        return written / (time.perf_counter() - began)

    with ThreadPoolExecutor(len(RUNS)) as pool:
        list(pool.map(ask, RUNS))  # the models are loaded
        return min(pool.map(ask, RUNS))


def visit(browser: Any, address: str, shoot: bool) -> tuple[float, int, int]:
    """Visits all views; returns seconds until the first is usable, foreign requests, complaints."""
    page = browser.new_context(viewport={"width": 1000, "height": 640}).new_page()
    page.set_default_timeout(MEASURING)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    usable = 0.0
    for name, (state, part) in PICTURES.items():
        page.set_viewport_size({"width": 1000, "height": 900 if name == "faces" else 640})
        began = time.perf_counter()
        page.goto(f"{address}#{name}{state}")
        page.wait_for_selector(f"[data-ready={name}]")
        usable = usable or time.perf_counter() - began
        page.wait_for_load_state("networkidle")
        if name == "runs" and not page.locator(part).count():
            continue
        page.locator(part).first.wait_for(state="attached")
        page.wait_for_timeout(300)
        if shoot:
            picture = files.ROOT / "docs" / "figures" / f"explorer_{name}.png"
            colours = 256 if name == "faces" else 128
            picture.write_bytes(
                shrink(page.screenshot(full_page=name not in ("faces", "runs")), colours)
            )
            print(f"wrote {files.show(picture)}")
    return usable, sum(not url.startswith(address) for url in asked), len(said)


def measure_sliders(browser: Any, address: str, times: int) -> dict[str, float]:
    """Measures, for each slider, the median milliseconds until the last model's face is shown."""
    page = browser.new_context(viewport={"width": 1000, "height": 640}).new_page()
    page.set_default_timeout(MEASURING)
    page.goto(f"{address}#faces")
    page.locator(SLIDERS["a latent"]).first.wait_for()
    page.wait_for_timeout(300)
    return {
        name: page.evaluate(SLIDE, [slider, ".portraits canvas", times])
        for name, slider in SLIDERS.items()
    }


def shrink(png: bytes, colours: int) -> bytes:
    """Keeps so many colours of a screenshot."""
    import io

    from PIL import Image

    small = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(colours, dither=0).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def measure_answers(times: int) -> dict[str, float]:
    """Measures the processor time of what a mouse or a slider asks for, in ms, the median."""
    from explorer.library import Library
    from explorer.views import digits
    from explorer.web import Query, write_json

    library, found = Library(), {}
    for name, key in {"point": "x", "step": "step", "ladder": "seed", "code": "number"}.items():
        taken = []
        for value in range(1, times + 2):  # the first loads the model
            began = time.process_time()
            write_json(digits.ROUTES[name](Query({key: str(value % 100 or 50)}), library))
            taken.append(1000 * (time.process_time() - began))
        found[f"digits/{name}"] = sorted(taken[1:])[times // 2]
    return found


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__).parse_args(argv)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        chromium = None
    server, address, seconds = start()
    try:
        print("| what | measured |\n|---|---|")
        print(f"| start until it answers, after torch's import | {max(0, seconds):.1f} s |")
        speed = measure_writing(address, 50 if args.quick else 300)
        print(f"| three models write, characters a second each | {speed:.0f} |")
        for name, milliseconds in measure_answers(20 if args.quick else 200).items():
            print(f"| processor time of an answer to {name}, median | {milliseconds:.1f} ms |")
        if chromium is None:
            print("\nno browser: pip install playwright, apt-get install chromium")
            return
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            usable, foreign, said = visit(browser, address, shoot=not args.quick)
            sliders = measure_sliders(browser, address, 20 if args.quick else 200)
        print(f"| an address until its view is usable | {usable:.1f} s |")
        for name, milliseconds in sliders.items():
            print(f"| {name} is moved until its face is shown, median | {milliseconds:.0f} ms |")
        print(f"| requests to another address | {foreign} |")
        print(f"| lines on the browser's console | {said} |")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
