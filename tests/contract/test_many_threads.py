"""What is ours and all threads share (hooks, memos, registries) holds while many threads make maps at once.

`WHILST_STRESS_MAPS=100000` makes so many in all; the suite makes few.
"""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import whilst

_THREADS = 8
_MAPS = int(os.environ.get("WHILST_STRESS_MAPS", "48"))


def double(item: int) -> int:
    return 2 * item


def fail(item: int) -> int:
    if item == 3:
        raise ValueError(f"no {item}")
    return item


def one_map(draw: random.Random, number: int) -> None:
    """A map of some kind, held against what a loop gives."""
    how: dict[str, Any] = draw.choice(
        [{"mode": "auto"}, {"mode": "auto"}, {"mode": "concurrent", "workers": 2}, {"mode": "sequential"}]
    )
    items = range(number, number + draw.randrange(1, 9))
    expected = [2 * item for item in items]
    kind = draw.choice([0, 1, 2, 3, 0, 1, 2, 3, 4])
    if kind == 0:
        results = whilst.map(double, items, **how)
        assert list(results) == expected
        assert results.decision.mode in (whilst.Mode.SEQUENTIAL, whilst.Mode.CONCURRENT, whilst.Mode.PARALLEL)
        assert len(results.timeline) == 0 or {span.kind for span in results.timeline}
    elif kind == 1:
        assert list(whilst.imap(lambda item: 2 * item, items, **how)) == expected
    elif kind == 2:
        assert sorted(whilst.imap_unordered(double, iter(items), **how)) == expected
    elif kind == 3:
        results = whilst.map(fail, range(5), errors="return", **how)
        assert [str(each) for each in results] == ["0", "1", "2", "no 3", "4"]
    else:
        with whilst.Executor(**how) as executor:
            assert list(executor.map(double, items)) == expected


def test_many_maps_on_many_threads_at_once() -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(_THREADS)

    def work(seed: int) -> None:
        draw = random.Random(seed)
        barrier.wait()
        try:
            for number in range(_MAPS // _THREADS):
                one_map(draw, number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
