"""The house rules that a machine can check: imports run one way, and the public face is what it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import whilst

SOURCE = Path(whilst.__file__).parent

# What each room may import, itself excepted. `errors`, `_lazy` and `_record` are open to all.
MAY_IMPORT = {
    "errors": set(),
    "model": set(),
    "inspecting": {"model"},
    "measuring": {"model", "inspecting"},
    "planning": {"model"},
    "checking": {"model", "inspecting"},
    "showing": {"model"},
    "running": {"model", "inspecting", "measuring", "planning"},
    "comparing": {"model", "inspecting", "measuring", "planning", "running"},
    "cli": {"model", "inspecting", "measuring", "planning", "running", "comparing", "checking", "showing"},
}


BASES = {"base", "processes"}
"""What back ends are built on: the protocol, and the transport of workers that are variants of processes."""


def rooms() -> list[str]:
    return sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file())


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import in the file, also those inside functions."""
    package = ["whilst", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield node.lineno, module
            if module == "whilst":
                yield from ((node.lineno, f"whilst.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("room", rooms())
def test_imports_of_a_room_run_one_way(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, "errors", "_lazy", "_record"}
    wrong = []
    for path in sorted((SOURCE / room).rglob("*.py")):
        for line, module in imports_of(path):
            parts = module.split(".")
            if parts[0] == "whilst" and len(parts) > 1 and parts[1] not in allowed:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {module}")
    assert not wrong


def test_every_room_has_a_rule() -> None:
    assert set(rooms()) <= set(MAY_IMPORT)


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
