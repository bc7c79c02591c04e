"""The calls of a job as a function of one argument, the item: what inline, thread and process workers share.

Coroutines that calls give are awaited at once, in the context of their call, as `asyncio.run` would in a `for` loop.
Also loaded by bare workers (see `running.worker`): nothing of whilst is imported before it is needed.
"""

from __future__ import annotations

import sys
from types import CoroutineType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from contextvars import Context
    from typing import Any, Protocol

    class CallKind(Protocol):
        """What a `Job` and a `JobHead` say of their calls."""

        @property
        def how(self) -> str: ...
        @property
        def is_coroutine(self) -> bool: ...
        @property
        def seed(self) -> int | None: ...


async def awaited(value: Any) -> object:
    """What an awaitable gives; any other value is itself."""
    return await value if hasattr(value, "__await__") else value


class Awaiter:
    """Awaits, one after the other, the coroutines that calls gave in a thread without a running loop.

    asyncio takes longer to import than the rest of whilst together, so it is imported when it is needed.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    @property
    def is_used(self) -> bool:
        """It has a loop: some call gave a coroutine."""
        return self._runner is not None

    def __call__(self, coroutine: object) -> object:
        import asyncio
        from contextvars import copy_context

        context = copy_context()
        if self._runner is None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                self._runner = asyncio.Runner()
            else:
                return _await_in_another_thread(coroutine, context)
        return self._runner.run(awaited(coroutine), context=context)

    def close(self) -> None:
        if self._runner is not None:
            close_loop = per_worker_function("close_loop")
            if close_loop is not None:
                self._runner.run(close_loop(self._runner.get_loop()))
            self._runner.close()
            self._runner = None


def per_worker_function(name: str) -> Any:
    """A function of `calls.per_worker`; None where nobody has loaded that, and so nothing was opened."""
    module = sys.modules.get("whilst.running.calls.per_worker")
    return None if module is None else getattr(module, name)


def close_thread() -> None:
    """This thread makes no more calls: close what it has open for them."""
    close = per_worker_function("close_thread")
    if close is not None:
        close()


def _await_in_another_thread(coroutine: object, context: Context) -> object:
    """A loop runs in this thread already, and the call it is making can't be suspended."""
    import asyncio
    import threading

    outcome: list[tuple[object, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((context.run(asyncio.run, awaited(coroutine)), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="whilst-loop")
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def of_item(fn: Any, how: str) -> Callable[[Any], Any]:
    """The function of the item that makes a call of this kind; the user's own where the item is its argument."""
    if how == "star":
        return lambda item: fn(*item)
    return _call_item if how == "call" else fn


def _call_item(item: Any) -> Any:
    function, args, kwargs = item
    return function(*args, **kwargs)


def one_argument(fn: Any, kind: CallKind, ids: Iterable[int], awaits: Callable[[Any], object]) -> Callable[[Any], Any]:
    """A job's calls as a function of the item alone; the user's own function where nothing is to be added.

    Args:
        fn: the function of the job.
        kind: the job, or its head.
        ids: the numbers of the calls in the order in which they are made; seeds follow them.
        awaits: awaits a coroutine.
    """
    call = give = of_item(fn, kind.how)
    if kind.is_coroutine:

        def call(item: Any) -> Any:
            return awaits(give(item))

    elif kind.how == "call":

        def call(item: Any) -> Any:
            value = give(item)
            return awaits(value) if type(value) is CoroutineType else value

    if kind.seed is not None:
        reseed = _seeding().reseed
        numbers, seed, drawn = iter(ids), kind.seed, call

        def call(item: Any) -> Any:
            reseed(seed, next(numbers))
            return drawn(item)

    return call


def in_copies(call: Callable[[Any], Any], context: Context, awaits: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Each call in a copy of the context: what one sets there is not seen by the next that happens to come here."""
    copy = context.copy

    def in_a_copy(item: Any) -> Any:
        here = copy()
        value = here.run(call, item)
        return here.run(awaits, value) if type(value) is CoroutineType else value

    return in_a_copy


def drawing(fn: Any, seed: int | None) -> AbstractContextManager[object]:
    """What surrounds calls whose draws are their own; nothing where nobody asked for a seed."""
    return _nothing_around if seed is None else _seeding().own_draws(fn)


def with_own_draws(coroutine: Any, seed: int | None, number: int) -> Any:
    """The same coroutine; with a seed its draws depend on that and on the number of the call alone."""
    return coroutine if seed is None else _seeding().drawing(coroutine, seed, number)


def _seeding() -> Any:
    from whilst.running.calls.bare import light_import

    return light_import("whilst.running.calls.seeding")


class _Nothing:
    """`contextlib.nullcontext`, for which nothing need be imported."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_nothing_around = _Nothing()
