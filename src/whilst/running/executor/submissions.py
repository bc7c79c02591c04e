"""Calls that come one by one, and their futures: the input and the sink of an Executor's run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Any

from whilst.errors import WhilstError
from whilst.running.call_names import add_note, describe_arguments
from whilst.running.calls.process_state import ProcessState
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import Sink
from whilst.running.executor.callbacks import CallbackThreads, SubmittedFuture
from whilst.running.executor.initializing import Initialized
from whilst.running.jobs import Job, next_job_id

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Entry = tuple[SubmittedFuture[Any], Call, Context, ProcessState | None]
"""What was submitted, and in which context and state of the process (None: its calls are made in this one)."""
_KNOWN_CONTEXTS = 8


class OpenInput(Source):
    """An input that is put into from any thread, and may be empty without being over."""

    __slots__ = ("_jobs", "_queue", "_state", "is_asleep", "is_closed", "news", "notes_state", "taken")

    def __init__(self) -> None:
        super().__init__(())
        self._items = None
        self._length = None
        self._queue: deque[Entry] = deque()
        self._jobs: deque[Job] = deque(maxlen=_KNOWN_CONTEXTS)
        """One for each context and state in which calls were submitted, the last one last."""
        self._state: ProcessState | None = None
        self.notes_state = True
        """Calls may be made in another process, which is then put into the state in which they were submitted."""
        self.taken: dict[int, Entry] = {}
        """The calls that were taken and are not answered."""
        self.is_closed = False
        self.is_asleep = False
        """The taker waits for news, and wants to be woken."""
        self.news = threading.Event()

    @property
    def left(self) -> int:
        return len(self._queue)

    @property
    def is_exhausted(self) -> bool:
        return self.is_closed and not self._queue

    def is_ready(self) -> bool:
        return bool(self._queue) or self.is_closed

    @staticmethod
    def asked_for(item: Call) -> Call:
        return asked_for(item)

    def put(self, future: SubmittedFuture[Any], call: Call) -> None:
        if self.notes_state:
            self._state = ProcessState.now(self._state)
        self._queue.append((future, call, copy_context(), self._state))

    def put_again(self, entries: Iterable[Entry]) -> None:
        """What was put into another input."""
        self._queue.extend(entries)

    def withdraw(self, is_wanted: Callable[[Call], bool]) -> list[Entry]:
        """Give back what was not taken yet and is wanted elsewhere. For the thread that takes."""
        kept: list[Entry] = []
        found: list[Entry] = []
        for _ in range(len(self._queue)):
            try:
                entry = self._queue.popleft()
            except IndexError:
                break
            (found if is_wanted(entry[1]) else kept).append(entry)
        self._queue.extendleft(reversed(kept))
        return found

    def job_of_next(self, job: Job) -> Job:
        """Calls that were submitted in the same context and state are of one job."""
        try:
            _, _, context, state = self._queue[0]
        except IndexError:
            return job
        for each in reversed(self._jobs):
            if _are_alike(context, each.context) and each.process_state == state:
                return each
        self._jobs.append(job.asked_in(next_job_id(), context, state))
        return self._jobs[-1]

    def take(self, count: int) -> Sequence[object]:
        taken: list[object] = []
        context: Context | None = None
        state: ProcessState | None = None
        while len(taken) < count:
            try:
                entry = self._queue.popleft()  # not one that is looked at first: another thread may cancel it meanwhile
            except IndexError:
                break
            _, _, own, own_state = entry
            if context is None:
                context, state = own, own_state
            if not (own is context or _are_alike(own, context)) or not (own_state is state or own_state == state):
                self._queue.appendleft(entry)
                break
            if entry[0].set_running_or_notify_cancel():
                self.taken[self.next_id + len(taken)] = entry
                taken.append(entry[1])
        if self.kept is not None:
            self.kept.update(enumerate(taken, self.next_id))
        self.next_id += len(taken)
        return taken

    def pull(self, count: int) -> Iterable[object]:
        taken = self.take(count)
        self.next_id -= len(taken)
        return taken

    def pulled(self, used: int, *, is_over: bool, error: Exception | None = None) -> None:  # noqa: ARG002
        self.next_id += used

    def wait(self, patience_s: float | None = None) -> None:
        self.news.wait(patience_s)
        self.news.clear()

    def cancel_all(self) -> None:
        while True:
            try:
                future = self._queue.popleft()[0]
            except IndexError:
                return
            if future.cancel():
                future.set_running_or_notify_cancel()


def make_calls(fn: Callable[..., Any], chunk: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What `Executor.map` submits: some calls of one function. An error says which of them raised it."""
    values = []
    for args in chunk:
        try:
            values.append(fn(*args))
        except Exception as error:
            add_note(error, f"whilst: raised by {describe_arguments(fn, args, {})}")
            raise
    return values


def asked_for(call: Call) -> Call:
    """The call that the user means: the first of a chunk's."""
    fn, args, kwargs = call
    if type(fn) is Initialized:
        fn = fn.func
    return (args[0], args[1][0], {}) if fn is make_calls else (fn, args, kwargs)


def _are_alike(one: Context, other: Context | None) -> bool:
    """Whether both have the same variables, with the very same values: to compare those could do anything."""
    if other is None or len(one) != len(other):
        return False
    for variable, value in one.items():  # noqa: SIM110 - for each submitted call: half of what `all` takes
        if other.get(variable, _are_alike) is not value:
            return False
    return True


class FutureSink(Sink):
    """Answers go to futures."""

    def __init__(self, taken: dict[int, Entry]) -> None:
        self._taken = taken
        self.callbacks = CallbackThreads()
        self._run_later = self.callbacks.run

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        kept = values if isinstance(values, list) else [*values]
        for place, number in enumerate(ids):
            future = self._taken.pop(number)[0]
            future.run_later = self._run_later
            if number in errors:
                future.set_exception(errors[number])
                continue
            future.take_result(kept, place)
        for error in errors.values():
            if type(error).__name__ == "InitializerError" and isinstance(error, WhilstError):
                raise error  # no worker will ever be ready

    def fail_all(self, error: BaseException) -> None:
        for future, *_ in list(self._taken.values()):
            future.run_later = self._run_later
            future.set_exception(error)
        self._taken.clear()
