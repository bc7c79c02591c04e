"""Code that runs unseen is looked for, our own work in the middle of a task apart."""

from __future__ import annotations

import sys
import time

import pytest

from whilst.checking.explorer.explorer import Explorer, Program


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
