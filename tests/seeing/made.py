"""Recordings made by hand: what the kernel and an agent would have noted of a program that is written down as text."""

from __future__ import annotations

from pathlib import Path

from whilst.seeing.events import (
    BLOCKED,
    IN,
    NOWHERE,
    PREEMPTED,
    AgentLog,
    Place,
    Recording,
    SeenTask,
    SeenThread,
    Stack,
    Switches,
)

MS = 1_000_000
WHATS = {"on": IN, "off": BLOCKED, "ready": PREEMPTED}
LIBRARY = "/lib/python"
WORKER = Place(f"{LIBRARY}/concurrent/futures/thread.py", "_worker", 81)
"""Where a thread of a pool waits for its next task; a real file need not be there."""


class Made:
    """One process; add threads to it, then ask for `recording`."""

    def __init__(self, tmp_path: Path, source: str, *, cores: int = 2, has_gil: bool = True) -> None:
        self.file = tmp_path / "program.py"
        self.file.write_text(source)
        self._source = source.splitlines()
        self.cores = cores
        self.logs: list[AgentLog] = []
        self.threads: list[Switches] = []
        self.end_ms = 0.0
        self._has_gil = has_gil
        self.process(100)

    def process(self, pid: int, name: str = "MainProcess") -> None:
        """Threads that are added from now on are of this process."""
        self._log = AgentLog(pid, 1, 0, has_gil=self._has_gil, library=LIBRARY, is_whole=True)
        self._name = name
        self.logs.append(self._log)

    def at(self, marker: str, function: str = "", operation: str = "CALL") -> Place:
        """The line of the source that holds the marker."""
        line = next(number for number, text in enumerate(self._source, 1) if marker in text)
        return Place(str(self.file), function or "main", line, operation=operation)

    def thread(self, *stretches: tuple[float, str, list[Place] | None], name: str = "MainThread") -> None:
        """Stretches (milliseconds, "on" | "off" | "ready", where it is seen, innermost first), from time 0 on.

        None for the place: nobody looks at it then.
        """
        tid = self._log.pid + len(self._log.threads)
        seen = SeenThread(1000 + tid, tid, name, self._name)
        thread = Switches(self._log.pid, tid, 0)
        now = 0.0
        for length, what, places in stretches:
            thread.at_ns.append(round(now * MS))
            thread.what.append(WHATS[what])
            if places is not None:
                seen.at_ns.append(round(now * MS))
                seen.stack.append(self._number(places))
            now += length
        thread.end_ns = round(now * MS)
        self.end_ms = max(self.end_ms, now)
        self._log.threads.append(seen)
        self.threads.append(thread)

    def task(self, name: str, *stretches: tuple[int, str, list[Place]], start: int = 0, future: str = "Future") -> None:
        """An asyncio task of the process's first thread; stretches (milliseconds, "r" | "h" | "w", where)."""
        seen = SeenTask(name, self._log.threads[0].ident)
        now = start
        for length, state, places in [*stretches, (0, "d", [])]:
            seen.at_ns.append(now * MS)
            seen.state.append(state)
            seen.stack.append(self._number(places) if places else -1)
            seen.future.append(future if state == "w" else "")
            now += length
        self._log.tasks.append(seen)

    def collected(self, start: int, end: int) -> None:
        self._log.collections.append((start * MS, end * MS, self._log.threads[0].ident, NOWHERE))

    def recording(self, clock: str = "perf") -> Recording:
        return Recording(
            "program.py",
            0,
            round(self.end_ms * MS),
            clock,
            self.cores,
            self.threads,
            self.logs,
            folder=str(self.file.parent),
        )

    def _number(self, places: list[Place]) -> int:
        stack = Stack(places)
        for number, known in enumerate(self._log.stacks):
            if tuple(known) == tuple(stack):
                return number
        self._log.stacks.append(stack)
        return len(self._log.stacks) - 1


def library(file: str, function: str, line: int = 1, operation: str = "") -> Place:
    """A frame of the standard library."""
    return Place(f"{LIBRARY}/{file}", function, line, operation=operation)


__all__ = ["MS", "WORKER", "Made", "library"]
