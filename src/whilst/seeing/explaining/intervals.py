"""The intervals between a thread's switches; and switches made up of sightings, where no clock tells them."""

from __future__ import annotations

from collections.abc import Iterator

from whilst.seeing.events import BLOCKED, IN, PREEMPTED, AgentLog, Switches
from whilst.seeing.explaining.causes import Owned, wait_of


def intervals(thread: Switches, end_ns: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, what) of one thread: on a core (IN), waiting (BLOCKED), or ready (PREEMPTED)."""
    end_ns = thread.end_ns or end_ns
    at, what = thread.at_ns, thread.what
    if not at:
        return
    if at[0] > thread.start_ns:
        yield thread.start_ns, at[0], (PREEMPTED if what[0] == IN else IN)
    for row in range(len(at) - 1):
        if at[row + 1] > at[row]:
            yield at[row], at[row + 1], what[row]
    if end_ns > at[-1]:
        yield at[-1], end_ns, what[-1]


def switches_by_sight(log: AgentLog, owned: Owned, end_ns: int) -> list[Switches]:
    """What a log alone tells: where a place waits, its thread is off; else it is on, by turns if there is a GIL."""
    threads = []
    changes: list[tuple[int, int, bool]] = []
    for number, seen in enumerate(log.threads):
        thread = Switches(log.pid, seen.native_id or -1 - number, seen.at_ns[0] if seen.at_ns else log.start_ns)
        threads.append(thread)
        for now, stack in zip(seen.at_ns, seen.stack, strict=True):
            if stack < 0:
                thread.end_ns = now
            changes.append((now, number, stack >= 0 and wait_of(log.stacks[stack], owned) is None))
    changes.sort()
    ready: list[int] = []
    ends = [now for now, _, _ in changes[1:]] + [end_ns]
    for (now, number, is_ready), end in zip(changes, ends, strict=True):
        if is_ready and number not in ready:
            ready.append(number)
        elif not is_ready and number in ready:
            ready.remove(number)
        for each, thread in enumerate(threads):
            if each not in ready:
                _switch(thread, now, BLOCKED)
        turns = len(ready) if log.has_gil else 1
        for turn in range(turns):
            for position, each in enumerate(ready):
                at = now + (end - now) * turn // max(turns, 1)
                _switch(threads[each], at, IN if not log.has_gil or position == turn else BLOCKED)
    return threads


def _switch(thread: Switches, now: int, what: int) -> None:
    if now >= thread.start_ns and (not thread.what or thread.what[-1] != what):
        thread.at_ns.append(now)
        thread.what.append(what)
