"""What a clean machine is told: one list of dependencies in two forms, README's commands in CI."""

import ast
import re
import sys
import tomllib

from tests.helpers.repository import REPOSITORY
from utils.training.checkpoint import PROJECT

SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
REQUIREMENTS = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
LISTED = [line for line in REQUIREMENTS if line and not line.startswith("#")]
OPTIONAL = {"pillow_heif"}  # a plugin that is used where there is one
# Where an import is named otherwise.
PACKAGE_OF = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "charset_normalizer": "charset-normalizer",
    "markdown_it": "markdown-it-py",
}


def test_pip_and_uv_are_told_the_same():
    groups = SETTINGS["dependency-groups"]
    assert [*SETTINGS["project"]["dependencies"], *groups["dev"]] == LISTED
    assert all(re.fullmatch(r"[a-z-]+>=[\d.]+", line) for line in LISTED)  # .ci/oldest needs it


def test_the_version_is_that_of_checkpoints():
    version = SETTINGS["project"]["version"]
    assert version.startswith(f"{PROJECT}.")
    assert f"\nversion: {version}\n" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")


def test_ci_runs_the_first_commands_of_the_readme():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```bash\n(.*?)```", readme, flags=re.DOTALL)[1].splitlines()
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line.split("  #")[0].strip() for line in first]
    assert [line for line in lines if line in commands] == commands


def test_every_import_is_a_dependency():
    """A package that another one happens to bring along must still be named."""
    extras = SETTINGS["project"].get("optional-dependencies", {}).values()
    packages = {line.split(">=")[0] for line in [*LISTED, *(p for extra in extras for p in extra)]}
    own = {path.name.removesuffix(".py") for path in REPOSITORY.iterdir()}
    missing = [
        f"{file.relative_to(REPOSITORY)} imports {name}"
        for file in source_files()
        for name in imports(file) - own - OPTIONAL - sys.stdlib_module_names
        if PACKAGE_OF.get(name, name) not in packages
    ]
    assert not missing, missing


def source_files():
    """The project's Python files, those of a virtual environment in its folder left out."""
    for file in REPOSITORY.rglob("*.py"):
        inside = file.relative_to(REPOSITORY).parts
        if not any(part.startswith(".") or part == "venv" for part in inside):
            yield file


def imports(file):
    """The names of the top packages that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names}
