"""What belongs to the thread that calls are made in: right in `auto`; elsewhere right, or said, or refused."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import whilst
from whilst.errors import NotPicklableError
from whilst.running.options import Keywords

COUNT = 24
LOCAL = threading.local()
LAZY = threading.local()

TIMEOUTS = """
import signal

def timeout(seconds):
    def decorate(fn):
        def limited(*args):
            def stop(*_):
                raise TimeoutError
            before = signal.signal(signal.SIGALRM, stop)
            signal.alarm(seconds)
            try:
                return fn(*args)
            finally:
                signal.alarm(0)
                signal.signal(signal.SIGALRM, before)
        limited.__wrapped__ = fn
        return limited
    return decorate
"""


def installed(text: str) -> types.ModuleType:
    """A module as if from site-packages."""
    module = types.ModuleType("timeouts")
    exec(compile(text, "/usr/lib/site-packages/timeouts.py", "exec"), vars(module))
    return module


def waits(k: int) -> int:
    time.sleep(0.002)
    return k


def from_local(k: int) -> object:
    time.sleep(0.002)
    return getattr(LOCAL, "rate", None), k


def once_a_thread(k: int) -> int:
    if not hasattr(LAZY, "session"):
        LAZY.session = object()
    time.sleep(0.02)
    return k


async def _doubled(k: int) -> int:
    await asyncio.sleep(0.002)
    return 2 * k


def on_the_loop(k: int) -> int:
    return asyncio.get_event_loop().run_until_complete(_doubled(k))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of this thread, as older programs have one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def _is_right_or_said(call: Callable[[int], Any], right: list[Any], way: Keywords, errors: Any) -> None:
    try:
        results = whilst.map(call, range(COUNT), **way)
    except errors as error:
        assert way.get("mode") != "auto"
        if "on" in way and isinstance(error, NotPicklableError):
            return  # what is this thread's does not go to another machine, and that is said
        assert any("It " in note for note in error.__notes__)  # noqa: PT017 - where it can't be right
        return
    assert [*results] == right or (way.get("mode") != "auto" and results.decision.given_up)


def test_what_was_set_for_this_thread(way: Keywords) -> None:
    LOCAL.rate = 7
    try:
        _is_right_or_said(from_local, [(7, k) for k in range(COUNT)], way, NotPicklableError if "on" in way else ())
    finally:
        del LOCAL.rate


def test_the_options_that_a_library_keeps_for_this_thread(way: Keywords, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "import threading\nlocal = threading.local()\n"
        "def get_config():\n    return {'rate': getattr(local, 'rate', 0)}\n"
    )
    library = types.ModuleType("sklearn")
    exec(compile(text, "/usr/lib/site-packages/sklearn/__init__.py", "exec"), vars(library))
    library.__file__ = "/usr/lib/site-packages/sklearn/__init__.py"
    monkeypatch.setitem(sys.modules, "sklearn", library)
    library.local.rate = 7

    def call(k: int) -> object:
        time.sleep(0.002)
        return library.get_config()["rate"], k

    _is_right_or_said(call, [(7, k) for k in range(COUNT)], way, (whilst.WhilstError, ModuleNotFoundError))


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("way", [{}, {"mode": "concurrent", "workers": 2}])
def test_the_loop_of_this_thread(way: Keywords) -> None:
    _is_right_or_said(on_the_loop, [2 * k for k in range(COUNT)], {"mode": "auto", **way}, RuntimeError)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm clock on this system")
@pytest.mark.parametrize("way", [{}, {"mode": "concurrent", "workers": 2}, {"mode": "parallel", "workers": 2}])
def test_the_alarm_of_a_library(way: Keywords) -> None:
    limited = installed(TIMEOUTS).timeout(5)(waits)
    _is_right_or_said(limited, [*range(COUNT)], {"mode": "auto", **way}, (ValueError, whilst.WhilstError))


def test_what_each_thread_sets_for_itself_holds_nothing_up() -> None:
    for _ in range(2):  # at the second time this thread has it
        results = whilst.map(once_a_thread, range(COUNT))
        assert [*results] == [*range(COUNT)]
        assert results.decision.mode is whilst.Mode.CONCURRENT, results.decision
