"""The verb `trace`: a block, a function, or (for the command line) a program."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar, overload

from whilst.measuring.machine import usable_cores
from whilst.model import Drawable, Timeline
from whilst.seeing.events import Recording
from whilst.seeing.recording import agent
from whilst.seeing.recording.inner_clock import InnerClock
from whilst.seeing.recording.reading import read_logs
from whilst.seeing.recording.recorder import CLOCKS, FOLDER, PYTHON, TraceError, record, variables
from whilst.seeing.traced import Trace, trace_of

P = ParamSpec("P")
R = TypeVar("R")

_CHANGED: Final = ("PYTHONPATH", FOLDER, PYTHON)


class TraceBlock(Drawable):
    """What `with whilst.trace() as trace:` gives: a `Trace` by its names, once the block has ended."""

    def __init__(self, clocks: Sequence[str] = CLOCKS) -> None:
        self._clocks = clocks
        self._trace: Trace | None = None

    def __enter__(self) -> Self:
        if agent.is_looking():
            raise TraceError("This process is traced already; a trace within a trace would see the first one only.")
        self._folder = Path(tempfile.mkdtemp(prefix="whilst-trace-"))
        self._before = {name: os.environ.get(name) for name in _CHANGED}
        os.environ.update(variables(self._folder, os.environ))
        self._clock = InnerClock(self._clocks)
        self._start_ns = time.monotonic_ns()
        agent.start(str(self._folder), self._clock.look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        end_ns = time.monotonic_ns()
        agent.finish()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._clock.close()
        recording = Recording(
            "the block", self._start_ns, end_ns, self._clock.name, usable_cores(),
            folder=str(Path.cwd()), notes=self._clock.notes, threads=self._clock.threads(), lost=self._clock.lost,
        )  # fmt: skip
        recording.logs = read_logs(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._trace = trace_of(recording)

    @property
    def result(self) -> Trace:
        """The trace.

        Raises:
            TraceError: the block has not ended.
        """
        if self._trace is None:
            raise TraceError("The traced block has not ended; ask after it.")
        return self._trace

    @property
    def timeline(self) -> Timeline:
        return self.result.timeline

    @property
    def sentence(self) -> str:
        return self.result.sentence

    @property
    def title(self) -> str:
        """The sentence, or that there is none yet."""
        return "not ended" if self._trace is None else self._trace.sentence

    def report(self) -> Trace:
        """What is drawn: the sentence, the causes and the picture."""
        return self.result


@overload
def trace() -> TraceBlock: ...
@overload
def trace(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Trace: ...
def trace(function: Callable[..., object] | None = None, /, *args: object, **kwargs: object) -> TraceBlock | Trace:
    """See what a block, or one call of a function, really does: what was in progress, at work, and held up by what.

    Args:
        function: called with the rest of the arguments; what it returns is dropped. Without it, a context manager.
    Returns:
        A `Trace`: `sentence`, `findings`, `causes` (share, seconds, line, holder), `timeline`, `unknown_share`;
        `show()`, `to_html(path)` and `to_perfetto(path)` draw it. The context manager has `result`, `timeline`,
        `sentence` and `show()`, once its block has ended.
    Raises:
        TraceError: this process is traced already, or there is no folder for the record.
    """
    block = TraceBlock()
    if function is None:
        return block
    with block:
        function(*args, **kwargs)
    return block.result


def trace_program(arguments: Sequence[str], *, is_module: bool = False, clocks: Sequence[str] = CLOCKS) -> Trace:
    """Run a script (or with `is_module` a module) as its own program, and say what it did.

    Args:
        arguments: the script or module, and what it is given.
    Raises:
        TraceError: there is no such script, or no folder for the record.
    """
    what, *rest = arguments
    if not is_module and not Path(what).exists():
        raise TraceError(f"There is no script {what!r}. For a module, write -m {what}.")
    command = [sys.executable, *(["-m"] if is_module else []), what, *rest]
    recording, exit_code = record(command, name=what if is_module else Path(what).name, clocks=clocks)
    return trace_of(recording, exit_code)
