"""Random days: against a brute-force optimum where they are small, against their own rules where they are not.

The brute force knows nothing of operations, ranks or bounds: it walks through the day second by second, over every
choice of who works on what, and keeps all states that can be reached.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from whilst.model import Day, Kind, Mode, Step, Task, Timeline, wait, work
from whilst.planning import Plan, plan

SECOND = 10**9
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERY_MODE = pytest.mark.parametrize("mode", list(Mode))


@st.composite
def days(draw: st.DrawFn, tasks: int = 4, steps: int = 3, longest: int = 3, executors: int = 2) -> Day:
    """Days whose first executor may do everything, so that every mode can plan them; lengths are whole seconds."""
    team = tuple(f"e{number}" for number in range(draw(st.integers(1, executors))))
    step = st.builds(Step, st.sampled_from([Kind.WORK, Kind.WORK, Kind.WAIT]), st.integers(0, longest))
    made = []
    for number in range(draw(st.integers(1, tasks))):
        after = draw(st.sets(st.sampled_from([task.name for task in made]), max_size=2)) if made else set()
        others = draw(st.sets(st.sampled_from(team)))
        by = draw(st.sampled_from([(), tuple(sorted({"e0"} | others))]))
        course = draw(st.lists(step, min_size=1, max_size=steps))
        made.append(Task(f"t{number}", tuple(course), tuple(sorted(after)), by))
    return Day(team, tuple(draw(st.permutations(made))))


def check_timeline(day: Day, mode: Mode, timeline: Timeline) -> None:
    """The rules that any schedule of this day in this mode has to keep."""
    spans = list(timeline)
    of_task, on_executor = defaultdict(list), defaultdict(list)
    for span in spans:
        of_task[span.task].append(span)
        if span.kind is Kind.WORK or not mode.overlaps_waits:
            on_executor[span.executor].append((span.start_ns, span.end_ns))
    for stretches in on_executor.values():
        for one, other in itertools.pairwise(sorted(each for each in stretches if each[0] < each[1])):
            assert one[1] <= other[0], "two things at once on one executor"
    for task in day.tasks:
        mine = of_task[task.name]
        assert len({span.executor for span in mine}) == 1, "a task changed hands"
        assert mine[0].executor in day.may_do(task)
        assert mode.uses_several_executors or mine[0].executor == day.executors[0]
        for earlier in task.after:
            assert max(span.end_ns for span in of_task[earlier]) <= min(span.start_ns for span in mine)
        check_course(task, mode, mine)
    assert timeline.makespan_ns == max(span.end_ns for span in spans)


def check_course(task: Task, mode: Mode, spans: list) -> None:
    """Every step is done whole and in order, without a gap that is not accounted for."""
    now = min(span.start_ns for span in spans)
    for span in sorted(spans, key=lambda each: (each.start_ns, each.end_ns)):
        assert span.start_ns == now, "a stretch of the task's time is unaccounted for"
        now = span.end_ns
    assert mode.overlaps_waits or all(span.kind is not Kind.HELD for span in spans)
    done = defaultdict(int)
    for span in spans:
        if span.kind is not Kind.HELD:
            done[span.kind] += span.end_ns - span.start_ns
    for kind in (Kind.WORK, Kind.WAIT):
        assert done[kind] == sum(round(step.length_s * SECOND) for step in task.steps if step.kind is kind)


def find_optimum(day: Day, mode: Mode, fine: int = 1) -> float:
    """The shortest makespan in seconds, trying everything; choices are made every 1/fine seconds."""
    return _Everything(day, mode, fine).search() / fine


class _Everything:
    """A state holds, for each task, (step, units of it left, executor or -1)."""

    def __init__(self, day: Day, mode: Mode, fine: int) -> None:
        self.tasks = day.tasks
        self.position = {task.name: number for number, task in enumerate(day.tasks)}
        team = day.executors if mode.uses_several_executors else day.executors[:1]
        self.team = range(len(team))
        self.may = [[name in day.may_do(task) for name in team] for task in day.tasks]
        self.holds = not mode.overlaps_waits
        self.lengths = [[int(step.length_s * fine) for step in task.steps] for task in day.tasks]

    def search(self) -> int:
        layer = {self.settle(tuple((0, lengths[0], -1) for lengths in self.lengths))}
        for now in itertools.count():
            if any(all(self.is_done(task, state) for task in range(len(state))) for state in layer):
                return now
            layer = {after for state in layer for after in self.follow(state)}
        raise AssertionError

    def is_done(self, task: int, state: tuple) -> bool:
        return state[task][0] == len(self.lengths[task])

    def is_free(self, task: int, state: tuple) -> bool:
        return all(self.is_done(self.position[name], state) for name in self.tasks[task].after)

    def settle(self, state: tuple) -> tuple:
        """Pass over steps of which nothing is left."""
        changed = True
        while changed:
            changed = False
            for task, (step, left, who) in enumerate(state):
                if not self.is_done(task, state) and left == 0 and self.is_free(task, state):
                    after = self.lengths[task][step + 1] if step + 1 < len(self.lengths[task]) else 0
                    state = (*state[:task], (step + 1, after, who), *state[task + 1 :])
                    changed = True
        return state

    def follow(self, state: tuple) -> Iterator[tuple]:
        open_tasks = [each for each in range(len(state)) if not self.is_done(each, state) and self.is_free(each, state)]
        options = []
        for executor in self.team:
            bound = [each for each in open_tasks if state[each][2] == executor]
            fresh = [each for each in open_tasks if state[each][2] < 0 and self.may[each][executor]]
            if self.holds:
                options.append(bound or [None, *fresh])
            else:
                options.append([None, *(each for each in bound + fresh if self.is_work(each, state))])
        for chosen in itertools.product(*options):
            busy = [each for each in chosen if each is not None]
            if len(set(busy)) == len(busy):
                yield self.settle(self.pass_unit(state, chosen, open_tasks))

    def pass_unit(self, state: tuple, chosen: tuple, open_tasks: list[int]) -> tuple:
        after = list(state)
        for executor, task in enumerate(chosen):
            if task is not None:
                step, left, _ = state[task]
                after[task] = (step, left - 1, executor)
        if not self.holds:
            for task in open_tasks:
                if not self.is_work(task, state):
                    step, left, who = state[task]
                    after[task] = (step, left - 1, who)
        return tuple(after)

    def is_work(self, task: int, state: tuple) -> bool:
        return self.tasks[task].steps[state[task][0]].is_work


ZIGZAG = Day(
    ("e0", "e1"),
    (
        Task("t0", (work(1), wait(2), work(2))),
        Task("t1", (wait(1), work(2), wait(1), work(1)), by=("e0",)),
        Task("t2", (work(3),), after=("t0",)),
    ),
)


@EVERY_MODE
@QUICK
@given(day=days())
@example(day=ZIGZAG)
def test_the_solver_finds_what_brute_force_finds_and_bounds_stay_below(mode: Mode, day: Day) -> None:
    optimum = find_optimum(day, mode)
    quick = plan(day, mode)
    assert quick.bound_s <= optimum <= quick.makespan_s
    assert not quick.is_optimal or quick.makespan_s == optimum
    solved = plan(day, mode, optimal_s=60)
    assert solved.is_optimal
    assert solved.makespan_s == solved.bound_s == optimum
    check_timeline(day, mode, solved.timeline)


@pytest.mark.parametrize("mode", [Mode.CONCURRENT, Mode.COMBINED])
@QUICK
@given(day=days(tasks=3, steps=3, longest=2))
def test_choosing_more_often_than_the_lengths_common_divisor_gains_nothing(mode: Mode, day: Day) -> None:
    assert find_optimum(day, mode, fine=1) == find_optimum(day, mode, fine=2)


@EVERY_MODE
@settings(parent=QUICK, max_examples=40)
@given(day=days(tasks=25, steps=6, longest=9, executors=5))
def test_a_plan_of_any_size_keeps_the_days_rules_and_its_bound(mode: Mode, day: Day) -> None:
    planned: Plan = plan(day, mode)
    check_timeline(day, mode, planned.timeline)
    assert planned.bound_ns <= planned.makespan_ns
    assert planned.gap >= 0
    assert planned.is_optimal == (planned.bound_ns == planned.makespan_ns)


@EVERY_MODE
@settings(parent=QUICK, max_examples=10)
@given(day=days(tasks=12, executors=3))
def test_the_same_day_gives_the_same_plan(mode: Mode, day: Day) -> None:
    assert plan(day, mode, seed=3) == plan(day, mode, seed=3)
