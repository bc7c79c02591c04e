"""`always=`: asked after every step; the reduction leaves out no state that it could see."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

import whilst
from whilst.errors import CheckError
from whilst.model.verdict import Answer


class Bank:
    def __init__(self) -> None:
        self.one = self.two = 100
        self.lock = threading.Lock()


def transfer(bank: Bank) -> None:
    with bank.lock:
        bank.one -= 10
        bank.two += 10


def total_is_kept(bank: Bank) -> bool:
    return bank.one + bank.two == 200


def total_is_kept_for_whoever_takes_the_lock(bank: Bank) -> bool:
    with bank.lock:
        return bank.one + bank.two == 200


def test_the_step_that_breaks_it_is_named() -> None:
    verdict = whilst.check(Bank, [transfer, transfer], always=total_is_kept)
    assert verdict.answer is Answer.BREAKS_INVARIANT
    found = verdict.counterexample
    assert found is not None
    assert found.moments[-1].source == "bank.one -= 10"
    assert found.sentence == (
        f"transfer 1 breaks it in line {found.moments[-1].line}, where it writes state.one = 90: what always= asks for "
        "does not hold."
    )
    assert verdict.token is not None
    again = whilst.replay(verdict.token)
    assert again.answer is Answer.BREAKS_INVARIANT
    assert again.counterexample is not None
    assert again.counterexample.sentence == found.sentence


def test_what_nobody_can_look_at_is_not_broken() -> None:
    """Whoever takes the lock has to wait while a transfer is half done."""
    assert whilst.check(Bank, [transfer, transfer], always=total_is_kept_for_whoever_takes_the_lock)


class Flags:
    def __init__(self) -> None:
        self.x = self.y = self.z = 0


def set_x(flags: Flags) -> None:
    flags.x = 1


def set_y(flags: Flags) -> None:
    flags.y = 1


def set_z(flags: Flags) -> None:
    flags.z = 1


@pytest.mark.parametrize("reached", list(itertools.product((0, 1), repeat=3)))
def test_every_state_on_the_way_is_seen(reached: tuple[int, int, int]) -> None:
    """No task touches what another one touches, so that to the search one execution would do."""
    assert whilst.check(Flags, [set_x, set_y, set_z]).executions == 1

    def is_elsewhere(flags: Flags) -> bool:
        return (flags.x, flags.y, flags.z) != reached

    verdict = whilst.check(Flags, [set_x, set_y, set_z], always=is_elsewhere)
    assert verdict.answer is Answer.BREAKS_INVARIANT


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_read_only_after_something_else_was_written_counts_from_the_start(swapped: bool) -> None:
    def never_x_alone(flags: Flags) -> bool:
        return not (flags.x and not flags.y)

    tasks = [set_x, set_y]
    assert not whilst.check(Flags, tasks[::-1] if swapped else tasks, always=never_x_alone)
    in_order = lambda flags: (set_y(flags), set_x(flags))  # noqa: E731
    assert whilst.check(Flags, [in_order, set_z], always=never_x_alone)


def append(items: list[int]) -> None:
    items.append(len(items))


@pytest.mark.parametrize(("most", "is_kept"), [(2, True), (1, False)])
def test_calls_of_c_code_are_seen_too(most: int, is_kept: bool) -> None:
    verdict = whilst.check(list, [append, append], always=lambda items: len(items) <= most, outcome=len)
    assert verdict.is_isolated is is_kept


async def raise_and_lower(flags: Flags) -> None:
    flags.x += 1
    await asyncio.sleep(0)
    flags.x -= 1


async def raise_and_lower_at_once(flags: Flags) -> None:
    flags.x += 1
    flags.x -= 1
    await asyncio.sleep(0)


def test_between_two_awaits_nobody_looks() -> None:
    def is_zero(flags: Flags) -> None:
        assert flags.x == 0, f"x is {flags.x}"

    verdict = whilst.check(Flags, [raise_and_lower, raise_and_lower], always=is_zero)
    assert verdict.answer is Answer.BREAKS_INVARIANT
    assert "always= fails: x is 1" in verdict.to_text()
    assert whilst.check(Flags, [raise_and_lower_at_once, raise_and_lower_at_once], always=is_zero)


def at_most_two(flags: Flags) -> bool:
    return flags.x <= 2


def test_two_coroutines_in_any_order_are_seen_together() -> None:
    async def one(flags: Flags) -> None:
        flags.x = 1
        await asyncio.sleep(0)
        flags.x = 0

    async def other(flags: Flags) -> None:
        flags.y = 1
        await asyncio.sleep(0)
        flags.y = 0

    assert not whilst.check(Flags, [one, other], always=lambda flags: not (flags.x and flags.y))


def test_an_error_of_the_condition_breaks_it_and_setup_may_too() -> None:
    verdict = whilst.check(Flags, [set_x], always=lambda flags: flags.none)
    assert verdict.answer is Answer.BREAKS_INVARIANT
    assert "What setup makes breaks it: always= fails: AttributeError" in verdict.to_text(width=200)


def test_in_a_question_of_the_command_and_alone_in_one_process() -> None:
    verdict = whilst.check(Flags, [set_x, set_y], always=at_most_two, jobs=2)
    assert verdict
    assert "jobs=2 was not used" in str(verdict.assumed)


@pytest.mark.parametrize(("always", "said"), [(3, "it is no callable"), (lambda: True, "too many positional")])
def test_a_condition_that_cant_be_asked_is_refused(always: Callable[[Any], object], said: str) -> None:
    with pytest.raises(CheckError, match=said):
        whilst.check(Flags, [set_x], always=always)
