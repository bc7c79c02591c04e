"""The verb `plan`: its arguments, its proofs, and days at the edges."""

from __future__ import annotations

import random
import sys

import pytest

from whilst.errors import DayError, WhilstError
from whilst.model import Day, Estimate, Kind, Mode, Task, wait, work
from whilst.planning import plan

TWO = ("you", "assistant")


def test_the_one_executor_is_the_first_declared_or_the_one_named() -> None:
    day = Day(TWO, (Task("a", (work(1),)),))
    assert plan(day, "sequential").timeline[0].executor == "you"
    assert plan(day, "concurrent", executor="assistant").timeline[0].executor == "assistant"


def test_a_task_that_nobody_present_may_do_is_refused_with_a_remedy() -> None:
    day = Day(TWO, (Task("a", (work(1),)), Task("b", (work(1),), by=("assistant",))))
    with pytest.raises(
        DayError, match=r"'b' may only be done by 'assistant'. Add 'you' to its 'by', or pass executor="
    ):
        plan(day, "sequential")
    assert plan(day, "sequential", executor="assistant").makespan_s == 2
    divided = Day(TWO, (Task("a", (work(1),), by=("you",)), Task("b", (work(1),), by=("assistant",))))
    with pytest.raises(DayError, match="plan in parallel or combined mode") as caught:
        plan(divided, "concurrent")
    assert caught.value.key == ("tasks", "b", "by")
    assert plan(divided, "parallel").makespan_s == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"executor": "yuo", "mode": "sequential"}, "Did you mean 'you'?"),
        ({"executor": "you", "mode": "combined"}, "in combined mode all executors work. Leave it out"),
        ({"mode": "paralel"}, "'paralel' is no mode"),
        ({"optimal_s": 0}, "optimal_s must be a positive number"),
        ({"optimal_s": float("nan")}, "optimal_s must be a positive number"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"executors": 0}, "at least one executor"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict, said: str) -> None:
    with pytest.raises(WhilstError) as caught:
        plan(Day(TWO, (Task("a", (work(1),)),)), **arguments)
    assert said in str(caught.value)


def test_lengths_that_nanoseconds_cannot_count_are_refused() -> None:
    with pytest.raises(DayError, match="more than whilst can count"):
        plan(Day(("you",), (Task("a", (work(1e300),)),)))


@pytest.mark.parametrize("mode", list(Mode))
def test_a_day_without_any_length_takes_no_time(mode: Mode) -> None:
    day = Day(TWO, (Task("a", (work(0), wait(0))), Task("b", (wait(0),), after=("a",))))
    planned = plan(day, mode)
    assert (planned.makespan_ns, planned.gap, planned.is_optimal) == (0, 0, True)
    assert len(planned.timeline) == 3


@pytest.mark.parametrize("mode", list(Mode))
def test_a_day_that_only_waits(mode: Mode) -> None:
    day = Day(TWO, tuple(Task(f"t{number}", (wait(3),)) for number in range(4)))
    planned = plan(day, mode)
    assert planned.makespan_s == {Mode.SEQUENTIAL: 12, Mode.PARALLEL: 6}.get(mode, 3)
    assert planned.is_optimal


def test_lengths_are_kept_to_the_nanosecond() -> None:
    lengths = [0.1, 0.2, 0.3, 1e-9, 1 / 3]
    day = Day(("you",), tuple(Task(f"t{number}", (work(each),)) for number, each in enumerate(lengths)))
    assert plan(day, "sequential").makespan_ns == sum(round(each * 10**9) for each in lengths)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("step", [work(1), wait(1), work(0)])
def test_a_chain_far_longer_than_the_recursion_limit_is_planned(mode: Mode, step: object) -> None:
    count = 3 * sys.getrecursionlimit()
    chain = [Task("t0", (step,))]
    chain += [Task(f"t{number}", (step,), after=(f"t{number - 1}",)) for number in range(1, count)]
    random.Random(1).shuffle(chain)
    planned = plan(Day(TWO, tuple(chain)), mode)
    assert planned.makespan_s == count * step.length_s
    assert planned.is_optimal


def test_work_is_interrupted_where_that_shortens_the_day() -> None:
    # Whole work would hold up the task that still has to wait for long.
    day = Day(("you",), (Task("long", (work(10),)), Task("call", (wait(1), work(1), wait(9)))))
    planned = plan(day, "concurrent")
    assert planned.makespan_s == 11
    assert planned.is_optimal
    pieces = [span for span in planned.timeline if span.task == "long" and span.kind is Kind.WORK]
    assert [(span.start_ns // 10**9, span.end_ns // 10**9) for span in pieces] == [(0, 1), (2, 11)]
    held = [span for span in planned.timeline if span.kind is Kind.HELD]
    assert [(span.task, span.start_ns // 10**9, span.end_ns // 10**9) for span in held] == [("long", 1, 2)]


def test_whole_tasks_that_two_executors_must_share_count_as_a_bound() -> None:
    planned = plan(
        Day(TWO, tuple(Task(f"t{length}{at}", (work(length),)) for at, length in enumerate((4, 4, 4, 1)))), "combined"
    )
    assert (planned.makespan_s, planned.is_optimal) == (8, True)
    assert "whole tasks" in planned.bound_reason


def test_more_executors_may_be_asked_for_than_are_declared() -> None:
    day = Day(("you",), tuple(Task(f"t{number}", (work(2),)) for number in range(3)))
    assert plan(day, "parallel", executors=3).makespan_s == 2


def test_a_thousand_different_qualifications_are_served() -> None:
    source = random.Random(7)
    team = tuple(f"e{number}" for number in range(12))
    day = Day(
        team,
        tuple(
            Task(f"t{number}", (work(1), wait(1), work(1)), by=tuple(source.sample(team, source.randint(1, 11))))
            for number in range(1000)
        ),
    )
    planned = plan(day, "combined")
    assert planned.gap < 0.05
    served = {task.name: task.by for task in day.tasks}
    for span in planned.timeline:
        assert span.executor in served[span.task]


UNCERTAIN = Day(
    TWO,
    (
        Task("a", (work(Estimate(1, 2, 6)), wait(Estimate(0, 1, 1)), work(1))),
        Task("b", (work(Estimate(2, 2, 2)),)),
        Task("c", (work(Estimate(0, 0, 3)),), after=("a",)),
    ),
)


@pytest.mark.parametrize("mode", list(Mode))
def test_percentiles_rise_and_do_not_depend_on_anything_but_the_seed(mode: Mode) -> None:
    planned = plan(UNCERTAIN, mode, seed=5)
    drawn = planned.percentiles
    assert drawn is not None
    assert drawn.draws == 1000
    assert drawn.p10_s < drawn.p50_s < drawn.p90_s
    assert drawn == plan(UNCERTAIN, mode, seed=5).percentiles
    assert drawn != plan(UNCERTAIN, mode, seed=6).percentiles


def test_percentiles_of_one_uncertain_step_are_those_of_the_triangle() -> None:
    day = Day(("you",), (Task("a", (work(Estimate(0, 0, 1)),)),))
    drawn = plan(day, "sequential", draws=5_000).percentiles
    # The distribution function is 1 - (1 - x)^2.
    assert [drawn.p10_s, drawn.p50_s, drawn.p90_s] == pytest.approx([0.0513, 0.2929, 0.6838], abs=0.02)


def test_estimates_without_any_spread_give_the_plan_itself() -> None:
    day = Day(TWO, tuple(Task(f"t{number}", (work(Estimate(2, 2, 2)), wait(1), work(1))) for number in range(5)))
    for mode in Mode:
        planned = plan(day, mode, draws=3)
        drawn = planned.percentiles
        assert {drawn.p10_s, drawn.p50_s, drawn.p90_s} == {planned.makespan_s}


def test_a_plan_tells_its_percentiles_in_a_sentence() -> None:
    day = Day(("you",), (Task("a", (work(Estimate(60, 120, 180)),)),), unit="min", unit_s=60)
    planned = plan(day, "sequential", draws=500)
    notes = planned.notes()
    assert notes[0] == "Meets its lower bound: the critical path."
    assert notes[1].startswith("Of 500 drawn days 10 / 50 / 90 % end by 1.4")
    assert notes[1].endswith(" min (seed 0).")
    answers = dict(planned.answers())
    assert answers["How long does it take?"].startswith("2 min, sequential. 1.00 tasks are in progress")
    assert answers["Can it be shorter?"] == "No. Meets its lower bound: the critical path."
    assert answers["If steps take longer?"] == notes[1]
    assert "shorter steps on its critical path" in answers["What should I change?"]
