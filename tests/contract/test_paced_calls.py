"""retry_on, rate_per_s, deadline_s and on_result mean the same in every mode and verb."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.model import Machine, Profile
from whilst.running.core.pacing import retrying
from whilst.running.core.pacing.pace import Pace
from whilst.running.core.pacing.rate_limit import RateLimit
from whilst.running.options import Keywords, Options
from whilst.running.policies import auto
from whilst.running.policies.decide import decide
from whilst.running.policies.evidence import DecisionInput
from whilst.running.policies.pilot.calls import PilotCalls


class BusyError(Exception):
    pass


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "BASE_S", 0.001)


def attempt(folder: Path, number: int, failures: int) -> int:
    """Count the attempts of a call by files, which every process sees."""
    made = next(k for k in itertools.count() if _is_new(folder / f"{number}.{k}"))
    if made < failures:
        raise BusyError(f"attempt {made}")
    return made


def _is_new(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def at_third_fails(folder: Path, number: int) -> tuple[int, int]:
    return number, attempt(folder, number, 2 if number % 3 == 0 else 0)


async def later_at_third_fails(folder: Path, number: int) -> tuple[int, int]:
    await asyncio.sleep(0)
    return at_third_fails(folder, number)


def always_fails(folder: Path, number: int) -> int:
    return attempt(folder, number, 99 if number == 2 else 0)


EXPECTED = [(number, 2 if number % 3 == 0 else 0) for number in range(7)]


def test_calls_that_raise_are_made_again(way: Keywords, tmp_path: Path) -> None:
    results = whilst.map(partial(at_third_fails, tmp_path), range(7), retry_on=BusyError, **way)
    assert results == EXPECTED
    assert "6 attempts more (6 after BusyError)" in str(results.decision)
    assert [row for row in results.report().table() if row[0] == "made again"]
    tried = [span.task for span in results.timeline if span.task.endswith(" 3")]
    assert len(tried) >= 3 or way["mode"] == "auto", "each attempt is drawn, unless calls are too short to be timed"


def test_calls_after_one_that_is_made_again_are_made_however_many_are_watched_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(PilotCalls, "_size", lambda _: sizes.append(4) or 4)
    monkeypatch.setattr(PilotCalls, "is_enough", lambda _: False)
    for name in ("_TINY_S", "_NOT_WORTH_S"):
        monkeypatch.setattr(auto, name, 0.0)
    assert whilst.map(partial(at_third_fails, tmp_path), range(1, 9), retry_on=BusyError) == [
        *EXPECTED[1:],
        *((number, 0) for number in (7, 8)),
    ]
    assert sizes, "some were watched together"


def test_coroutines_that_raise_are_made_again(coroutine_way: Keywords, tmp_path: Path) -> None:
    fn = partial(later_at_third_fails, tmp_path)
    assert whilst.map(fn, range(7), retry_on=(BusyError, KeyError), retries=2, **coroutine_way) == EXPECTED


def test_the_first_error_that_is_left_ends_the_run_and_says_what_was_tried(way: Keywords, tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="attempt 1") as caught:
        whilst.map(partial(always_fails, tmp_path), range(4), retry_on=BusyError, retries=1, **way)
    notes = "\n".join(caught.value.__notes__)
    assert "raised by call 2 of" in notes
    assert "whilst: attempt 1 raised BusyError: 'attempt 0'; made again" in notes
    assert "attempt 2 was the last (retries=1)" in notes


def test_other_calls_are_given_where_errors_are_returned(way: Keywords, tmp_path: Path) -> None:
    results = whilst.map(
        partial(always_fails, tmp_path), iter(range(4)), retry_on=BusyError, retries=1, errors="return", **way
    )
    assert [type(each) for each in results] == [int, int, BusyError, int]


def test_lazy_verbs_and_gather_make_calls_again(tmp_path: Path) -> None:
    keywords = Keywords(mode="concurrent", retry_on=BusyError)
    for name in ("imap", "unordered", "gather", "sequential"):
        (tmp_path / name).mkdir()
    assert list(whilst.imap(partial(at_third_fails, tmp_path / "imap"), range(7), **keywords)) == EXPECTED
    unordered = whilst.imap_unordered(partial(at_third_fails, tmp_path / "unordered"), iter(range(7)), **keywords)
    assert sorted(unordered) == EXPECTED
    tasks = [partial(at_third_fails, tmp_path / "gather", number) for number in range(7)]
    assert whilst.gather(*tasks, **keywords) == EXPECTED
    one_by_one = whilst.imap(
        partial(at_third_fails, tmp_path / "sequential"), range(7), mode="sequential", retry_on=BusyError
    )
    assert list(one_by_one) == EXPECTED


def test_an_executor_makes_calls_again(tmp_path: Path) -> None:
    with whilst.Executor(retry_on=BusyError, retries=2) as executor:
        futures = [executor.submit(at_third_fails, tmp_path, number) for number in range(7)]
        assert [future.result() for future in futures] == EXPECTED
        assert "6 attempts more" in str(executor.decision)


def test_a_call_that_took_too_long_is_made_again(tmp_path: Path) -> None:
    for mode in ("sequential", "parallel"):
        folder = tmp_path / mode
        folder.mkdir()
        results = whilst.map(
            partial(slow_at_first, folder), [0], mode=mode, timeout_s=0.5, retry_on=TimeoutError, retries=5
        )
        assert results == [1]


def slow_at_first(folder: Path, number: int) -> int:
    made = attempt(folder, number, 0)
    if made == 0:
        time.sleep(0.7)  # the other attempts are over in time, however busy the machine is
    return made


def test_what_is_awaited_once_is_not_begun_again() -> None:
    async def wait() -> None: ...

    coroutine = wait()
    with pytest.raises(whilst.OptionsError, match="lambda: fetch"):
        whilst.gather(coroutine, retry_on=BusyError)
    coroutine.close()


class Permits:
    """How many calls began, and whether each was allowed to."""

    def __init__(self) -> None:
        self.begun: list[int] = []


@pytest.fixture
def permits(monkeypatch: pytest.MonkeyPatch) -> Permits:
    seen = Permits()
    begin = RateLimit.begin

    def watched(self: RateLimit, now_ns: int, count: int = 1) -> None:
        assert not self.wait_ns(now_ns)
        seen.begun.append(count)
        begin(self, now_ns, count)

    monkeypatch.setattr(RateLimit, "begin", watched)
    return seen


def same(number: int) -> int:
    return number


def test_each_call_waits_for_its_turn(way: Keywords, permits: Permits) -> None:
    results = whilst.map(same, range(5), rate_per_s=400, **way)
    assert results == list(range(5))
    assert permits.begun == [1] * 5
    assert "no more than 400 calls begin a second" in str(results.decision)


def test_a_decision_has_the_threads_that_a_rate_left_calls_for() -> None:
    results = whilst.map(same, range(6), mode="concurrent", rate_per_s=400)
    assert results.decision.workers == len({span.executor for span in results.timeline})
    results = whilst.map(same, range(6), mode="concurrent", rate_per_s=400, workers=5)
    assert results.decision.workers == 5
    taken = len({span.executor for span in results.timeline})
    assert f"and {taken} worker{'' if taken == 1 else 's'} had some to make" in str(results.decision)


def test_each_attempt_waits_for_its_turn_in_every_verb(tmp_path: Path, permits: Permits) -> None:
    keywords = Keywords(rate_per_s=400, retry_on=BusyError)
    fn = partial(at_third_fails, tmp_path)

    async def awaited() -> list[tuple[int, int]]:
        return await whilst.amap(fn, range(3, 6), **keywords)

    assert list(whilst.imap(fn, range(3), **keywords)) == EXPECTED[:3]
    assert permits.begun == [1] * 5
    assert asyncio.run(awaited()) == EXPECTED[3:6]
    assert permits.begun == [1] * 10
    with whilst.Executor(**keywords) as executor:
        assert executor.submit(fn, 6).result() == (6, 2)
    assert permits.begun == [1] * 13


def test_more_workers_than_a_rate_can_use_are_not_chosen() -> None:
    profile = Profile(work_s=0.001, wait_s=0.299, gil_s=0.001, calls=1)
    given = DecisionInput(left=1000, rate_per_s=10)
    decision = decide(profile, Machine(cores=4), given)
    assert decision.mode == "concurrent"
    assert 3 <= decision.workers <= 6
    assert decision.forecast_s[decision.mode] == pytest.approx(100.2, abs=0.1)
    slower = decide(profile, Machine(cores=4), given._replace(rate_per_s=3))
    assert slower.mode == "sequential", "each call is over before the next may begin"


def test_a_run_that_goes_on_has_the_time_and_the_counts_of_all_of_it() -> None:
    pace = Pace(None, None, 60)
    pace.go_on(time.perf_counter_ns() - 59 * 10**9, 3, 10)
    assert pace.limit_s(None) == pytest.approx(1, abs=1)
    pace = Pace(None, None, 60)
    pace.go_on(time.perf_counter_ns() - 61 * 10**9, 3, 10)
    pace.begin()
    assert pace.is_late
    assert "when 5 of 10 calls were done" in str(pace.late(2, 7))


class Time:
    """A deadline that is over when the test says so."""

    is_over = False


@pytest.fixture
def run_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Time]]:
    monkeypatch.setattr(Pace, "is_late", property(lambda _: Time.is_over))
    yield Time
    Time.is_over = False


def ending_after(count: int) -> Callable[[int, object], None]:
    told: list[int] = []

    def tell(number: int, _: object) -> None:
        told.append(number)
        Time.is_over = len(told) >= count

    return tell


def until_told(path: Path, number: int) -> int:
    if number >= 2:
        for _ in range(2000):
            if path.exists():
                break
            time.sleep(0.005)
    return number


async def until_cancelled(number: int) -> int:
    await asyncio.sleep(0 if number < 2 else 10)
    return number


@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
@pytest.mark.usefixtures("run_time")
def test_a_run_ends_at_its_deadline(mode: Any, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    fn = partial(until_told, gate)
    keywords = Keywords(mode=mode, workers=2, deadline_s=60, on_result=ending_after(2))
    try:
        with pytest.raises(
            whilst.DeadlineExceededError,
            match=r"deadline_s=60 was over when 2 of 30 calls were done\. Give it more time, or pass errors='return'",
        ):
            whilst.map(fn, range(30), **keywords)
    finally:
        gate.touch()


@pytest.mark.usefixtures("run_time")
def test_coroutines_end_at_the_deadline_and_what_was_done_is_given() -> None:
    results = whilst.map(until_cancelled, range(6), deadline_s=60, errors="return", on_result=ending_after(2))
    assert results[:2] == [0, 1]
    assert [type(each) for each in results[2:]] == [whilst.DeadlineExceededError] * 4
    assert isinstance(results[5], TimeoutError)

    async def awaited() -> None:
        await whilst.amap(until_cancelled, range(6), deadline_s=0.01)

    with pytest.raises(whilst.DeadlineExceededError):
        asyncio.run(awaited())


def ends_the_time(number: int) -> int:
    Time.is_over = number == 1
    return number


def test_a_call_in_the_callers_thread_that_ends_too_late_has_failed(run_time: type[Time]) -> None:
    keywords = Keywords(mode="sequential", deadline_s=60, errors="return")
    results = whilst.map(ends_the_time, range(4), **keywords)
    assert results[0] == 0
    assert [type(each) for each in results[1:]] == [whilst.DeadlineExceededError] * 3
    assert str(results[3]) == "deadline_s=60 was over when 1 of 4 calls were done. Give it more time."
    run_time.is_over = False
    endless = list(whilst.imap(ends_the_time, itertools.count(), **keywords))
    assert [type(each) for each in endless] == [int] + [whilst.DeadlineExceededError] * 2, "one for all the rest"
    assert "1 of an unknown number of calls" in str(endless[-1])


def halve(number: int) -> float:
    if number == 3:
        raise BusyError("three")
    return number / 2


def test_results_are_told_as_they_come(way: Keywords) -> None:
    told: dict[int, object] = {}
    results = whilst.map(halve, range(5), errors="return", on_result=told.__setitem__, **way)
    assert [told[number] for number in range(5)] == results
    assert isinstance(told[3], BusyError)


def test_an_error_that_ends_the_run_is_told_and_so_are_results_of_lazy_verbs() -> None:
    told: dict[int, object] = {}
    with pytest.raises(BusyError):
        whilst.map(halve, range(5), mode="sequential", on_result=told.__setitem__)
    assert sorted(told) == [0, 1, 2, 3]
    told.clear()
    assert list(whilst.imap(halve, range(3), on_result=told.__setitem__)) == [0, 0.5, 1]
    assert told == {0: 0, 1: 0.5, 2: 1}


def test_on_a_running_loop_results_are_told_there() -> None:
    async def main() -> list[int]:
        loops = []

        def tell(number: int, result: object) -> None:
            loops.append(id(asyncio.get_running_loop()) == here)

        here = id(asyncio.get_running_loop())
        await whilst.amap(halve, range(3), on_result=tell)
        assert await whilst.agather(partial(halve, 1), on_result=tell) == [0.5]
        return loops

    assert asyncio.run(main()) == [True] * 4


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_what_on_result_raises_ends_the_run(mode: str) -> None:
    def stop(number: int, result: object) -> None:
        if number == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        whilst.map(halve, range(3), mode=mode, on_result=stop)  # type: ignore[arg-type]
    assert caught.value.__notes__ == ["whilst: raised by on_result, for the outcome of call 1"]


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"retry_on": "Busy"}, "retry_on must be an exception class"),
        ({"retry_on": (KeyboardInterrupt,)}, "retry_on must be an exception class"),
        ({"rate_per_s": 0}, "rate_per_s must be a number of calls a second, more than 0, got 0"),
        ({"deadline_s": float("nan")}, "deadline_s must be a number of seconds"),
        ({"on_result": 3}, "on_result must be a function of"),
        ({"on_result": until_cancelled}, "on_result must be a plain function"),
    ],
)
def test_what_can_not_be_is_refused(keywords: Keywords, said: str) -> None:
    with pytest.raises(whilst.OptionsError, match=said):
        whilst.map(halve, [1], **keywords)


@pytest.mark.parametrize("name", ["deadline_s", "on_result"])
def test_an_executor_refuses_what_is_about_a_whole_list(name: str) -> None:
    with pytest.raises(TypeError, match=f"Executor\\(\\) takes no {name}="):
        whilst.Executor(**{name: 3})  # type: ignore[arg-type]


def test_retries_are_none_or_three_unless_asked_for() -> None:
    assert Options.of("map", {}).most_retries == 0
    assert Options.of("map", {"retry_on": BusyError}).most_retries == 3
    assert Options.of("map", {"retry_on": BusyError, "retries": 0}).most_retries == 0


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("verb", [whilst.map, whilst.imap])
def test_an_observer_that_raises_what_ends_a_loop_is_named(verb: Any, kind: type[Exception]) -> None:
    def on_result(number: int, outcome: object) -> None:
        raise kind

    with pytest.raises(RuntimeError, match=f"on_result raised {kind.__name__} for the outcome of call 0") as caught:
        list(verb(str, [1, 2], on_result=on_result, mode="sequential"))
    assert type(caught.value.__cause__) is kind
