"""A mode that was asked for is used, and its decision says what it may do to the results."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from whilst.running.options import Keywords
from whilst.running.verbs.api import imap, map  # noqa: A004 - the verb's name

seen: set[int] = set()
count = 0
lock = threading.Lock()


def visits(k: int) -> bool:
    if k in seen:
        return False
    seen.add(k)
    return True


def counts_under_lock(k: int) -> int:
    global count
    with lock:
        count += k
    return k


def harmless(k: int) -> int:
    time.sleep(0)
    return k


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"mode": "concurrent", "workers": 2}, "which calls that overlap may mix up"),
        ({"mode": "parallel", "workers": 2}, "which processes lose or mix up"),
        ({"mode": "combined", "workers": 2}, "which processes lose or mix up"),
        ({"mode": "sequential"}, ""),
    ],
)
def test_what_a_mode_does_not_keep_is_said(keywords: Keywords, said: str) -> None:
    for decision in (map(visits, [1, 2], **keywords).decision, imap(visits, [1, 2], **keywords).decision):
        assert [text.startswith("It changes seen") and text.endswith(said) for text in decision.given_up] == [
            True
        ] * bool(said)
    assert map(harmless, [1, 2], **keywords).decision.given_up == ()


def test_a_lock_is_good_for_threads_and_nothing_for_processes() -> None:
    assert map(counts_under_lock, [1, 2], mode="concurrent").decision.given_up == ()
    assert "count" in map(counts_under_lock, [1, 2], mode="parallel", workers=2).decision.given_up[0]


def test_results_do_not_keep_what_the_function_was_bound_to() -> None:
    class Big:
        def method(self, k: int) -> int:
            self.last = k
            return k

    big = Big()
    gone = weakref.ref(big)
    results = map(big.method, [1, 2], mode="concurrent", workers=2)
    del big
    gc.collect()
    assert gone() is None
    assert "self.last" in results.decision.given_up[0]  # what is said outlives it


def test_arrays_among_what_is_changed_are_compared_by_nothing_but_identity() -> None:
    np = pytest.importorskip("numpy")
    canvas = np.zeros((4, 4))

    def paint(k: int) -> None:
        canvas[k % 4, 1] = k

    results = map(paint, [1, 2], mode="concurrent", workers=2)
    assert [text.partition(" (")[0] for text in results.decision.given_up] == ["It changes canvas[…]"]
