"""Runs a program as it is, as a child of this process, and records it from outside and, by an agent, from inside.

The program has its own interpreter, arguments, input and output; its exit code is handed on. This process drains the
kernel's record, and reads and removes what the agents wrote. Ctrl-C goes to the program, which ends as it would.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import cache_from_source
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, Self

from whilst.errors import WhilstError
from whilst.measuring.machine import usable_cores
from whilst.seeing.events import BLOCKED, Recording, Switches
from whilst.seeing.recording.perf import PerfClock
from whilst.seeing.recording.reading import read_logs
from whilst.seeing.recording.schedstat import PERIOD_S, SchedstatClock
from whilst.seeing.recording.system_calls import call_of

INJECT: Final = Path(__file__).parent / "inject"
FOLDER: Final = "WHILST_TRACE_FOLDER"
PYTHON: Final = "WHILST_TRACE_PYTHON"
"""Whose numbers of instructions the recorder knows; see `agent`."""
CLOCKS: Final = ("perf", "schedstat", "stacks")
_DRAIN_S: Final = 0.03
_ASK_AFTER_NS: Final = 5_000_000
_CANT_RUN: Final = 127


class Clock(Protocol):
    """Who was on a core when."""

    threads: dict[int, Switches]
    gone: list[Switches]
    lost: int

    @property
    def name(self) -> str: ...
    def poll(self) -> None: ...
    def close(self) -> None: ...


class TraceError(WhilstError, OSError):
    """A program can't be traced as asked."""


def record(command: Sequence[str], *, name: str, clocks: Sequence[str] = CLOCKS) -> tuple[Recording, int]:
    """Run a command, and return what was recorded of it, with its exit code (128 + n if signal n ended it).

    Args:
        command: the program and its arguments, as for exec.
        name: what the recording is called.
        clocks: how on and off a core may be told, the best first.
    Raises:
        TraceError: there is no place for the record.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="whilst-trace-"))
    except OSError as error:
        raise TraceError(f"There is no folder for the record: {error.strerror}. Set TMPDIR to one.") from error
    notes: list[str] = []
    try:
        start_ns = time.monotonic_ns()
        with _Held(command, _environment(folder)) as child:
            clock = attached(child.pid, clocks, notes)
            with _Signals(child.pid) as signals, contextlib.closing(clock):
                child.let_go()
                _follow(child, clock, signals)
        end_ns = time.monotonic_ns()
        recording = Recording(name, start_ns, end_ns, clock.name, usable_cores(), folder=str(Path.cwd()), notes=notes)
        recording.threads = [*clock.gone, *clock.threads.values()]
        recording.lost = clock.lost
        recording.logs = read_logs(folder)
        if not recording.logs:
            notes.append(
                f"Nothing was noted from inside the program: there is no room in {folder.parent} (set TMPDIR), or its "
                "Python is older than 3.11 or was started with -I or -S. Its causes are those that the system knows."
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return recording, child.exit_code


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, **variables(folder, os.environ)}


def variables(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What Python processes need to start an agent, whoever starts them.

    Its files are put into the folder, compiled: a program may not be allowed to write bytecode, and has many children.
    """
    site = folder / "site"
    site.mkdir()
    _place(INJECT.parent / "agent.py", folder)
    _place(INJECT / "sitecustomize.py", site)
    paths = [str(site), *filter(None, [environment.get("PYTHONPATH", "")])]
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return {"PYTHONPATH": os.pathsep.join(paths), FOLDER: str(folder), PYTHON: python}


def _place(source: Path, folder: Path) -> None:
    """Copy a source file, and its bytecode where this interpreter's own children look for it."""
    target = Path(shutil.copy2(source, folder))
    cached, known = Path(cache_from_source(str(target))), Path(cache_from_source(str(source)))
    if cached.parent.parent != folder:  # somewhere else, where it would be left
        return
    cached.parent.mkdir(exist_ok=True)
    if known.exists():
        shutil.copy2(known, cached)
    else:
        py_compile.compile(str(target), str(cached), quiet=2)


def attached(pid: int, clocks: Sequence[str], notes: list[str]) -> Clock:
    """The best of the clocks that can be had; a note says why a better one can't."""
    for name in clocks:
        try:
            if name == "perf":
                return PerfClock(pid)
            if name == "schedstat":
                return SchedstatClock(pid)
        except OSError as error:
            notes.append(f"{name} can't be had ({error.strerror or error}).")
    return NoClock()


class NoClock:
    """Nobody says who is on a core."""

    name = "stacks"

    def __init__(self) -> None:
        self.threads: dict[int, Switches] = {}
        self.gone: list[Switches] = []
        self.lost = 0

    def poll(self) -> None:
        """There is nothing to take."""

    def close(self) -> None:
        """Nothing is open."""


def _follow(child: _Held, clock: Clock, signals: _Signals) -> None:
    """Take what the clock has until the program ends."""
    wait_s = PERIOD_S if clock.name == "schedstat" else _DRAIN_S
    while not child.has_ended(wait_s):
        clock.poll()
        ask_about_waits(clock)
        signals.pass_on()
    clock.poll()


def ask_about_waits(clock: Clock) -> None:
    """Note the system call of each thread that has waited for long: all that can be known of a program in C."""
    now = time.monotonic_ns()
    for thread in list(clock.threads.values()):
        if not thread.at_ns or thread.what[-1] != BLOCKED:
            continue
        since = thread.at_ns[-1]
        if now - since > _ASK_AFTER_NS and (not thread.calls or thread.calls[-1][0] < since):
            thread.calls.append((now, call_of(thread.pid, thread.tid)))


class _Held:
    """A child that has its number already, but waits to be let go: so that no part of the program goes unseen."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.exit_code = _CANT_RUN
        sys.stdout.flush()
        sys.stderr.flush()
        held, self._gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._gate)
                if os.read(held, 1):
                    os.close(held)
                    os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - no shell is wanted
            except OSError as error:
                os.write(2, f"whilst: can't run {command[0]}: {error.strerror}\n".encode())
            finally:
                os._exit(_CANT_RUN)
        os.close(held)
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._has_ended = False

    def let_go(self) -> None:
        os.write(self._gate, b"x")

    def has_ended(self, wait_s: float) -> bool:
        """Wait for so long at most."""
        if self._pidfd >= 0:
            select.select([self._pidfd], [], [], wait_s)
        else:
            time.sleep(wait_s)
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self._has_ended = True
            code = os.waitstatus_to_exitcode(status)
            self.exit_code = code if code >= 0 else 128 - code
        return bool(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._gate)
        if not self._has_ended:  # not let go, or we are interrupted ourselves
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        if self._pidfd >= 0:
            os.close(self._pidfd)


class _Signals:
    """Ctrl-C reaches the whole group, and the program answers it; one that was sent to us alone is handed on.

    A program that does not end by the second is killed: the trace is to be shown.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._came: list[int] = []
        self._interrupts = 0
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not in the main thread
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)

    def pass_on(self) -> None:
        while self._came:
            number = self._came.pop(0)
            self._interrupts += number == signal.SIGINT
            if self._interrupts > 1:
                number = signal.SIGKILL
            elif number == signal.SIGINT and _has_terminal():
                continue  # it has had its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _has_terminal() -> bool:
    """Are we what a terminal's keys reach?"""
    try:
        with contextlib.closing(_OpenTerminal()) as terminal:
            return os.tcgetpgrp(terminal.file) == os.getpgrp()
    except OSError:
        return False


class _OpenTerminal:
    def __init__(self) -> None:
        self.file = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)

    def close(self) -> None:
        os.close(self.file)
