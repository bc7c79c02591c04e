"""Performs one executor's script in this thread: burns, sleeps, hands over, and hears and tells of finished tasks.

One thread of execution, on purpose. Two free threads would share the GIL blindly; here the agenda decides at every
interruption point who goes on.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Final

from whilst.comparing.days.agenda import Agenda, Idle
from whilst.comparing.days.clocks import Recorder, Row, burn
from whilst.comparing.days.script import Script
from whilst.model import Kind

_MESSAGE: Final = struct.Struct("<I")
_HEAD_START_NS: Final = 3_000_000
_HEAD_START_EACH_NS: Final = 200_000


def head_start_ns(executors: int) -> int:
    """How far ahead the common start is to be named, so that it comes to nobody too late."""
    return _HEAD_START_NS + _HEAD_START_EACH_NS * executors


class Wires:
    """The pipes between executors: who finished a task writes its number to all that wait for it.

    A message is shorter than PIPE_BUF, so messages of several writers never mix.
    """

    kept_by = "executor busy"
    """Why a task that is ready is not at work."""

    def __init__(self, inbox: int | None = None, outboxes: Mapping[int, int] | None = None) -> None:
        self._inbox = inbox
        self._outboxes = outboxes or {}

    def tell(self, executors: Sequence[int], task: int) -> None:
        for executor in executors:
            os.write(self._outboxes[executor], _MESSAGE.pack(task))

    def hear(self, until_ns: int | None = 0) -> list[int]:
        """The tasks that others finished; waits for one until that instant (0: only look, None: for ever)."""
        left_s = None if until_ns is None else max(0.0, (until_ns - time.perf_counter_ns()) / 1e9)
        if self._inbox is None:
            assert left_s is not None, "an executor on its own can't wait for a message"
            if left_s:
                time.sleep(left_s)
            return []
        if not select.select([self._inbox], [], [], left_s)[0]:
            return []
        return [number for (number,) in _MESSAGE.iter_unpack(os.read(self._inbox, 1024 * _MESSAGE.size))]


def perform_script(script: Script, wires: Wires, start_ns: int) -> list[Row]:
    """Perform the script from `start_ns` (of `time.perf_counter_ns`) on; returns its spans."""
    agenda, recorder = Agenda(script), Recorder()
    overshoot_ns = 0

    def settle(now_ns: int, heard: Sequence[int] = ()) -> None:
        agenda.pass_time(now_ns)
        for task in heard:
            agenda.heard(task, now_ns)
        for finished in agenda.take_finished():
            wires.tell(script.tasks[finished].tells, finished)

    def is_called_away(now_ns: int) -> bool:
        heard = wires.hear()
        if heard or now_ns >= agenda.next_wait_ends_ns:
            settle(now_ns, heard)
        return agenda.calls_away()

    early: list[int] = []
    while time.perf_counter_ns() < start_ns:
        early += wires.hear(start_ns)
    agenda.begin(time.perf_counter_ns())
    settle(time.perf_counter_ns(), early)
    while (now := agenda.next()) is not None:
        if isinstance(now, Idle):
            heard = wires.hear(now.until_ns)
            settle(time.perf_counter_ns(), heard)
            continue
        # What one stretch took too long (some microseconds) is taken off the next, so that it doesn't add up.
        asked_ns = max(0, now.work_ns - overshoot_ns)
        began_ns, used_ns, end_ns = burn(asked_ns, recorder, (now.task, now.label), is_called_away)
        overshoot_ns = max(0, overshoot_ns + used_ns - now.work_ns)
        agenda.worked(began_ns, min(now.work_ns, used_ns + (now.work_ns - asked_ns)), end_ns)
        settle(time.perf_counter_ns())
    for stay in agenda.take_stays():
        detail = "sleep" if stay.kind is Kind.WAIT else wires.kept_by
        recorder.add(stay.task, stay.kind, stay.start_ns, stay.end_ns, stay.label, detail)
    return recorder.rows
