"""Which accesses of one interleaving touch the same thing, and which stand in a condition."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whilst.checking.engine.events import Access, Op, SourceLocation


@dataclass(frozen=True, slots=True)
class Named:
    """A pattern's name, one sentence about this case, and the accesses (by index) that make it up."""

    pattern: str
    sentence: str
    accesses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing touched by one access; an access that touches several things is several of these."""

    index: int
    task: int
    thing: tuple[int, object]
    is_write: bool
    access: Access


# -------------------------------------------------------------------------------------------------- conflicts
def conflicts_of(accesses: Sequence[Access]) -> list[set[int]]:
    """For each access the nearest ones of other tasks, before and after, whose order matters to it."""
    found: list[set[int]] = [set() for _ in accesses]
    touched = touches(accesses)
    for at, late in enumerate(touched):
        seen: set[int] = set()
        for early in reversed(touched[:at]):
            if early.task == late.task or early.task in seen or not overlap(early, late):
                continue
            if early.is_write or late.is_write:
                found[late.index].add(early.index)
                found[early.index].add(late.index)
                seen.add(early.task)
    return found


STRUCTURAL: Final = (Op.JOIN, Op.START, Op.RESUME)
_SYNCHRONISING: Final = (*STRUCTURAL, Op.ACQUIRE, Op.RELEASE, Op.TRY)


def touches(accesses: Sequence[Access], left_out: Sequence[Op] = _SYNCHRONISING) -> list[Touch]:
    """The accesses that a pattern is made of; locks only where nothing else explains what happened."""
    touched = []
    for access in accesses:
        if access.op in left_out or access.op in (Op.BEGIN, Op.RETURN):
            continue
        touched.append(Touch(access.index, access.task, (access.object_id, access.key), access.is_write, access))
        for object_id, key, is_write in access.also:
            touched.append(Touch(access.index, access.task, (object_id, key), is_write, access))
    return touched


def overlap(one: Touch, other: Touch) -> bool:
    (a, a_key), (b, b_key) = one.thing, other.thing
    if a != b:
        return False
    return a_key is None or b_key is None or _same_key(a_key, b_key)


def _same_key(one: object, other: object) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or not isinstance(one, (str, int, tuple, bytes)):
        return False
    return one == other


def is_foreign_write(touch: Touch, read: Touch) -> bool:
    return touch.task != read.task and touch.is_write


def written_after(touched: Sequence[Touch], read: Touch) -> Touch | None:
    """The first write of another task to what `read` touched, after it."""
    return next((t for t in touched if t.index > read.index and is_foreign_write(t, read) and overlap(t, read)), None)


# -------------------------------------------------------------------------------------------------- the source
def is_in_condition(location: SourceLocation) -> bool:
    """Whether the instruction stands in the test of an if, while, assert, conditional expression or filter."""
    return any(start <= (location.line, location.column) < end for start, end in _conditions(location.file))


@functools.lru_cache(maxsize=64)
def _conditions(file: str) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ()
    tests: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            tests.append(node.test)
        elif isinstance(node, ast.comprehension):
            tests += node.ifs
    return tuple(
        ((test.lineno, test.col_offset), (test.end_lineno or test.lineno, test.end_col_offset or 0)) for test in tests
    )
