"""The closed forms of the design, and what more executors bring."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.errors import DayError, UnmeasuredError
from whilst.model import Day, Machine, Mode, Profile, Task, wait, work
from whilst.planning import Costs, day_scaling, forecast, plan, scaling

CALL = Profile(work_s=0.01, wait_s=0.09, calls=3)


@given(
    n=st.integers(1, 10_000),
    k=st.integers(1, 128),
    w=st.floats(0, 10, allow_nan=False),
    u=st.floats(0, 10, allow_nan=False),
)
def test_the_closed_forms_are_the_designs(n: int, k: int, w: float, u: float) -> None:
    seconds = forecast(Profile(work_s=w, wait_s=u, calls=1), n, Machine(cores=k))
    assert seconds == {
        Mode.SEQUENTIAL: n * (w + u),
        Mode.CONCURRENT: max(n * w, w + u),
        Mode.PARALLEL: math.ceil(n / k) * (w + u),
        Mode.COMBINED: max(n * w / k, w + u),
    }


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (12, 4), (40, 64)])
def test_a_planned_day_of_like_calls_is_never_shorter_than_its_forecast(mode: Mode, n: int, k: int) -> None:
    day = Day(
        tuple(f"e{number}" for number in range(k)), tuple(Task(f"t{number}", (wait(4), work(2))) for number in range(n))
    )
    seconds = forecast(Profile(work_s=2, wait_s=4, calls=1), n, Machine(cores=k))[mode]
    planned = plan(day, mode).makespan_s
    assert planned >= seconds
    assert planned == seconds or mode.overlaps_waits


def test_what_cannot_cross_to_a_process_rules_out_the_modes_of_several_executors() -> None:
    local = Profile(work_s=1, wait_s=1, calls=1, is_picklable=False)
    assert set(forecast(local, 4, Machine(cores=2))) == {Mode.SEQUENTIAL, Mode.CONCURRENT}
    assert set(forecast(local, 4, Machine(cores=2, has_gil=False))) == set(Mode)


def test_an_unmeasured_profile_is_refused() -> None:
    with pytest.raises(UnmeasuredError, match="no pilot call"):
        forecast(Profile(), 4, Machine(cores=2))
    with pytest.raises(UnmeasuredError, match="at least one call"):
        forecast(CALL, 0, Machine(cores=2))
    with pytest.raises(UnmeasuredError, match="no pilot call"):
        scaling(Profile(), 4, Machine(cores=2))


@given(st.integers(1, 500), st.integers(1, 64))
def test_costs_never_make_anything_faster(n: int, k: int) -> None:
    plain = forecast(CALL, n, Machine(cores=k))
    costs = Costs(per_call_s=1e-3, handover_s=1e-5, start_s=0.05, longest_call_s=0.4, gil_share=0.5, shared_by=k)
    dear = forecast(CALL, n, Machine(cores=k), costs=costs)
    assert all(dear[mode] >= plain[mode] for mode in Mode)


def test_executors_that_share_one_lock_do_not_share_the_work_that_holds_it() -> None:
    busy = Profile(work_s=1, wait_s=0, calls=1)
    seconds = forecast(busy, 8, Machine(cores=4), costs=Costs(gil_share=1.0, shared_by=4))
    assert seconds[Mode.PARALLEL] == seconds[Mode.COMBINED] == 8


def test_more_executors_stop_paying_where_the_span_is_reached() -> None:
    table = scaling(CALL, 100, Machine(cores=2))
    assert [row.executors for row in table.rows] == list(range(1, 129))
    assert (table.work_s, table.span_s) == pytest.approx((1.0, 0.1))
    # 100 calls of 0.01 s of work keep 10 executors busy for the 0.1 s that a call takes.
    assert table.enough == {Mode.COMBINED: 10, Mode.PARALLEL: 100}
    assert table.cores == 2
    assert len({len(row) for row in table.table()}) == 1


def test_a_day_over_numbers_of_executors() -> None:
    day = Day(("you",), tuple(Task(f"t{number}", (work(1), wait(1), work(1))) for number in range(6)), name="six")
    table = day_scaling(day)
    combined = {row.executors: row.seconds[Mode.COMBINED] for row in table.rows}
    parallel = {row.executors: row.seconds[Mode.PARALLEL] for row in table.rows}
    assert (combined[1], combined[2], combined[6], combined[128]) == (12, 6, 3, 3)
    assert (parallel[1], parallel[2], parallel[6], parallel[128]) == (18, 9, 3, 3)
    assert table.enough == {Mode.PARALLEL: 6, Mode.COMBINED: 6}
    assert (table.work_s, table.span_s) == (12, 3)
    assert all(combined[k] <= combined[k - 1] for k in range(2, 129))


def test_too_few_executors_leave_a_hole_in_the_table() -> None:
    day = Day(("you", "me"), (Task("a", (work(1),), by=("me",)),))
    table = day_scaling(day, counts=(1, 2))
    assert [sorted(row.seconds.values()) for row in table.rows] == [[], [1, 1]]
    assert table.table()[1] == ["1", "-", "-", "-"]
    with pytest.raises(DayError, match="nobody is left who may do task 'a'"):
        day_scaling(day, counts=(1,))
