"""The sequential orders, run anew: what is known of them is given up only for what is known better."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from whilst.checking.engine.events import Status
from whilst.checking.judge.sequential import SequentialEndings


class Orders:
    """An explorer whose executions end as they are told to, with that number."""

    has_met_timer = False

    def __init__(self, *statuses: Status) -> None:
        self.statuses = list(statuses)

    def run_order(self, _: tuple[int, ...]) -> Any:
        return SimpleNamespace(status=self.statuses.pop(0), state=len(self.statuses), results=())


class Measures:
    """Each ending is a kind of its own."""

    names = ("a", "b")

    def judge(self, state: int, _: object) -> Any:
        return SimpleNamespace(form=state, raised=set())

    def errors(self, _: object) -> dict[Any, Any]:
        return {}

    def facts(self, *_: object) -> dict[str, str]:
        return {}


@pytest.mark.parametrize(("last", "endings"), [(Status.OUT_OF_BUDGET, {3, 2}), (Status.DONE, {1, 0})])
def test_orders_that_could_not_all_be_run_again_are_known_as_before(last: Status, endings: set[int]) -> None:
    explorer = Orders(Status.DONE, Status.DONE, Status.DONE, last)
    sequential = SequentialEndings(explorer, Measures(), [(0, 1), (1, 0)])  # type: ignore[arg-type]
    assert sequential.run_all() is None
    sequential.run_again()
    assert set(sequential.endings) == endings
    assert sequential.completed == 2
