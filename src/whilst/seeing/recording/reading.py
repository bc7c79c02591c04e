"""Reads what agents noted. A process may have been killed in the middle of a line: what is whole counts."""

from __future__ import annotations

from ast import literal_eval
from opcode import opname
from pathlib import Path
from typing import Any

from whilst.seeing.events import AgentLog, Place, SeenTask, SeenThread, Stack


def read_logs(folder: Path) -> list[AgentLog]:
    """The logs of all processes that wrote into the folder, in order of their starts."""
    logs = []
    for path in folder.iterdir():
        log = read_log(path.read_bytes()) if not path.suffix and path.is_file() else None
        if log is not None:
            logs.append(log)
            if path.with_suffix(".cut").exists():
                log.notes.append("what it noted could not all be written: is the disk full?")
    return sorted(logs, key=lambda log: log.start_ns)


def read_log(data: bytes) -> AgentLog | None:
    """One process's log; None if it has not even its first line."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    reader: _Reader | None = None
    for line in lines[:-1]:
        kind, _, rest = line.partition(" ")
        try:
            if kind == "h":
                about = literal_eval(rest)
                reader = _Reader(
                    AgentLog(
                        pid=about["pid"], parent=about["parent"], start_ns=about["start_ns"], end_ns=about["start_ns"],
                        version=about["version"], has_gil=about["has_gil"], library=about["library"],
                        arguments=about["argv"],
                    )
                )  # fmt: skip
            elif reader is not None:
                getattr(reader, f"line_{kind}")(rest)
        except (ValueError, SyntaxError, LookupError, AttributeError, TypeError, AssertionError):
            continue  # not whole
    return reader.log if reader is not None else None


class _Reader:
    """Takes a log's lines, one method for each kind."""

    def __init__(self, log: AgentLog) -> None:
        self.log = log
        self._codes: dict[int, tuple[int, str, str]] = {}
        self._places: dict[tuple[int, int], Place] = {}
        self._threads: dict[int, SeenThread] = {}
        self._tasks: dict[int, SeenTask] = {}
        self._collecting: dict[int, tuple[int, Stack]] = {}

    def line_c(self, rest: str) -> None:
        number, *about = literal_eval(rest)
        self._codes[number] = tuple(about)

    def line_p(self, rest: str) -> None:
        code, last, line, end_line, column, end_column, operation = literal_eval(rest)
        _, function, file = self._codes[code]
        operation = opname[operation] if isinstance(operation, int) else operation
        self._places[code, last] = Place(file, function, line, end_line, column, end_column, operation)

    def line_s(self, rest: str) -> None:
        number, *frames = rest.split()
        keys = [frame.split(":") for frame in frames]
        assert int(number) == len(self.log.stacks)
        self.log.stacks.append(Stack(self._places[int(code), int(last)] for code, last in keys))

    def line_t(self, rest: str) -> None:
        ident, native_id, name, process = literal_eval(rest)
        known = self._threads.get(ident)
        if known is not None and known.native_id in (0, native_id):  # seen before it had begun
            known.native_id, known.name, known.process = native_id, name, process
            return
        thread = self._threads[ident] = SeenThread(ident, native_id, name, process)
        self.log.threads.append(thread)

    def line_x(self, rest: str) -> None:
        now, *parts = rest.split()
        for part in parts:
            ident, _, stack = part.partition(":")
            thread = self._threads[int(ident)]
            thread.at_ns.append(int(now))
            thread.stack.append(int(stack))
        self.log.end_ns = int(now)

    def line_m(self, rest: str) -> None:
        key, ident, name = literal_eval(rest)
        task = self._tasks[key] = SeenTask(name, ident)
        self.log.tasks.append(task)

    def line_a(self, rest: str) -> None:
        now, *parts = rest.split(" ")
        for part in parts:
            key, state, stack, future = part.split(":")
            task = self._tasks[int(key)]
            task.at_ns.append(int(now))
            task.state.append(state)
            task.stack.append(int(stack))
            task.future.append(future)
        self.log.end_ns = int(now)

    def line_g(self, rest: str) -> None:
        now, ident, phase, places = rest.split(" ", 3)
        if phase == "start":
            self._collecting[int(ident)] = int(now), Stack(Place(*place) for place in literal_eval(places))
        elif int(ident) in self._collecting:
            start, stack = self._collecting.pop(int(ident))
            self.log.collections.append((start, int(now), int(ident), stack))

    def line_i(self, rest: str) -> None:
        self.log.agents.append(int(rest))

    def line_b(self, rest: str) -> None:
        self.log.end_ns = int(rest)

    def line_n(self, rest: str) -> None:
        now, _, text = rest.partition(" ")
        self.log.end_ns = int(now)
        self.log.notes.append(text)

    def line_e(self, rest: str) -> None:
        self.log.end_ns = int(rest)
        self.log.is_whole = True

    line_h: Any = None
