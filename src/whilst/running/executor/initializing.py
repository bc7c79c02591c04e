"""What a worker does before its first call of an Executor (`initializer`), and how many calls it makes at most.

A call brings it along: the worker, thread or process, does it once, before the first such call. Loaded by workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from whilst._light import Record
from whilst.running import process_role


class _Here(threading.local):
    def __init__(self) -> None:
        self.done: dict[bytes, BaseException | None] = {}


_here = _Here()
_process: dict[bytes, BaseException | None] = {}
_lock = threading.RLock()


class Preparation(Record):
    """What precedes the first call in a worker."""

    token: bytes
    """Names the Executor, in every process."""
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    thread_name_prefix: str
    max_tasks: int | None

    def ensure(self) -> None:
        """Be prepared.

        Raises:
            InitializerError: the initializer raised, now or before.
        """
        if process_role.is_worker:
            if self.max_tasks is not None:
                process_role.count_task(self.max_tasks)
            with _lock:
                self._ensure(_process)
        else:
            if self.thread_name_prefix and self.token not in _here.done:
                thread = threading.current_thread()
                thread.name = f"{self.thread_name_prefix}_{_next_number(self.token)}"
            self._ensure(_here.done)

    def _ensure(self, done: dict[bytes, BaseException | None]) -> None:
        if self.token not in done:
            done[self.token] = None
            if self.initializer is not None:
                try:
                    self.initializer(*self.initargs)
                except BaseException as error:
                    import logging

                    logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
                    done[self.token] = error
        failure = done[self.token]
        if failure is not None:
            from whilst.errors import InitializerError

            raise InitializerError(
                f"A worker could not be initialized: {self.initializer!r} raised {type(failure).__name__}: {failure}. "
                "The executor is not usable any more."
            ) from failure


_numbers: dict[bytes, int] = {}


def _next_number(token: bytes) -> int:
    with _lock:
        _numbers[token] = number = _numbers.get(token, -1) + 1
    return number


class Initialized:
    """A function that is called once the worker is prepared."""

    __slots__ = ("func", "preparation")

    def __init__(self, preparation: Preparation, func: Callable[..., Any]) -> None:
        self.preparation = preparation
        self.func = func
        """Named as in `functools.partial`: whoever looks for the user's function finds it there."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.preparation.ensure()
        return self.func(*args, **kwargs)
