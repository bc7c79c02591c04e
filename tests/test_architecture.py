"""The house rules that a machine can check: imports run one way, and the public face is what it says."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import whilst
from whilst.running.backends import BACKENDS

SOURCE = Path(whilst.__file__).parent

# What each room may import, itself excepted. `errors` and `_light` are open to all.
MAY_IMPORT = {
    "errors": set(),
    "model": set(),
    "inspecting": {"model"},
    "measuring": {"model", "inspecting"},
    "planning": {"model"},
    "checking": {"model", "inspecting"},
    "showing": {"model"},
    "seeing": {"model", "inspecting", "measuring", "planning", "running"},
    "running": {"model", "inspecting", "measuring", "planning"},
    "comparing": {"model", "inspecting", "measuring", "planning", "running"},
    "cli": {"model", "inspecting", "measuring", "planning", "running", "comparing", "checking", "showing", "seeing"},
}

# Within a room: which inner rooms an inner room may import, itself excepted. What lies loose in the room is open to all
# of them; that it makes no circle is for `test_imports_make_no_circle` to say.
MAY_IMPORT_WITHIN: dict[str, dict[str, set[str]]] = {
    "measuring": {"files": set(), "writes": set(), "between": {"files", "writes"}},
    "running": {
        "worker/transport": {"calls"},  # bare: what is loaded only once a call has failed
        "calls": set(),
        "worker/child": {"worker/transport", "calls"},
        "worker/parent": {"worker/transport", "worker/child", "calls"},
        "backends": {"worker/transport", "worker/parent", "calls"},
        "core": {"backends", "calls"},
        "policies": {"core", "backends", "calls"},
        "executor": {"policies", "core", "backends", "calls"},
        "verbs": {"policies", "core", "backends", "calls"},
        "splitting": {"verbs", "policies", "core"},
    },
    "comparing": {"days": set(), "moving": set()},
    "seeing": {"recording": set(), "explaining": set(), "advising": set()},
    "checking": {
        "engine": set(),
        "instrument": {"engine"},
        "observe": {"engine", "instrument"},
        "models": {"engine", "instrument", "observe"},
        "explorer": {"engine", "instrument", "observe", "models"},
        "search": {"engine", "explorer"},
        "judge": {"engine", "explorer"},
        "explain": {"engine", "explorer", "judge"},
        "answering": {"engine", "explorer", "search", "judge", "explain"},
        "sql": set(),
    },
}

CIRCLES = [
    {"whilst.model.drawable", "whilst.model.report", "whilst.model.timeline"},  # of types only, and it stays
]

MOST_IN_A_FOLDER = 15
CROWDED: set[str] = set()
"""Folders that still show more. Take away, never add: one that shows fewer fails the test until it is taken out."""

BASES = {"base", "cluster", "processes"}
"""What back ends are built on: the protocol, the connection to a cluster, the transport of variants of processes."""


def rooms() -> list[str]:
    return sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file())


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["whilst", *parts]).removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import in the file: late ones, those of types only, and `light_import`."""
    package = ["whilst", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            submodules = [name for alias in node.names if (name := f"{module}.{alias.name}") in MODULES]
            if module == "whilst":
                yield from ((node.lineno, f"whilst.{alias.name}") for alias in node.names)
            elif len(submodules) < len(node.names):
                yield node.lineno, module
            yield from ((node.lineno, name) for name in submodules)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "light_import":
            (name,) = node.args
            assert isinstance(name, ast.Constant), f"{path}:{node.lineno}"
            yield node.lineno, name.value


def inner_room(room: str, module: str) -> str | None:
    """The inner room of `room` that the module is in; None for what lies loose in it."""
    below = module.removeprefix(f"whilst.{room}.").replace(".", "/") + "/"
    return next((inner for inner in MAY_IMPORT_WITHIN[room] if below.startswith(f"{inner}/")), None)


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules that reach each other (strongly connected components of two or more)."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = arrows[todo.pop()] - seen
            seen |= new
            todo += new
        reach[start] = seen
    found = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in arrows if name in reach[name]
    }
    return [set(circle) for circle in found]


@pytest.mark.parametrize("room", rooms())
def test_imports_of_a_room_run_one_way(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, "errors", "_light"}
    wrong = []
    for path in sorted((SOURCE / room).rglob("*.py")):
        for line, module in imports_of(path):
            parts = module.split(".")
            if parts[0] == "whilst" and len(parts) > 1 and parts[1] not in allowed:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {module}")
    assert not wrong


def test_every_room_has_a_rule() -> None:
    assert set(rooms()) <= set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT_WITHIN))
def test_imports_between_inner_rooms_run_one_way(room: str) -> None:
    wrong = []
    for module, path in MODULES.items():
        if not module.startswith(f"whilst.{room}.") or (inner := inner_room(room, module)) is None:
            continue
        for line, imported in imports_of(path):
            if not imported.startswith(f"whilst.{room}."):
                continue
            if (other := inner_room(room, imported)) not in {None, inner} | MAY_IMPORT_WITHIN[room][inner]:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {imported}: {inner} may not see {other}")
    assert not wrong


def test_every_inner_room_has_a_rule() -> None:
    for room in rooms():
        packages = {path.parent.relative_to(SOURCE / room) for path in (SOURCE / room).rglob("__init__.py")} - {Path()}
        ruled = {Path(inner) for inner in MAY_IMPORT_WITHIN.get(room, {})}
        within_or_around = {
            path for path in packages if any(path in rule.parents or rule in path.parents for rule in ruled)
        }
        assert packages - within_or_around == ruled - within_or_around


def test_imports_make_no_circle() -> None:
    arrows = {
        name: {imported for _, imported in imports_of(path) if imported in MODULES} - {name}
        for name, path in MODULES.items()
    }
    found = circles(arrows)
    assert [circle for circle in found if circle not in CIRCLES] == []
    assert [circle for circle in CIRCLES if circle not in found] == [], "these are open: take them out of CIRCLES"


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert circles(arrows) == [{"b", "c"}]


def test_no_folder_shows_more_than_one_can_take_in() -> None:
    folders = [SOURCE, *(path for path in SOURCE.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    shown = {
        str(folder.relative_to(SOURCE)): len([path for path in folder.iterdir() if path.name != "__pycache__"])
        for folder in folders
    }
    assert {
        name for name, count in shown.items() if count > MOST_IN_A_FOLDER
    } == CROWDED  # what is mended leaves the list


def names_in_strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each dotted name of ours in a string that is not a docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(id(node.value))  # what stands below a constant
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for name in re.findall(r"\bwhilst(?:\.[A-Za-z_]\w*)+(?![\w/])", node.value):
                yield node.lineno, name


def resolves(name: str) -> bool:
    if name in MODULES:
        return True
    module = name
    while module not in MODULES:
        module = module.rpartition(".")[0]
    value: object = importlib.import_module(module)
    for attribute in filter(None, name[len(module) :].split(".")):
        value = getattr(value, attribute, None)
    return value is not None


def test_every_name_of_ours_held_as_a_string_stands_for_something() -> None:
    """They break without a word when a file moves: a worker's program, a lazy package's homes, frames to leave out."""
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} names {name}"
        for path in MODULES.values()
        for line, name in names_in_strings(parsed(path))
        if not resolves(name)
    ]
    assert not wrong


def test_what_examples_and_benchmarks_import_from_us_is_there() -> None:
    """No test runs them all, and they use what is no public name."""
    root = SOURCE.parent.parent
    wrong = [
        f"{path.relative_to(root)}:{node.lineno} imports {node.module}.{alias.name}"
        for folder in ("examples", "benchmarks", "docs")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "whilst"
        for alias in node.names
        if not resolves(f"{node.module}.{alias.name}")
    ]
    assert not wrong


def test_the_model_uses_the_standard_library_only() -> None:
    foreign = {
        module.split(".")[0]
        for path in (SOURCE / "model").glob("*.py")
        for _, module in imports_of(path)
        if module.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == {"whilst"}


def test_back_ends_import_only_their_base_and_never_each_other() -> None:
    folder = SOURCE / "running" / "backends"
    names = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    wrong = [
        f"{path.name}:{line} imports {module}"
        for path in folder.glob("*.py")
        if path.stem in names
        for line, module in imports_of(path)
        if module.startswith("whilst.running.backends.") and module.split(".")[3] in names - BASES - {path.stem}
    ]
    assert not wrong


def test_nobody_outside_its_folder_compares_the_name_of_a_back_end() -> None:
    """They ask for its traits: one more back end is one file and one entry there."""
    names = set(BACKENDS)
    # The model puts a name into words and may not see this room; a worker's styles have names of their own.
    apart = [SOURCE / "running" / "backends", SOURCE / "running" / "worker", SOURCE / "model"]
    wrong = []
    for path in MODULES.values():
        if any(path.is_relative_to(folder) for folder in apart):
            continue
        for node in ast.walk(parsed(path)):
            sides: list[ast.expr] = []
            if isinstance(node, ast.Compare) and not ast.unparse(node.left).endswith(".pilot"):  # has an "inline", too
                sides = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("startswith", "endswith")):
                sides = node.args
            said = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
            wrong += [f"{path.relative_to(SOURCE)}:{node.lineno} compares {name}" for name in said & names]
    assert not wrong


def test_importing_whilst_loads_nothing_heavy() -> None:
    code = "import sys, whilst; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"rich", "click", "greenlet", "ortools", "numpy", "psycopg", "cloudpickle", "asyncio", "multiprocessing"}
    assert not heavy & set(loaded)


def test_the_public_face_is_what_it_says() -> None:
    for name in whilst.__all__:
        assert getattr(whilst, name, None) is not None, name
    assert list(whilst.__all__) == sorted(whilst.__all__)
    assert len(set(whilst.__all__)) == len(whilst.__all__)


DRAWER = SOURCE.parents[1] / "docs" / "draw_architecture.py"


def test_the_picture_of_the_architecture_is_what_the_imports_say() -> None:
    script = str(DRAWER)
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"CONTRIBUTING.md shows another house than the imports do: run python {script}"


def test_a_circle_of_rooms_can_be_drawn() -> None:
    draw = runpy.run_path(str(DRAWER))["lines"]
    drawn = list(draw({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}))
    assert drawn == [" 3 | a -> b", " 2 | b -> c", "   | c -> b, d", " 1 | d"]
