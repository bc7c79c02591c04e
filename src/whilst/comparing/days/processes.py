"""Performs scripts on one process each, all starting at the same instant."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from whilst.comparing.days.clocks import Row
from whilst.comparing.days.frames import Child
from whilst.comparing.days.script import Script

__all__ = ["perform_on_processes"]

_HEAD_START_NS: Final = 3_000_000
_HEAD_START_EACH_NS: Final = 200_000


def perform_on_processes(scripts: Sequence[Script]) -> tuple[int, list[list[Row]]]:
    """Perform each script in a process of its own; returns the common start and each script's rows.

    Starting the processes takes no part in it: they report ready and wait for an instant in the near future.
    However this ends (Ctrl-C included), no process is left.

    Raises:
        WorkerDiedError: a process ended before its script did.
    """
    with ExitStack() as stack:
        children = _start(scripts, stack)
        offsets = [_clock_offset_ns(child) for child in children]
        start_ns = time.perf_counter_ns() + _HEAD_START_NS + _HEAD_START_EACH_NS * len(children)
        for child, offset in zip(children, offsets, strict=True):
            child.send(start_ns + offset)
        rows = _gather(children)
    # Rows come in each process's own clock; from here on there is only this one.
    return start_ns, [[_moved(row, -offset) for row in own] for own, offset in zip(rows, offsets, strict=True)]


def _start(scripts: Sequence[Script], stack: ExitStack) -> list[Child]:
    inboxes = [os.pipe() for _ in scripts]
    children = []
    # The children get their own copies; ours would keep a pipe open that nobody writes to any more.
    with ExitStack() as ends:
        for end in (end for pipe in inboxes for end in pipe):
            ends.callback(os.close, end)
        for script, (inbox, _) in zip(scripts, inboxes, strict=True):
            listeners = sorted({each for part in script.tasks.values() for each in part.tells})
            outboxes = {each: inboxes[each][1] for each in listeners}
            name = f"executor {script.executor!r}"
            child = Child("whilst.comparing.days.worker", name, stack, pass_fds=[inbox, *outboxes.values()])
            children.append(child)
            child.send((script, inbox, outboxes))
    return children


def _clock_offset_ns(child: Child) -> int:
    """How far the child's clock is ahead: 0 where both read one clock (CLOCK_MONOTONIC), as far as can be told."""
    child.receive()
    asked_ns = time.perf_counter_ns()
    child.send(None)
    theirs_ns = child.receive()
    answered_ns = time.perf_counter_ns()
    assert isinstance(theirs_ns, int)
    return 0 if asked_ns <= theirs_ns <= answered_ns else theirs_ns - (asked_ns + answered_ns) // 2


def _gather(children: Sequence[Child]) -> list[list[Row]]:
    rows: list[list[Row]] = [[] for _ in children]
    with selectors.DefaultSelector() as selector:
        for number, child in enumerate(children):
            selector.register(child, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select():
                own = children[key.data].receive()
                assert isinstance(own, list)
                rows[key.data] = own
                selector.unregister(key.fileobj)
    return rows


def _moved(row: Row, by_ns: int) -> Row:
    return (row[0], row[1], row[2] + by_ns, row[3] + by_ns, row[4], row[5])
