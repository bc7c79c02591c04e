"""How input is taken and results are put in order, without any worker."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.model import Kind
from whilst.running.call_names import describe_call
from whilst.running.calls.one_argument import Awaiter
from whilst.running.calls.seeding import own_draws, reseed, seed_of
from whilst.running.core.inline import perform_inline, perform_lazily
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink, OrderedSink, UnorderedSink
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import CALLER, Finished, Job
from whilst.running.results import Results


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda items: (x for x in items)])
def test_items_are_taken_once_in_order_and_the_end_is_noticed(kind: type) -> None:
    source = Source(kind([1, 2, 3, 4, 5]))
    assert [list(source.take(2)), list(source.pull(1))] == [[1, 2], [3]]
    source.pulled(1, is_over=False)
    assert [list(source.take(9)), list(source.take(1))] == [[4, 5], []]
    assert source.is_exhausted
    assert source.left == 0
    assert source.next_id == 5


def test_what_comes_before_an_error_of_the_input_is_not_lost() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    source = Source(items())
    assert source.take(5) == [1]
    assert source.is_exhausted
    assert isinstance(source.error, LookupError)


def test_the_length_of_an_input_is_known_only_where_it_says_so() -> None:
    assert Source([1, 2]).left == Source({1, 2}).left == 2
    assert Source(iter([1, 2])).left is None


def test_a_list_that_grows_under_the_calls_is_followed() -> None:
    items = [3]

    def grow(x: int) -> int:
        if x:
            items.append(x - 1)
        return x

    source, made = Source(items), []
    while not source.is_exhausted:
        made += perform_inline(Job(1, grow), source, 10, Awaiter()).values
    assert made == [3, 2, 1, 0]


def test_inline_calls_pull_each_item_after_the_call_before() -> None:
    log: list[str] = []

    def items() -> Iterator[int]:
        for x in range(3):
            log.append(f"item {x}")
            yield x

    perform_inline(Job(1, lambda x: log.append(f"call {x}")), Source(items()), 9, Awaiter())
    assert log == list(chain.from_iterable((f"item {x}", f"call {x}") for x in range(3)))


def test_lazy_calls_are_made_when_they_are_asked_for() -> None:
    made: list[int] = []
    source = Source(range(5))
    calls = perform_lazily(Job(1, lambda x: made.append(x) or x), source, 3, Awaiter(), [])
    assert next(calls) == 0
    assert made == [0]
    assert list(calls) == [1, 2]
    assert source.next_id == 3


@given(st.lists(st.integers(1, 5), max_size=12), st.randoms(use_true_random=False))
def test_sinks_put_every_value_in_its_place(sizes: list[int], order: random.Random) -> None:
    bounds = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    batches = [range(low, high) for low, high in pairwise(bounds)]
    order.shuffle(batches)
    listed, ordered, unordered = ListSink([]), OrderedSink(), UnorderedSink()
    for ids in batches:
        some: list[int] | range = ids if order.random() < 0.5 else order.sample(ids, len(ids))
        for sink in (listed, ordered, unordered):
            sink.deliver(some, [number * 10 for number in some], {})
    expected = [number * 10 for number in range(bounds[-1])]
    assert listed.values == expected
    assert list(chain.from_iterable(ordered.ready)) == expected
    assert sorted(chain.from_iterable(unordered.ready)) == expected
    assert ordered.undelivered == unordered.undelivered == len(expected)


def test_a_recorder_draws_work_waiting_and_both() -> None:
    recorder = Recorder("call", 100)
    recorder.name_workers("threads")
    recorder.add(Finished(0, 0, (0,), (None,), 100, 200, {}, [100], [200], 100))
    recorder.add(Finished(1, 1, (1,), (None,), 100, 200, {}, [100], [200], 0))
    recorder.add(Finished(CALLER, -1, range(2, 4), (None, None), 200, 300, cpu_ns=40))
    line = recorder.timeline("a run")
    kinds = {(span.executor, span.task): [] for span in line}
    for span in line:
        kinds[span.executor, span.task].append((span.kind, span.start_ns, span.end_ns))
    assert kinds == {
        ("thread 1", "call 0"): [(Kind.WORK, 0, 100)],
        ("thread 2", "call 1"): [(Kind.WAIT, 0, 100)],
        ("caller", "call 2"): [(Kind.WORK, 100, 140), (Kind.WAIT, 140, 200)],
    }
    assert line.facts == {"within a call": "its work is drawn first; when it waited is not recorded"}


def test_a_recorder_that_knows_when_each_call_worked_says_nothing_of_order() -> None:
    recorder = Recorder("call", 0)
    recorder.add(Finished(0, 0, (0,), (None,), 0, 100, {}, [0], [100], 100))
    recorder.add(Finished(1, 1, (1,), (None,), 0, 100, {}, [0], [100], 0))
    assert recorder.timeline("a run").facts == {}


def test_calls_that_overlap_on_one_executor_are_drawn_as_working_in_turns() -> None:
    recorder = Recorder("call", 0)
    recorder.name_workers("eventloop")
    recorder.add(Finished(0, 0, (0, 1, 2), (None,) * 3, 0, 1000, {}, [0, 0, 900], [1000, 1000, 1000], 63))
    line = recorder.timeline("a run")
    assert [(span.start_ns, span.end_ns) for span in line if span.kind is Kind.WORK] == [(0, 30), (30, 60), (900, 903)]
    assert line.parallel_share == 0.0
    assert sum(span.end_ns - span.start_ns for span in line) == 2100


def test_a_recorder_of_a_lazy_run_forgets_the_oldest() -> None:
    recorder = Recorder("call", 0, is_lazy=True)
    for number in range(30_000):
        recorder.add(Finished(0, number, (number,), (None,), number, number + 1, {}, [number], [number + 1], 1))
    assert len(recorder.timeline("")) <= 10_001


def test_results_equal_and_pickle_as_a_list() -> None:
    import pickle

    results: Results[int] = Results([1, 2])
    assert pickle.loads(pickle.dumps(results)) == [1, 2]
    assert type(pickle.loads(pickle.dumps(results))) is list


def test_seeds_differ_by_item_and_never_change() -> None:
    assert len({seed_of(1, n) for n in range(1000)}) == 1000
    state = random.getstate()
    with own_draws(len):
        reseed(5, 7)
        drawn = random.random()
        reseed(5, 7)
        assert random.random() == drawn
    assert random.getstate() == state
    assert drawn == random.Random(seed_of(5, 7)).random()


def test_a_description_survives_a_repr_that_raises() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "for <Shy instance" in describe_call(Job(1, len), 3, Shy())
    assert describe_call(Job(1, len, "call"), 0, (divmod, (7,), {"b": 2})) == "call 0, divmod(7, b=2)"


def test_what_lies_in_memory_by_number_can_be_inherited_unless_somebody_reads_meanwhile() -> None:
    array = np.zeros((3, 2))
    for items in ([1, 2], (1, 2), range(2), array):
        assert Source(items).inheritable is items
        assert Source(items, is_lazy=True).inheritable is None
    for other in ({1, 2}, iter([1]), np.array([object()]), Counted([1])):
        assert Source(other).inheritable is None


class Counted(list[int]):
    """A list that may give what it likes."""
