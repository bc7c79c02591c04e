"""Draw the architecture's picture in CONTRIBUTING.md from the imports: rooms by floors, inner rooms within them.

    python docs/draw_architecture.py            rewrite the picture
    python docs/draw_architecture.py --check    exit with 1 if it is no longer what the imports say

A room stands one floor above the highest room that it imports, late imports and those of types counted.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "whilst"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- docs/draw_architecture.py draws this -->\n```text\n", "```\n<!-- end -->"
OPEN_TO_ALL = {"errors", "_light"}


def rooms(folder: Path) -> list[str]:
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob("*/__init__.py"))


def imported(folder: Path) -> Iterator[str]:
    """Every module of ours that a file in the folder names in an import."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("whilst."):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(folder: Path, package: str) -> dict[str, set[str]]:
    """Of each room in the folder, the other rooms there that it imports."""
    names = rooms(folder)
    found: dict[str, set[str]] = defaultdict(set)
    for room in names:
        heads = {
            name.removeprefix(package).partition(".")[0] for name in imported(folder / room) if name.startswith(package)
        }
        found[room] = {head for head in heads if head in names and head not in {room} | OPEN_TO_ALL}
    return found


def reached(below: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Of each room all that it stands on, through others too; a room of a circle stands on itself."""
    found: dict[str, set[str]] = {}
    for room in below:
        todo = list(below[room])
        found[room] = set()
        while todo:
            each = todo.pop()
            if each not in found[room]:
                found[room].add(each)
                todo += below[each]
    return found


def floors(below: Mapping[str, set[str]]) -> list[list[str]]:
    """The rooms by floors, the lowest first; those of one circle share a floor."""
    reach = reached(below)
    height: dict[str, int] = {}
    for room in sorted(below, key=lambda each: len(reach[each] | {each})):  # whoever stands on a room reaches more
        lower = [each for each in reach[room] if room not in reach[each]]
        height[room] = 1 + max((height[each] for each in lower), default=-1)
    return [sorted(room for room in height if height[room] == floor) for floor in range(max(height.values()) + 1)]


def nearest(below: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Without arrows that others imply: what a room imports through another one is not drawn twice.

    Rooms of one circle imply nothing for each other, else none of them would show what it imports.
    """
    reach = reached(below)
    return {
        room: sorted(
            each
            for each in heads
            if not any(each in reach[other] and room not in reach[other] for other in heads - {each})
        )
        for room, heads in below.items()
    }


def lines(below: Mapping[str, set[str]], indent: str = "") -> Iterator[str]:
    drawn = nearest(below)
    for floor, names in reversed(list(enumerate(floors(below)))):
        for place, name in enumerate(names):
            label = f"{floor + 1:>2}" if not place else "  "
            heads = f" -> {', '.join(drawn[name])}" if drawn[name] else ""
            yield f"{indent}{label} | {name}{heads}"


def picture() -> str:
    outer = arrows(SOURCE, "whilst.")
    out = ["floor | room -> the rooms that it stands on (those below them, too); errors is open to all", *lines(outer)]
    for room in sorted(outer):
        inner = arrows(SOURCE / room, f"whilst.{room}.")
        if len(inner) > 1:
            out += ["", f"within {room}/:", *lines(inner, "  ")]
        for name in sorted(inner):
            deeper = arrows(SOURCE / room / name, f"whilst.{room}.{name}.")
            if len(deeper) > 1:
                out += ["", f"within {room}/{name}/:", *lines(deeper, "  ")]
    return "".join(f"{line}\n" for line in out)


def redrawn(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{picture()}{END}{after}"


def main(arguments: Sequence[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    new = redrawn(page)
    if "--check" in arguments:
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
