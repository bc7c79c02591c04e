"""Time and sleep: virtual, so that an execution depends on its choices alone.

There is one clock for setup, the tasks, the outcome and event loops. It starts at the real time at which the check
began, in every execution anew, and goes on by a tick at every look and by what is slept. A sleep is no event: it takes
no time, and whether others go on meanwhile is the scheduler's business anyway.

What a task reads must depend on nothing but what happened before it. So a clock shows the running task's own sleeps
and looks, and those of others as far as they came before something that it has seen (Lamport, "Time, Clocks, and the
Ordering of Events in a Distributed System", 1978): who reads what another task has stamped is never earlier than the
stamp. A clock that all tasks move together would make every look at it an access to one more shared thing.
"""

from __future__ import annotations

import _thread
import datetime
import functools
import time
from collections.abc import Callable
from typing import Any, Final

from whilst.checking.engine.events import Assumption
from whilst.checking.engine.operations import accesses_of
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_TICK_NS: Final = 1_000  # how much later it is at every look
_MAIN: Final = -1  # setup, before the tasks, and the outcome, after them
_ANY: Final = object()
_TIME: Final = Assumption("time", "one virtual clock, which goes on by sleeps and looks alone")
_SECONDS: Final = {  # what tells seconds -> the same in nanoseconds
    time.time: time.time_ns,
    time.monotonic: time.monotonic_ns,
    time.perf_counter: time.perf_counter_ns,
    time.process_time: time.process_time_ns,
    time.thread_time: time.thread_time_ns,
}


class Clocks:
    """The clock of the running execution, as each task sees it."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.scheduler.pollers.on_late = self.be_late
        self.started: tuple[int, ...] = self.now_outside()
        self._now_ns: dict[int, int] = {_MAIN: 0}
        self._latest = 0  # on anybody's clock
        self._read_up_to = 0  # events whose effect on clocks is known
        self._stamps: dict[tuple[Any, Any], int] = {}  # of things: the clock of their last writer
        registry.beginning.append(self)

    @staticmethod
    def now_outside() -> tuple[int, ...]:
        """What the real clocks show."""
        return tuple([nanoseconds() for nanoseconds in _SECONDS.values()])

    def begin(self) -> None:
        """A new execution."""
        if self._latest or self._read_up_to or len(self._now_ns) > 1:  # somebody has looked
            self._now_ns = {_MAIN: 0}
            self._latest = self._read_up_to = 0
            self._stamps.clear()

    # ------------------------------------------------------------------ going on

    def pass_time(self, ns: int) -> int:
        """Move the running task's clock; nanoseconds since the start of the execution."""
        task = self.scheduler.cur
        if task < 0:
            now = max(self._now_ns.values()) + ns
        else:
            self._read_events()
            now = self._now_ns.get(task, self._now_ns[_MAIN]) + ns
        self._now_ns[task] = now
        self._latest = max(self._latest, now)
        return now

    def _read_events(self) -> None:
        """Let clocks follow what has happened: who touches what another has written is no earlier than that."""
        trace, clocks, stamps = self.scheduler.trace, self._now_ns, self._stamps
        if len(clocks) == 1:  # nobody has moved
            self._read_up_to = len(trace)
            return
        start = clocks[_MAIN]
        for event in trace[self._read_up_to :]:
            task = event[0]
            now = clocks.get(task, start)
            touched = accesses_of(event)
            for thing, key, _ in touched:
                if key is None:
                    seen = stamps.get((thing, _ANY), 0)
                else:
                    seen = max(stamps.get((thing, key), 0), stamps.get((thing, None), 0))
                now = max(now, seen)
            if now > start:
                clocks[task] = now
                for thing, key, is_write in touched:
                    if is_write:
                        stamps[thing, key] = now
                        stamps[thing, _ANY] = max(now, stamps.get((thing, _ANY), 0))
        self._read_up_to = len(trace)

    def look(self) -> int:
        """Nanoseconds since the start of the execution, on the running task's clock."""
        self.registry.virtual.setdefault("time", _TIME)
        return self.pass_time(_TICK_NS)

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return (self.started[0] + self.look()) / 1e9

    def monotonic_s(self) -> float:
        """What `time.monotonic` tells."""
        return (self.started[1] + self.look()) / 1e9

    def sleep(self, _registry: ModelRegistry, _site: Site, seconds: float) -> None:
        """time.sleep."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.scheduler.cur < 0 and _thread._count() > 0:  # setup waits for a thread of its own
            time.sleep(seconds)
        if self.scheduler.cur >= 0:
            naps = self.scheduler.pollers.naps
            naps[self.scheduler.cur] = naps.get(self.scheduler.cur, 0) + 1
        self.pass_time(int(seconds * 1e9))

    def be_late(self, task: int, seconds: int) -> None:
        """So much time goes by for a task that sleeps: nobody else could go on."""
        self._now_ns[task] = self._now_ns.get(task, self._now_ns[_MAIN]) + seconds * 1_000_000_000
        self._latest = max(self._latest, self._now_ns[task])

    def wait_until(self, monotonic_s: float) -> None:
        """The running task goes on no earlier than that, by `time.monotonic`."""
        missing = int(monotonic_s * 1e9) - self.started[1] - self.pass_time(0)
        if missing > 0:
            self.pass_time(missing)

    # ------------------------------------------------------------------ the calendar

    def calendar(self, kind: Any, name: str) -> Callable[..., Any] | None:
        """The method of `datetime`, `date` or a class of theirs that tells the time."""
        if name not in ("now", "utcnow", "today") or not issubclass(kind, datetime.date):
            return None
        if name == "utcnow":
            return lambda: kind.fromtimestamp(self.wall_s(), datetime.UTC).replace(tzinfo=None)
        if name == "today":
            return lambda: kind.fromtimestamp(self.wall_s())

        def now(tz: datetime.tzinfo | None = None) -> Any:
            return kind.fromtimestamp(self.wall_s(), tz)

        return now


def install(registry: ModelRegistry) -> None:
    """Model `time` and what tells the time in `datetime`."""
    clocks = Clocks(registry)
    registry.clocks = clocks

    def model(function: Any, told: Callable[..., Any]) -> None:
        registry.models[id(function)] = registry.outside_tasks[id(function)] = told

    model(time.sleep, clocks.sleep)
    for at, (seconds, nanoseconds) in enumerate(_SECONDS.items()):
        model(seconds, lambda _registry, _site, at=at: (clocks.started[at] + clocks.look()) / 1e9)
        model(nanoseconds, lambda _registry, _site, at=at: clocks.started[at] + clocks.look())
    for function in (time.localtime, time.gmtime, time.ctime):
        model(function, functools.partial(_of_now, clocks, function))
    model(time.strftime, functools.partial(_formatted, clocks))


def _of_now(clocks: Clocks, function: Any, _registry: ModelRegistry, _site: Site, seconds: float | None = None) -> Any:
    """A function of seconds since the epoch that takes the present for None."""
    return function(clocks.wall_s() if seconds is None else seconds)


def _formatted(clocks: Clocks, _registry: ModelRegistry, _site: Site, text: str, at: Any = None) -> str:
    """time.strftime."""
    return time.strftime(text, time.localtime(clocks.wall_s()) if at is None else at)
