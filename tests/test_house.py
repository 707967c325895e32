"""The house: who may import whom, how long a file and a function may be, what is typed."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec

import pytest

from tests.helpers.repository import REPOSITORY

# Rooms from the ground up; a file may import from its own room and from those below.
FLOORS = [
    {"utils"},
    {"utils.images", "utils.training"},
    {"utils.text", "utils.digits"},
    {"models", "vae", "data_preparation"},
    {"solver"},
    {"main"},
    {"course"},
    {"explorer"},
    {"benchmarks", "report"},
]
PRODUCT = ("models", "vae", "utils")
COMMANDS = ("main.py", "solver.py", "data_preparation.py")
LONGEST_FILE, SHORTEST_FILE, LONGEST_FUNCTION = 300, 20, 60


def files_of(*folders):
    return sorted(file for folder in folders for file in (REPOSITORY / folder).rglob("*.py"))


def module_of(file):
    return ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


PRODUCT_FILES = [*files_of(*PRODUCT), *(REPOSITORY / name for name in COMMANDS)]
WHOLE = {
    module_of(file): file
    for file in [*PRODUCT_FILES, *files_of("course", "explorer", "benchmarks", "report")]
}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in WHOLE.items()}


def imports_of(module):
    """Lists the project's modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in WHOLE else node.module for name in inner}
    return {name for name in found if name in WHOLE} - {module}


def floor_of(module):
    """Returns the floor of the longest room that the module is in, and the room."""
    rooms = [(len(room), floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms]
    inside = [found for found in rooms if f"{module}.".startswith(f"{found[2]}.")]
    assert inside, f"{module} is in no room of the house"
    return max(inside)[1:]


every_module = pytest.mark.parametrize("module", WHOLE)


@every_module
def test_no_import_runs_upward(module):
    floor, _ = floor_of(module)
    upward = [name for name in imports_of(module) if floor_of(name)[0] > floor]
    assert not upward, f"{module} imports {upward}"


@every_module
def test_models_and_autoencoders_do_not_know_each_other(module):
    rooms = {floor_of(name)[1] for name in imports_of(module)}
    room = floor_of(module)[1]
    if room in ("models", "vae"):
        assert not rooms & ({"models", "vae"} - {room})
    if room == "models" and module.count(".") == 2:
        own = module.rpartition(".")[0]
        others = {n for n in imports_of(module) if n.startswith("models.") and own not in n}
        assert all(name.endswith(".modules") for name in others), others


def test_no_module_needs_itself():
    """A circle of imports works or not, depending on who is imported first."""
    graph = {name: imports_of(name) for name in WHOLE}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("file", PRODUCT_FILES, ids=module_of)
def test_the_product_stands_alone(file):
    """It imports neither benchmarks, report nor tests; it knows nothing of a folder beside it."""
    tree, text = TREES[module_of(file)], file.read_text(encoding="utf-8")
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        above = {"course", "benchmarks", "report", "tests"}
        assert not {name.split(".")[0] for name in names} & above
    assert "shared/" not in text
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value == "shared"]


@every_module
def test_files_and_functions_can_be_taken_in(module):
    lines = len(WHOLE[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE
    if WHOLE[module].name != "__init__.py":
        assert lines >= SHORTEST_FILE
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


@every_module
def test_settings_have_a_type(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                if argument.arg in ("config", "settings"):
                    kind = argument.annotation and ast.unparse(argument.annotation)
                    assert kind not in (None, "Any", "typing.Any"), f"{module}: {node.name}"


@every_module
def test_a_file_says_what_it_is(module):
    if WHOLE[module].name != "__init__.py":
        assert ast.get_docstring(TREES[module]), module


def test_tests_do_not_import_one_another():
    """What several of them use is in tests/helpers/."""
    for file in files_of("tests"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.split(".")[0] == "tests":
                assert module.startswith("tests.helpers"), f"{file.name} imports {module}"


def statements_of(function):
    """Yields what is in a function, but not in the functions within it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield node
            yield from statements_of(node)


def test_no_test_ends_without_a_word():
    """Where something is missing a test skips, with its reason: a return would count as passed."""
    for file in files_of("tests"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_")):
                continue
            for part in statements_of(node):
                assert not isinstance(part, ast.Return), f"{file.name}: {node.name} returns"
                if isinstance(part, ast.Call) and ast.unparse(part.func) == "pytest.skip":
                    reason = part.args or [k for k in part.keywords if k.arg == "reason"]
                    assert reason, f"{file.name}: {node.name} skips without a reason"


def test_importing_does_nothing():
    rooms = ["models", "vae", "utils", "course", "benchmarks"]
    if all(map(find_spec, ("latex2mathml", "markdown_it"))):  # of the extra `report`
        rooms.append("report")
    modules = [
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for folder in rooms
        for file in (REPOSITORY / folder).rglob("*.py")
    ] + ["data_preparation", "main", "solver"]
    code = "import " + ", ".join(modules)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
