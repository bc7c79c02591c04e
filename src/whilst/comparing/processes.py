"""Parallel and combined: worker processes of our own, each making one call at a time or several.

Functions, items and results travel by cloudpickle, so lambdas and what is defined in `__main__` work, and no
`if __name__` guard is asked for. The parent keeps one call more in each worker's hands than the worker has places,
so that nobody waits for the post.
"""

from __future__ import annotations

import pickle
import selectors
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from whilst.comparing.days.frames import Child
from whilst.comparing.outcomes import Outcome
from whilst.comparing.recording import CallRecord, Run
from whilst.errors import NotPicklableError
from whilst.running.policies.choosing import gives_coroutines

__all__ = ["run_on_processes"]


def run_on_processes(
    fn: Callable[[object], object], items: Sequence[object], shape: tuple[int, int], tick: Callable[[], None]
) -> Run:
    """Make all calls on `shape[0]` processes, `shape[1]` at once in each. However this ends, no process is left.

    Raises:
        NotPicklableError: the function, an item or a result can't travel; the message says which.
        WorkerDiedError: a process was killed, or could not load the function.
    """
    start = time.perf_counter_ns()
    count = min(shape[0], len(items))
    at_once = min(shape[1], -(-len(items) // count))
    job = _pickled((fn, at_once, str(Path.cwd()), sys.argv), "the function")
    with ExitStack() as stack:
        children = []
        for number in range(count):
            child = Child("whilst.comparing.worker", f"process {number + 1}", stack)
            children.append(child)
            child.send_bytes(job)
        for child in children:
            answer = child.receive()
            if answer != "ready":
                raise NotPicklableError(f"The function can't be loaded in another process: {answer}")
        dispatcher = _Dispatcher(children, items, at_once, tick)
        calls = dispatcher.run()
        end = time.perf_counter_ns()
        samples, peaks = _take_leave(children)
    shares = {lane: lane.partition(",")[0] for lane in samples} if at_once > 1 else {}
    return Run(_who(count, at_once, fn), calls, start, end, samples, shares, peaks)


class _Dispatcher:
    def __init__(
        self, children: Sequence[Child], items: Sequence[object], at_once: int, tick: Callable[[], None]
    ) -> None:
        self._children, self._items, self._tick = children, items, tick
        self._in_hand = at_once + 1
        self._next = 0
        self._calls: list[CallRecord] = []

    def run(self) -> list[CallRecord]:
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                selector.register(child, selectors.EVENT_READ, child)
            for _ in range(self._in_hand):  # round by round, so that few items spread over all
                for child in self._children:
                    self._hand_out(child)
            while len(self._calls) < len(self._items):
                for key, _ in selector.select():
                    self._take(key.data, key.data.receive_bytes())
                    self._hand_out(key.data)
        return self._calls

    def _hand_out(self, child: Child) -> None:
        if self._next < len(self._items):
            number, self._next = self._next, self._next + 1
            payload = _pickled(self._items[number], f"item {number}")
            child.send((number, payload))

    def _take(self, child: Child, frame: bytes) -> None:
        record, payload, complaint = pickle.loads(frame)
        if complaint:
            raise NotPicklableError(complaint)
        if payload is not None:
            try:
                record = replace(record, outcome=Outcome(pickle.loads(payload)))
            except Exception as error:
                raise NotPicklableError(
                    f"The result of item {record.item} can't be loaded here: {type(error).__name__}: {error}"
                ) from error
        self._calls.append(replace(record, lane=f"{child.name}{record.lane}"))
        self._tick()


def _take_leave(children: Sequence[Child]) -> tuple[dict[str, list[tuple[int, int]]], list[int | None]]:
    """Ask each worker for what it sampled and its peak memory."""
    samples: dict[str, list[tuple[int, int]]] = {}
    peaks: list[int | None] = []
    for number, child in enumerate(children):
        child.send(None)
        answer = child.receive()
        assert isinstance(answer, tuple)
        own, peak = answer
        samples.update({f"process {number + 1}{lane}": readings for lane, readings in own.items()})
        peaks.append(peak)
    return samples, peaks


def _pickled(value: object, what: str) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise NotPicklableError(
            f"{what[0].upper()}{what[1:]} can't be sent to a process: {type(error).__name__}: {error}. "
            f"Open it inside the function, or leave it to threads."
        ) from error


def _who(count: int, at_once: int, fn: Callable[[object], object]) -> str:
    processes = f"{count} process{'es' if count != 1 else ''}"
    if at_once == 1:
        return processes
    return f"{processes} of {at_once} {'calls' if gives_coroutines(fn) else 'threads'}"
