"""Record the explorer in one page, for a lecture without Python and without a network.

    python explorer/export.py lecture.html
    python explorer/export.py lecture.html --text "The old bridge." --prompt "the sea" --seed 3
    python explorer/export.py lecture.html --run mine other --overwrite       runs of your own

The page opens from the disk in any browser of the last few years. It holds the explorer's own
script and style, and answers to all that can be asked of it there (explorer/recording.py).
"""

import base64
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import utils.start  # noqa: F401

from explorer.serve import explain_missing
from utils import files
from utils.command_line import Parser, number
from utils.errors import UserError, command

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
MOST_BYTES = 8 * 10**6
MOST_TEXT = 1500
EDITION = (
    '<footer class="note edition">This edition was recorded: it needs no Python and no network. '
    "What would ask a model anew is switched off; <code>explorer/serve.py</code> has all of it."
    "</footer>"
)
IMPORT = re.compile(r'^import (\w+|\{[^}]*\}) from "([^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def parse(argv: list[str] | None) -> Any:
    """Reads the command line. UserError for a file that is there, or is no page."""
    parser = Parser(description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.html", help="the page to write")
    parser.add_argument(
        "--run", nargs="+", metavar="RUN", help="one to three runs (default: lstm tcn transformer)"
    )
    parser.add_argument(
        "--text",
        default="",
        help="what is read (default: held-out text), the start of it by Attention and Reach",
    )
    parser.add_argument("--prompt", default="the bridge", help="what is written on from")
    parser.add_argument("--seed", type=number(int, 0, 2**31), default=0, help="default: 0")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    args = parser.parse_args(argv)
    runs = args.run or []
    if len(runs) > 3 or len(set(runs)) < len(runs):
        raise UserError(f"--run {' '.join(runs)}: give one to three different runs")
    if len(args.text) > MOST_TEXT:
        raise UserError(f"--text has {len(args.text):,} characters: {MOST_TEXT} are the most")
    if args.file.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{args.file} would be no page: give it the ending .html")
    if args.file.is_dir():
        raise UserError(f"{args.file} is a folder: give a file")
    if not args.file.parent.is_dir():
        raise UserError(f"{args.file.parent} is no folder: make it first")
    if args.file.exists() and not args.overwrite:
        raise UserError(f"{args.file} is there already: take another name, or --overwrite")
    return args


def bundle(modules: dict[str, str], first: str) -> str:
    """Puts modules (name -> script) into one script: each is a function, after those it imports.

    It knows the forms that explorer/static has, and raises a ValueError for any other.
    """
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name in done:
            return
        done[name] = ""  # it is under way
        script = modules[name]

        def take(found: re.Match) -> str:
            what, other = found[1], normpath(join(dirname(name), found[2]))
            add(other)
            what = what.replace(" as ", ": ") if what.startswith("{") else f"{{ default: {what} }}"
            return f"const {what} = modules[{json.dumps(other)}];"

        names = EXPORT.findall(script)
        script = EXPORT.sub("", IMPORT.sub(take, script))
        script = re.sub(r"^export default ", "const whole = ", script, flags=re.MULTILINE)
        if "\nconst whole = " in script:
            names.append("default: whole")
        if re.search(r"^(import|export)\b", script, re.MULTILINE) or "</script" in script:
            raise ValueError(f"{name} has a form of import or export that is not known here")
        whole = f"{script}\nreturn {{ {', '.join(names)} }};"
        del done[name]  # after what it imports
        done[name] = f"modules[{json.dumps(name)}] = await (async () => {{\n{whole}\n}})();\n"

    add(first)
    return "const modules = {};\n" + "".join(done.values())


def read_modules() -> dict[str, str]:
    """Reads the page's modules; the recorded answers stand in for the server."""
    found = {
        file.relative_to(STATIC).as_posix(): file.read_text(encoding="utf-8")
        for file in STATIC.rglob("*.js")
    }
    return found | {"source.js": (FOLDER / "recorded.js").read_text(encoding="utf-8")}


def make_page(recorded: dict[str, Any]) -> str:
    """Makes the page. It may run its own script, and load nothing."""
    script, style = bundle(read_modules(), "app.js"), (STATIC / "style.css").read_text("utf-8")
    icon = base64.b64encode((STATIC / "icon.svg").read_bytes()).decode()
    packed = json.dumps(recorded, ensure_ascii=False, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(packed, mtime=0)).decode()

    def allow(part: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"

    policy = f"default-src 'none'; img-src data:; script-src {allow(script)}; "
    policy += f"style-src {allow(style)}; base-uri 'none'; form-action 'none'"
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    parts = {
        '<meta charset="utf-8">\n': '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
        '<link rel="icon" href="/icon.svg" type="image/svg+xml">': '<link rel="icon" '
        f'href="data:image/svg+xml;base64,{icon}" type="image/svg+xml">',
        '<link rel="stylesheet" href="/style.css">': f"<style>{style}</style>",
        '<script type="module" src="/app.js"></script>': f'<script type="module">{script}</script>',
        "</main>\n": f"</main>\n{EDITION}\n",
        "; all of it is in explorer/static": "",
        "</body>": f'<script type="text/plain" id="recorded">{packed}</script>\n</body>',
    }
    for part, instead in parts.items():
        if page.count(part) != 1:
            raise ValueError(f"explorer/static/index.html has {part!r} not once")
        page = page.replace(part, instead)
    return page


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    with explain_missing("explorer/export.py"):
        from explorer import recording
        from explorer.library import Library
    runs, compared = (tuple(args.run), ()) if args.run else (recording.SHIPPED, recording.COMPARED)
    lecture = recording.Lecture(runs, args.text, args.prompt, args.seed, compared)
    recorded = recording.record_all(lecture, Library())
    page = make_page(recorded).encode()
    if len(page) > MOST_BYTES:
        raise UserError(
            f"the page would have {len(page) / 1e6:.1f} MB, {MOST_BYTES // 10**6} are the most: "
            "give fewer runs or a shorter --text"
        )
    files.write_whole(args.file, page)
    print(f"wrote {files.show(args.file)}, {len(page) / 1e6:.1f} MB: open it in a browser")


if __name__ == "__main__":
    raise SystemExit(main())
