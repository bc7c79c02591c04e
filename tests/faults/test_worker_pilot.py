"""pilot="worker": a function that takes its process down never takes the caller's."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from whilst.errors import WorkerDiedError
from whilst.model import Mode
from whilst.running.options import OptionsError
from whilst.running.verbs.api import imap, map  # noqa: A004 - the verb's name

SEEN: list[Any] = []


def where(item: int) -> int:
    return os.getpid()


def deadly(item: int) -> int:
    if item == 0:
        os._exit(7)
    return item


def waiting(item: int) -> int:
    time.sleep(0.02)
    return item


async def coroutine(item: int) -> int:
    return item


def remembering(item: int) -> None:
    SEEN.append(item)


def test_no_call_is_made_in_the_caller_s_process() -> None:
    results = map(where, range(20), pilot="worker")
    assert os.getpid() not in results
    assert results.decision.mode is Mode.PARALLEL
    assert "in workers" in str(results.decision)
    assert os.getpid() not in list(imap(where, iter(range(5)), pilot="worker"))


def test_the_first_call_may_end_its_process() -> None:
    results = map(deadly, range(10), pilot="worker", errors="return")
    assert isinstance(results[0], WorkerDiedError)
    assert results[1:] == list(range(1, 10))


def test_calls_that_wait_come_to_overlap_in_each_process() -> None:
    results = map(waiting, range(60), pilot="worker")
    assert results == list(range(60))
    assert results.decision.mode is Mode.COMBINED
    assert "waiting" in results.decision.history[0].text


def test_coroutines_go_to_loops_in_workers() -> None:
    assert map(coroutine, range(5), pilot="worker") == list(range(5))


def test_what_a_worker_would_lose_is_said_before_anything_is_called() -> None:
    with pytest.raises(OptionsError, match="SEEN"):
        map(remembering, range(5), pilot="worker")
    assert SEEN == []
