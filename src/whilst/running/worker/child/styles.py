"""What a worker hands to the ways in which calls are made, and what it gets back from them."""

from __future__ import annotations

import os

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any, Protocol

    from whilst.running.worker.captured_output import OutputCapture
    from whilst.running.worker.transport.messages import BatchHead, JobHead
    from whilst.running.worker.transport.status_page import StatusPage
else:
    Protocol = object

_BROKEN_EXIT = 70


class LoadedJob(Record):
    """What a batch's calls share, as it stands here."""

    head: JobHead
    context: Context
    fn: Any
    load_error: BaseException | None


class LoadedBatch(Record):
    """A batch whose items are loaded."""

    head: BatchHead
    job: LoadedJob
    items: list[Any]


class EndedCalls:
    """Calls of one batch that have ended, in columns."""

    def __init__(self) -> None:
        self.positions: tuple[int, int] | list[int] = (0, 0)
        self.values: list[Any] = []
        self.errors: dict[int, BaseException] = {}
        """By index in `values`."""
        self.starts: list[int] | None = None
        self.ends: list[int] | None = None
        self.start_ns = self.end_ns = 0
        self.pickled: list[bytes] | None = None
        """The values, where they were pickled one by one already."""
        self.cpu_ns = self.held_ns = 0
        self.awaits: Callable[[Any], Any] | None = None
        """By this the coroutines among the values are awaited. Nobody has looked yet whether there are any."""
        self.is_last = False
        self.lane = 0


class _Vital:
    """What a thread or a loop of a worker lives by: should it raise, the worker dies, so that its parent learns of it.

    A thread that ended by itself, or a callback whose error a loop only logs, would leave calls that nobody answers.
    """

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            import traceback

            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
            os._exit(_BROKEN_EXIT)


vital = _Vital()


class Channel(Protocol):
    """What a style uses of its worker."""

    sock: socket
    page: StatusPage
    output: OutputCapture

    def receive(self, flags: int = 0) -> bool:
        """Wait for frames and handle them; False once there is nothing more to come."""

    def answer(self, head: BatchHead, made: EndedCalls) -> None:
        """Send calls that have ended."""


class Style:
    """A way to make calls. Made with the worker; answers through its `Channel`."""

    def perform(self, work: LoadedBatch) -> None:
        """Make these calls, or begin to."""
        raise NotImplementedError

    def run(self, receive: Callable[[], bool]) -> None:
        """Call `receive` (which waits for frames and handles them) until it says that the end has come."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish what was begun."""
        raise NotImplementedError
