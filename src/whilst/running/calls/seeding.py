"""Random draws that depend on the seed and the number of the item, and on nothing else.

Before each call the generators of `random` and, where it is imported, `numpy.random` are set from a hash of
(seed, number), so the draws are the same in every mode, in any order and with any number of workers. BLAKE2
rather than `hash()`: it does not change with PYTHONHASHSEED or between versions.

The functions of `random` and `numpy.random` are methods of one generator each, which all threads share: a call in
one thread would draw from what was set for a call in another, and the caller would go on with what was set for the
last call. While seeded calls are made those functions are therefore replaced by ones that look for a generator of
the calling thread first. Threads without one go on as before, and so does the caller afterwards.
"""

from __future__ import annotations

import random
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any


def seed_of(seed: int, number: int) -> int:
    """The 64-bit seed of one item."""
    return int.from_bytes(blake2b(b"%d %d" % (seed, number), digest_size=8).digest(), "little")


def reseed(seed: int, number: int) -> None:
    """Set the generators for the call of one item: this thread's own, or those that all threads share."""
    mixed = seed_of(seed, number)
    (_own.random or random).seed(mixed)
    numpy_random = _own.numpy_random or sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(mixed & 0xFFFF_FFFF)


async def drawing(coroutine: Coroutine[Any, Any, object], seed: int, number: int) -> object:
    """Await a coroutine whose draws depend on (seed, number) alone, whatever else is in flight on its loop."""
    return await _with_own_draws(coroutine, seed, number)


@types.coroutine
def _with_own_draws(coroutine: Coroutine[Any, Any, object], seed: int, number: int) -> Generator[Any, Any, object]:
    """Drive a coroutine with generators of its own: theirs are put in place for each of its steps.

    Coroutines in flight share the global generators of `random` and `numpy`; without this, what one draws would
    depend on when the others run.
    """
    outer = _states()
    reseed(seed, number)
    own = _states()
    _set_states(outer)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        outer = _states()
        _set_states(own)
        try:
            waiting_for = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
        except StopIteration as end:
            return end.value
        finally:
            own = _states()
            _set_states(outer)
        sent = thrown = None
        try:
            sent = yield waiting_for
        except BaseException as error:
            thrown = error


def _states() -> tuple[Any, Any]:
    numpy_random = sys.modules.get("numpy.random")
    return random.getstate(), numpy_random.get_state() if numpy_random is not None else None


def _set_states(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    if states[1] is not None:
        sys.modules["numpy.random"].set_state(states[1])


class _Own(threading.local):
    random: random.Random | None = None
    numpy_random: Any = None


_own = _Own()
_lock = threading.Lock()
_users = 0
_replaced: list[tuple[dict[str, Any], str, Any]] = []


@contextmanager
def own_draws(fn: Callable[..., object]) -> Iterator[None]:
    """Calls made in this thread meanwhile draw from generators of their own.

    Args:
        fn: the user's function; names that its module has imported from `random` or `numpy.random` are found too.
    """
    if _own.random is not None:  # a seeded run within a seeded call
        state = _own.random.getstate()
        yield
        _own.random.setstate(state)
        return
    _install(fn)
    _own.random = random.Random()  # noqa: S311 - the user's draws, not secrets
    numpy_random = sys.modules.get("numpy.random")
    _own.numpy_random = None if numpy_random is None else numpy_random.RandomState()
    try:
        yield
    finally:
        _own.random = _own.numpy_random = None
        _uninstall()


def _install(fn: Callable[..., object]) -> None:
    global _users
    with _lock:
        _users += 1
        shared = getattr(random, "_inst", None)
        _replace(vars(random), shared, "random")
        numpy_random: types.ModuleType | None = sys.modules.get("numpy.random")
        names = getattr(getattr(fn, "func", getattr(fn, "__func__", fn)), "__globals__", {})
        if names is not vars(random):
            _replace(names, shared, "random")
        if numpy_random is not None:
            shared = getattr(numpy_random.mtrand, "_rand", None)
            _replace(vars(numpy_random), shared, "numpy_random")
            _replace(names, shared, "numpy_random")


def _uninstall() -> None:
    global _users
    with _lock:
        _users -= 1
        if not _users:
            for names, name, original in reversed(_replaced):
                names[name] = original
            _replaced.clear()


def _replace(names: dict[str, Any], shared: object, which: str) -> None:
    """Replace the methods of a shared generator that stand in a namespace, where that has not been done yet."""
    if shared is None:
        return
    for name, value in list(names.items()):
        if getattr(value, "__self__", None) is shared and callable(value):
            _replaced.append((names, name, value))
            names[name] = partial(_draw, value, value.__name__, which)


def _draw(original: Callable[..., Any], name: str, which: str, *args: Any, **kwargs: Any) -> Any:
    own = getattr(_own, which)
    return original(*args, **kwargs) if own is None else getattr(own, name)(*args, **kwargs)
