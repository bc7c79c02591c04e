"""Has both interpreters make the same calls, in turn, each time in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from whilst.comparing.comparison import ComparisonError
from whilst.comparing.moving import child
from whilst.measuring.interpreters import Interpreter, environment_for

WAYS: Final = ("loop", "thread pool", "process pool")
_MOST_WAITING: Final = 32
_MOSTLY: Final = 0.2
"""From this share of waiting on, more threads than cores pay."""
_PROCESSES_A_CORE: Final = 4
"""At most, where calls wait: they cost more than threads."""
_ROUNDS: Final = range(3, 10)
_ENOUGH_S: Final = 5.0
"""More rounds than the least are made for so long, and"""
_LONG_S: Final = 30.0
"""fewer than the least after this."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one way of making the calls gave, in every round."""

    seconds: Sequence[float] = ()
    cpu_s: Sequence[float] = ()
    digests: Sequence[str] = ()
    shown: Sequence[str] = ()
    raised: Sequence[int] = ()
    """The items whose calls raised, in the last round."""
    error: str = ""


@dataclass(slots=True)
class Side:
    """One interpreter, and what its calls gave: by way; ", GIL on" says that the GIL was kept on."""

    interpreter: Interpreter
    is_here: bool
    has_gil: bool = True
    culprits: Sequence[str] = ()
    start_s: float = 0.0
    readings: dict[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be called on what, as files that the child reads."""

    target: str
    items: Sequence[object]
    threads: int = 1
    processes: int = 1


def measure(
    target: str,
    items: Sequence[object],
    workers: int | None,
    interpreters: tuple[Interpreter, Interpreter],
    cores: int,
    on_progress: Callable[[str], None],
) -> tuple[Side, Side, Request]:
    """Make the calls under both, in turn.

    Args:
        workers: None lets the share of waiting in a first loop decide how many there are.
        interpreters: this one, and the other.
    Returns:
        Both sides, and what was asked of them.
    Raises:
        ComparisonError: one of them can't load the function, or its process died before it had said anything.
    """
    here, there = interpreters
    sides = (Side(here, is_here=True), Side(there, is_here=False))
    with tempfile.TemporaryDirectory(prefix="whilst-move-") as scratch:
        benches = [_Bench(side, Path(scratch) / str(number)) for number, side in enumerate(sides)]
        start = time.perf_counter()
        on_progress(f"{here.name}: a first look")
        benches[0].run(Request(target, items), ["loop"])
        look = sides[0].readings.pop("loop")  # it warms up files and caches: it is no measurement
        threads = workers or _threads_for(look, len(items), cores)
        request = Request(target, items, threads, workers or min(threads, _PROCESSES_A_CORE * cores))
        for number in range(1, _ROUNDS.stop):
            # In another order each time: what comes first may find the machine cold.
            ways = [*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]]
            for bench in benches if number % 2 else benches[::-1]:
                on_progress(f"round {number}: {bench.side.interpreter.name}")
                bench.run(request, ways)
                if bench.side.interpreter.is_free_threaded and not bench.side.has_gil:
                    bench.run(request, ["thread pool"], keeps_gil=True)
            if time.perf_counter() - start > (_LONG_S if number < _ROUNDS.start else _ENOUGH_S):
                break
    return (*sides, request)


def _threads_for(loop: Reading, items: int, cores: int) -> int:
    """As many as there are cores; more where calls wait, since waits overlap whatever there is."""
    waiting = 1 - loop.cpu_s[-1] / loop.seconds[-1] if loop.seconds and loop.seconds[-1] else 0.0
    return max(1, min(items, _MOST_WAITING if waiting > _MOSTLY else cores))


class _Bench:
    """Runs the child under one interpreter, and adds what it says to the side."""

    def __init__(self, side: Side, folder: Path) -> None:
        folder.mkdir()
        self.side = side
        self._folder = folder
        (folder / "path").mkdir()
        self._env = dict(environment_for(side.interpreter, folder / "path"))

    def run(self, request: Request, ways: Sequence[str], *, keeps_gil: bool = False) -> None:
        report = self._ask(request, ways, keeps_gil=keeps_gil)
        if "error" in report:
            raise ComparisonError(_why_not_loaded(request.target, self.side, report))
        if not keeps_gil:
            self.side.has_gil, self.side.culprits = report["has_gil"], report["culprits"]
            self.side.start_s = report["start_s"]
        for way, found in report["ways"].items():
            name = f"{way}, GIL on" if keeps_gil else way
            self.side.readings[name] = _added(self.side.readings.get(name, Reading()), found)

    def _ask(self, request: Request, ways: Sequence[str], *, keeps_gil: bool) -> dict[str, Any]:
        asked, answer = self._folder / "request.json", self._folder / "report.json"
        given = {**asdict(request), "ways": ways}
        asked.write_text(json.dumps(given), encoding="utf-8")
        answer.unlink(missing_ok=True)
        options = ["-X", "gil=1"] if keeps_gil else []
        command = [self.side.interpreter.path, *options, child.__file__, str(asked), str(answer)]
        with (self._folder / "stderr").open("w+b") as said:
            process = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # workers of a child that died, or all after Ctrl-C
                process.wait()
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        try:
            return dict(json.loads(answer.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            code = process.returncode
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise ComparisonError(
                f"{request.target} under {self.side.interpreter.name}: its process {how}"
                f"{f' ({lines[-1]})' if lines else ''}."
            ) from None


def _added(before: Reading, found: dict[str, Any]) -> Reading:
    if "error" in found:
        return Reading(error=found["error"])
    seconds, cpu_s = (*before.seconds, found["seconds"]), (*before.cpu_s, found["cpu_s"])
    return Reading(seconds, cpu_s, found["digests"], found["shown"], found["raised"])


def _why_not_loaded(target: str, side: Side, report: dict[str, Any]) -> str:
    said = f"{side.interpreter.name} can't load {target}: {report['error'].rstrip('.')}."
    if report["missing"]:
        package = report["missing"].partition(".")[0]
        said += f" Install it there ({side.interpreter.path} -m pip install {package}) and try again."
    return said
