"""Batches in a worker's hands, and how large those of a mode that was asked for are."""

from __future__ import annotations

import time

import whilst
from whilst.running.backends.base import BackendConfig
from whilst.running.core.policy import RunStatus
from whilst.running.core.pool_state import Held
from whilst.running.jobs import Batch, Finished, Job
from whilst.running.policies.fixed import FixedPolicy

JOB = Job(0, abs)


def held(count: int) -> Held:
    return Held(Batch(0, JOB, range(10, 10 + count), [f"item {k}" for k in range(count)]))


def test_answers_from_the_front_and_calls_taken_back_from_the_end_are_cut_off() -> None:
    batch = held(8)
    assert batch.settle(range(10, 13)) == range(10, 13)
    assert batch.take({16, 17, 99}) == (range(16, 18), ["item 6", "item 7"])
    assert batch.count == 3
    assert batch.open == {13: "item 3", 14: "item 4", 15: "item 5"}


def test_calls_from_the_midst_are_told_apart() -> None:
    batch = held(6)
    assert batch.take({11, 13}) == ([11, 13], ["item 1", "item 3"])
    assert batch.settle([12, 11]) == [12]  # that one was taken back, and answered all the same
    assert batch.open == {10: "item 0", 14: "item 4", 15: "item 5"}
    assert batch.count == 3


def policy(*, is_lazy: bool, workers: int = 2) -> FixedPolicy:
    return FixedPolicy(BackendConfig("processes"), workers, "as asked", is_batched=True, is_lazy=is_lazy)


def status(left: int | None) -> RunStatus:
    now = RunStatus()
    now.left = left
    return now


def quick(count: int) -> Finished:
    return Finished(0, 0, range(count), [None] * count, 0, 100 * count)


def test_a_run_over_many_items_begins_with_batches() -> None:
    assert policy(is_lazy=False).directives(status(20_000)).batch == 5_000
    assert policy(is_lazy=False).directives(status(64)).batch == 16
    assert policy(is_lazy=False).directives(status(3)).batch == 1
    assert policy(is_lazy=False).directives(status(None)).batch == 1


def test_work_that_shares_its_core_with_others_does_not_shrink_batches() -> None:
    def size_after(length_ns: int, cpu_ns: int) -> int:
        fixed = policy(is_lazy=False)
        fixed.directives(status(1_000_000))
        for _ in range(3):
            fixed.observe(Finished(0, 0, range(1000), [None] * 1000, 0, length_ns, cpu_ns=cpu_ns))
        return fixed.directives(status(1_000_000)).batch

    alone = size_after(10_000_000, 10_000_000)
    assert size_after(20_000_000, 10_000_000) == alone
    assert size_after(20_000_000, 100_000) == alone // 2  # that is waiting


def test_a_reader_s_first_result_waits_for_no_batch() -> None:
    assert policy(is_lazy=True).directives(status(20_000)).batch == 1


def test_a_lazy_run_holds_no_more_calls_the_shorter_they_are() -> None:
    for workers in (2, 32):
        lazy = policy(is_lazy=True, workers=workers)
        for _ in range(5):
            lazy.observe(quick(lazy.directives(status(None)).batch))
        assert 64 <= lazy.directives(status(None)).batch * workers <= 8192


def test_calls_that_turn_out_long_are_shared_though_they_were_sent_together() -> None:
    """Thousands of short calls teach large batches; the long ones in the last of them end up with both workers."""

    def call(k: int) -> int:
        if k >= 30_000:
            time.sleep(0.02)
        return k

    results = whilst.map(call, (k for k in range(30_060)), mode="parallel", workers=2)
    assert results == list(range(30_060))
    tasks = {span.executor for span in results.timeline if span.end_ns - span.start_ns > 10_000_000}
    assert len(tasks) == 2
