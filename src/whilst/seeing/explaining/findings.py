"""From sums to sentences: what holds the program up, said first, with the line and the holder.

Each finding is one pattern: a function of the sums that gives a sentence and how much of the time it explains, or
nothing. They are ordered by that share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from whilst.model import Kind, StepFunction
from whilst.seeing.events import Place
from whilst.seeing.explaining.causes import Role, is_own, work_name
from whilst.seeing.explaining.pieces import Lane, Piece
from whilst.seeing.explaining.reasons import Reason, Sums, by_cause
from whilst.seeing.explaining.sources import callee_at

_LEAST: Final = 0.12
_AT_WORK: Final = ("work", "core", "gil")
_HANDS_OVER: Final = ("pickling", "sending", "handing over")
_ELSEWHERE: Final = ("sleep", "io:", "child")
"""Causes that no other task of the program is to blame for."""
_BULK: Final = 0.6
"""Of all that handing over costs: beyond it, it is the values that cost, and else the calls."""
_ONE_BY_ONE: Final = {
    "lock:future": "result", "lock:result": "result", "lock:thread": "thread", "executor": "thread of the executor",
    "child": "child process",
}  # fmt: skip
"""What is waited for, by the cause."""
_FEW_THREADS: Final = 8
"""A pool of more may well be as large as it is for a reason."""
_ALONE: Final = 1.25
"""As many tasks at most are in progress, on average, where nothing overlaps."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence, and the share of the time that it explains."""

    sentence: str
    share: float


def findings_of(sums: Sums) -> list[Finding]:
    """What there is to say, the weightiest first."""
    found = [finding for pattern in _PATTERNS for finding in pattern(sums) if finding.share >= _LEAST]
    return sorted(found, key=lambda finding: -finding.share)


def _gil(sums: Sums) -> Iterator[Finding]:
    reasons = by_cause(sums.reasons)["gil"]
    if reasons:
        total = sum(reason.length_ns for reason in reasons)
        share = total / sums.task_ns
        yield Finding(
            f"{_percent(share)} of thread time held off by the GIL, in {sums.place_of(reasons[0])}.",
            share * 1.2,
        )


def _lock(sums: Sums) -> Iterator[Finding]:
    for reason in by_cause(sums.reasons)["lock"][:1]:
        share = reason.length_ns / sums.task_ns
        name = reason.cause.name if reason.cause else ""
        yield Finding(
            f"{_percent(share)} of task time waiting for lock:{name} in {sums.place_of(reason)}"
            f"{_held_by(reason, sums)}.",
            share * 1.2,
        )


def _loop(sums: Sums) -> Iterator[Finding]:
    reasons = by_cause(sums.reasons)["loop"]
    total = sum(reason.length_ns for reason in reasons)
    if not reasons or reasons[0].holder is None:
        return
    blocker = max((reason for reason in reasons if reason.holder), key=lambda reason: reason.length_ns).holder
    assert blocker is not None
    share = total / sums.task_ns
    longest = max((course.longest_step_ns for course in sums.courses), default=0)
    how = "" if blocker.doing in _AT_WORK else f" ({blocker.doing})"
    yield Finding(
        f"{_percent(share)} of task time held off by the event loop, which "
        f"{sums.spot(blocker.inner, is_short=True)} blocks{how}, for up to {longest / 1e6:.0f} ms at a time.",
        share * 1.3,
    )


def _one_at_a_time(sums: Sums) -> Iterator[Finding]:
    concurrency = sums.in_progress.mean
    if concurrency > _ALONE or sums.in_progress.share_at_least(2) > 0.25 or not sums.reasons:
        return
    waits = [reason for reason in sums.reasons if reason.kind is Kind.WAIT]
    waited = sum(reason.length_ns for reason in waits)
    if waits and waited > 0.4 * sums.task_ns:
        top = waits[0]
        share = waited / sums.task_ns
        yield Finding(
            f"One task at a time, nothing overlaps: {_percent(top.length_ns / sums.task_ns)} of the time it waits "
            f"({top.text}) in {sums.place_of(top)}{_held_by(top, sums)}.",
            share,
        )
    works = [reason for reason in sums.reasons if reason.kind is Kind.WORK and reason.where is not None]
    if works and sums.recording.cores > 1:
        top = works[0]
        share = sum(reason.length_ns for reason in sums.reasons if _wants_a_core(reason, top)) / sums.task_ns
        yield Finding(
            f"One task at a time, on one core: {_percent(share)} of the time it works in {sums.place_of(top)}.",
            share if share > 0.25 else 0.0,
        )


def _wants_a_core(reason: Reason, work: Reason) -> bool:
    """Is it that work, or ready for it?"""
    is_there = reason.where is not None and work.where is not None and reason.where.function == work.where.function
    return reason is work or (is_there and reason.cause is not None and reason.cause.kind == "core")


def _one_by_one(sums: Sums) -> Iterator[Finding]:
    """Each task is waited for before the next is handed out."""
    waits = [
        reason for reason in sums.around
        if reason.cause is not None and reason.cause.role is Role.COORDINATING
        and reason.cause.text in _ONE_BY_ONE and reason.count >= 4
    ]  # fmt: skip
    if not waits or sums.in_progress.mean > _ALONE or _overlap_of_workers(sums) > 0.05:
        return
    top = waits[0]
    if top.length_ns < 0.4 * sums.span_ns or top.where is None:
        return
    what = _ONE_BY_ONE[top.cause.text if top.cause else ""]
    yield Finding(
        f"One by one: {sums.place_of(top)} waits for each {what} ({top.text}) before it starts the "
        f"next; never two at once.",
        top.length_ns / sums.span_ns * 1.3,
    )


def _overlap_of_workers(sums: Sums) -> float:
    """The share of the time in which two or more workers had a task of the user's."""
    bounds = [
        (piece.start_ns - sums.recording.start_ns, piece.end_ns - sums.recording.start_ns)
        for lane in sums.workers for piece in lane.pieces if _is_own_work(piece, lane)
    ]  # fmt: skip
    starts, ends = [start for start, _ in bounds], [end for _, end in bounds]
    return StepFunction.counting(starts, ends, sums.span_ns).share_at_least(2)


def _handing_over(sums: Sums) -> Iterator[Finding]:
    """Bringing calls to processes, and results back, is most of the work."""
    reasons = [reason for reason in sums.reasons if reason.kind is Kind.WORK and reason.name in _HANDS_OVER]
    total = sum(reason.length_ns for reason in reasons)
    if len(sums.processes) < 2 or not total:
        return
    share = total / max(sums.work_ns, 1)
    bulk = sum(reason.length_ns for reason in reasons if reason.name != "handing over")
    others = {id(lane) for lane in sums.workers if lane.process is not sums.processes[0]}
    own = _longest_of(
        piece for lane in sums.workers if id(lane) in others for piece in lane.pieces if _is_own_work(piece, lane)
    )
    asked = sums.asked
    where = f", for {sums.spot(asked, is_short=True)}" if asked else ""
    if bulk > _BULK * total:
        what = "what is sent (pickled, written, read, unpickled) is large"
    else:
        what = "the calls are short: send them in larger chunks"
    function = f"; {sums.spot(own, is_short=True)} itself does little of it" if own else ""
    yield Finding(
        f"{_percent(share)} of all work is handing calls and results over to processes{where}; {what}{function}.",
        share * 1.1,
    )


def _straggler(sums: Sums) -> Iterator[Finding]:
    """At the end one worker works alone, and the others have nothing left to do."""
    works = [(lane, own) for lane in sums.workers if (own := [p for p in lane.pieces if _is_own_work(p, lane)])]
    if len(works) < 2:
        return
    works.sort(key=lambda each: each[1][-1].end_ns)
    (_, before), (last, pieces) = works[-2:]
    alone_ns = pieces[-1].end_ns - before[-1].end_ns
    alone = [piece for piece in pieces if piece.end_ns > before[-1].end_ns]
    if not alone or pieces[0].start_ns >= before[-1].end_ns:
        return
    yield Finding(
        f"For the last {_percent(alone_ns / sums.span_ns)} of the time one worker of {len(works)} is busy alone, in "
        f"{sums.spot(_longest_of(alone), is_short=True)} ({last.name}); the others wait on an empty queue: one long "
        f"task came last.",
        alone_ns / sums.span_ns * 1.6,
    )


def _start_up(sums: Sums) -> Iterator[Finding]:
    """Processes that do little else than start."""
    started = lived = 0
    where = None
    for process in sums.processes[1:]:
        pieces = process.lanes[0].pieces if process.log is not None and process.lanes else []
        first = next((piece.start_ns for piece in pieces if _has_started(piece, process.lanes[0])), None)
        until = pieces[-1].end_ns if first is None and pieces else first or 0
        early = [piece for piece in pieces if piece.end_ns <= until and piece.kind is not None]
        started += sum(piece.length_ns for piece in early)
        lived += sum(piece.length_ns for piece in pieces if piece.kind is not None)
    if lived and sums.asked is not None:
        where = f", for {sums.spot(sums.asked, is_short=True)}"
        yield Finding(
            f"{_percent(started / lived)} of the time of {len(sums.processes) - 1} child processes is their start "
            f"(Python and its imports){where}.",
            started / max(sums.task_ns, 1),
        )


def _has_started(piece: Piece, lane: Lane) -> bool:
    """Does a worker wait for a call, take one, or make one?"""
    is_idle = piece.cause is not None and piece.cause.role is Role.IDLE
    return is_idle or work_name(piece.stack, lane.process.owned) in _HANDS_OVER or _is_own_work(piece, lane)


def _is_own_work(piece: Piece, lane: Lane) -> bool:
    """Is it the user's own function that works there, waits or is held off?"""
    own = piece.where is not None and is_own(piece.where.file, lane.process.owned)
    return piece.kind is not None and own and not work_name(piece.stack, lane.process.owned)


def _longest_of(pieces: Iterable[Piece]) -> Place | None:
    """The place where they were for longest."""
    lengths: Counter[Place | None] = Counter()
    for piece in pieces:
        lengths[piece.where] += piece.length_ns
    return lengths.most_common(1)[0][0] if lengths else None


def _core(sums: Sums) -> Iterator[Finding]:
    """More tasks want to work than there are cores; not so where other programs have them."""
    reasons = by_cause(sums.reasons)["core"]
    total = sum(reason.length_ns for reason in reasons)
    cores = sums.recording.cores
    if not reasons or sums.in_progress.mean <= cores + 0.5:
        return
    yield Finding(
        f"{_percent(total / sums.task_ns)} of task time ready, but without a core: {sums.in_progress.mean:.0f} tasks "
        f"want {cores}, in {sums.place_of(reasons[0])}.",
        total / sums.task_ns,
    )


def _queue(sums: Sums) -> Iterator[Finding]:
    reasons = by_cause(sums.reasons)["queue"]
    for reason in [each for each in reasons if each.cause and each.cause.name == "executor full"][:1]:
        share = reason.length_ns / sums.task_ns
        yield Finding(
            f"{_percent(share)} of task time queued, the executor being full, for {sums.place_of(reason)}.",
            share * 1.3,
        )
    for reason in [each for each in reasons if each.cause and each.cause.name in ("full", "empty")][:1]:
        assert reason.cause is not None
        share = reason.length_ns / sums.task_ns
        why = "the queue is full" if reason.cause.name == "full" else "the queue is empty"
        yield Finding(
            f"{_percent(share)} of task time in {sums.place_of(reason)} because {why}{_held_by(reason, sums)}.",
            share * 1.2,
        )


def _waits(sums: Sums) -> Iterator[Finding]:
    """Whatever else tasks wait for most, at once."""
    names = {
        "io:socket": "waiting for the network (io:socket)", "io:file": "waiting for files or pipes (io:file)",
        "sleep": "asleep (sleep)", "child": "waiting for a child process (child)",
    }  # fmt: skip
    for kind, reasons in by_cause(sums.reasons).items():
        if kind in names and sums.in_progress.mean > _ALONE:
            share = reasons[0].length_ns / sums.task_ns
            at_once = reasons[0].length_ns / sums.span_ns
            yield Finding(
                f"{_percent(share)} of task time {names[kind]} in {sums.place_of(reasons[0])}, {at_once:.1f} at once.",
                share * 0.75,  # what holds others up says more
            )


def _small_pool(sums: Sums) -> Iterator[Finding]:
    """All threads of a pool have a task nearly all the time, and wait for what others do not hold."""
    lanes = [lane for lane in sums.processes[0].lanes if _is_of_pool(lane)] if sums.processes else []
    if not 1 < len(lanes) <= _FEW_THREADS:
        return
    pieces = [piece for lane in lanes for piece in lane.pieces]
    lived = sum(piece.length_ns for piece in pieces)
    idle = sum(piece.length_ns for piece in pieces if piece.kind is None)
    waits = [
        piece for piece in pieces
        if piece.kind is Kind.WAIT and piece.cause is not None and piece.cause.text.startswith(_ELSEWHERE)
    ]  # fmt: skip
    share = sum(piece.length_ns for piece in waits) / max(lived, 1)
    if share < 0.6 or idle > 0.2 * lived:
        return
    place = sums.spot(_longest_of(waits), is_short=True)
    cause = max(waits, key=lambda piece: piece.length_ns).cause
    yield Finding(
        f"All {len(lanes)} threads of the pool are taken {_percent(1 - idle / lived)} of the time, and they wait "
        f"({cause.text if cause else ''}) in {place}: more threads would overlap more, if that allows it.",
        share * 0.8,
    )


def _is_of_pool(lane: Lane) -> bool:
    return any(
        place.function == "_worker" and place.file.endswith("concurrent/futures/thread.py")
        for piece in lane.pieces[:_FEW_THREADS] for place in piece.stack[-6:]
    )  # fmt: skip


def _other_work(sums: Sums) -> Iterator[Finding]:
    collections = [reason for reason in sums.reasons if reason.name == "gc"]
    collected = sum(reason.length_ns for reason in collections)
    most = f", most of it in {sums.place_of(collections[0])}" if collections and collections[0].where else ""
    yield Finding(
        f"{_percent(collected / max(sums.work_ns, 1))} of all work is garbage collection (gc){most}.",
        collected / max(sums.work_ns, 1) * 1.5,
    )
    imports = [r for r in sums.reasons if r.cause is not None and r.cause.kind == "import"]
    if imports and sums.task_ns:
        share = sum(r.length_ns for r in imports) / sums.task_ns
        top = next((r for r in imports if r.where is not None), None)
        if top is not None:
            yield Finding(
                f"{_percent(share)} of task time importing, from {sums.place_of(top)}{_held_by(top, sums)}.",
                share * 1.1,
            )


def _children(sums: Sums) -> Iterator[Finding]:
    for reason in [each for each in by_cause(sums.around)["child"] if each.text == "child"][:1]:
        share = reason.length_ns / sums.span_ns
        if reason.where is not None and callee_at(reason.where):
            yield Finding(
                f"{_percent(share)} of the time {sums.place_of(reason)} waits for a child process.",
                share * 0.9,
            )


_PATTERNS: Final[Sequence[Callable[[Sums], Iterator[Finding]]]] = (
    _gil, _lock, _loop, _one_at_a_time, _one_by_one, _small_pool, _handing_over, _straggler, _start_up, _core, _queue,
    _waits, _other_work, _children,
)  # fmt: skip


def _held_by(reason: Reason, sums: Sums) -> str:
    holder = reason.holder
    if holder is None:
        return ""
    doing = ", at work" if holder.doing in _AT_WORK else f", {holder.doing}"
    if not holder.is_holding:
        are = "are" if " and " in holder.who else "is"
        return f", while {holder.who} {are} in {sums.spot(holder.inner, is_short=True)}{doing}"
    return f", held by {holder.who} in {sums.spot(holder.inner, is_short=True)}{doing}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
