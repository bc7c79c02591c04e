"""The contract of the awaitable verbs: the results of the blocking ones in every way, and a loop that goes on."""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import calls

import whilst
from whilst.running.options import Keywords

R = TypeVar("R")
LOOPS: list[Any] = [pytest.param(None, id="asyncio")]
try:
    import uvloop  # type: ignore[import-not-found, unused-ignore]

    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as first:
        first.run(asyncio.sleep(0))  # the first one opens a pipe that uvloop keeps
except ImportError:
    pass


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, R]], R]:
    """`asyncio.run`, on each kind of loop that is installed."""

    def run_there(coroutine: Coroutine[Any, Any, R]) -> R:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run_there


Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def listed(stream: AsyncIterator[R]) -> list[R]:
    return [value async for value in stream]


def test_functions_give_what_the_blocking_verbs_give(way: Keywords, run: Run) -> None:
    squares = [x * x for x in range(30)]
    assert run(whilst.amap(calls.square, range(30), **way)) == squares
    assert run(whilst.amap(calls.square, numbers(30), **way)) == squares
    assert run(whilst.astarmap(calls.add, [(1, 2), (3, 4)], **way)) == [3, 7]
    assert run(listed(whilst.aimap(calls.later_first, range(30), **way))) == list(range(30))
    assert sorted(run(listed(whilst.aimap_unordered(calls.square, numbers(30), **way)))) == squares


def test_coroutine_functions_give_what_the_blocking_verbs_give(coroutine_way: Keywords, run: Run) -> None:
    squares = [x * x for x in range(30)]
    assert run(whilst.amap(calls.square_later, range(30), **coroutine_way)) == squares
    assert run(listed(whilst.aimap(calls.square_later, numbers(30), **coroutine_way))) == squares
    assert run(whilst.astarmap(calls.add_later, [(1, 2), (3, 4)], **coroutine_way)) == [3, 7]
    tasks = [functools.partial(calls.square_later, 3), functools.partial(calls.add_later, 1, 2)]
    assert run(whilst.agather(*tasks, **coroutine_way)) == [9, 3]


@pytest.mark.parametrize("mode", ["auto", "sequential", "concurrent"])
def test_coroutines_run_on_the_callers_own_loop(mode: Any, run: Run) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop(), threading.get_ident()
        lock = asyncio.Lock()  # bound to its loop at the first contention

        async def where(x: int) -> object:
            async with lock:
                await asyncio.sleep(0)
            return asyncio.get_running_loop(), threading.get_ident()

        def gives(x: int) -> Awaitable[object]:
            return where(x)

        assert set(await whilst.amap(where, range(9), mode=mode)) == {here}
        assert set(await whilst.amap(gives, range(9), mode=mode)) == {here}
        assert set(await listed(whilst.aimap(where, numbers(9), mode=mode))) == {here}

    run(main())


def test_functions_are_called_elsewhere_while_the_loop_goes_on(way: Keywords, run: Run) -> None:
    async def main() -> None:
        has_begun, may_end = threading.Event(), threading.Event()

        def held(x: int) -> tuple[int, bool]:
            has_begun.set()
            return threading.get_ident(), may_end.wait(20)

        task = asyncio.ensure_future(whilst.amap(held, range(3), mode="concurrent", workers=2))
        while not has_begun.is_set():
            await asyncio.sleep(0.001)
        may_end.set()  # only a loop that goes on comes here
        results = await task
        assert all(ended for _, ended in results)
        assert threading.get_ident() not in {thread for thread, _ in results}

    if way.get("mode") == "concurrent":
        run(main())
    else:
        assert threading.get_ident() not in run(whilst.amap(ident, range(4), **way)) or way.get("workers")


def ident(_: int) -> int:
    return threading.get_ident()


def test_the_first_failing_item_raises(coroutine_way: Keywords, run: Run) -> None:
    with pytest.raises(calls.OddError, match="7 is odd") as caught:
        run(whilst.amap(calls.refuse_later, range(30), **coroutine_way))
    assert any("call 7 of refuse_later, for 7" in note for note in caught.value.__notes__)

    seen: list[int] = []

    async def read() -> None:
        async for value in whilst.aimap(calls.refuse_later, numbers(30), **coroutine_way):
            seen.append(value)

    with pytest.raises(calls.OddError, match="7 is odd"):
        run(read())
    assert seen == list(range(7))
    results = run(whilst.amap(calls.refuse_later, range(9), errors="return", **coroutine_way))
    assert results[:7] == list(range(7))
    assert all(isinstance(error, calls.OddError) for error in results[7:])


def test_context_variables_are_those_of_the_caller(way: Keywords, run: Run) -> None:
    async def main() -> list[str]:
        calls.variable.set("mine")
        return await whilst.amap(calls.read_variable, range(5), **way)

    assert run(main()) == [f"{x} mine" for x in range(5)]


def test_different_tasks_are_gathered(run: Run) -> None:
    async def main() -> list[object]:
        ready = asyncio.Event()

        async def waits() -> str:
            await ready.wait()
            return "waited"

        async def tells() -> str:
            ready.set()
            return "told"

        awaitable = asyncio.ensure_future(asyncio.sleep(0, "slept"))
        return await whilst.agather(*[waits] * 40, tells, lambda: "called", awaitable)

    assert run(main()) == ["waited"] * 40 + ["told", "called", "slept"]


def test_who_is_cancelled_ends_the_run(run: Run) -> None:
    async def main() -> None:
        begun, ended = [], []

        async def endless(x: int) -> None:
            begun.append(x)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(x)

        before = threading.active_count()
        task = asyncio.ensure_future(whilst.amap(endless, range(100), mode="concurrent", workers=7))
        while len(begun) < 7:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(begun) == sorted(ended) == list(range(7))
        assert threading.active_count() == before

    run(main())


def test_cancelled_threads_end_with_their_calls(run: Run) -> None:
    async def main() -> None:
        begun: list[int] = []
        may_end = threading.Event()

        def held(x: int) -> None:
            begun.append(x)
            may_end.wait(20)

        task = asyncio.ensure_future(whilst.amap(held, range(100), mode="concurrent", workers=2))
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(begun) == 2

    run(main())


def test_as_many_calls_wait_for_each_other_as_threads_may_be(run: Run) -> None:
    together = threading.Barrier(32, timeout=60)

    def meets(_: int) -> int:
        together.wait()
        return 1

    assert run(whilst.amap(meets, range(32), mode="concurrent")) == [1] * 32


def test_what_a_run_is_refused_for_is_raised_where_it_is_awaited(run: Run) -> None:
    with pytest.raises(whilst.OptionsError, match="awaits coroutines"):
        run(whilst.amap(calls.square, range(3), backend="eventloop"))
    with pytest.raises(whilst.OptionsError, match="awaits coroutines"):
        run(listed(whilst.aimap(calls.square, range(3), backend="eventloop")))


def test_endless_input_is_read_no_further_than_needed(run: Run) -> None:
    async def main() -> None:
        drawn = 0

        async def endless() -> AsyncIterator[int]:
            nonlocal drawn
            for drawn in itertools.count(1):
                yield drawn

        stream = whilst.aimap(calls.square_later, endless(), mode="concurrent", workers=4)
        assert [await anext(stream) for _ in range(20)] == [x * x for x in range(1, 21)]
        await stream.aclose()
        assert drawn < 256  # what the blocking verb draws at once

    run(main())


def test_a_result_does_not_wait_for_the_next_item(run: Run) -> None:
    async def main() -> None:
        waiting: asyncio.Queue[int] = asyncio.Queue()

        async def arriving() -> AsyncIterator[int]:
            while True:
                yield await waiting.get()

        for fn in (calls.square_later, calls.square):
            stream = whilst.aimap(fn, arriving(), mode="concurrent", workers=2)
            for number in (3, 4):
                await waiting.put(number)
                assert await asyncio.wait_for(anext(stream), 20) == number * number
            await stream.aclose()

    run(main())


def test_an_error_of_the_input_comes_after_the_results_before_it(run: Run) -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise LookupError("no third")

    async def main() -> None:
        stream = whilst.aimap(calls.square, breaks())
        assert [await anext(stream), await anext(stream)] == [1, 4]
        with pytest.raises(LookupError, match="no third"):
            await anext(stream)
        with pytest.raises(LookupError, match="no third"):
            await whilst.amap(calls.square_later, breaks())

    run(main())


def test_one_buffer_filled_again_is_drawn_one_by_one(run: Run) -> None:
    async def filled() -> AsyncIterator[list[int]]:
        buffer = [0]
        for number in range(20):
            buffer[0] = number
            yield buffer

    for mode in ("auto", "concurrent"):
        assert run(whilst.amap(sum, filled(), mode=mode)) == list(range(20))


def test_what_prints_prints_in_order(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    async def say(x: int) -> None:
        await asyncio.sleep(0.001 * (5 - x))
        print(x)

    run(whilst.amap(say, range(5)))
    assert capsys.readouterr().out == "0\n1\n2\n3\n4\n"


def test_the_interval_of_thread_switches_is_as_before(run: Run) -> None:
    before = sys.getswitchinterval()
    during = run(whilst.amap(lambda _: sys.getswitchinterval(), range(1)))
    assert during[0] < before
    assert sys.getswitchinterval() == before


def test_blocking_verbs_on_a_running_loop_warn_and_name_their_twins() -> None:
    async def main() -> None:
        for _ in range(3):
            whilst.map(calls.square, range(3))
        list(whilst.imap(calls.square, range(3)))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        asyncio.run(main())
    assert [str(each.message).partition("Write ")[2] for each in caught] == [
        "`await whilst.amap(…)`.",
        "`async for … in whilst.aimap(…)`.",
    ]
    assert {each.filename for each in caught} == {__file__}


def test_no_blocking_verb_warns_where_no_loop_runs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whilst.map(calls.square, range(3)) == [0, 1, 4]
        assert list(whilst.imap(calls.square_later, range(3))) == [0, 1, 4]


def test_wrong_arguments_are_said(run: Run) -> None:
    with pytest.raises(TypeError, match=r"amap\(\) takes items to loop over, got 3"):
        run(whilst.amap(calls.square, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Use amap\(\)"):
        whilst.map(calls.square, numbers(3))  # type: ignore[arg-type]
    with pytest.raises(whilst.WhilstError, match="journal with an async iterable"):
        run(whilst.amap(calls.square, numbers(3), journal="x"))


def test_an_end_that_is_met_while_nothing_is_left_ends_the_run(run: Run) -> None:
    async def slow() -> AsyncIterator[int]:
        for number in range(5):
            yield number
            await asyncio.sleep(0.005)  # calls are over by then, and no worker is wanted

    for mode in ("auto", "concurrent"):
        assert run(asyncio.wait_for(whilst.amap(calls.square, slow(), mode=mode), 20)) == [0, 1, 4, 9, 16]
