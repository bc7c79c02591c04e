"""What to do about what a trace has found in a program that overlaps already: other advice than a changed loop.

A trace says what holds the program up, and where; each remedy is for one of its patterns. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

CONCURRENT: Final = re.compile(r"\b(asyncio|threading|concurrent|multiprocessing|subprocess|joblib|queue)\b")
"""A script that names one of these may overlap already, or might."""

_REMEDIES: Final[Sequence[tuple[str, str]]] = (
    (
        r"lock:logging handler",
        "Let a QueueHandler (logging.handlers) take the records and a QueueListener write them: then no call waits",
    ),
    (
        r"waiting for lock:database",
        "Let one thread write, and the others hand it what to write; or write many rows in one transaction",
    ),
    (
        r"waiting for lock:.*\b(sleep|io:\w+|child)\b",
        "Hold the lock only around what it protects, not while waiting; more workers bring nothing before that",
    ),
    (
        r"waiting for lock:",
        "Hold it for less, or have one for each part of what it protects; more workers bring nothing before that",
    ),
    (
        r"held off by the event loop",
        "Hand what blocks to a thread (await asyncio.to_thread(function, …)), or use a library that awaits",
    ),
    (
        r"one long task came last",
        "Begin with the longest task, or divide it; more workers bring nothing",
    ),
    (
        r"threads of the pool are taken",
        "Give the pool more threads, as long as what they wait for answers as quickly",
    ),
    (
        r"waits for each thread \(lock:thread\)",
        "Start all threads before the first is waited for (join)",
    ),
    (
        r"waits for each child process|the time .* waits for a child process",
        "Start several child processes at once: in whilst.map, or in some threads",
    ),
    (
        r"waits for each (result|thread of the executor)",
        "Hand out all calls before the first result is asked for, as whilst.map does",
    ),
    (
        r"the executor being full",
        "Give the executor more threads (max_workers), as long as what they wait for answers as quickly",
    ),
    (
        r"because the queue is full",
        "Let more threads take from the queue, or have each do less per item; a larger queue only puts it off",
    ),
    (
        r"because the queue is empty",
        "Let more threads fill the queue; more of those that take from it bring nothing",
    ),
    (
        r"ready, but without a core",
        "As many workers as there are cores; libraries with threads of their own held to one each (OMP_NUM_THREADS=1)",
    ),
    (
        r"garbage collection",
        "Fewer objects that point to each other; gc.freeze() once what stays is loaded, or a higher gc.set_threshold()",
    ),
    (
        r"is their start \(Python and its imports\)",
        "Start the processes once and give them many calls, or leave the calls in this process",
    ),
    (
        r"of task time importing",
        "Import it once before threads start, or only where it is needed",
    ),
    (
        r"what is sent .* is large",
        "Send what the values are made from and make them in the worker, or leave the calls in this process",
    ),
    (
        r"handing calls and results over",
        "Hand over many calls at a time (chunksize), some 10 ms of work each",
    ),
    (
        r"held off by the GIL",
        "Processes would share the work, or a Python without the GIL; threads can't",
    ),
    (
        r"waiting for the network .*\b\d+(\.\d+)? at once",
        "Many requests are under way already: if fewer take as long in all, the other side is the limit",
    ),
)  # fmt: skip


def remedies_for(findings: Iterable[str]) -> dict[str, str]:
    """Return what to do about each of a trace's findings that there is a remedy for."""
    said = {}
    for finding in findings:
        remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, finding)), "")
        if remedy:
            said[finding] = f"{remedy}."
    return said
