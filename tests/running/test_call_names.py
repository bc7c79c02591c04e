"""How calls are named to people."""

from __future__ import annotations

import tracemalloc

import pytest

from whilst.running.call_names import describe_call
from whilst.running.jobs import Job


@pytest.mark.parametrize("item", [bytes(4_000_000), bytearray(4_000_000), [bytes(4_000_000)], {"k": bytes(4_000_000)}])
def test_a_large_item_is_cut_before_it_is_shown(item: object) -> None:
    tracemalloc.start()
    try:
        assert len(describe_call(Job(0, abs, "item"), 3, item)) < 300
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
