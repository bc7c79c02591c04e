"""A change in what calls are like is noticed, and a busy machine is not taken for one."""

from __future__ import annotations

import pytest

from whilst.model import Profile
from whilst.running.policies.drift import DriftDetector, LoopDriftDetector

WORK = Profile(work_s=0.01, wait_s=0.0, gil_s=0.01, calls=3)
FREE = Profile(work_s=0.01, wait_s=0.0, gil_s=0.0, calls=3)
WAIT = Profile(work_s=0.0005, wait_s=0.02, gil_s=0.0005, calls=3)


def test_the_same_calls_are_no_news():
    drift = DriftDetector(WORK, "processes", 2)
    assert all(drift.answered(4, 0.04, 0.04) is None for _ in range(200))


def test_heavier_calls_are_news_with_the_same_nature():
    profile, text = DriftDetector(WORK, "processes", 2).answered(8, 0.8, 0.8)
    assert profile.work_s == pytest.approx(0.1)
    assert "100 ms instead of 10 ms" in text


def test_a_change_after_many_calls_still_shows():
    drift = DriftDetector(WORK, "processes", 2)
    for _ in range(1000):
        assert drift.answered(8, 0.08, 0.08) is None
    assert any(drift.answered(8, 0.8, 0.8) is not None for _ in range(40))


def test_calls_that_became_short_are_news():
    drift = DriftDetector(WORK, "processes", 2)
    assert any(drift.answered(100, 0.002, 0.002) is not None for _ in range(20))


def test_calls_that_only_wait_for_a_core_are_no_news():
    assert DriftDetector(WORK, "processes", 2).answered(8, 0.8, 0.08) is None


def test_threads_that_take_turns_are_found_out():
    drift = DriftDetector(FREE, "threads", 2)
    profile, text = drift.answered(8, 0.16, 0.08)
    assert (profile, drift.trial) == (FREE, 1.0)
    assert "1.0 times" in text


def test_threads_that_run_side_by_side_stay():
    drift = DriftDetector(FREE, "threads", 2)
    assert drift.answered(8, 0.082, 0.08) is None
    assert drift.trial == pytest.approx(1.95, abs=0.01)


def test_threads_that_share_a_lock_now_and_then_are_weighed_against_processes_once() -> None:
    drift = DriftDetector(FREE, "threads", 2)
    profile, text = drift.answered(8, 0.124, 0.08)
    assert (profile, drift.trial) == (FREE, 1.29)
    assert text == "2 threads were only 1.3 times as fast as one"
    assert DriftDetector(FREE, "threads", 2, trial=drift.trial).answered(100, 1.55, 1.0) is None


def test_threads_on_a_busy_machine_are_measured_by_what_the_pilot_had():
    assert DriftDetector(FREE, "threads", 2, core_share=0.5).answered(8, 0.16, 0.08) is None


def test_waiting_calls_that_begin_to_work_are_news():
    profile, _ = DriftDetector(WAIT, "threads", 16).answered(32, 0.9, 0.4)
    assert profile.work_s == pytest.approx(0.0125)


@pytest.mark.parametrize("backend", ["eventloop", "processes*threads", "inline"])
def test_where_calls_share_a_thread_nothing_is_concluded(backend):
    assert DriftDetector(WAIT, backend, 2).answered(100, 100.0, 50.0) is None


def test_what_waits_for_warm_calls_is_told_once_they_have_come():
    drift = DriftDetector(WAIT, "threads", 16, is_provisional=True)
    assert drift.answered(8, 0.3, 0.2, is_warm=False) is None
    profile, text = drift.answered(8, 0.2, 0.016)
    assert profile.work_s == pytest.approx(0.002)
    assert "after the first ones" in text


def loop_of(work_s, wait_s, calls, *, at_once=10):
    """What a drift says after so many answers of a loop with calls like these."""
    drift, busy_s, idle_s = LoopDriftDetector(), 0.0, 0.0
    for _ in range(calls):
        busy_s += work_s
        idle_s += max(0.0, (work_s + wait_s) / at_once - work_s)
        known = drift.answered(1, work_s * at_once + wait_s, busy_s, idle_s)
        if known is not None:
            return known
    return None


def test_a_loop_without_time_left_is_news_with_a_calls_work():
    work_s, wait_s = loop_of(0.015, 0.025, 20)
    assert work_s == pytest.approx(0.015)
    assert wait_s > 0.025  # what others did meanwhile can't be told from it


def test_a_loop_with_time_left_is_no_news():
    assert loop_of(0.0001, 0.025, 300) is None


@pytest.mark.parametrize(("work_s", "has_room"), [(0.0005, True), (0.016, False)])
def test_first_answers_tell_whether_a_loop_has_room(work_s, has_room):
    """Eight begin at once and wait 20 ms: the first answer comes once they have begun, waited and one has worked."""
    drift = LoopDriftDetector(5.0, 1.0)
    assert not drift.has_room
    drift.answered(1, 0.02 + work_s, 5.0 + 8 * 0.0005 + work_s, 1.0 + 0.016)
    assert drift.has_room is has_room


def test_a_loop_is_not_watched_for_ever():
    drift = LoopDriftDetector()
    for k in range(300):
        drift.answered(1, 0.025, k * 0.0001, k * 0.0024)
    assert drift.is_over
