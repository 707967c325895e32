"""What README prints is what works: every command of it runs, every file it names is there."""

import ast
import importlib
import re
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from utils.images import mnist

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        line.split("  #")[0].strip()
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", README, flags=re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    }
)
# Run elsewhere (CI's own lines) or not by a test: it would fetch, or serve until it is stopped.
ELSEWHERE = ("pip install", "pytest", "ruff", "git ", "tensorboard", "python -m venv", "source ")


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(ELSEWHERE)])
def test_command_of_the_readme(command, shipped, monkeypatch, capsys):
    for name in ("models", "vae", "benchmarks"):
        (shipped / name).symlink_to(REPOSITORY / name)
    raw = shipped / "data" / "raw"
    raw.mkdir()
    text = "".join(chr(32 + n % 95) for n in range(60_000))
    (raw / "tinyshakespeare.txt").write_text(text, encoding="utf-8")  # a stand-in for the real one
    (shipped / "book.txt").write_text(text, encoding="utf-8")
    stand_ins = np.random.default_rng(0).integers(256, size=(40, 64, 64), dtype=np.uint8)
    np.savez(raw / "olivetti_faces.npz", faces=stand_ins)
    (shipped / "photos").mkdir()
    for index, picture in enumerate(stand_ins):
        Image.fromarray(picture).save(shipped / "photos" / f"{index}.png")
    monkeypatch.setattr(mnist, "_mnist", mnist._digits)  # these need no download
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
    if "--help" in argv:
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(module).main(argv)
        assert stop.value.code == 0
        return
    if module == "main" and "--task" in argv:
        argv += ["--held_out", "100"]
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
    assert len(COMMANDS) >= 10


def test_every_file_the_readme_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" not in target
        assert (REPOSITORY / target).exists(), target


def test_every_import_is_in_the_requirements():
    """A package that another one happens to bring along must still be named."""
    listed = set(re.findall(r"^([a-z-]+)>=", (REPOSITORY / "requirements.txt").read_text(), re.M))
    own = {"data_preparation", "main", "solver", "models", "vae", "utils", "tests", "benchmarks"}
    package_of = {"PIL": "pillow", "sklearn": "scikit-learn"}
    for file in REPOSITORY.rglob("*.py"):
        if any(part.startswith(".") or part in ("venv",) for part in file.parts):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            for name in {name.split(".")[0] for name in names} - own - sys.stdlib_module_names:
                package = package_of.get(name, name)
                assert package in listed, f"{file.name} imports {name}, requirements.txt lacks it"
