"""A day that can be made can be planned; one that can't says why, and how to mend it."""

from __future__ import annotations

import itertools
import math
import pickle

import pytest

from whilst.errors import DayError
from whilst.model import Day, Estimate, Kind, Mode, Step, Task, wait, work


def task(name: str, *, after: tuple[str, ...] = (), by: tuple[str, ...] = ()) -> Task:
    return Task(name, (work(1),), after, by)


def test_a_cycle_is_shown_as_the_cycle() -> None:
    tasks = (task("a", after=("c",)), task("b", after=("a",)), task("c", after=("b",)), task("d", after=("a",)))
    with pytest.raises(DayError, match="'a' after 'c' after 'b' after 'a'") as caught:
        Day(("you",), tasks)
    assert caught.value.key == ("tasks", "a", "after")


def test_a_task_after_itself_is_a_cycle() -> None:
    with pytest.raises(DayError, match="'a' after 'a'"):
        Day(("you",), (task("a", after=("a",)),))


def test_a_long_chain_is_no_recursion() -> None:
    names = [f"t{number}" for number in range(20_000)]
    tasks = [task(names[0])] + [task(name, after=(before,)) for before, name in itertools.pairwise(names)]
    assert len(Day(("you",), tuple(reversed(tasks))).tasks) == 20_000


@pytest.mark.parametrize(
    ("day", "message"),
    [
        (lambda: Day((), (task("a"),)), "no executor"),
        (lambda: Day(("you",), ()), "no tasks"),
        (lambda: Day(("you", "you"), (task("a"),)), "two executors called 'you'"),
        (lambda: Day(("you",), (task("a"), task("a"))), "two tasks called 'a'"),
        (lambda: Day(("you",), (task("edits", after=("draf",)), task("draft"))), "Did you mean 'draft'"),
        (lambda: Day(("you",), (task("a", by=("yuo",)),)), "Did you mean 'you'"),
        (lambda: Day(("you",), (task("a", by=("nobody at all",)),)), "Known: 'you'"),
        (lambda: Day(("you",), (task("a"),), unit_s=0), "unit_s"),
        (lambda: Day(("you",), (task("a"),), performed_unit_s=math.inf), "performed_unit_s"),
        (lambda: Day(("",), (task("a"),)), "empty"),
        (lambda: Day("you", (task("a"),)), "not the string"),  # type: ignore[arg-type]
        (lambda: Task("a", ()), "no steps"),
        (lambda: Task("", (work(1),)), "name"),
        (lambda: Task("a", (work(1),), after="b"), "not the string 'b'"),  # type: ignore[arg-type]
        (lambda: work(-1), "not negative"),
        (lambda: work(math.nan), "finite"),
        (lambda: work(10**400), "finite"),
        (lambda: wait(math.inf, "line"), "'line'"),
        (lambda: work("2"), "number of seconds"),  # type: ignore[arg-type]
        (lambda: work(True), "number of seconds"),
        (lambda: Step(Kind.HELD, 1), "observed"),
        (lambda: Estimate(2, 1, 3), "rise"),
        (lambda: Estimate(-2, 1, 3), "low end"),
    ],
)
def test_what_can_t_be_planned_is_refused_with_its_reason(day: object, message: str) -> None:
    with pytest.raises(DayError, match=message):
        day()  # type: ignore[operator]


def test_an_error_keeps_its_key_when_pickled() -> None:
    with pytest.raises(DayError) as caught:
        Day(("you",), (task("a", by=("yuo",)),))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.key) == (str(caught.value), ("tasks", "a", "by"))


def test_an_estimate_counts_as_its_likely_value() -> None:
    step = work(Estimate(1, 2, 5))
    assert (step.length_s, step.is_uncertain) == (2, True)
    assert Task("a", (step, wait(3))).length_s == 5


def test_more_executors_may_do_what_two_could_do_already() -> None:
    day = Day(("you", "assistant"), (task("passport", by=("you",)), task("draft", by=("you", "assistant"))))
    more = day.with_executors(4)
    assert more.executors == ("you", "assistant", "executor 2", "executor 3")
    passport, draft = more.tasks
    assert more.may_do(passport) == ("you",)
    assert more.may_do(draft) == more.executors
    assert day.with_executors(1).may_do(draft) == ("you",)


def test_taking_the_only_one_who_may_do_a_task_away_is_refused() -> None:
    day = Day(("you", "assistant"), (task("draft", by=("assistant",)),))
    with pytest.raises(DayError, match="nobody is left who may do task 'draft'"):
        day.with_executors(1)


def test_a_mode_is_its_plain_word() -> None:
    assert Mode.parse("combined") == "combined"
    with pytest.raises(ValueError, match="'fast' is no mode; pass one of 'sequential'"):
        Mode.parse("fast")
