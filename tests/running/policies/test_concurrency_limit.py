"""The limit follows capacity: simulated servers with a virtual clock, no thread and no sleep."""

from __future__ import annotations

import heapq
import itertools

import pytest

from whilst.model import Decision, Mode, Profile
from whilst.running.backends.base import BackendConfig
from whilst.running.core.policy import RunStatus
from whilst.running.policies.concurrency_limit import AdaptiveLimit, Batches, Phase, ThreadsBesideLoop
from whilst.running.policies.controller import Controller


class Server:
    """Answers after `latency_s`; serves `capacity` at a time, queues the rest or refuses it."""

    def __init__(self, latency_s=0.02, capacity=10**9, *, refuses=False, work_s=0.0):
        self.latency_s, self.capacity, self.refuses, self.work_s = latency_s, capacity, refuses, work_s

    def run(self, limit, calls):
        """Make so many calls with as many in flight as the limit says; return (seconds, refusals, levels)."""
        now, begun, done, refused = 0.0, 0, 0, 0
        free = [0.0] * min(self.capacity, 4096)
        core = 0.0
        flying: list[tuple[float, float, bool]] = []
        levels = []
        while done < calls:
            while len(flying) < limit.target and begun < calls:
                if self.refuses and len(flying) >= self.capacity:
                    heapq.heappush(flying, (now + 0.001, now, False))
                else:
                    slot = heapq.heappop(free)
                    end = max(now, slot) + self.latency_s
                    heapq.heappush(free, end)
                    core = max(core, end) + self.work_s if self.work_s else end
                    heapq.heappush(flying, (max(end, core), now, True))
                begun += 1
            end, start, is_good = heapq.heappop(flying)
            now = end
            levels.append(limit.target)
            if is_good:
                done += 1
                limit.answered(1, end - start, now)
            else:
                refused += 1
                begun -= 1
                limit.refused(len(flying) + 1, start, now)
        return now, refused, levels


def test_rises_like_slow_start_where_nothing_limits():
    seconds, _, levels = Server().run(AdaptiveLimit(0.02, 4, 256), 1000)
    assert max(levels) == 256
    assert seconds < 0.02 * 14  # 4, 8, 16 … per round trip


def test_a_queueing_server_is_not_flooded():
    _, _, levels = Server(capacity=10).run(AdaptiveLimit(0.02, 4, 256), 2000)
    settled = levels[1000:]
    assert 8 <= sum(settled) / len(settled) <= 40


def test_a_queueing_server_is_used_to_the_full():
    seconds, _, _ = Server(capacity=10).run(AdaptiveLimit(0.02, 4, 256), 1000)
    assert seconds < 1.3 * 1000 / 10 * 0.02


def test_one_at_a_time_ends_at_one():
    limit = AdaptiveLimit(0.02, 4, 64)
    _, _, levels = Server(capacity=1).run(limit, 200)
    assert min(levels) == 1


@pytest.mark.parametrize("start", [4, 10])
@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 10, 14, 20, 33])
def test_a_refusing_server_is_used_to_the_full_and_seldom_asked_for_more(capacity, start):
    """Many are refused together: those that were on their way before the retreat are no reason for another."""
    seconds, refused, levels = Server(0.025, capacity=capacity, refuses=True).run(AdaptiveLimit(0.025, start, 64), 500)
    assert refused <= 64
    assert levels[-1] <= capacity
    assert seconds < 2 * 500 * 0.025 / capacity


def test_refusals_end_at_one_at_worst():
    limit = AdaptiveLimit(0.02, 4, 64)
    for now in range(10):
        limit.refused(limit.target, now, now)
    assert limit.target == 1


def test_a_fixed_window_stays():
    limit = AdaptiveLimit(0.02, 200, 200, is_fixed=True)
    Server(capacity=3).run(limit, 600)
    assert (limit.target, limit.phase) == (200, Phase.FIXED)


def test_never_beyond_the_most_or_below_one():
    limit = AdaptiveLimit(0.0, 4, 16)
    _, _, levels = Server().run(limit, 500)
    assert max(levels) <= 16
    assert min(levels) >= 1


def test_a_saturated_core_of_ones_own_stops_the_growth():
    limit = AdaptiveLimit(0.022, 4, 256)
    _, _, levels = Server(0.02, work_s=0.002).run(limit, 1000)
    assert max(levels[500:]) <= 80


@pytest.mark.parametrize(("call_s", "least", "most"), [(0.03, 1, 1), (0.001, 8, 30), (1e-6, 7000, 30_000)])
def test_batches_hide_the_hand_over_within_tens_of_milliseconds(call_s, least, most):
    assert least <= Batches(call_s, 150e-6).size <= most


def test_batches_follow_calls_that_become_longer():
    batches = Batches(1e-4, 150e-6)
    before = batches.size
    for _ in range(20):
        batches.answered(before, before * 0.01)
    assert batches.size <= 3 < before


def test_a_limit_by_better_figures_holds_at_once_and_may_rise_again():
    limit = AdaptiveLimit(0.01, 10, 40)
    limit.cap(6, 0.0)
    assert limit.target == 6
    limit.cap(30, 0.0)
    assert limit.ceiling == 30


def test_calls_that_share_a_core_are_not_taken_for_a_queue_elsewhere():
    """Each works 5 ms of its 25: ten of them take 70 ms, and the core still has time to spare at first."""

    def in_flight_after(limit, rounds):
        now = 0.0
        for _ in range(rounds):
            level, alone_s, work_s = limit.target, 0.025, 0.005
            latency_s = max(alone_s, level * work_s)
            now += latency_s
            for _ in range(level):
                limit.answered(1, latency_s, now)
        return limit.target

    assert in_flight_after(AdaptiveLimit(0.025, 4, 64, share_s=0.005), 1) > in_flight_after(
        AdaptiveLimit(0.025, 4, 64), 0
    )
    assert in_flight_after(AdaptiveLimit(0.025, 10, 64, share_s=0.005), 1) > 10
    assert in_flight_after(AdaptiveLimit(0.025, 10, 64), 1) <= 13


def test_a_refusal_amid_calls_that_are_still_on_their_way_says_nothing_about_fewer():
    limit = AdaptiveLimit(0.02, 10, 64)
    assert limit.refused(10, 0.0, 0.0) == "a call was refused with 10 in flight: 5 at once instead of 10"
    assert limit.refused(8, 1.0, 1.0) == ""
    assert limit.target == 5


def test_what_was_refused_by_chance_is_tried_again_ever_more_rarely():
    limit, now, tries = AdaptiveLimit(0.02, 2, 64), 0.0, []
    limit.refused(2, now, now)
    for answer in range(2000):
        if limit.target > 1:
            tries.append(answer)
            limit.refused(2, now, now)
        now += 0.02
        limit.answered(1, 0.02, now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert len(gaps) >= 3
    assert all(later >= earlier for earlier, later in itertools.pairwise(gaps))


def controller_of(limit: AdaptiveLimit, backend: str, slots: int = 1) -> Controller:
    controller = Controller()
    controller.config = BackendConfig(backend, slots=slots)
    controller.decision = Decision(Mode.CONCURRENT, backend, 4, threads_per_worker=slots)
    controller.limit = limit
    return controller


def test_what_was_refused_waits_while_threads_that_are_to_end_are_as_many_as_may_be_in_flight() -> None:
    limit = AdaptiveLimit(0.01, 4, 4)
    limit.refused(4, 0.0, 1.0)
    assert limit.target == 2
    controller = controller_of(limit, "threads")
    status = RunStatus()
    status.left, status.in_hand, status.ready, status.ending = 10, 2, 1, 2
    assert controller.directives(status, 1, 0.01).workers == 0
    status.in_hand = status.ending = 1
    assert controller.directives(status, 1, 0.01).workers == 1
    status.in_hand = status.ending = 0
    assert controller.directives(status, 1, 0.01).workers == 2


def test_the_caller_makes_no_call_that_could_be_refused_beside_those_of_starting_processes() -> None:
    status = RunStatus()
    status.left, status.in_hand, status.starting = 100, 2, 2
    for is_fixed, inline in ((False, 0), (True, 2)):
        controller = controller_of(AdaptiveLimit(0.001, 8, 8, is_fixed=is_fixed), "processes*threads", slots=2)
        controller.start_s = 0.05
        assert controller.directives(status, 5, 0.001).inline == inline


def test_processes_are_no_more_than_calls_may_be_in_flight_once_one_was_refused() -> None:
    limit = AdaptiveLimit(0.01, 8, 8)
    controller = controller_of(limit, "processes*threads", slots=2)
    status = RunStatus()
    status.left, status.ready = 100, 4
    assert controller.directives(status, 1, 0.01).workers == 4
    limit.refused(2, 0.0, 1.0)
    assert controller.directives(status, 1, 0.01).workers == 1


@pytest.mark.parametrize("start", [4, 10])
def test_calls_that_shut_each_other_out_are_known_after_two_rounds(start):
    limit = AdaptiveLimit(0.02, start, 64)
    Server(capacity=1).run(limit, 2 * start)
    assert limit.is_down_to_one


@pytest.mark.parametrize("capacity", [2, 3])
def test_a_server_for_a_few_is_never_taken_for_one_at_a_time(capacity):
    limit, server = AdaptiveLimit(0.02, 4, 64), Server(capacity=capacity)
    for _ in range(60):
        server.run(limit, 3)
        assert not limit.is_down_to_one


@pytest.mark.parametrize(("children_s", "at_first"), [(0.002, 40), (0.0, 32)])
def test_commands_of_this_machine_start_as_many_as_the_forecast_says(children_s: float, at_first: int) -> None:
    controller = Controller()
    profile = Profile(work_s=0.001, wait_s=0.05, calls=1, children_s=children_s)
    decision = Decision(Mode.CONCURRENT, "threads", 40)
    controller.take(decision, profile, cores=2, waits_only_in_sleep=False, is_forked=False)
    status = RunStatus()
    status.left = 100
    assert controller.directives(status, 1, 0.05).workers == at_first


def test_room_that_is_known_of_is_taken_at_once_but_not_after_a_refusal():
    limit = AdaptiveLimit(0.0, 8, 1000)
    limit.rise_to(64)
    assert limit.target == 64
    limit.rise_to(16)
    assert limit.target == 64
    limit.refused(64, 0.0, 1.0)
    before = limit.target
    limit.rise_to(64)
    assert limit.target == before < 64
    few = AdaptiveLimit(0.0, 8, 20)
    few.rise_to(64)
    assert few.target == 20


def numbers(limit: ThreadsBesideLoop, work_share: float, count: int) -> list[int]:
    """How many threads there may be each time that it is looked, where they work this share of the time in all."""
    found, now_ns = [limit.look(0, 0)], 0
    for _ in range(count):
        now_ns += int(limit.look_again_s * 1e9)
        found.append(limit.look(now_ns, int(work_share * now_ns)))
    return found


def test_threads_that_wait_beside_a_loop_soon_are_as_many_as_may_be() -> None:
    limit = ThreadsBesideLoop(2, 32)
    assert numbers(limit, 0.1, 5) == [2, 4, 8, 16, 32, 32]
    assert limit.look_again_s == 0.006, "ever more rarely, once there is nothing left to find out"


@pytest.mark.parametrize("work_share", [0.9, 2.0])
def test_threads_that_work_beside_a_loop_are_no_more_than_cores(work_share: float) -> None:
    limit = ThreadsBesideLoop(2, 32)
    assert set(numbers(limit, work_share, 20)) == {2}
    assert limit.look_again_s == 0.05, "ever more rarely, and never given up: later calls may wait"
    assert limit.look(10**12, 0) == 4


def test_threads_beside_a_loop_are_fewer_again_where_the_machine_was_busy_at_first() -> None:
    limit = ThreadsBesideLoop(2, 32)
    assert numbers(limit, 0.1, 4)[-1] == 32
    found = [limit.look(10**9 * second, 10**9 * second) for second in range(1, 7)]
    assert found == [16, 8, 4, 2, 2, 2]
    assert limit.look(10**10, 6 * 10**9 + 2_600_000_000) == 2, "in between nothing changes"


def test_threads_beside_a_loop_are_not_looked_at_before_their_time() -> None:
    limit = ThreadsBesideLoop(8, 4)
    assert limit.look(0, 0) == 4
    limit = ThreadsBesideLoop(1, 4)
    assert [limit.look(now_ns, 0) for now_ns in (0, 1_000_000, 2_999_999, 3_000_000, 4_000_000)] == [1, 1, 1, 2, 2]
