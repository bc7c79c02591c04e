"""`if …: continue` at the head of a loop's body: which items are worked on may be found out beforehand. Pure.

Only where the test reads nothing but the item and what stays as it is: no file, no name that the loop changes, no
function that nobody knows.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

from whilst.seeing.advising.uses import OUTPUT, QUIET, READING, Program, uses_of

_OF_FILES: Final = frozenset({"exists", "is_file", "is_dir", "read_text", "read_bytes"})
_OPPOSITES: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
"""Of `<` and its like there are none: of NaN both are false."""


def guards_of(body: Sequence[ast.stmt], kept: set[str], program: Program) -> tuple[ast.If, ...]:
    """The statements at the head of a body that only leave items out.

    Args:
        kept: names and places that the loop binds or changes, but its own variables.
    """
    found: list[ast.If] = []
    for statement in body[:-1]:
        match statement:
            case ast.If(test=test, body=[ast.Continue()], orelse=[]) if _is_plain(test, kept, program):
                found.append(statement)
            case _:
                break
    return tuple(found)


def _is_plain(test: ast.expr, kept: set[str], program: Program) -> bool:
    uses = uses_of([test], program.modules)
    if uses.stores or uses.changes or uses.output or uses.odd or kept & set(uses.loads):
        return False
    if any(program.defines(place[1:]) for place in uses.loads if place.startswith(".")):
        return False  # a method or a property of the script's own may do anything
    for node in ast.walk(test):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in QUIET - OUTPUT and not program.defines(name):
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if name in READING - _OF_FILES:
                continue
            case ast.Call() | ast.Lambda() | ast.GeneratorExp():
                return False
    return True


def condition(test: ast.expr, text_of: Callable[[ast.expr], str]) -> str:
    """The text of what holds for the items that are not left out."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            said = text_of(operand)
            return f"({said})" if isinstance(operand, ast.IfExp | ast.NamedExpr) else said
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPPOSITES:
            return f"{text_of(left)} {_OPPOSITES[type(op)]} {text_of(right)}"
        case ast.Name() | ast.Attribute() | ast.Call() | ast.Subscript():
            return f"not {text_of(test)}"
    return f"not ({text_of(test)})"
