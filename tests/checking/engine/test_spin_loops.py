"""What goes round looks alike each time; what goes through an iterator looks alike too, and gets on all the same."""

from __future__ import annotations

import time
from typing import Any

import pytest

from whilst.checking import check
from whilst.model.verdict import Answer


def grow(items: list[int]) -> None:
    items.append(5)


def total_by_generator(items: list[int]) -> int:
    return sum(item for item in items)


def total_by_loop(items: list[int]) -> int:
    for _item in items:
        pass
    return len(items)


def tries_thrice(items: list[int]) -> bool:
    for _ in [None] * 3:  # noqa: SIM110 - the loop is what is tested
        if len(items) > 2:
            return True
    return False


def tries_thrice_by_map(items: list[int]) -> list[bool]:
    return list(map(lambda _: len(items) > 100, [None] * 4))  # noqa: C417 - C code that calls back is what is tested


@pytest.mark.parametrize("task", [total_by_generator, total_by_loop, tries_thrice_by_map])
def test_an_iteration_over_equal_things_is_no_polling(task: Any) -> None:
    assert check(lambda: [1, 5, 5], [task, grow, grow]).answer is Answer.ISOLATED


def test_a_loop_that_gives_up_does_so_with_nobody_to_help() -> None:
    verdict = check(lambda: [1], [tries_thrice, tries_thrice])
    assert verdict.answer is Answer.ISOLATED


def wait_for_more(items: list[int]) -> None:
    while len(items) < 2:
        pass


def test_a_while_loop_that_only_looks_is_polling() -> None:
    assert check(lambda: [1], [wait_for_more, grow]).answer is Answer.ISOLATED
    assert check(lambda: [1], [wait_for_more, lambda items: len(items)]).answer is not Answer.ISOLATED


def waits_till_it_is_late(items: list[int]) -> str:
    end = time.monotonic() + 5
    while len(items) < 2:
        if time.monotonic() > end:
            return "late"
        time.sleep(0.05)
    return "there"


def gives_up_after_many_tries(items: list[int]) -> str:
    tries = 0
    while len(items) < 2:
        tries += 1
        if tries == 100:
            return "gave up"
        time.sleep(tries)
    return "there"


@pytest.mark.parametrize("task", [waits_till_it_is_late, gives_up_after_many_tries])
def test_a_loop_that_sleeps_gives_up_when_nobody_else_can_go_on(task: Any) -> None:
    verdict = check(lambda: [1], [task, lambda items: len(items)], outcome=lambda _, results: results[0])
    assert verdict.answer is Answer.ISOLATED
    assert [end.facts["outcome"] for end in verdict.sequential] in (["'late'"], ["'gave up'"])
    assert check(lambda: [1], [task, grow], outcome=lambda items: len(items)).answer is Answer.ISOLATED


def test_a_loop_that_sleeps_for_ever_is_no_proof() -> None:
    def wait(items: list[int]) -> None:
        tries = 0
        while len(items) < 2:
            tries += 1
            time.sleep(tries)

    assert check(lambda: [1], [wait, lambda items: len(items)]).answer is Answer.LIVELOCK
    verdict = check(lambda: [1], [wait, grow])
    assert verdict.answer is Answer.ISOLATED
    assert any("looks again after a sleep" in each for each in verdict.assumed)


def test_a_loop_that_sleeps_and_gets_on_is_no_polling() -> None:
    def produce(items: list[int]) -> None:
        made = 0
        while made < 12:
            made += 1
            items.append(made)
            time.sleep(0.1)

    verdict = check(lambda: [1], [produce, lambda items: len(items)], outcome=lambda _, results: results[1])
    assert verdict.answer is Answer.NOT_ISOLATED
