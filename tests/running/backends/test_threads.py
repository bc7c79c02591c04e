"""Threads, where the system gives no more of them."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

import pytest

from whilst.errors import WorkerDiedError
from whilst.running.backends import threads
from whilst.running.jobs import Batch, Finished
from whilst.running.nesting import is_in_worker
from whilst.running.verbs.api import map  # noqa: A004


def test_a_run_goes_on_when_no_more_threads_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = _thread.start_new_thread, 0

    def start_two(run: Callable[[], object], args: tuple[()]) -> int:
        nonlocal started
        started += 1
        if started > 2:
            raise RuntimeError("can't start new thread")
        return start(run, args)

    monkeypatch.setattr(_thread, "start_new_thread", start_two)
    assert map(abs, range(-200, 0), mode="concurrent", workers=8) == list(range(200, 0, -1))
    assert not is_in_worker()


def test_a_thread_that_was_never_needed_is_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: pytest.fail("it was started"))
    assert map(abs, [], mode="concurrent", workers=8) == []


def test_a_thread_that_breaks_down_is_a_worker_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    made = threads.perform

    def perform(batch: Batch, *rest: Any, **keywords: Any) -> Finished:
        if 3 in batch.ids:
            raise RuntimeError("broken machinery")
        return made(batch, *rest, **keywords)

    monkeypatch.setattr(threads, "perform", perform)
    results = map(abs, range(6), mode="concurrent", workers=2, errors="return")
    assert isinstance(results[3], WorkerDiedError)
    assert "broken machinery" in str(results[3])
    assert [each for each in results if not isinstance(each, WorkerDiedError)] == [0, 1, 2, 4, 5]
