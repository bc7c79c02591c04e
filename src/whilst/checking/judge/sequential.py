"""The yardstick: how the tasks end when they are run one after the other, in each order.

An order in which a task blocks for ever on its own (a consumer before its producer) is no sequential order. If
none is left (two tasks that meet at a barrier), there is nothing to compare an interleaving with.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from math import factorial, prod
from typing import Final

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.outcome import Measure
from whilst.errors import CheckError
from whilst.model.verdict import Ending

_MOST_PLACES: Final = 4  # between tasks of an order, where time-outs may come or not
MOST_ORDERS: Final = 5_040
ENDLESS: Final = (Status.TOO_LONG, Status.OUT_OF_BUDGET, Status.OUTSIDE)


@dataclass(slots=True)
class SequentialEndings:
    """The endings of the sequential orders, each different one once."""

    explorer: Explorer
    measure: Measure
    orders: Sequence[tuple[int, ...]]
    endings: dict[Hashable, Ending] = field(default_factory=dict)
    raised: set[tuple[int, str]] = field(default_factory=set)
    always_raised: frozenset[tuple[int, str]] | None = None  # in every one of them
    errors: dict[tuple[int, str], BaseException] = field(default_factory=dict)  # one of each kind that was raised
    blocked: list[Execution] = field(default_factory=list)
    completed: int = 0

    def run_again(self) -> None:
        """Every order once more; what is known of their endings is no longer true. Where no time is left for that it is
        kept: there is none for a search either, and it tells that they come to an end."""
        again = SequentialEndings(self.explorer, self.measure, self.orders)
        if again.run_all() is None:
            for each in fields(self):
                setattr(self, each.name, getattr(again, each.name))

    def run_all(self) -> Execution | None:
        """Run every order; the one that did not come to an end within the limits, if there is one.

        Raises:
            StateTooLargeError: an ending can't be compared.
        """
        for order, execution in self._executions():
            if execution.status in ENDLESS:
                return execution
            if execution.status is Status.BROKEN:  # which the search meets, too
                continue
            if execution.status is not Status.DONE:
                self.blocked.append(execution)
                continue
            self.completed += 1
            judged = self.measure.judge(execution.state, execution.results)
            self.raised |= judged.raised
            self.errors.update(self.measure.errors(execution.results))
            self.always_raised = judged.raised & (judged.raised if self.always_raised is None else self.always_raised)
            if judged.form not in self.endings:
                facts = self.measure.facts(execution.state, execution.results)
                self.endings[judged.form] = Ending(facts, tuple(self.measure.names[task] for task in order))
        return None

    def _executions(self) -> Iterator[tuple[tuple[int, ...], Execution]]:
        """Every order; where a time-out may run out between two tasks, both that it does and that it does not."""
        for order in self.orders:
            yield order, self.explorer.run_order(order)
            if self.explorer.has_met_timer:
                for places in range(1, 1 << min(len(order) - 1, _MOST_PLACES)):
                    yield order, self.explorer.run_order(order, defers_timers=places)


def orders_of(classes: Sequence[int], wanted: str | Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The orders to compare with: "any" of them, the one "given", or those listed, one of each symmetric kind.

    Raises:
        CheckError: the orders wanted are none of these, or there are more than `MOST_ORDERS`.
    """
    everyone = tuple(range(len(classes)))
    if wanted == "given":
        return [everyone]
    if not isinstance(wanted, str):
        return [_checked(tuple(order), everyone) for order in wanted]
    if wanted != "any":
        raise CheckError(f'orders is "any", "given" or a list of orders, got {wanted!r}')
    number = factorial(len(classes)) // prod(factorial(classes.count(each)) for each in set(classes))
    if number > MOST_ORDERS:
        raise CheckError(
            f"{len(classes)} tasks have {number:,} sequential orders, more than {MOST_ORDERS:,} can't be compared "
            f'with: pass fewer tasks, orders="given", or a list of orders'
        )
    return [order for order in itertools.permutations(everyone) if _is_first_of_its_kind(order, classes)]


def _is_first_of_its_kind(order: Sequence[int], classes: Sequence[int]) -> bool:
    """Identical tasks stand in the order of their numbers."""
    last: dict[int, int] = {}
    for task in order:
        if last.get(classes[task], -1) > task:
            return False
        last[classes[task]] = task
    return True


def _checked(order: tuple[int, ...], everyone: tuple[int, ...]) -> tuple[int, ...]:
    if tuple(sorted(order)) != everyone:
        raise CheckError(f"an order names each of the tasks {list(everyone)} once, got {list(order)}")
    return order
