"""What the loop that reads a lazy run's results changes, and calls may look at: `best = max(best, result)`.

Calls that were read ahead would see what belongs to an earlier result.
"""

from __future__ import annotations

import dis
from types import CodeType
from typing import Final

from whilst._light import Record
from whilst.inspecting import ownership
from whilst.measuring.writes.reachable import Reachable

_CELLS: Final = ("STORE_DEREF", "DELETE_DEREF", "LOAD_DEREF")
_STORES: Final = ("STORE_GLOBAL", "STORE_NAME", "STORE_DEREF", "DELETE_GLOBAL", "DELETE_NAME", "DELETE_DEREF")
_LOADS: Final = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
_ATTRIBUTES: Final = ("LOAD_METHOD", "LOAD_ATTR")
_NOTHING: Final = ("CACHE", "PUSH_NULL", "EXTENDED_ARG", "NOP")
_WITHIN: Final = ("STORE_SUBSCR", "DELETE_SUBSCR")


class Reader(Record):
    """Where results are asked for: a place in somebody's code."""

    code: CodeType
    offset: int
    names: int
    """Identity of its namespace."""


def changed_by_reader(reader: Reader | tuple[CodeType, int, int], reachable: Reachable) -> str:
    """Return what the loop around the place changes, that calls look up by name; "" for nothing.

    By its code alone: variables that it assigns, and what it does to objects in them at first hand.
    """
    reader = Reader(*reader)
    if not ownership.is_own_code(reader.code.co_filename):
        return ""
    body = _loop_around(reader)
    for place, instruction in enumerate(body):
        name = instruction.argval
        if instruction.opname not in (*_STORES, *_LOADS):
            continue
        scope = 0 if instruction.opname in _CELLS else reader.names
        if (scope, name) in reachable.variables and (
            instruction.opname in _STORES or _is_changed(body[place + 1 : place + 3])
        ):
            return f"{name} ({reader.code.co_filename}:{_line_at(reader.code, instruction.offset)})"
    return ""


def _is_changed(following: list[dis.Instruction]) -> bool:
    """What was just put on the stack: `SEEN.add(…)`, `CONFIG.limit = …`, `TABLE[key] = …`?"""
    first = following[0] if following else None
    if first is not None and first.opname in _ATTRIBUTES:
        return first.argval in ownership.MUTATORS
    return any(each.opname == "STORE_ATTR" for each in following[:1]) or any(
        each.opname in _WITHIN for each in following[1:]
    )


def _loop_around(reader: Reader) -> list[dis.Instruction]:
    instructions = [each for each in dis.get_instructions(reader.code) if each.opname not in _NOTHING]
    bounds = [
        (each.argval, each.offset)
        for each in instructions
        if each.opname.startswith("JUMP_BACKWARD") and each.argval <= reader.offset <= each.offset
    ]
    if not bounds:
        return []
    begin, end = min(each for each, _ in bounds), max(each for _, each in bounds)
    return [each for each in instructions if begin <= each.offset <= end]


def _line_at(code: CodeType, offset: int) -> int | None:
    return next((line for begin, end, line in code.co_lines() if begin <= offset < end), None)
