"""The tables of what C code changes: those that checking and measuring ask say the same."""

from __future__ import annotations

import heapq
import io
import operator
from collections.abc import Callable

import pytest

from whilst.inspecting import c_effects, ownership
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach

HEAP = [3, 1, 2]
SEEN = {1}
STREAMS = (io.StringIO, io.BytesIO)  # objects with a position are known by their kind, see `stateful_kind`
NOT_TOLD_BY_NAME = {"__init__", "__missing__"}


def test_a_method_that_checking_takes_for_a_write_is_one_for_measuring() -> None:
    writes = {name for (kind, name), (is_write, _) in c_effects.METHODS.items() if is_write and kind not in STREAMS}
    assert writes - NOT_TOLD_BY_NAME <= ownership.MUTATORS


def test_no_method_that_only_reads_is_taken_for_a_write() -> None:
    reads = {name for (_, name), (is_write, _) in c_effects.METHODS.items() if not is_write}
    assert not reads & ownership.MUTATORS


def test_a_function_that_writes_its_first_argument_does_so_for_both() -> None:
    assert {function.__name__ for function in c_effects.WRITERS} <= ownership.CHANGES_FIRST_ARGUMENT  # type: ignore[attr-defined]


def sifts(item: int) -> int:
    heapq.heapify(HEAP)
    return item


def joins(item: int) -> int:
    operator.ior(SEEN, {item})
    return item


def merges(item: int) -> set[int]:
    return operator.or_(SEEN, {item})


@pytest.mark.parametrize("fn", [sifts, joins])
def test_a_change_through_c_code_is_suspected(fn: Callable[[int], object]) -> None:
    assert [suspect.reach for suspect in scan(fn, 1).suspects] == [Reach.SHARED]


def test_a_new_set_made_of_a_shared_one_is_not() -> None:
    assert scan(merges, 1).suspects == ()
