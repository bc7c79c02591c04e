"""What goes round looks alike each time; what goes through an iterator looks alike too, and gets on all the same."""

from __future__ import annotations

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
