"""What the pool knows of a worker: its state, and the batches in its hands with what of them is not answered.

Also the error of a call whose worker died with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from whilst.errors import WorkerDiedError
    from whilst.running.jobs import Batch, WorkerDied

__all__ = ["Held", "Worker", "death"]


class Held:
    """A batch in a worker's hands, and what of it is not answered.

    Answers come from the front and what is taken back from the end, so that mostly two cuts do: only where one
    comes from the midst are the calls told apart one by one.
    """

    __slots__ = ("_ids", "_items", "_open", "batch", "count")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.count = len(batch.ids)
        self._ids, self._items = batch.ids, batch.items
        self._open: dict[int, object] | None = None
        """The unanswered calls with their items, once they are told apart."""

    @property
    def open(self) -> dict[int, object]:
        if self._open is None:
            self._open = dict(zip(self._ids, self._items, strict=True))
            self._ids = self._items = ()
        return self._open

    def settle(self, ids: Sequence[int]) -> Sequence[int]:
        """Take answered calls out; return those that were open."""
        count = len(ids)
        if self._open is None and self._ids[:count] == ids:
            self._ids, self._items = self._ids[count:], self._items[count:]
            self.count -= count
            return ids
        calls = self.open
        known = [each for each in ids if calls.pop(each, self) is not self]
        self.count = len(calls)
        return known

    def take(self, wanted: set[int]) -> tuple[Sequence[int], Sequence[object]]:
        """Take out what is not to be made here; return that, with its items."""
        ids: Sequence[int]
        items: Sequence[object]
        if self._open is None:
            rest = self.count - len(wanted.intersection(self._ids))
            ids, items = self._ids[rest:], self._items[rest:]
            if wanted.issuperset(ids):
                self._ids, self._items = self._ids[:rest], self._items[:rest]
                self.count = rest
                return ids, items
        calls = self.open
        ids = [number for number in calls if number in wanted]
        items = [calls.pop(number) for number in ids]
        self.count = len(calls)
        return ids, items


class Worker:
    __slots__ = ("calls", "held", "is_abandoned", "is_ready", "is_stopping", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_ready = False
        self.is_stopping = False
        self.is_abandoned = False
        """A call in it is over its time and can't be ended: it gets nothing more, whatever it does."""
        self.held: dict[int, Held] = {}
        self.calls = 0

    @property
    def is_usable(self) -> bool:
        return self.is_ready and not self.is_stopping


def death(event: WorkerDied, is_running: bool, retried: int = 0) -> WorkerDiedError:
    """The error of a call whose worker died, and that was made again so many times before."""
    from whilst.errors import WorkerDiedError

    code = event.exit_code
    how, why = " for an unknown cause", ""
    if event.reason:
        how, why = "", f" ({event.reason})"
    elif code is not None and code < 0:
        how = f" by signal {-code}{_signal_name(-code)}"
    elif code is not None:
        how = f" with exit code {code}"
    what = "while it made this call" if is_running else "with this call in its hands"
    tail = f" The last it wrote to stderr: {event.stderr_tail.strip()}" if event.stderr_tail.strip() else ""
    remedy = "Pass retries=1 to make such calls again, if they may be made twice; errors='return'"
    if retried:
        remedy = f"It was begun {retried + 1} times, and each time the worker died. Pass errors='return'"
    return WorkerDiedError(f"Worker {event.worker} died{how} {what}{why}.{tail} {remedy} to get the other results.")


def _signal_name(number: int) -> str:
    import signal

    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""
