"""The clock of a process that traces itself: asked at the agent's looks; it takes in threads that exist already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from whilst.seeing.events import Switches
from whilst.seeing.recording.perf import PerfClock
from whilst.seeing.recording.recorder import Clock, NoClock
from whilst.seeing.recording.schedstat import SchedstatClock

_EVERY_NS: Final = 30_000_000


class InnerClock:
    """One `PerfClock` a thread, since a thread's event covers only what it starts from then on; or another clock."""

    def __init__(self, clocks: Sequence[str]) -> None:
        self.notes: list[str] = []
        self._at_ns = 0
        self._clocks: list[Clock] = []
        for name in clocks:
            try:
                if name == "perf":
                    self._clocks += [PerfClock(tid, is_running=True) for tid in _threads()]
                elif name == "schedstat":
                    self._clocks.append(SchedstatClock(os.getpid()))
            except OSError as error:
                self._close_all()
                self.notes.append(f"{name} can't be had ({error.strerror or error}).")
                continue
            break
        self._clocks = self._clocks or [NoClock()]
        self.name = self._clocks[0].name

    def look(self, now: int) -> None:
        """Take what has come, if it is time to."""
        if self.name == "schedstat" or now >= self._at_ns:
            self._at_ns = now + _EVERY_NS
            for clock in self._clocks:
                clock.poll()

    def close(self) -> None:
        for clock in self._clocks:
            clock.poll()
        self._close_all(keep=True)

    def threads(self) -> list[Switches]:
        """Those of this process and of what it started."""
        return [thread for clock in self._clocks for thread in (*clock.gone, *clock.threads.values())]

    @property
    def lost(self) -> int:
        return sum(clock.lost for clock in self._clocks)

    def _close_all(self, *, keep: bool = False) -> None:
        for clock in self._clocks:
            clock.close()
        if not keep:
            self._clocks.clear()


def _threads() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]  # noqa: PTH208 - no path is wanted
    except OSError:
        return [os.getpid()]
