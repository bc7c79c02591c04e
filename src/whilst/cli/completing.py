"""What a shell offers for MODULE:FUNCTION when Tab is pressed. Nothing is imported for it: sources are read.

Loaded where a shell asks, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from click.shell_completion import BashComplete, CompletionItem, add_completion_class


def functions_like(begun: str) -> list[str]:
    """What the word may become: modules and files here, and the functions of the one that is named or meant."""
    place, colon, name = begun.partition(":")
    if colon:
        colons = "::" if name.startswith(":") else ":"
        return [f"{place}{colons}{each}" for each in _functions_in(_file_of(place)) if each.startswith(name.strip(":"))]
    here = Path(begun).parent
    folders = [f"{each}/" for each in here.glob(f"{_last(begun)}*") if each.is_dir() and each.name[0] not in "._"]
    files = [str(each) for each in sorted(here.glob(f"{_last(begun)}*.py"))]
    modules = [each.removesuffix(".py") for each in files if "/" not in begun]
    if len(files) == 1 and not folders:  # a shell that has one word left puts a space after it
        return [f"{place}:{each}" for place in modules or files for each in _functions_in(Path(files[0]))] or files
    return [*modules, *files, *sorted(folders)]


def _last(begun: str) -> str:
    return "" if begun.endswith("/") else Path(begun).name


def _file_of(place: str) -> Path:
    if place.endswith(".py"):
        return Path(place)
    module = Path(*place.split("."))
    return module / "__init__.py" if module.is_dir() else module.with_suffix(".py")


def _functions_in(path: Path) -> Iterator[str]:
    """The public functions and classes that a source defines."""
    import ast

    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


@add_completion_class
class _Bash(BashComplete):
    """For bash a colon is a word of its own: what is before it is put back to find out what is meant."""

    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        if incomplete.startswith(":") and args:
            self._before, incomplete = f"{args.pop()}{incomplete}", ""
        elif len(args) > 1 and args[-1] in (":", "::"):
            colons = args.pop()
            self._before = f"{args.pop()}{colons}"
        return args, f"{self._before}{incomplete}"

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{item.value.removeprefix(self._before)}"
