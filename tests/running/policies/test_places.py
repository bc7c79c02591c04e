"""This machine or a cluster: the pure choice held against what both take in virtual time, and the policy around it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from tests.virtual_cluster import VirtualSeats, makespan_s, on_cluster, on_this_machine

from whilst.errors import ClusterError, NotPicklableError
from whilst.model import Decision, Machine, Mode, Profile
from whilst.running.backends.cluster import batch_s
from whilst.running.core.inputs import Source
from whilst.running.core.policy import INLINE, Directives, Policy, RunStatus
from whilst.running.jobs import Finished, Job, next_job_id
from whilst.running.policies.caveats import Caveats
from whilst.running.policies.decide import forecasts
from whilst.running.policies.evidence import DecisionInput
from whilst.running.policies.places.cluster import ClusterPolicy
from whilst.running.policies.places.cost import Offer, choose, is_worth_a_trial, seconds_there
from whilst.running.policies.places.weighed import WeighedPolicy

ROUND_TRIP_S = 0.015


class Case(NamedTuple):
    """n calls of `here_s` on `cores`, or of `there_s` (with what travels) on `seats`, `start_s` after they are sent."""

    n: int
    here_s: float
    cores: int
    seats: int
    there_s: float
    start_s: float = 0.15
    spread: float = 0.3
    """Calls take up to so much more or less."""

    def length_s(self, item: int, call_s: float) -> float:
        return call_s * (1 + self.spread * ((item * 7919 % 101) / 50 - 1))


CASES = {
    "a laptop beside many seats": Case(200, 1.0, 2, 64, 1.0),
    "short calls, many of them": Case(6_000, 0.01, 2, 16, 0.01),
    "short calls, few of them": Case(200, 0.001, 2, 16, 0.001),
    "one call": Case(1, 30.0, 2, 64, 30.0),
    "two calls for two cores": Case(2, 30.0, 2, 64, 30.0),
    "three calls for two cores": Case(3, 30.0, 2, 64, 30.0),
    "as many seats as cores": Case(200, 0.5, 2, 2, 0.5),
    "one more seat than cores": Case(200, 0.5, 2, 3, 0.5),
    "a slow cluster of as many": Case(200, 0.5, 2, 4, 1.5),
    "a slow cluster of many": Case(400, 0.5, 2, 32, 1.5),
    "a fast one": Case(200, 1.0, 2, 2, 0.3),
    "a large machine beside a small cluster": Case(400, 0.5, 32, 8, 0.5),
    "a large machine beside a larger cluster": Case(1_000, 1.0, 16, 128, 1.0),
    "results that travel for long": Case(200, 0.05, 2, 16, 0.6),
    "a function that travels for long": Case(100, 0.2, 2, 16, 0.2, start_s=12.0),
    "one that does, for work that lasts": Case(500, 2.0, 2, 32, 2.0, start_s=12.0),
    "gone before it has begun": Case(20, 0.01, 2, 64, 0.01),
    "calls that differ": Case(300, 0.5, 4, 24, 0.5, spread=0.9),
    "just enough to go": Case(60, 0.1, 2, 16, 0.1),
    "no seat": Case(200, 1.0, 2, 0, 1.0),
}


def play(case: Case) -> tuple[bool, bool, float]:
    """Decide by the first calls; return whether that leads there, whether it should have, and the share that it cost.

    The length of a run in either place is that of the real driver, pool and policy in virtual time.
    """
    items = range(case.n)
    lengths = [case.length_s(item, case.here_s) for item in items[:3]]
    call_s = sum(lengths) / len(lengths)
    profile = Profile(work_s=call_s, wait_s=0.0, gil_s=call_s, calls=3)
    possible, _ = forecasts(profile, Machine(cores=case.cores), DecisionInput(left=case.n, can_fork=True))
    guess_s = min(possible[mode].seconds for mode in (Mode.SEQUENTIAL, Mode.PARALLEL) if mode in possible)
    processes = VirtualSeats(
        lambda item: case.length_s(item, case.here_s), start_s=0.012, round_trip_s=0.0003, batch_s=0.00015
    )
    here_s = makespan_s(on_this_machine(case.cores), items, processes)
    here_s = min(here_s, sum(case.length_s(item, case.here_s) for item in items))
    there_s, is_there, took_s = float("inf"), False, 0.0
    if case.seats:
        cluster = VirtualSeats(
            lambda item: case.length_s(item, case.there_s),
            start_s=case.start_s,
            round_trip_s=ROUND_TRIP_S,
            batch_s=1 / 1200,
            limit_s=2 * batch_s(case.seats),
        )
        there_s = makespan_s(on_cluster(case.seats), items, cluster)
    if is_worth_a_trial(case.n, guess_s, call_s, case.seats):
        tried_s = case.length_s(3, case.there_s)
        offer = Offer(case.seats, call_s=tried_s, start_s=case.start_s)
        left = max(case.n - case.seats, 0)
        is_there = choose(case.n, guess_s, offer).is_there
        if not is_there:  # what was sent is waited for
            took_s = case.start_s + ROUND_TRIP_S + case.there_s * (1 + case.spread)
            left -= min(left, int(took_s / case.here_s)) if case.here_s <= 0.05 else 0
            return False, there_s < here_s, (took_s + here_s * left / case.n) / min(here_s, there_s) - 1
    took_s = there_s if is_there else here_s
    best_s = min(here_s, there_s)
    return is_there, there_s < here_s, took_s / best_s - 1


def test_nineteen_of_twenty_cost_no_more_than_a_tenth_and_so_do_all_together() -> None:
    assert len(CASES) == 20
    lost = {name: play(case)[2] for name, case in CASES.items()}
    assert len([name for name in lost if lost[name] > 0.1]) <= 1, lost
    assert sum(lost.values()) / len(lost) <= 0.1, lost


def test_who_is_there_stays_unless_this_machine_is_a_tenth_faster() -> None:
    offer = Offer(4, call_s=1.0, start_s=5.0)
    there_s = seconds_there(100, offer._replace(start_s=0.0))
    assert choose(100, there_s * 0.95, offer, is_there=True).is_there
    assert not choose(100, there_s * 0.85, offer, is_there=True).is_there
    assert not choose(100, there_s * 1.05, offer).is_there  # it has yet to start


def test_queued_seats_are_named_and_not_waited_for() -> None:
    choice = choose(100, 1000.0, Offer(0, queued=8, call_s=1.0))
    assert not choice.is_there
    assert choice.why == "the cluster has no seat now; 8 more seats queued, and not waited for"
    assert "1 more seat queued" in choose(100, 1000.0, Offer(4, queued=1, call_s=1.0)).why
    assert seconds_there(0, Offer(0)) == 0.0


class Here(Policy):
    """Knows what calls take here, and makes none."""

    leaves_traces = False
    hindrance = ""

    def forecast_s(self, left: int) -> tuple[float, float]:
        return left * 0.5, 1.0

    def why_not_elsewhere(self) -> str:
        return self.hindrance

    def directives(self, status: RunStatus) -> Directives:
        return INLINE_ALONE

    def decision(self) -> Decision:
        return Decision(Mode.SEQUENTIAL, "inline", 0, reason="fake")


INLINE_ALONE = Directives(inline=1)


class Weighed(NamedTuple):
    policy: WeighedPolicy
    here: Any
    cluster: Any
    status: RunStatus

    def is_there(self) -> bool:
        return self.policy.directives(self.status).config != INLINE

    def answer(self, call_s: float = 1.0, errors: Mapping[int, BaseException] | None = None) -> list[int]:
        end_ns = time.perf_counter_ns()
        errors = errors or {}
        finished = Finished(0, 0, [7], [7], end_ns - round(call_s * 1e9), end_ns, errors, made_by=0)
        again = self.policy.retry_refused(finished) if errors else []
        if not again:
            self.policy.observe(finished)
        return list(again)


@pytest.fixture
def weighed() -> Weighed:
    here: Any = Here()
    cluster: Any = SimpleNamespace(seats=8, queued=0, description="a fake", close=lambda: None)
    job, status = Job(next_job_id(), abs), RunStatus()
    there = ClusterPolicy(
        cluster, None, is_batched=True, is_lazy=False, caveats=Caveats(job, "dask", Source([], is_lazy=False), "")
    )
    status.left = 100
    return Weighed(WeighedPolicy(here, there, cluster), here, cluster, status)


def test_one_answer_from_there_decides_and_the_reason_has_both_figures(weighed: Weighed) -> None:
    directives = weighed.policy.directives(weighed.status)
    assert (directives.config.backend, directives.workers, directives.batch, directives.inline) == ("dask", 8, 1, 0)
    weighed.answer()
    assert weighed.is_there()
    decision = weighed.policy.decision()
    assert decision.backend == "dask"
    assert "100 calls on 8 seats there: about 13" in decision.reason
    assert "on this machine about 50 s" in decision.reason
    assert [each.value for each in decision.evidence][-2] == 50.0
    assert "on the cluster from here on" in decision.history[0].text


def test_a_slow_answer_keeps_calls_here(weighed: Weighed) -> None:
    assert weighed.is_there()  # to see
    weighed.answer(call_s=10.0)
    assert not weighed.is_there()
    assert "on this machine about 50 s" in weighed.policy.decision().reason


def test_nobody_waits_for_seats_and_whoever_comes_later_is_used(weighed: Weighed) -> None:
    weighed.cluster.seats, weighed.cluster.queued = 0, 8
    assert not weighed.is_there()
    assert "8 more seats queued, and not waited for" in weighed.policy.decision().reason
    weighed.cluster.seats, weighed.cluster.queued = 8, 0
    assert weighed.is_there()
    weighed.answer()
    assert weighed.is_there()
    weighed.cluster.seats = 0  # and gone again
    assert not weighed.is_there()


def test_calls_that_turn_out_slow_there_come_back(weighed: Weighed) -> None:
    assert weighed.is_there()
    weighed.answer()
    for _ in range(16):
        weighed.answer(call_s=20.0)
    assert not weighed.is_there()


@pytest.mark.parametrize("error", [NotPicklableError("a lock"), ModuleNotFoundError("no such"), ValueError("5")])
def test_what_fails_in_the_trial_is_made_again_here(weighed: Weighed, error: Exception) -> None:
    assert weighed.is_there()
    assert weighed.answer(errors={7: error}) == [7]
    assert weighed.answer(errors={7: error}) == [7]  # of another seat that was tried
    assert not weighed.is_there()
    assert "was made again here" in weighed.policy.decision().reason


def test_errors_of_calls_are_theirs_once_one_has_been_made_there(weighed: Weighed) -> None:
    assert weighed.is_there()
    weighed.answer()
    assert weighed.answer(errors={7: ValueError("5")}) == []
    assert weighed.is_there()
    assert weighed.answer(errors={7: FileNotFoundError("data.csv")}) == [7]
    assert not weighed.is_there()


def test_what_leaves_traces_is_not_made_again(weighed: Weighed) -> None:
    assert weighed.is_there()
    weighed.here.leaves_traces = True
    assert weighed.answer(errors={7: ValueError("5")}) == []


def test_what_must_not_be_elsewhere_stays_and_says_why(weighed: Weighed) -> None:
    weighed.here.hindrance = "it changes a list"
    assert not weighed.is_there()
    assert "not on the cluster: it changes a list" in weighed.policy.decision().reason


def test_without_the_scheduler_this_machine_makes_the_rest(weighed: Weighed) -> None:
    assert weighed.is_there()
    assert weighed.policy.worker_failed(weighed.status, ClusterError("The scheduler is gone."))
    assert not weighed.is_there()
    assert "The scheduler is gone." in weighed.policy.decision().reason
