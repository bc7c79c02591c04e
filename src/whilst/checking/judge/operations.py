"""Calls on one object, explained by a sequential order of the same calls: linearizability.

A `Scenario` is a question whose tasks are threads of calls (see `scripted`): which call had returned before which
other one began is part of what the search tells executions apart by.

A history is explained if some order of its calls keeps each thread's own order, puts a call that had returned before
another began ahead of it, gives on a fresh object what each call gave, and leaves the same state (Herlihy and Wing,
1990; the search is that of Wing and Gong, 1993). A call that never returned is explained if it would block after the
others. The orders are few (20 for two threads of three calls), so all are run once, each call by its own thread, and
a history is looked up in what came of them. Lowe's memory of configurations (2017) pays for longer histories only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from whilst.checking.engine.events import Status, TaskResult
from whilst.checking.explorer.execution import Execution, Plan, Program
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.explorer.scripted import BLOCKS, History, Noted, Thread
from whilst.checking.judge.canonical import canonical
from whilst.checking.judge.judge import Finding, Judge
from whilst.checking.judge.outcome import Judged, Measure, differing, facts_of
from whilst.checking.judge.sequential import ENDLESS, SequentialEndings
from whilst.checking.question import Question
from whilst.inspecting.descriptions import short
from whilst.model.verdict import Answer, Ending

_MOST_SHOWN: Final = 24


@dataclass(frozen=True, slots=True)
class Scenario(Question):
    """A question whose tasks are `Thread`s: are their calls explained by a sequential order of them on `spec()`?

    `outcome` takes the object, or what `spec` makes, and gives what is compared of it in the end.
    """

    spec: Callable[[], Any] | None = None
    history: History = field(init=False, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        make: Callable[[], Any],
        threads: Sequence[Thread],
        outcome: Callable[..., object] | None,
        spec: Callable[[], Any] | None,
    ) -> Scenario:
        """Put it together."""
        tasks: tuple[Callable[..., Any], ...] = tuple(threads)
        scenario = cls(make, tasks, outcome, spec=spec)
        object.__setattr__(scenario, "history", History(tuple(threads), make, canonical))
        return scenario

    @property
    def program(self) -> Program:
        """What the engine needs of it."""
        return Program(self.history.begin_execution, self.tasks)

    @property
    def parts(self) -> tuple[Callable[..., Any] | None, ...]:
        """What a token has to name, in this order."""
        threads = [partial(Thread, *[(each.operation, each.arguments) for each in task.calls]) for task in self.threads]
        return (self.setup, self.outcome, self.spec, None, *threads)

    @property
    def looks_around(self) -> bool:
        """What calls change besides the object is no part of the outcome."""
        return False

    @property
    def compares_state(self) -> bool:
        """Two classes hold different things: without `outcome` only what the calls give is compared then."""
        return self.spec is None or self.outcome is not None

    @property
    def threads(self) -> tuple[Thread, ...]:
        """The tasks, by what they are."""
        return self.tasks  # type: ignore[return-value]

    def call_of(self, noted: Noted) -> str:
        """A call with its thread, for a reader."""
        return f"{self.threads[noted.thread].__name__}: {self.threads[noted.thread].calls[noted.nth]}"


def threads_named(jobs: Sequence[object]) -> tuple[Thread, ...]:
    """The threads that the parts of a token name; none if they name tasks of another kind."""
    return tuple(job() for job in jobs if isinstance(job, partial) and job.func is Thread)


class CallMeasure(Measure):
    """What an execution is compared by: its calls and the state that they left."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.tasks, scenario.outcome)
        self._scenario = scenario
        self.takes_results = True  # what a call gave belongs to its thread: no two are interchangeable

    def judge(self, state: object, results: Sequence[TaskResult]) -> Judged:
        """The form of the history, results of threads being none; what calls raise is in it."""
        del results
        calls = sorted(self._scenario.history.calls, key=lambda each: (each.thread, each.nth))
        return Judged((tuple(each.form for each in calls), self.final(state)), frozenset())

    def final(self, state: object) -> Hashable:
        """What is compared of the state."""
        scenario = self._scenario
        if not scenario.compares_state:
            return None
        return canonical(state if scenario.outcome is None else scenario.outcome(state))

    def facts(self, state: object, results: Sequence[TaskResult]) -> dict[str, str]:
        """What each call gave, and what is left."""
        del results
        scenario = self._scenario
        calls = sorted(scenario.history.calls, key=lambda each: (each.thread, each.nth))
        found = {scenario.call_of(each): each.text for each in calls}
        if scenario.compares_state:
            found.update(facts_of("state", state if scenario.outcome is None else scenario.outcome(state)))
        return found


@dataclass(slots=True)
class SequentialCalls(SequentialEndings):
    """What every order of the calls gives, by the threads whose turn it is: (0, 1, 0) makes three calls."""

    scenario: Scenario = field(kw_only=True)
    given: dict[tuple[int, ...], Hashable] = field(default_factory=dict)  # by prefix of an order, its last call
    finals: dict[tuple[int, ...], Hashable] = field(default_factory=dict)
    facts: dict[tuple[int, ...], dict[str, str]] = field(default_factory=dict)
    called: list[tuple[str, Exception | None, str]] = field(default_factory=list)  # operation, what it raised or gave

    def run_all(self) -> Execution | None:
        """Run every order on a fresh object; the one that did not come to its end, if there is one."""
        history = self.scenario.history
        history.make = self.scenario.spec or self.scenario.setup
        try:
            for order in orders_of_calls([len(thread.calls) for thread in self.scenario.threads]):
                if not any(self.given.get(order[:at]) == BLOCKS for at in range(1, len(order) + 1)):
                    execution = self._run(order)
                    if execution.status in ENDLESS:
                        return execution
        finally:
            history.make = self.scenario.setup
        self.completed = 1  # the empty order does, at any rate
        return None

    def _run(self, order: tuple[int, ...]) -> Execution:
        history, count = self.scenario.history, len(self.scenario.tasks)

        def pick(_running: int, enabled: list[int]) -> int:
            wanted = order[history.returned] if history.returned < len(order) else -1
            if wanted in enabled:
                return wanted
            return next((task for task in enabled if task >= count), -1)  # a thread that a call has started

        execution = self.explorer.execute(Plan(picker=pick))
        if execution.status in ENDLESS:
            return execution
        done = [each for each in history.calls if each.returned is not None]
        done.sort(key=lambda each: each.returned or 0)
        for at, each in enumerate(done):
            self.given[order[: at + 1]] = each.form
            call = self.scenario.threads[each.thread].calls[each.nth]
            self.called.append((call.name, each.error, each.text))
        if len(done) < len(order):
            self.given[order[: len(done) + 1]] = BLOCKS
        else:
            measure = self.measure
            assert isinstance(measure, CallMeasure)
            self.finals[order] = measure.final(execution.state)
            self.facts[order] = measure.facts(execution.state, ())
        return execution

    def show(self, facts: dict[str, str]) -> None:
        """Keep the different endings of the orders for a reader, the nearest to these facts first."""
        nearest = sorted(self.facts, key=lambda order: sum(self.facts[order].get(k) != v for k, v in facts.items()))
        self.endings.clear()
        for order in nearest:
            form = tuple(sorted(self.facts[order].items()))
            if form not in self.endings and len(self.endings) < _MOST_SHOWN:
                self.endings[form] = Ending(self.facts[order], self.names(order))

    def names(self, order: Sequence[int]) -> tuple[str, ...]:
        """The calls of an order, or of a part of one."""
        nth = [0] * len(self.scenario.tasks)
        said = []
        for thread in order:
            said.append(f"{thread + 1}: {self.scenario.threads[thread].calls[nth[thread]]}")
            nth[thread] += 1
        return tuple(said)


def orders_of_calls(lengths: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every order of the calls that keeps each thread's own, as the threads whose turn it is."""
    if not any(lengths):
        yield ()
    for thread, length in enumerate(lengths):
        if length:
            rest = [*lengths]
            rest[thread] -= 1
            yield from ((thread, *order) for order in orders_of_calls(rest))


class HistoryJudge(Judge):
    """Judges executions of a `Scenario`."""

    __slots__ = ("_explained", "calls", "scenario")

    def __init__(self, scenario: Scenario, explorer: Explorer) -> None:
        self.scenario = scenario
        self._explained: dict[Hashable, bool] = {}
        super().__init__(scenario, explorer)

    def __post_init__(self) -> None:
        self.measure = CallMeasure(self.scenario)
        everyone = tuple(range(len(self.scenario.tasks)))
        self.calls = SequentialCalls(self.explorer, self.measure, [everyone], scenario=self.scenario)
        self.sequential = self.calls

    def tell_tasks_apart(self) -> None:
        """They are told apart as it is."""

    def judge(self, execution: Execution) -> Finding | None:
        """Whether some order of the calls explains the execution that ran last."""
        if execution.status not in (Status.DONE, Status.DEADLOCK, Status.SPINNING):
            return Judge.judge(self, execution)
        broken = next((result.error for result in execution.results if result.error is not None), None)
        if broken is not None:
            return Finding(Answer.INCONCLUSIVE, execution, f"a thread ends with {short(broken)}, outside of any call")
        is_whole = execution.status is Status.DONE
        history = list(self.scenario.history.calls)
        final = self.measure.final(execution.state) if is_whole and isinstance(self.measure, CallMeasure) else None
        before = [self._returned_before(each, history) for each in history]
        key = (is_whole, final, tuple((e.thread, e.form, b) for e, b in zip(history, before, strict=True)))
        explained = self._explained.get(key)
        if explained is None:
            explained = self._explained[key] = self._order(history, final, is_whole=is_whole) is not None
        if explained:
            return None
        if not is_whole:
            return Finding(Answer.DEADLOCK if execution.status is Status.DEADLOCK else Answer.LIVELOCK, execution)
        facts = self.measure.facts(execution.state, execution.results)
        self.calls.show(facts)
        return Finding(Answer.NOT_LINEARIZABLE, execution, self._why(history, final, facts))

    @staticmethod
    def _returned_before(call: Noted, history: Sequence[Noted]) -> frozenset[tuple[int, int]]:
        return frozenset((e.thread, e.nth) for e in history if e.returned is not None and e.returned < call.began)

    def _order(
        self, history: Sequence[Noted], final: Hashable, *, is_whole: bool, in_time: bool = True
    ) -> tuple[int, ...] | None:
        """An order that explains the calls; `in_time`: one in which what had returned comes before what began later."""
        done = {(each.thread, each.nth): each for each in history if each.returned is not None}
        blocked = [each.thread for each in history if each.returned is None]
        earlier = {at: self._returned_before(each, history) if in_time else () for at, each in done.items()}
        given = self.calls.given

        def extend(prefix: tuple[int, ...], nth: tuple[int, ...]) -> tuple[int, ...] | None:
            if len(prefix) == len(done):
                if is_whole:
                    return prefix if self.calls.finals.get(prefix) == final else None
                return prefix if all(given.get((*prefix, thread)) == BLOCKS for thread in blocked) else None
            for thread, at in enumerate(nth):
                call = done.get((thread, at))
                longer = (*prefix, thread)
                if call is None or given.get(longer) != call.form:
                    continue
                if any(n >= nth[t] for t, n in earlier[thread, at]):
                    continue
                found = extend(longer, (*nth[:thread], at + 1, *nth[thread + 1 :]))
                if found is not None:
                    return found
            return None

        return extend((), (0,) * len(self.scenario.tasks))

    def _why(self, history: Sequence[Noted], final: Hashable, reached: Mapping[str, str]) -> str:
        """Why no order explains the calls, in a sentence."""
        late = self._order(history, final, is_whole=True, in_time=False)
        if late is not None:
            early, later = next(
                (one, two)
                for one, two in itertools.permutations(history, 2)
                if one.returned is not None and one.returned < two.began and _place(late, two) < _place(late, one)
            )
            return (
                f"only {' → '.join(self.calls.names(late))} would explain what the calls give, but "
                f"{self.scenario.call_of(early)} had returned before {self.scenario.call_of(later)} began"
            )
        if not self.calls.endings:
            return "in every order of these calls one of them blocks for ever, and here none did"
        nearest = min(self.calls.endings.values(), key=lambda ending: len(_differing(ending.facts, reached)))
        order, names = " → ".join(nearest.order), _differing(nearest.facts, reached)
        among = f"no order of the {len(history)} calls explains what they give and leave"
        name = names[0] if names else ""
        if name.startswith("thread "):
            return f"{among}: the nearest is {order}, where {name} {nearest.facts[name]}, and here it {reached[name]}"
        hint = "" if self.scenario.outcome else " (if that is no part of what it stands for, pass outcome=)"
        same = f"{among}: what each gives is that of {order}, which leaves"
        if not name:
            return f"{same} the same in another order, or shared in another way{hint}"
        return (
            f"{same} {f'{name} = {nearest.facts[name]}' if name in nearest.facts else f'no {name}'}, and here it is "
            f"{reached.get(name, 'not there')}{hint}"
        )


def _differing(facts: Mapping[str, str], reached: Mapping[str, str]) -> list[str]:
    """The names of what is not alike, what the calls give first."""
    return sorted(differing(facts, reached), key=lambda name: not name.startswith("thread "))


def _place(order: Sequence[int], call: Noted) -> int:
    """Where a call stands in an order."""
    return [at for at, thread in enumerate(order) if thread == call.thread][call.nth]
