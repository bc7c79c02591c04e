"""The name of what went wrong, from the order of accesses in one (shrunk) interleaving.

The anomalies are those of Berenson, Bernstein, Gray, Melton, O'Neil and O'Neil, "A Critique of ANSI SQL Isolation
Levels" (SIGMOD 1995), read on objects instead of rows: with R1(x) for "task 1 reads x",

    lost update          R1(x) W2(x) W1(x)         the read is the base of what is written
    check-then-act       R1(x) W2(x)               the read stands in a condition, what it decides comes after
    write skew           R1(x) R2(y) W1(y) W2(x)
    dirty write          W1(x) W2(x) W2(y) W1(y)
    dirty read           W1(x) R2(x) W1(x)         what was read is taken back
    unrepeatable read    R1(x) W2(x) R1(x)
    atomicity violation  W1(x) W2(x) R1(x)
    read skew            R1(x) W2(x) W2(y) R1(y)   one half from before, one from after
    early publication    W1(x) R2(x) R2(y) W1(y)   the same, and the read of x stands in a condition

The first that matches, in this order, gives the name; a deadlock is named by what its tasks wait for.
"""

from __future__ import annotations

import ast
import functools
import linecache
import re
from collections.abc import Iterator, Sequence
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
        said = re.sub(r"\btask (\d+)\b", lambda match: names[int(match[1])], execution.reason).rstrip(".")
        said = re.sub(r"\S*/(\w+\.py)\b", r"\1", said)
        return Named(
            "livelock", f"The tasks that are left poll for ever, and nobody will change what they wait for: {said}."
        )
    accesses = execution.accesses()
    if answer is Answer.RAISES:
        for task, result in enumerate(execution.results):
            if result.error is not None:
                found = _checked_in_vain(_touches(accesses), task, names) or _anomaly(accesses, names)
                said = f"{names[task]} raises {type(result.error).__name__}, as in no sequential order: "
                return Named(found.pattern, said + _uncapitalised(found.sentence, names), found.accesses)
    return _anomaly(accesses, names)


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


_STRUCTURAL: Final = (Op.JOIN, Op.START, Op.RESUME)
_SYNCHRONISING: Final = (*_STRUCTURAL, Op.ACQUIRE, Op.RELEASE, Op.TRY)


def _touches(accesses: Sequence[Access], left_out: Sequence[Op] = _SYNCHRONISING) -> list[_Touch]:
    """The accesses that a pattern is made of; locks only where nothing else explains what happened."""
    touched = []
    for access in accesses:
        if access.op in left_out:
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
    missed = _missed(accesses, names)
    if missed is not None:
        return missed
    for touched in (_touches(accesses), _touches(accesses, _STRUCTURAL), _touches(accesses, ())):
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


def _lost_update(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) W2(x) W1(x)."""
    for read, write in _reads_then_writes(touched):
        foreign = _written_between(touched, read, write)
        if foreign is None or not _overlap(read, write) or is_in_condition(read.access.place):
            continue
        me, it = names[read.task], names[foreign.task]
        return Named(
            "lost update",
            f"{me} reads {read.access.target}, {it} writes it, and {me} then writes what it computed from the old "
            f"value: the update of {it} is lost.",
            (read.index, foreign.index, write.index),
        )
    return None


def _check_then_act(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """R1(x) W2(x) with the read in a condition, and a later write of task 1 that may depend on it."""
    for read, write in _reads_then_writes(touched):
        foreign = _written_between(touched, read, write)
        if foreign is None or not is_in_condition(read.access.place):
            continue
        if _overlap(read, write) or read.access.place.file == write.access.place.file:
            return _checked(read, foreign, write, names)
    return None


def _checked_in_vain(touched: Sequence[_Touch], task: int, names: Sequence[str]) -> Named | None:
    """A condition of the task that raised, which another task made untrue before the task's last access."""
    own = [t for t in touched if t.task == task]
    for read in own:
        if not read.is_write and is_in_condition(read.access.place):
            foreign = _written_between(touched, read, own[-1])
            if foreign is not None:
                return _checked(read, foreign, own[-1], names)
    return None


def _checked(read: _Touch, foreign: _Touch, act: _Touch, names: Sequence[str]) -> Named:
    me, it = names[read.task], names[foreign.task]
    return Named(
        "check-then-act",
        f"{me} checks {read.access.target} in line {read.access.place.line}, and {it} changes it in line "
        f"{foreign.access.place.line} before {me} acts on what it saw in line {act.access.place.line}.",
        (read.index, foreign.index, act.index),
    )


def _reads_then_writes(touched: Sequence[_Touch]) -> Iterator[tuple[_Touch, _Touch]]:
    """Every read with every later write of the same task."""
    for read in touched:
        if not read.is_write:
            for write in touched:
                if write.is_write and write.task == read.task and write.index > read.index:
                    yield read, write


def _missed(accesses: Sequence[Access], names: Sequence[str]) -> Named | None:
    """A lock that could not be had in time, and a task that went on without it."""
    for at, access in enumerate(accesses):
        if access.op is Op.TRY and not access.did_succeed:
            taken = [a for a in accesses[:at] if a.object_id == access.object_id and a.task != access.task]
            if taken and taken[-1].op in (Op.ACQUIRE, Op.TRY):
                me, it = names[access.task], names[taken[-1].task]
                return Named(
                    "lock not had",
                    f"{me} does not get {access.target} in line {access.place.line}, since {it} has it "
                    f"(line {taken[-1].place.line}), and goes on without.",
                    (taken[-1].index, access.index),
                )
    return None


def _overwritten(touched: Sequence[_Touch], names: Sequence[str]) -> Named | None:
    """W1(x) W2(x) R1(x): what a task wrote is gone when it looks again (the WWR of AVIO, Lu et al., ASPLOS 2006)."""
    for read in touched:
        if read.is_write:
            continue
        for own in touched:
            if own.is_write and own.task == read.task and own.index < read.index and _overlap(own, read):
                foreign = _written_between(touched, own, read)
                if foreign is not None:
                    me, it = names[own.task], names[foreign.task]
                    return Named(
                        "atomicity violation",
                        f"{me} changes {own.access.target} in line {own.access.place.line} and looks at it again in "
                        f"line {read.access.place.line}; {it} changes it in between, in line "
                        f"{foreign.access.place.line}.",
                        (own.index, foreign.index, read.index),
                    )
    return None


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
            if foreign is not None and is_in_condition(one.access.place):
                return _checked(one, foreign, two, names)
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
            if new.task != old.task or _overlap(new, old):
                continue
            early = next(
                (t for t in touched if t.index < new.index and t.task == late.task and t.is_write and _overlap(t, new)),
                None,
            )
            if early is None:
                continue
            me, it = names[old.task], names[late.task]
            indices = tuple(sorted((old.index, late.index, new.index, early.index)))
            is_signal = new.access.op is Op.JOIN or is_in_condition(new.access.place)
            if new.index < old.index and is_signal:
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


_FINDERS: Final = (
    _lost_update,
    _write_skew,
    _check_then_act,
    _dirty_write,
    _split_read,
    _skewed,
    _unrepeatable,
    _overwritten,
)


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
        if each.holder == each.task:
            where = f" in line {each.holder_place.line}" if each.holder_place else ""
            return Named(
                "deadlock",
                f"{names[each.task]} waits for {each.target} (line {each.place.line}), which it has taken itself"
                f"{where}: this lock can't be taken twice.",
            )
    for each in execution.blocked:
        if each.holder is not None and each.holder not in blocked:
            where = f" in line {each.holder_place.line}" if each.holder_place else ""
            return Named(
                "lock never released",
                f"{names[each.holder]} took {each.target}{where} and ended with it: {names[each.task]} waits for ever.",
            )
    for each in execution.blocked:
        found = _lost_wake_up(execution, each, names)
        if found is not None:
            return found
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


_WAKERS: Final = re.compile(r"\.(notify|notify_all|set)\(")


def _lost_wake_up(execution: Execution, blocked: Blocked, names: Sequence[str]) -> Named | None:
    """Why nobody wakes a task that waits: it looked too early, was woken too early, or another one was woken."""
    if blocked.holder is not None:
        return None
    me, accesses = names[blocked.task], execution.accesses()
    since = max((access.index for access in accesses if access.task == blocked.task), default=-1)
    touched = _touches(accesses, _STRUCTURAL)
    for read in touched:
        if read.task != blocked.task or read.is_write:
            continue
        foreign = next(
            (t for t in touched if t.index > read.index and _foreign_write(t, read) and _overlap(t, read)), None
        )
        if foreign is None:
            continue
        it, line = names[foreign.task], foreign.access.place.line
        if foreign.access.object_id == blocked.object_id:
            return Named(
                "check-then-act",
                f"{me} looks at {read.access.target} in line {read.access.place.line}, {it} changes it in line {line}, "
                f"and {me} then waits in line {blocked.place.line} for what is gone.",
                (read.index, foreign.index),
            )
        if foreign.index > since:  # it was waiting already
            continue
        return Named(
            "lost wake-up",
            f"{me} looks at {read.access.target} in line {read.access.place.line}; {it} changes it in line {line} and "
            f"wakes whoever waits; only then does {me} begin to wait (line {blocked.place.line}), for ever.",
            (read.index, foreign.index),
        )
    for access in reversed(accesses):
        if access.task != blocked.task and _WAKERS.search(linecache.getline(access.place.file, access.place.line)):
            it, line = names[access.task], access.place.line
            if access.index < since:
                text = f"{it} wakes nobody in line {line}: {me} begins to wait only after that, for ever."
            else:
                text = f"{it} wakes one of those who wait (line {line}), and nobody wakes {me}."
            return Named("lost wake-up", text, (access.index,))
    return None


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
