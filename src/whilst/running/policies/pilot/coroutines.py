"""The first coroutines of a run, watched while they are in flight: do they work so much that one core is too few?

A loop overlaps their waits at once, and nothing is gained by measuring one alone first. But between their waits they
share one core. Where that turns out to be what limits them, and nothing speaks against it, several processes with a
loop each are weighed. What speaks against it: whatever they write or hold in common. On one loop a coroutine is alone
between two awaits, and what it does there to a file or to an object needs no lock; in two processes it would.
"""

from __future__ import annotations

import re
import sys
import time
import types
from dataclasses import replace

from whilst.measuring.clocks import queued_ns
from whilst.measuring.files.filecode import may_touch_files
from whilst.measuring.files.footprints import Footprints
from whilst.measuring.pilot import Pilot
from whilst.measuring.roundtrip import SAME_ANYWHERE, parts_of
from whilst.measuring.writes.reachable import libraries_of
from whilst.model import Profile
from whilst.model.lengths import seconds_text
from whilst.running.core.inputs import Source
from whilst.running.core.policy import INLINE
from whilst.running.jobs import Finished
from whilst.running.policies.controller import FIRST_AT_ONCE
from whilst.running.policies.drift import LoopDriftDetector, ProfileChange
from whilst.running.policies.evidence import EvidenceCollector

_FIRST_AT_ONCE = 8
"""So many begin at once where it is open whether one loop is enough: what has begun on this one stays here."""
_ITEMS = 4096
_MOST = 100
"""A function that reaches more values than this was not looked at to the end."""
_PLAIN = (*SAME_ANYWHERE, int, float, complex, str, bytes, range, tuple, frozenset, re.Pattern, types.CellType)


class PilotCoroutines:
    """See the module's text. The loop runs in the thread that makes this object and calls it."""

    def __init__(self, pilot: Pilot, evidence: EvidenceCollector, source: Source) -> None:
        self._pilot = pilot
        self._evidence = evidence
        self._source = source
        self._drift: LoopDriftDetector | None = None
        items = source.peek(1)
        # The loop has connections of its own: whether this program may be forked is to be asked before there is one.
        if not items or pilot.reachable is None or not _is_self_contained(pilot) or not evidence.can_fork(INLINE):
            return
        self._drift = LoopDriftDetector(*_busy_and_idle_s())
        libraries = pilot.reachable.libraries | libraries_of(items[0])
        pilot.files = Footprints(is_watching=may_touch_files(pilot.reachable.names, libraries))
        pilot.files.begin(items[0])

    @property
    def most_at_first(self) -> int:
        """How many are to begin before there is an answer."""
        return FIRST_AT_ONCE if self._drift is None else _FIRST_AT_ONCE

    @property
    def has_room(self) -> bool:
        """The first ones have left the loop idle: there is no need to go slowly."""
        return self._drift is not None and self._drift.has_room

    def answered(self, finished: Finished) -> ProfileChange | None:
        """Take in an answer; return what the calls are like if their work is what limits them."""
        if self._drift is None or finished.starts_ns is None or finished.ends_ns is None:
            return None
        spent_ns = sum(end - start for start, end in zip(finished.starts_ns, finished.ends_ns, strict=True))
        count = len(finished.ids)
        busy_s, idle_s = _busy_and_idle_s()
        known = self._drift.answered(count, spent_ns / 1e9 / max(count, 1), busy_s, idle_s)
        items = self._source.peek(1)
        if self._drift.is_over or finished.errors or not items:
            self.close()
        if known is None or not items or self._is_closed_by_files(items[0]):
            return None
        # What a call changes in its item would be lost, and nobody has looked whether it changes anything.
        if not all(map(_is_plain, self._source.peek(_ITEMS) or ())):
            self.close()
            return None
        if self._pilot.result is None:
            self._pilot.weigh(items[0], finished.values[-1], is_forked=True)
        work_s, wait_s = known
        profile: Profile = replace(self._pilot.profile(), work_s=work_s, wait_s=wait_s, gil_s=work_s, calls=1)
        return profile, f"a call works {seconds_text(work_s)} of the loop's time, and there is none left"

    def _is_closed_by_files(self, item: object) -> bool:
        """Have the calls changed files? Then one loop is to make them all."""
        if self._drift is not None:
            self._pilot.files.end()
            if self._has_changed_files():
                self._drift = None
            else:
                self._pilot.files.begin(item)
        return self._drift is None

    def _has_changed_files(self) -> bool:
        calls = [footprint for _, footprint in self._pilot.files.calls]
        return any(each.writes or each.makes or each.databases or each.commands or each.settings for each in calls)

    def close(self) -> None:
        """Nobody watches any more."""
        if self._drift is not None:
            self._drift = None
            self._pilot.files.end()


def _busy_and_idle_s() -> tuple[float, float]:
    """What this thread has worked so far, and how long it has had nothing to do."""
    busy_s = time.thread_time()
    return busy_s, time.perf_counter() - busy_s - (queued_ns() or 0) / 1e9


def _is_self_contained(pilot: Pilot) -> bool:
    """Is there nothing that its calls could have in common but modules, classes, functions and what never changes?"""
    assert pilot.reachable is not None
    if pilot.writes or pilot.scan.caches:
        return False
    values = [value for value in pilot.reachable.values() if not _is_a_modules(value)]
    return len(values) < _MOST and all(map(_is_plain, values))


def _is_plain(value: object) -> bool:
    """Does it never change, nor anything that it holds?"""
    return all(isinstance(part, _PLAIN) for part in parts_of(value))


def _is_a_modules(value: object) -> bool:
    """Is it the dict of a module, which stands for the names that are looked up in it?"""
    module = sys.modules.get(str(value.get("__name__"))) if isinstance(value, dict) else None
    return module is not None and module.__dict__ is value
