"""What a signal handler may interrupt, and what it may not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from whilst.running.calls.deferred_signals import DeferredSignals


class OverTimeError(Exception):
    pass


class ToldError(Exception):
    pass


def over_time(*_: object) -> None:
    raise OverTimeError


def told(*_: object) -> None:
    raise ToldError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    usual = {number: signal.signal(number, handler) for number, handler in HANDLERS.items()}
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


HANDLERS = {signal.SIGUSR1: over_time, signal.SIGUSR2: told}


def assert_restored() -> None:
    assert {number: signal.getsignal(number) for number in HANDLERS} == HANDLERS


def signalled(*numbers: signal.Signals) -> list[str]:
    """What has been done when the handlers are called."""
    done = []
    try:
        with DeferredSignals():
            for number in numbers:
                signal.raise_signal(number)
            done.append("the rest")
    except (OverTimeError, ToldError) as error:
        done.append(type(error).__name__)
        if error.__context__ is not None:
            done.append(type(error.__context__).__name__)
    return done


def test_a_handler_is_called_at_the_end() -> None:
    assert signalled(signal.SIGUSR1) == ["the rest", "OverTimeError"]
    assert_restored()


def test_nothing_is_raised_where_nothing_came() -> None:
    with DeferredSignals():
        assert signal.getsignal(signal.SIGUSR1) is not over_time
    assert_restored()


def test_every_handler_is_called_though_the_first_one_raises() -> None:
    assert signalled(signal.SIGUSR1, signal.SIGUSR2) == ["the rest", "ToldError", "OverTimeError"]
    assert_restored()


def test_a_handler_gets_the_signal_and_the_frame() -> None:
    seen: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGUSR1, lambda *each: seen.append(each))
    with DeferredSignals():
        signal.raise_signal(signal.SIGUSR1)
        assert not seen
    ((number, frame),) = seen
    assert number == signal.SIGUSR1
    assert frame is not None
    signal.signal(signal.SIGUSR1, over_time)


def test_the_handlers_are_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), DeferredSignals():
        raise ZeroDivisionError
    assert_restored()


def test_one_within_another_waits_for_the_outer_end() -> None:
    done = []

    def run() -> None:
        with DeferredSignals():
            done.extend(signalled(signal.SIGUSR1))

    with pytest.raises(OverTimeError):
        run()
    assert done == ["the rest"]
    assert_restored()


def test_another_thread_changes_nothing() -> None:
    errors = []

    def run() -> None:
        try:
            with DeferredSignals():
                assert_restored()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors
