"""Performs scripts on one worker process each, all starting at the same instant."""

from __future__ import annotations

import gc
import os
import select
import struct
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from whilst.comparing.days.clocks import Row
from whilst.comparing.days.loop import Wires, head_start_ns, perform_script
from whilst.comparing.days.script import Script
from whilst.comparing.driving import drive
from whilst.errors import WhilstError
from whilst.running.backends.base import BackendConfig

_PATIENCE_S: Final = 60.0
"""How long executors wait for each other to be ready."""
_MESSAGE: Final = struct.Struct("<q")


def perform_on_processes(scripts: Sequence[Script]) -> tuple[int, list[list[Row]]]:
    """Perform each script in a process of its own; returns the common start and each script's rows.

    Starting the processes takes no part in it: the first of them hears that all are ready, and names an instant in
    the near future. However this ends (Ctrl-C included), no process is left.

    Raises:
        WorkerDiedError: a process ended before its script did.
    """
    count = len(scripts)
    with tempfile.TemporaryDirectory(prefix="whilst-day-") as folder:
        for path in _pipes(folder, count):
            os.mkfifo(path)
        parts = [(number, script, folder, count) for number, script in enumerate(scripts)]
        # From the clean server: nothing of the program's is to be collected, or to take a core, in the midst of it.
        found, _ = drive(_perform, parts, BackendConfig("processes"), count, is_together=True)
    return found[0][0], [rows for _, rows in found]


def _pipes(folder: str, count: int) -> list[Path]:
    """Each executor's pipe for finished tasks, then each one's for the start."""
    return [Path(folder, f"{what}-{number}") for what in ("tasks", "start") for number in range(count)]


def _perform(part: tuple[int, Script, str, int]) -> tuple[int, list[Row]]:
    """In a worker: perform one of `count` scripts, together with the others."""
    number, script, folder, count = part
    # Both ends, so that to open waits for nobody, and what was written before stays.
    ends = [os.open(path, os.O_RDWR) for path in _pipes(folder, count)]
    inboxes, starts = ends[:count], ends[count:]
    if number:
        os.write(starts[0], _MESSAGE.pack(number))
        start_ns = _receive(starts[number])
    else:
        for _ in range(count - 1):
            _receive(starts[0])
        for path in _pipes(folder, count):  # all have opened them: a program that is killed now leaves no file
            path.unlink()
        start_ns = time.perf_counter_ns() + head_start_ns(count)
        for start in starts[1:]:
            os.write(start, _MESSAGE.pack(start_ns))
    # A collection in the middle of a stretch would be measured as if it were the task's.
    gc.disable()
    return start_ns, perform_script(script, Wires(inboxes[number], dict(enumerate(inboxes))), start_ns)


def _receive(end: int) -> int:
    if not select.select([end], [], [], _PATIENCE_S)[0]:
        raise WhilstError(f"An executor's process did not start within {_PATIENCE_S:g} s; is the machine overloaded?")
    return int(_MESSAGE.unpack(os.read(end, _MESSAGE.size))[0])
