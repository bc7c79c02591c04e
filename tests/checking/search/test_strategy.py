"""A strategy is one file and one line: a toy is found by its name, run by the loop, and vouched for as it says."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import STRATEGIES, Guarantee, SearchConfig, SearchReport, search
from whilst.checking.search.strategy import Strategy

TOY = '''
from whilst.checking.explorer.execution import Plan
from whilst.checking.search.strategy import Guarantee, Strategy, Vouched


class OneAfterTheOther(Strategy):
    """Every task first once."""

    label = "a toy"

    def __init__(self, explorer, config):
        self.firsts = [number for number, _ in enumerate(explorer.program.tasks)]
        self.noted = 0

    def next_plan(self):
        return Plan([self.firsts[self.noted]]) if self.noted < len(self.firsts) else None

    def note(self, execution):
        self.noted += 1

    def guarantee(self):
        return Vouched(Guarantee.PREEMPTIONS, preemptions=0)
'''


class Names:
    def __init__(self) -> None:
        self.said = ""


def one(s: Names) -> None:
    s.said += "1"


def two(s: Names) -> None:
    s.said += "2"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "toy_strategy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(STRATEGIES, "toy", "toy_strategy:OneAfterTheOther")
    yield "toy"
    sys.modules.pop("toy_strategy", None)


def searched(config: SearchConfig) -> tuple[SearchReport, list[str]]:
    said: list[str] = []

    def note(execution: Execution) -> bool:
        said.append(execution.state.said)
        return False

    with Explorer(Program(Names, (one, two))) as explorer:
        return search(explorer, config, note), said


def test_a_strategy_is_a_file_and_a_line(toy: str) -> None:
    report, said = searched(SearchConfig(strategies=(toy,)))
    assert said[-2:] == ["12", "21"]
    assert (report.executions, report.guarantee, report.preemptions) == (2, Guarantee.PREEMPTIONS, 0)
    assert not report.reason


def test_all_that_are_registered_have_their_turn_until_one_proves_it(toy: str) -> None:
    assert searched(SearchConfig())[0].guarantee is Guarantee.EVERY_INTERLEAVING
    report, _ = searched(SearchConfig(strategies=("pct", toy), budget_s=None, budget_executions=40))
    assert report.guarantee is Guarantee.SAMPLED  # what is out of budget is not begun
    assert report.reason == "the budget was used up"


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_name_leads_to_a_strategy(name: str) -> None:
    module, _, attribute = STRATEGIES[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    assert issubclass(kind, Strategy)
    assert 0 < kind.share_of_budget <= 1


def test_a_bound_that_did_not_know_of_all_places_vouches_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: str
) -> None:
    (tmp_path / "toy_learner.py").write_text(
        TOY + "    is_sample = True\n\n"
        "    def note(self, execution):\n        self.noted += 1\n        self.explorer.times_learnt += 1\n\n"
        "    def guarantee(self):\n        return Vouched(Guarantee.SAMPLED)\n"
        "    def __init__(self, explorer, config):\n"
        "        self.explorer, self.firsts, self.noted = explorer, [0], 0\n"
    )
    monkeypatch.setitem(STRATEGIES, "learner", "toy_learner:OneAfterTheOther")
    assert searched(SearchConfig(strategies=(toy, "learner")))[0].guarantee is Guarantee.SAMPLED
    sys.modules.pop("toy_learner", None)
