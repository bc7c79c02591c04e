"""Moments in which the program's signal handlers have to wait, Ctrl-C's included.

A handler may raise after any instruction: between the start of a process and the note of its number, or in the midst
of reaping. Blocking the signals in this thread is not enough where there are others: the kernel gives them to one of
those, and Python calls the handler here all the same. So the handlers are exchanged for one that only takes notes.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    Handler = Callable[[int, FrameType | None], object]


class DeferredSignals:
    """`with DeferredSignals():` handlers of what comes meanwhile are called at the end, and may raise there.

    Nothing changes in other threads than the main one: Python calls no handler there. Keep it short: a program that is
    asked to end does not hear it.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._came: list[tuple[int, FrameType | None]] = []
        self._is_over = False

    def __enter__(self) -> None:
        try:
            for number in _signal.valid_signals():
                if callable(handler := _signal.getsignal(number)):
                    self._handlers[number] = handler
                    # Handlers of what came before are called by this, and may raise.
                    _signal.signal(number, self._note)
        except ValueError:
            self._handlers.clear()  # not the main thread, or not the main interpreter
        except BaseException:
            self._restore()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._restore()
        finally:
            self._replay()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:
            self._handlers[number](number, frame)
        else:
            self._came.append((number, frame))

    def _restore(self) -> None:
        try:
            for number, handler in self._handlers.items():
                while _signal.getsignal(number) == self._note:
                    try:
                        _signal.signal(number, handler)
                    except BaseException:
                        # By one that is restored already. The others have their turn all the same.
                        self._restore()
                        raise
        finally:
            self._is_over = True

    def _replay(self) -> None:
        while self._came:
            number, frame = self._came.pop(0)
            try:
                self._handlers[number](number, frame)
            finally:
                self._replay()
