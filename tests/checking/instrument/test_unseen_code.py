"""Code that runs unseen is looked for, our own work in the middle of a task apart."""

from __future__ import annotations

import sys
import time
from functools import lru_cache, partial
from typing import Any

import pytest

import whilst
from whilst.checking.explorer.explorer import Explorer, Program
from whilst.checking.instrument.unseen_code import UnseenCode


def setup() -> list[int]:
    return []


def append(items: list[int]) -> None:
    items.append(1)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring needs no profile function")
def test_a_module_is_rewritten_off_the_clock_and_unprofiled() -> None:
    seen: list[object] = []
    with Explorer(Program(setup, (append,))) as explorer:
        unseen, scheduler = explorer.unseen_code, explorer.scheduler
        assert unseen.begin_look()
        before = scheduler.deadline = time.monotonic() + 10

        def rewrite(_: object) -> None:
            seen.extend((scheduler.deadline, sys.getprofile()))

        unseen.apart(rewrite, None)
        after, is_profiling = scheduler.deadline, sys.getprofile() is not None
        unseen.end_look()
        scheduler.deadline = None
    assert seen == [None, None]
    assert is_profiling
    assert after is not None
    assert after >= before


class Box:
    value = 0
    change: Any = None


def change(box: Box) -> None:
    box.change()


def count(box: Box) -> None:
    box.value += 1


def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often a check begins to look, from now on."""
    begun: list[bool] = []
    begin = UnseenCode.begin_look

    def begin_look(self: UnseenCode) -> bool:
        begun.append(begin(self))
        return begun[-1]

    monkeypatch.setattr(UnseenCode, "begin_look", begin_look)
    return begun


def test_plain_code_that_was_looked_at_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert whilst.check(list, [append, append])
    begun = looks(monkeypatch)
    assert whilst.check(list, [append, append])
    assert not begun


def test_what_is_new_to_known_code_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert whilst.check(list, [append, append])
    begun = looks(monkeypatch)
    assert whilst.check(Items, [append, append])
    assert begun


class Items(list[int]):
    pass


def test_a_member_that_c_code_calls_is_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "change", count)
    assert not whilst.check(Box, [change, change])
    assert not whilst.check(Box, [change, change])
    begun = looks(monkeypatch)
    monkeypatch.setattr(Box, "change", lru_cache(maxsize=0)(partial(count)))
    assert not whilst.check(Box, [change, change])
    assert begun
