"""What overlapping calls of this process print and log, in the order of their items, as a `for` loop's would come.

While such calls are made `sys.stdout` and `sys.stderr` are stand-ins: what a call writes to them is kept until all
calls before it are over; the first of those in progress writes through, a line at a time, or when it flushes. So are
log records, before they reach a handler. Whoever is not making a call of a run (the caller, other threads of the
program) writes as always. What follows a call that failed is dropped where the failure ends the run: a loop would not
have come there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextvars import ContextVar
from heapq import heapify, heappop, heappush
from typing import Any, TextIO, cast


class _Call:
    """One call (or a batch of them), and what it has said so far."""

    __slots__ = ("first", "is_open", "said", "whole")

    def __init__(self, first: int) -> None:
        self.first = first
        self.said: list[Callable[[], object]] = []
        self.whole = 0
        """So many of them end with a whole line."""
        self.is_open = True

    def __lt__(self, other: _Call) -> bool:
        return self.first < other.first


class _Here(threading.local):
    speaker: tuple[OrderedOutput, Hashable] | None = None


_here = _Here()
_in_task: ContextVar[tuple[OrderedOutput, Hashable] | None] = ContextVar("whilst call that speaks", default=None)
"""Of a coroutine: many of them share a thread."""


class OrderedOutput:
    """The order of what the calls of one back end say. `open` every call before it begins, `close` it in the end.

    Most calls never say anything. As long as nobody has, there is nothing but the numbers of those in progress, for
    which no thread waits for another: changes of a dict's single entries are atomic.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[Hashable, int] = {}
        """In progress, by their keys: the number of the (first) call."""
        self._calls: dict[Hashable, _Call] = {}
        """The same, once somebody has spoken."""
        self._heap: list[_Call] | None = None
        """The same, the first one on top; those that are over are taken off when they come to the top. None as long as
        nobody has spoken."""
        self._over: list[_Call] = []
        """A heap of calls that are over, whose output waits for earlier calls."""
        self._failed: set[int] = set()
        """Calls whose failure ends the run, unless they are made again."""
        self._owed: dict[int, _Call] = {}
        """Places of calls that were taken back and will be made again."""
        self._is_installed = False

    def install(self) -> None:
        """Put the stand-ins in their place."""
        if not self._is_installed:
            self._is_installed = True
            _streams.install()

    def end(self) -> None:
        """No call is made any more: say what was kept, up to the call that failed."""
        with self._lock:
            for call in self._calls.values():
                call.is_open = False
                if call.said:
                    heappush(self._over, call)
            for call in self._owed.values():
                call.is_open = False
            self._open.clear()
            self._calls.clear()
            self._owed.clear()
            self._catch_up()
            self._over.clear()
        if self._is_installed:
            self._is_installed = False
            _streams.remove()

    def open(self, key: Hashable, ids: Sequence[int]) -> None:
        """A batch (or a call) is handed over."""
        first = ids[0] if len(ids) else -1
        self._open[key] = first
        # Only then looked at: whoever speaks for the first time sets the heap up before it reads what is open.
        if self._heap is None and not self._failed and not self._owed:
            return
        with self._lock:
            self._take_back(ids)
            if self._heap is not None and key not in self._calls:
                self._calls[key] = call = _Call(first)
                heappush(self._heap, call)

    def open_each(self, ids: Sequence[int]) -> None:
        """Calls are handed over that begin together, each under its number."""
        self._open.update(zip(ids, ids, strict=True))
        if self._heap is not None or self._failed or self._owed:
            for number in ids:
                self.open(number, (number,))

    def _take_back(self, ids: Sequence[int]) -> None:
        """Calls are made again: they have not failed, and nobody stands for them any more."""
        self._failed.difference_update(ids)
        for number in ids:
            owed = self._owed.pop(number, None)
            if owed is not None:
                owed.is_open = False

    def owe(self, ids: Iterable[int]) -> None:
        """Calls were taken back before they began: they will be handed over anew, and come before later ones."""
        with self._lock:
            for number in ids:
                self._owed[number] = call = _Call(number)
                if self._heap is not None:
                    heappush(self._heap, call)

    def enter(self, key: Hashable) -> None:
        """This thread makes the calls of the batch from here on."""
        _here.speaker = self, key

    def leave(self) -> None:
        """It makes them no more."""
        _here.speaker = None

    def enter_task(self, key: Hashable) -> None:
        """This task is the call."""
        _in_task.set((self, key))

    def close(self, key: Hashable, failed: Iterable[int] = ()) -> None:
        """A batch is over; these of its calls failed in a way that ends the run."""
        self._open.pop(key, None)
        if self._heap is None and not failed:  # only then looked at, as in `open`
            return
        with self._lock:
            self._failed.update(failed)
            if self._heap is None:
                return
            call = self._calls.pop(key, None)
            if call is None:
                return
            call.is_open = False
            if call.said:
                heappush(self._over, call)
            self._catch_up()

    def take(self, key: Hashable, say: Callable[[], object], *, is_whole: bool = True) -> None:
        """A call says something: now, if it is its turn (or if it is over, and a thread of its own goes on).

        `is_whole`: not just the beginning of a line, which would be parted by what the program itself says.
        """
        with self._lock:
            head = self._head()
            call = self._calls.get(key)
            if call is None:
                say()
                return
            call.said.append(say)
            if is_whole:
                call.whole = len(call.said)
                if call is head and not self._failed:
                    _say_lines(call)

    # ---------------------------------------------------------------- order

    def _head(self) -> _Call | None:
        """The first of those in progress: it writes through."""
        heap = self._heap
        if heap is None:
            heap = self._heap = []  # from here on whoever opens or closes a call waits for the lock
            self._calls = {key: _Call(first) for key, first in self._open.copy().items()}
            heap += [*self._calls.values(), *self._owed.values()]
            heapify(heap)
        while heap and not heap[0].is_open:
            heappop(heap)
        return heap[0] if heap else None

    def _catch_up(self) -> None:
        """Write what no call in progress can still precede."""
        head = self._head()
        limit = min(self._failed, default=None)
        while self._over and (head is None or self._over[0].first < head.first):
            if limit is not None and self._over[0].first > limit:
                return
            _say(heappop(self._over))
        if head is not None and (limit is None or head.first <= limit):
            _say_lines(head)


def _say(call: _Call) -> None:
    call.whole = len(call.said)
    _say_lines(call)


def _say_lines(call: _Call) -> None:
    said, call.said, call.whole = call.said[: call.whole], call.said[call.whole :], 0
    for say in said:
        say()


def _speaker() -> tuple[OrderedOutput, Hashable] | None:
    return _here.speaker or _in_task.get()


class _StandIn:
    """A stream that asks who writes. Everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        speaker = _speaker()
        if speaker is None:
            return self._stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        stream, (output, key) = self._stream, speaker
        output.take(key, lambda: stream.write(text), is_whole=text.endswith("\n"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        speaker = _speaker()
        if speaker is None:
            self._stream.flush()
        else:
            speaker[0].take(speaker[1], self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Streams:
    """The stand-ins, one pair for all runs of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._placed: dict[str, tuple[_StandIn, Any]] = {}
        self._call_handlers: Any = None

    def install(self) -> None:
        with self._lock:
            self._count += 1
            if self._count > 1:
                return
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if stream is not None:
                    stand_in = _StandIn(stream)
                    self._placed[name] = stand_in, stream
                    setattr(sys, name, stand_in)
            logging = cast(Any, sys.modules.get("logging"))
            if logging is not None and hasattr(logging, "Logger"):
                self._call_handlers = logging.Logger.callHandlers
                logging.Logger.callHandlers = _in_turn(self._call_handlers)

    def remove(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count:
                return
            for name, (stand_in, stream) in self._placed.items():
                if getattr(sys, name) is stand_in:  # else somebody has put something else there, who puts it back
                    setattr(sys, name, stream)
            self._placed.clear()
            if self._call_handlers is not None:
                cast(Any, sys.modules["logging"]).Logger.callHandlers = self._call_handlers
                self._call_handlers = None


_streams = _Streams()


def _in_turn(call_handlers: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def callHandlers(self: Any, record: Any) -> None:  # noqa: N802 - the name that `logging` has for it
        speaker = _speaker()
        if speaker is None:
            call_handlers(self, record)
        else:
            speaker[0].take(speaker[1], lambda: call_handlers(self, record))

    return callHandlers
