"""How calls are made for `compare`: with the workers that a run would have."""

from __future__ import annotations

import threading

from whilst.comparing import compare


def double(x: int) -> int:
    return 2 * x


def test_a_program_that_may_not_be_forked_is_compared_on_clean_workers() -> None:
    lock, is_over = threading.Lock(), threading.Event()
    waiting = threading.Thread(target=is_over.wait)
    waiting.start()
    try:
        with lock:
            comparison = compare(double, range(4), modes=["sequential", "parallel"])
    finally:
        is_over.set()
        waiting.join()
    assert [row.error for row in comparison.rows] == ["", ""]
    assert comparison.rows[1].agreement == "same"
