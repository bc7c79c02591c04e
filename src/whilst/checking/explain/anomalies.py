"""The anomalies that an order of accesses may show, each found by a function of its own.

The anomalies are those of Berenson, Bernstein, Gray, Melton, O'Neil and O'Neil, "A Critique of ANSI SQL Isolation
Levels" (SIGMOD 1995), read on objects instead of rows: with R1(x) for "task 1 reads x",

    lost update          R1(x) W2(x) W1(x)         the read is the base of what is written
    check-then-act       R1(x) W2(x) W1(x)         the read stands in a condition
    write skew           R1(x) R2(y) W1(y) W2(x)
    check-then-act       R1(x) W2(x) W1(y)         the read stands in a condition, what it decides comes after
    dirty write          W1(x) W2(x) W2(y) W1(y)
    dirty read           W1(x) R2(x) W1(x)         what was read is taken back
    unrepeatable read    R1(x) W2(x) R1(x)
    atomicity violation  W1(x) W2(x) R1(x), W1(x) W2(x) W1(x)
    read skew            R1(x) W2(x) W2(y) R1(y)   one half from before, one from after
    early publication    W1(x) R2(x) R2(y) W1(y)   the same, and the read of x stands in a condition
    order violation      R1(x) W2(x)               and nothing else: the read came too early

The first that matches, in this order, gives the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from whilst.checking.engine.events import Op
from whilst.checking.explain.conflicts import Named, Touch, is_foreign_write, is_in_condition, overlap, written_after


def written_between(touched: Sequence[Touch], first: Touch, last: Touch) -> Touch | None:
    """The first write of another task to what `first` touched, after it and before `last`."""
    foreign = written_after(touched, first)
    return foreign if foreign is not None and foreign.index < last.index else None


def _surrounded(
    writes: tuple[bool, bool], holds: Callable[[Touch, Touch], bool], pattern: str = "", sentence: str = ""
) -> Callable[[Sequence[Touch], Sequence[str]], Named | None]:
    """Finds two accesses of one task for which `holds` is true, with the first write of another task to what the first
    of them touched between them. `writes` says whether each is a write. A read in a condition is one that decides."""

    def find(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
        for one in touched:
            for two in touched:
                if (one.is_write, two.is_write) == writes and one.task == two.task and holds(one, two):
                    foreign = written_between(touched, one, two)
                    if foreign is not None and _decides(one):
                        return checked(one, foreign, two, names)
                    if foreign is not None:
                        return told(pattern, sentence, (one, foreign, two), names)
        return None

    return find


def _decides(read: Touch) -> bool:
    return not read.is_write and is_in_condition(read.access.location)


def told(pattern: str, sentence: str, touched: tuple[Touch, Touch, Touch], names: Sequence[str]) -> Named:
    """Name three accesses: of `me`, of `it`, and of `me` again. The sentence also knows `x`, what `me` touches first,
    the three lines (`first`, `middle`, `last`), and `both` lines of `me` in words."""
    one, foreign, two = touched
    lines = dict(zip(("first", "middle", "last"), (t.access.location.line for t in touched), strict=True))
    said = {"me": names[one.task], "it": names[foreign.task], "x": one.access.target, "both": _lines_of(one, two)}
    return Named(pattern, sentence.format(**said, **lines), tuple(t.index for t in touched))


def checked(read: Touch, foreign: Touch, act: Touch, names: Sequence[str]) -> Named:
    sentence = (
        "{me} checks {x} in line {first}, and {it} changes it in line {middle} before {me} acts on what it saw in "
    )
    return told("check-then-act", sentence + "line {last}.", (read, foreign, act), names)


def _lines_of(one: Touch, two: Touch) -> str:
    """Where both stand, in words."""
    first, second = one.access.location.line, two.access.location.line
    return f"lines {first} and {second}" if first != second else f"line {first}"


def too_early(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
    """R1(x) W2(x) and no more: the read should have come after the write, and nothing makes it wait."""
    for read in touched:
        if not read.is_write and not any(is_foreign_write(t, read) and overlap(t, read) for t in touched[: read.index]):
            late = written_after(touched, read)
            if late is not None:
                return Named(
                    "order violation",
                    f"{names[read.task]} reads {read.access.target} in line {read.access.location.line} before "
                    f"{names[late.task]} writes it in line {late.access.location.line}, and nothing makes it wait.",
                    (read.index, late.index),
                )
    return None


def _write_skew(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
    """R1(x) R2(y) W1(y) W2(x): each writes what the other has read before."""
    for one in touched:
        for two in touched:
            if one.is_write or two.is_write or two.task == one.task or overlap(one, two):
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


def _first(touched: Sequence[Touch], task: int, on: Touch) -> Touch | None:
    return next((t for t in touched if t.task == task and t.is_write and overlap(t, on)), None)


def _dirty_write(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
    """W1(x) W2(x) and W2(y) W1(y): one half each."""
    writes = [t for t in touched if t.is_write]
    for x1 in writes:
        x2 = written_after(writes, x1)
        if x2 is None:
            continue
        for y2 in writes:
            if y2.task != x2.task or overlap(y2, x1):
                continue
            y1 = next((t for t in writes if t.index > y2.index and t.task == x1.task and overlap(t, y2)), None)
            if y1 is not None and x1.access.target != y2.access.target:  # else one thing, and what it stands on
                a, b = names[x1.task], names[x2.task]
                return Named(
                    "dirty write",
                    f"{x1.access.target} keeps what {b} wrote and {y2.access.target} what {a} wrote: their writes mix.",
                    tuple(sorted((x1.index, x2.index, y1.index, y2.index))),
                )
    return None


def _split_read(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
    """What one task reads comes partly from before and partly from after the other's writes."""
    for read in touched:
        if read.is_write:
            continue
        at_once = [t for t in touched if t.index == read.index and not t.is_write]  # one access may read several things
        foreign = [t for t in touched if is_foreign_write(t, read) and any(overlap(t, each) for each in at_once)]
        before = next((t for t in reversed(foreign) if t.index < read.index), None)
        after = next((t for t in foreign if t.index > read.index), None)
        if before and after and before.task == after.task:
            me, it = names[read.task], names[before.task]
            where = _lines_of(before, after)
            return Named(
                "dirty read",
                f"{me} reads {read.access.target} between two writes of {it} ({where}) "
                f"and sees a value that was never meant to last.",
                (before.index, read.index, after.index),
            )
    return None


def _skewed(touched: Sequence[Touch], names: Sequence[str]) -> Named | None:
    """R1(x) before W2(x), R1(y) after W2(y): read skew; the other way round, early publication."""
    reads = [t for t in touched if not t.is_write]
    for old in reads:
        late = written_after(touched, old)
        if late is None:
            continue
        for new in reads:
            if new.task != old.task or new.index == old.index or overlap(new, old):
                continue
            early = next(
                (t for t in touched if t.index < new.index and t.task == late.task and t.is_write and overlap(t, new)),
                None,
            )
            if early is None:
                continue
            me, it = names[old.task], names[late.task]
            indices = tuple(sorted((old.index, late.index, new.index, early.index)))
            is_signal = new.access.op is Op.JOIN or is_in_condition(new.access.location)
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


FINDERS: Final = (
    _surrounded(
        (False, True),
        lambda read, write: overlap(read, write) and not _decides(read),
        "lost update",
        "{me} reads {x}, {it} writes it, and {me} then writes what it computed from the old value: the update of {it} "
        "is lost.",
    ),
    # It decides on the very thing that it writes.
    _surrounded((False, True), lambda read, write: overlap(read, write) and _decides(read)),
    _write_skew,
    # A later write may depend on what it decides.
    _surrounded(
        (False, True), lambda read, act: _decides(read) and read.access.location.file == act.access.location.file
    ),
    _dirty_write,
    _split_read,
    _skewed,
    _surrounded(
        (False, False), overlap, "unrepeatable read", "{me} reads {x} twice, in {both}, and {it} writes it in between."
    ),
    # What a task wrote is gone when it looks again (the WWR of AVIO, Lu et al., ASPLOS 2006).
    _surrounded(
        (True, False),
        overlap,
        "atomicity violation",
        "{me} changes {x} in line {first} and looks at it again in line {last}; {it} changes it in between, in line "
        "{middle}.",
    ),
    # Each change goes on from the last: an iterator, a file, a generator.
    _surrounded(
        (True, True),
        overlap,
        "atomicity violation",
        "{me} changes {x} twice, in {both}, and {it} changes it in between, in line {middle}.",
    ),
)
