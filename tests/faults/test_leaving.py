"""An Executor that is left by Ctrl-C, and exception groups that come from a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal

import pytest

import whilst


class TwoPartsError(Exception):
    """Can't be rebuilt from its args."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def fail_in_a_group(number: int) -> None:
    raise ExceptionGroup("several", [ValueError(number), ExceptionGroup("inner", [TwoPartsError(number, "no")])])


def leave_by_ctrl_c(executor: whilst.Executor, made: list[int]) -> None:
    """Submit calls of which the first ends when the last has been cancelled."""
    begun, is_cancelled = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        begun.set()
        is_cancelled.wait(10)
        made.append(number)

    with executor:
        futures = [executor.submit(hold, number) for number in range(50)]
        futures[-1].add_done_callback(lambda _: is_cancelled.set())
        begun.wait()
        raise KeyboardInterrupt


def test_ctrl_c_does_not_wait_for_calls_that_have_not_begun() -> None:
    made: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        leave_by_ctrl_c(whilst.Executor(mode="concurrent", workers=1), made)
    assert 49 not in made


def test_an_input_that_raises_takes_back_what_was_submitted() -> None:
    begun, go_on, made = threading.Event(), threading.Event(), []

    def hold(number: int) -> None:
        begun.set()
        go_on.wait()
        made.append(number)

    def numbers() -> Iterator[int]:
        yield from range(20)
        begun.wait()
        raise LookupError

    with whilst.Executor(mode="concurrent", workers=1) as executor:
        with pytest.raises(LookupError):
            executor.map(hold, numbers())
        go_on.set()
    assert len(made) < 20


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "parallel"])
def test_a_group_keeps_its_members_whatever_they_are(mode: Literal["sequential", "concurrent", "parallel"]) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        whilst.map(fail_in_a_group, [5], mode=mode)
    plain, inner = caught.value.exceptions
    assert (type(plain), plain.args) == (ValueError, (5,))
    assert isinstance(inner, ExceptionGroup)
    assert vars(inner.exceptions[0]) == {"code": 5}
    assert type(inner.exceptions[0]) is TwoPartsError
