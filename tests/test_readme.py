"""What the pages print is what works: every command runs, every link and picture is there.

The pages are README.md, CONTRIBUTING.md and docs/*.md; a command is a line of a ```bash block.
`uv run X` is run as X: .ci/run tries uv itself.
"""

import importlib
import re
import shlex
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image

import main
from tests.helpers.repository import REPOSITORY
from utils.images import mnist

FILES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
FILES += sorted((REPOSITORY / "docs").glob("*.md"))
PAGES = {file.relative_to(REPOSITORY).as_posix(): file.read_text("utf-8") for file in FILES}
# Run elsewhere (.ci/run) or not by a test: they fetch, or serve until they are stopped.
ELSEWHERE = ("pip ", "pytest", "ruff ", "git ", "tensorboard", "python3 -m venv", "source ", "uv ")
ELSEWHERE += ("python explorer/serve.py", "python explorer/export.py")
ELSEWHERE += ("python benchmarks/studies/explorer.py", "python benchmarks/trust/explorer.py")
LIMITS = {"lines": 160, "words": 1500}  # of README


def commands_of(page):
    """The commands of a page, each as it is typed in an environment."""
    for block in re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("  #")[0].split(" && "):
                if command.strip() and not command.startswith("#"):
                    yield re.sub(r"^uv run (?=\S+\.py)", "python ", command.strip())


ALL_COMMANDS = {command for page in PAGES.values() for command in commands_of(page)}
COMMANDS = sorted(command for command in ALL_COMMANDS if not command.startswith(ELSEWHERE))


def targets_of(page):
    """What a page links to or shows, but for the web."""
    found = re.findall(r"\]\(([^)]+)\)", page)
    return [target.split("#")[0] for target in found if not target.startswith("https://")]


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--help" in command])
def test_help_of_the_pages(command, capsys):
    _, script, *argv = shlex.split(command)
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(script.removesuffix(".py").replace("/", ".")).main(argv)
    assert stop.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--help" not in command])
def test_command_of_the_pages(command, shipped, monkeypatch, capsys):
    for name in ("models", "vae", "benchmarks"):
        (shipped / name).symlink_to(REPOSITORY / name)
    raw = shipped / "data" / "raw"
    raw.mkdir()
    text = "".join(chr(32 + n % 95) for n in range(60_000))
    (raw / "tinyshakespeare.txt").write_text(text, encoding="utf-8")  # a stand-in for the real one
    (shipped / "book.txt").write_text(text, encoding="utf-8")
    stand_ins = np.random.default_rng(0).integers(256, size=(80, 64, 64), dtype=np.uint8)
    np.savez(raw / "olivetti_faces.npz", faces=stand_ins)
    (shipped / "photos").mkdir()
    for index, picture in enumerate(stand_ins):
        Image.fromarray(picture).save(shipped / "photos" / f"{index}.png")
    rows = "".join(f"{index}.png,{index % 3}\n" for index in range(len(stand_ins)))
    (shipped / "photos.csv").write_text(f"file,hair\n{rows}", encoding="utf-8")
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(shipped / "photos" / "0.png", shipped / name)
    put_small_mnist(raw / "MNIST" / "raw", monkeypatch)
    monkeypatch.chdir(shipped)
    python, script, *argv = shlex.split(command)
    assert python == "python"
    module = script.removesuffix(".py").replace("/", ".")
    if "tinyshakespeare" in command and module.endswith(".train"):
        prepare = importlib.import_module("data_preparation")
        source = str(raw / "tinyshakespeare.txt")
        assert prepare.main(["--text", source, "--raw", "--format", "codes"]) == 0
    if "--data.name book" in command:
        prepare = importlib.import_module("data_preparation")
        assert prepare.main(["--text", "book.txt", "--raw", "--format", "codes"]) == 0
    if module == "main" and "--task" in argv:
        looks = argv[argv.index("--task") + 1] in main.USES.of("data.held_out")
        argv += ["--held_out", "100"] if looks and "--data" not in argv else []
    elif module.endswith(".train") or module == "main":
        argv.append("--dry-run")
        argv = [word for word in argv if word not in ("--resume", "--overwrite")]
    elif module.startswith("benchmarks."):
        argv.append("--quick")
    elif module.endswith(".test") and not (shipped / run_of(module, argv)).exists():
        trained = [*training_of(module, argv), *QUICK[module.split(".")[1]]]
        trained += ["--training.epochs", "1"]
        assert importlib.import_module(module.replace(".test", ".train")).main(trained) == 0
    capsys.readouterr()
    status = importlib.import_module(module).main(argv)
    out, err = capsys.readouterr()
    assert status == 0, err
    assert out


def put_small_mnist(folder, monkeypatch):
    """Writes scikit-learn's digits into files of MNIST's names, so that nothing is downloaded."""
    folder.mkdir(parents=True)
    training, test = mnist.digits("digits")
    arrays = (training.pixels[:, 0], training.labels, test.pixels[:, 0], test.labels)
    shapes = {name: array.shape for name, array in zip(mnist.FILES, arrays, strict=True)}
    monkeypatch.setattr(mnist, "FILES", shapes)
    monkeypatch.setattr(
        mnist, "CHECKSUMS", tuple(zlib.crc32(array.astype(np.uint8)) for array in arrays)
    )
    for (name, shape), array in zip(shapes.items(), arrays, strict=True):
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">i4").tobytes()
        (folder / name).write_bytes(header + array.astype(np.uint8).tobytes())


QUICK = {
    "lstm": ["--model.hidden_size", "8"],
    "tcn": ["--model.channels", "8"],
    "transformer": ["--model.width", "8", "--model.heads", "2", "--training.batch_size", "8"],
}
QUICK = {kind: [*options, "--training.length", "64"] for kind, options in QUICK.items()}
QUICK |= {"gan": [], "aae": []}


def run_of(module, argv):
    """The shipped file that a test.py command would load."""
    return f"pretrained/{name_of(module, argv)}.pt"


def name_of(module, argv):
    return argv[argv.index("--ckpt_name") + 1] if "--ckpt_name" in argv else module.split(".")[1]


def training_of(module, argv):
    """The options that train the run of a test.py command: its config is named after it."""
    kind, name = module.split(".")[1], name_of(module, argv)
    for file in (REPOSITORY / "models" / kind).glob("*.json"):
        if f'"name": "{name}"' in file.read_text(encoding="utf-8"):
            return ["--config", str(file)]
    return ["--ckpt_name", name]


def test_there_are_commands():
    assert len(COMMANDS) >= 50


def test_the_readme_is_short():
    readme = PAGES["README.md"]
    assert readme.count("\n") <= LIMITS["lines"]
    assert len(readme.split()) <= LIMITS["words"]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_to_is_there(name):
    for target in targets_of(PAGES[name]):
        assert (REPOSITORY / name).parent.joinpath(target).exists(), target
    for path in re.findall(r"(?:benchmarks|models|tests|utils|vae)/[\w/]+\.py", PAGES[name]):
        assert (REPOSITORY / path).exists(), path


def test_every_figure_is_shown_and_small():
    shown = {target.rsplit("/", 1)[-1] for page in PAGES.values() for target in targets_of(page)}
    for figure in (REPOSITORY / "docs" / "figures").iterdir():
        assert figure.name in shown, figure.name
        assert figure.stat().st_size < 1_000_000, figure.name
