"""Which functions need no look before their first call: those that get at nothing but what they are given."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from whilst.measuring import clocks
from whilst.measuring.clocks import Lap
from whilst.running.calls.one_argument import Awaiter
from whilst.running.core.inputs import Source
from whilst.running.core.policy import INLINE, RunStatus
from whilst.running.jobs import CALLER, Finished, Job
from whilst.running.options import Options
from whilst.running.policies.evidence import EvidenceCollector
from whilst.running.policies.pilot.calls import PilotCalls
from whilst.running.policies.pilot.calls import _names_nothing as names_nothing


class Own:
    """A class of the user's, whose making may do anything."""


@pytest.mark.parametrize("fn", [len, abs, int, str, sorted, lambda item: len(item) + 1])
def test_builtins_and_what_calls_only_them_get_at_nothing_else(fn: Callable[..., object]) -> None:
    assert names_nothing(fn)


def work(item: int) -> int:
    return item


def pilot_after(call_s: float, laps: list[Lap]) -> PilotCalls:
    """Of a run whose first call has just been made."""
    calls = PilotCalls(Job(0, work), Source(range(32)), Awaiter(), is_lazy=False)
    calls.call_s = call_s
    for lap in laps:
        calls.pilot.add(lap)
    return calls


@pytest.mark.parametrize(
    ("call_s", "left", "is_known"), [(0.001, 31, True), (0.0015, 31, True), (0.001, 60, False), (0.003, 10, False)]
)
def test_a_short_run_that_was_best_made_here_is_not_looked_into_again(call_s: float, left: int, is_known: bool) -> None:
    pilot_after(0.001, [Lap(0.001, 0.001, 0, 0)] * 2).remember(0.001, 32)
    assert pilot_after(call_s, []).is_known(left, call_s) is is_known


@pytest.mark.parametrize(("lap", "calls"), [(Lap(0.001, 0.0, 0, 0), 32), (Lap(0.001, 0.001, 0, 0), 320)])
def test_a_run_that_waits_or_is_long_is_looked_into_each_time(lap: Lap, calls: int) -> None:
    pilot_after(0.001, [Lap(0.001, 0.001, 0, 0)]).remember(0.001, 32)
    pilot_after(0.001, [lap] * 2).remember(0.001, calls)
    assert not pilot_after(0.001, []).is_known(31, 0.001)


FOUND: list[int] = []


def finds(item: int) -> int:
    FOUND.append(item)
    return item


def test_a_function_that_is_known_is_looked_at_only_once_it_is_no_longer_what_it_was() -> None:
    """And its first call, before which nobody looked, is never taken to tell all."""
    job = Job(0, finds)
    first = PilotCalls(job, Source(range(4)), Awaiter(), is_lazy=False)
    first.remember(1.0, 1000)  # too long to be remembered
    first.remember(0.001, 4)
    known = PilotCalls(job, Source(range(4)), Awaiter(), is_lazy=False)
    assert known.first().values == [0]
    assert known.is_known(3, 0.001)
    assert not known.is_known(3, 0.003)
    assert not known.is_enough()
    known.another()
    assert any("FOUND" in write.what for write in known.pilot.writes)


@pytest.mark.parametrize(("waited", "is_looked_into"), [(0, False), (1, True)])
def test_that_others_have_the_core_is_no_reason_to_look_into_calls(
    monkeypatch: pytest.MonkeyPatch, waited: int, is_looked_into: bool
) -> None:
    from whilst.running.policies import auto

    source = Source(range(300))
    policy = auto.AutoPolicy(Job(0, work), source, Options(), is_lazy=False)
    monkeypatch.setattr(clocks, "blocks", itertools.count(0, waited).__next__)
    policy.directives(RunStatus())
    policy.perform(policy.job, source, 1)
    policy._left = 200
    ten_ms = Finished(CALLER, -1, range(1, 2), [None], 0, 10_000_000, cpu_ns=1000)
    policy.observe(ten_ms)
    policy.observe(ten_ms)
    assert (policy._stage == "pilot") is is_looked_into


def test_each_time_calls_take_longer_than_decided_it_takes_more_to_look_again() -> None:
    """Pages that are new each time: 5 ms in processes that drop their results, 15 ms here. Else it would go on so."""
    from whilst.running.policies import auto

    policy = auto.AutoPolicy(Job(0, work), Source(range(3000)), Options(), is_lazy=False)
    policy.directives(RunStatus())
    policy._left = 2000
    looks = []
    for ms in (5, 15, 15, 15, 25):
        policy._stage, policy._decided_s = "run", 0.005
        policy._controller.decision = policy._said()
        policy.observe(Finished(CALLER, -1, range(1, 2), [None], 0, ms * 1_000_000, cpu_ns=ms * 1_000_000))
        looks.append(policy._stage == "pilot")
    assert looks == [False, True, False, False, True]


@pytest.mark.parametrize("fn", [open, exec, eval, __import__, Own, [].append, lambda name: __import__(name)])
def test_what_opens_or_runs_or_holds_something_is_looked_into(fn: Callable[..., object]) -> None:
    assert not names_nothing(fn)


class Page:
    """Nothing but memory, and nobody can pickle it."""

    def __init__(self) -> None:
        self.found = re.match("a", "a")


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_items_that_a_fork_has_cost_nothing_and_need_not_be_picklable(kind: Any) -> None:
    pages = [Page() for _ in range(32)]
    source = Source(kind(pages))
    calls = PilotCalls(Job(0, work), source, Awaiter(), is_lazy=False)
    calls.pilot.add(Lap(0.1, 0.1, 0, 0))
    calls.last = pages[0], 1
    profile = EvidenceCollector(calls, source, Options()).profile(31, INLINE)
    assert profile.is_picklable is (kind is not iter)
    assert ("its argument" in profile.why_not) is (kind is iter)
    assert not profile.argument_bytes
