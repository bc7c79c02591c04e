"""What stands in the source at a place: the call made there, the lock taken there, the locks held around it."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import cache
from typing import Final

from whilst.seeing.events import Place

_LARGEST_LINES: Final = 20_000


@dataclass(frozen=True, slots=True)
class WithBlock:
    """`with items:` in a file; its body has the lines first to last."""

    items: tuple[str, ...]
    line: int
    first: int
    last: int


@cache
def callee_at(place: Place) -> str:
    """What is called there, as it is written: "time.sleep", "pool.submit().result"; "" if it is no call."""
    text = _text_at(place)
    if not text:
        return ""
    call = next((node for node in ast.walk(_parsed(text.strip())) if isinstance(node, ast.Call)), None)
    return _dotted(call.func) if call is not None else ""


def _parsed(text: str) -> ast.AST:
    """The tree of a call, or of a whole line where the columns are not known; an empty one if that is part of more."""
    for attempt in (text, f"{text} pass", f"{text})"):
        try:
            return ast.parse(f"async def line():\n {attempt}")
        except (SyntaxError, ValueError):
            continue
    return ast.Module([], [])


@cache
def text_of_with(place: Place) -> str:
    """The first thing that a `with` at this place enters: "self._lock"."""
    return next((block.items[0] for block in with_blocks(place.file) if block.line == place.line), "")


@cache
def lock_taken_at(place: Place) -> str:
    """How the lock is called that is taken there, by a `with` or by `.acquire()`; "" if none is."""
    if "WITH" in place.operation:
        return text_of_with(place)
    name = callee_at(place)
    for ending in (".acquire", ".__enter__", ".acquire_lock"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    # An `async with` that waits stands where it hands on what it awaits; a `with`, from 3.14 on, at a call of no name.
    return "" if name and place.operation.startswith("CALL") else text_of_with(place)


def locks_around(place: Place) -> frozenset[str]:
    """What the `with` blocks have entered whose bodies hold the place's line."""
    return _locks_around(place.file, place.line)


@cache
def _locks_around(file: str, line: int) -> frozenset[str]:
    return frozenset(item for block in with_blocks(file) if block.first <= line <= block.last for item in block.items)


@cache
def with_blocks(file: str) -> tuple[WithBlock, ...]:
    lines = linecache.getlines(file)
    if not lines or len(lines) > _LARGEST_LINES:
        return ()
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(
        WithBlock(
            tuple(_dotted(item.context_expr) for item in node.items),
            node.lineno,
            max(node.body[0].lineno, node.lineno),
            node.end_lineno or node.lineno,
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.With | ast.AsyncWith)
    )


@cache
def _text_at(place: Place) -> str:
    if place.column is None or place.end_column is None:
        return linecache.getline(place.file, place.line).strip()
    lines = linecache.getlines(place.file)[place.line - 1 : place.end_line]
    if not lines:
        return ""
    whole = [line.encode("utf-8", "replace") for line in lines]
    whole[-1] = whole[-1][: place.end_column]
    whole[0] = whole[0][place.column :]
    return b"".join(whole).decode("utf-8", "replace")


def _dotted(node: ast.expr) -> str:
    """As it is written, without the arguments of calls and the indexes."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, name):
            before = _dotted(value)
            return f"{before}.{name}" if before else name
        case ast.Call(function):
            return f"{_dotted(function)}()"
        case ast.Subscript(value):
            return f"{_dotted(value)}[]"
        case _:
            return ""
