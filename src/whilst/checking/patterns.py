"""The name of what went wrong, from the order of accesses in one (shrunk) interleaving.

The anomalies are those of Berenson, Bernstein, Gray, Melton, O'Neil and O'Neil, "A Critique of ANSI SQL Isolation
Levels" (SIGMOD 1995), read on objects instead of rows: with R1(x) for "task 1 reads x",

    lost update          R1(x) W2(x) W1(x)         the read is the base of what is written
    check-then-act       R1(x) W2(x)               the read stands in a condition, what it decides comes after
    write skew           R1(x) R2(y) W1(y) W2(x)
    dirty write          W1(x) W2(x) W2(y) W1(y)
    dirty read           W1(x) R2(x) W1(x)         what was read is taken back
    unrepeatable read    R1(x) W2(x) R1(x)
    read skew            R1(x) W2(x) W2(y) R1(y)   one half from before, one from after
    early publication    W1(x) R2(x) R2(y) W1(y)   the same, seen from the writer

The first that matches, in this order, gives the name; a deadlock is named by what its tasks wait for.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whilst.checking.engine import Execution
from whilst.checking.events import Access, Blocked, Op, Place
from whilst.model.verdict import Answer

__all__ = ["Named", "conflicts_of", "is_in_condition", "name_of"]


@dataclass(frozen=True, slots=True)
class Named:
    """A pattern's name, one sentence about this case, and the accesses (by index) that make it up."""

    pattern: str
    sentence: str
    accesses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Touch:
    """One thing touched by one access; an access that touches several things is several of these."""

    index: int
    task: int
    thing: tuple[int, object]
    is_write: bool
    access: Access


def name_of(answer: Answer, execution: Execution, names: Sequence[str]) -> Named:
    """Name what happened in this execution, which was recorded; `names` are the tasks'."""
    if answer is Answer.DEADLOCK:
        return _deadlock(execution, names)
    if answer is Answer.LIVELOCK:
        return Named("livelock", f"The tasks that are left poll for ever: {execution.reason}")
    found = _anomaly(execution.accesses(), names)
    if answer is Answer.RAISES:
        for task, result in enumerate(execution.results):
            if result.error is not None:
                said = f"{names[task]} raises {type(result.error).__name__}, as in no sequential order: "
                return Named(found.pattern, said + _uncapitalised(found.sentence, names), found.accesses)
    return found


def _uncapitalised(sentence: str, names: Sequence[str]) -> str:
    return sentence if sentence.startswith(tuple(names)) else sentence[:1].lower() + sentence[1:]


# -------------------------------------------------------------------------------------------------- conflicts
def conflicts_of(accesses: Sequence[Access]) -> list[set[int]]:
    """For each access the nearest ones of other tasks, before and after, whose order matters to it."""
    found: list[set[int]] = [set() for _ in accesses]
    touched = _touches(accesses)
    for at, late in enumerate(touched):
        seen: set[int] = set()
        for early in reversed(touched[:at]):
            if early.task == late.task or early.task in seen or not _overlap(early, late):
                continue
            if early.is_write or late.is_write:
                found[late.index].add(early.index)
                found[early.index].add(late.index)
                seen.add(early.task)
    return found


def _touches(accesses: Sequence[Access]) -> list[_Touch]:
    touched = []
    for access in accesses:
        if access.op in (Op.ACQUIRE, Op.RELEASE, Op.TRY, Op.JOIN, Op.START, Op.RESUME):
            continue
        touched.append(_Touch(access.index, access.task, (access.object_id, access.key), access.is_write, access))
        for object_id, key, is_write in access.also:
            touched.append(_Touch(access.index, access.task, (object_id, key), is_write, access))
    return touched


def _overlap(one: _Touch, other: _Touch) -> bool:
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


# --------------------------------------------------------------------------------------------------- anomalies
def _anomaly(accesses: Sequence[Access], names: Sequence[str]) -> Named:
    touched = _touches(accesses)
    for find in _FINDERS:
        named = find(touched, names)
        if named is not None:
            return named
    return Named(
        "interference",
        "The tasks' accesses to the same objects interleave in a way that no sequential order gives.",
    )


def _written_between(touched: Sequence[_Touch], first: _Touch, last: _Touch) -> _Touch | None:
    """The first write of another task to what `first` touched, after it and before `last`."""
    between = (t for t in touched if first.index < t.index < last.index)
    return next((t for t in between if _foreign_write(t, first) and _overlap(t, first)), None)


def _overwritten(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) W2(x) W1(x), or R1(x) W2(x) with the read in a condition and a later write of task 1."""
    for read in touched:
        if read.is_write:
            continue
        for write in touched:
            if write.index <= read.index or write.task != read.task or not write.is_write:
                continue
            if not _overlap(read, write) and not _decides(read, write):
                continue
            foreign = _written_between(touched, read, write)
            if foreign is None:
                continue
            me, it = names[read.task], names[foreign.task]
            thing, indices = read.access.target, (read.index, foreign.index, write.index)
            if is_in_condition(read.access.place):
                return Named(
                    "check-then-act",
                    f"{me} checks {thing} in line {read.access.place.line}, and {it} changes it in line "
                    f"{foreign.access.place.line} before {me} acts on what it saw in line {write.access.place.line}.",
                    indices,
                )
            if _overlap(read, write):
                return Named(
                    "lost update",
                    f"{me} reads {thing}, {it} writes it, and {me} then writes what it computed from the old value: "
                    f"the update of {it} is lost.",
                    indices,
                )
    return None


def _decides(read: _Touch, write: _Touch) -> bool:
    """Whether the read stands in a condition of the same function that a later write may depend on."""
    return read.access.place.file == write.access.place.file and is_in_condition(read.access.place)


def _write_skew(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) R2(y) W1(y) W2(x): each writes what the other has read before."""
    for one in touched:
        for two in touched:
            if one.is_write or two.is_write or two.task == one.task or _overlap(one, two):
                continue
            w1 = _first(touched, one.task, two)
            w2 = _first(touched, two.task, one)
            if w1 and w2 and max(one.index, two.index) < min(w1.index, w2.index):
                a, b = names[one.task], names[two.task]
                return Named(
                    "write skew",
                    f"{a} reads {one.access.target} and writes {two.access.target} while {b} reads "
                    f"{two.access.target} and writes {one.access.target}: neither sees what the other decided.",
                    (one.index, two.index, w1.index, w2.index),
                )
    return None


def _first(touched: Sequence[_Touch], task: int, on: _Touch) -> _Touch | None:
    return next((t for t in touched if t.task == task and t.is_write and _overlap(t, on)), None)


def _dirty_write(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """W1(x) W2(x) and W2(y) W1(y): one half each."""
    writes = [t for t in touched if t.is_write]
    for x1 in writes:
        x2 = next((t for t in writes if t.index > x1.index and t.task != x1.task and _overlap(t, x1)), None)
        if x2 is None:
            continue
        for y2 in writes:
            if y2.task != x2.task or _overlap(y2, x1):
                continue
            y1 = next((t for t in writes if t.index > y2.index and t.task == x1.task and _overlap(t, y2)), None)
            if y1 is not None:
                a, b = names[x1.task], names[x2.task]
                return Named(
                    "dirty write",
                    f"{x1.access.target} keeps what {b} wrote and {y2.access.target} what {a} wrote: their writes mix.",
                    tuple(sorted((x1.index, x2.index, y1.index, y2.index))),
                )
    return None


def _split_read(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """What one task reads comes partly from before and partly from after the other's writes."""
    for read in touched:
        if read.is_write:
            continue
        before = next(
            (t for t in reversed(touched) if t.index < read.index and _foreign_write(t, read) and _overlap(t, read)),
            None,
        )
        after = next(
            (t for t in touched if t.index > read.index and _foreign_write(t, read) and _overlap(t, read)), None
        )
        if before and after and before.task == after.task:
            me, it = names[read.task], names[before.task]
            return Named(
                "dirty read",
                f"{me} reads {read.access.target} between two writes of {it} (lines {before.access.place.line} and "
                f"{after.access.place.line}) and sees a value that was never meant to last.",
                (before.index, read.index, after.index),
            )
    return None


def _foreign_write(touch: _Touch, read: _Touch) -> bool:
    return touch.task != read.task and touch.is_write


def _unrepeatable(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) W2(x) R1(x)."""
    reads = [t for t in touched if not t.is_write]
    for one in reads:
        for two in reads:
            if two.index <= one.index or two.task != one.task or not _overlap(one, two):
                continue
            foreign = _written_between(touched, one, two)
            if foreign is not None:
                me, it = names[one.task], names[foreign.task]
                return Named(
                    "unrepeatable read",
                    f"{me} reads {one.access.target} twice, in lines {one.access.place.line} and "
                    f"{two.access.place.line}, and {it} writes it in between.",
                    (one.index, foreign.index, two.index),
                )
    return None


def _skewed(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) before W2(x), R1(y) after W2(y): read skew; the other way round, early publication."""
    reads = [t for t in touched if not t.is_write]
    for old in reads:
        late = next((t for t in touched if t.index > old.index and _foreign_write(t, old) and _overlap(t, old)), None)
        if late is None:
            continue
        for new in reads:
            if new.task != old.task:
                continue
            early = next(
                (t for t in touched if t.index < new.index and t.task == late.task and t.is_write and _overlap(t, new)),
                None,
            )
            if early is None:
                continue
            me, it = names[old.task], names[late.task]
            indices = tuple(sorted((old.index, late.index, new.index, early.index)))
            if new.index < old.index:
                return Named(
                    "early publication",
                    f"{it} writes {early.access.target} before {late.access.target}, and {me} sees the first "
                    f"without the second.",
                    indices,
                )
            return Named(
                "read skew",
                f"{me} reads {old.access.target} from before and {new.access.target} from after what {it} writes.",
                indices,
            )
    return None


_FINDERS: Final = (_overwritten, _write_skew, _dirty_write, _split_read, _skewed, _unrepeatable)


# --------------------------------------------------------------------------------------------------- deadlocks
def _deadlock(execution: Execution, names: Sequence[str]) -> Named:
    blocked = {each.task: each for each in execution.blocked}
    cycle = _cycle(blocked)
    if len(cycle) > 1:
        said = [
            f"{names[task]} holds {_held(blocked, cycle, at)} and waits for {blocked[task].target}"
            for at, task in enumerate(cycle)
        ]
        return Named("deadlock", f"{'; '.join(said)}: each waits for the next.")
    for each in execution.blocked:
        if each.holder is not None and each.holder not in blocked:
            where = f" in line {each.holder_place.line}" if each.holder_place else ""
            return Named(
                "lock never released",
                f"{names[each.holder]} took {each.target}{where} and ended with it: {names[each.task]} waits for ever.",
            )
    for each in execution.blocked:
        waker = _early_waker(execution, each)
        if waker is not None:
            return Named(
                "lost wake-up",
                f"{names[waker.task]} wakes nobody in line {waker.place.line}, since {names[each.task]} begins to wait "
                f"(line {each.place.line}) only after that, for ever.",
                (waker.index,),
            )
    if len(execution.blocked) == 1:
        each = execution.blocked[0]
        return Named(
            "waits for ever",
            f"{names[each.task]} waits for {each.target} (line {each.place.line}), and nobody is left to end that.",
        )
    said = [f"{names[each.task]} for {each.target} (line {each.place.line})" for each in execution.blocked]
    return Named("deadlock", f"Everybody waits: {', '.join(said)}.")


def _cycle(blocked: dict[int, Blocked]) -> list[int]:
    """The tasks of a cycle of waits, each waiting for what the next one holds; empty if there is none."""
    for start in blocked:
        path: list[int] = []
        at: int | None = start
        while at is not None and at in blocked and at not in path:
            path.append(at)
            at = blocked[at].holder
        if at is not None and at in path:
            return path[path.index(at) :]
    return []


def _held(blocked: dict[int, Blocked], cycle: Sequence[int], at: int) -> str:
    """What the task at this place of the cycle holds: it is what the one before it waits for."""
    wait = blocked[cycle[at - 1]]
    return f"{wait.target} (taken in line {wait.holder_place.line})" if wait.holder_place else wait.target


_WAKERS: Final = ("notify", "notify_all", "set")


def _early_waker(execution: Execution, blocked: Blocked) -> Access | None:
    """An access of another task on the waker's side of a Condition or Event, made before the wait began."""
    if blocked.holder is not None:
        return None
    for access in reversed(execution.accesses()):
        if access.task != blocked.task and _wakes(access.place):
            return access
    return None


def _wakes(place: Place) -> bool:
    line = linecache.getline(place.file, place.line)
    return place.function.rpartition(".")[2] in _WAKERS or any(f".{name}(" in line for name in _WAKERS)


# -------------------------------------------------------------------------------------------------- the source
def is_in_condition(place: Place) -> bool:
    """Whether the instruction stands in the test of an if, while, assert, conditional expression or filter."""
    return any(start <= (place.line, place.column) < end for start, end in _conditions(place.file))


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
