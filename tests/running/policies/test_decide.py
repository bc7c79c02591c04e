"""The decision is a pure function: the right mode for each nature, and a reason for each other mode."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whilst.model import Machine, Mode, Profile, Write
from whilst.running.policies.decide import decide, depends_on_later_calls, forecasts, hazards, is_another_call_worth_it
from whilst.running.policies.evidence import Costs, DecisionInput

TWO = Machine(cores=2)
EIGHT = Machine(cores=8)


def profile(work_s=0.0, wait_s=0.0, held=1.0, **fields):
    fields.setdefault("calls", 3)
    return Profile(work_s=work_s, wait_s=wait_s, gil_s=work_s * held, **fields)


def chosen(call, machine=TWO, **given):
    given.setdefault("left", 400)
    return decide(call, machine, DecisionInput(**given))


@pytest.mark.parametrize(
    ("call", "machine", "left", "mode"),
    [
        (profile(work_s=1e-6), TWO, 200_000, Mode.SEQUENTIAL),
        (profile(wait_s=0.02), TWO, 400, Mode.CONCURRENT),
        (profile(work_s=0.03), TWO, 64, Mode.PARALLEL),
        (profile(work_s=0.03), Machine(cores=1), 64, Mode.SEQUENTIAL),
        (profile(work_s=0.015, wait_s=0.03), TWO, 64, Mode.COMBINED),
        (profile(work_s=0.015, wait_s=0.03), EIGHT, 400, Mode.COMBINED),
        (profile(work_s=0.02, held=0.0), TWO, 64, Mode.CONCURRENT),  # zlib: no GIL, no need to send anything
        (profile(work_s=0.02), Machine(cores=2, has_gil=False), 64, Mode.PARALLEL),
        (profile(work_s=0.015, wait_s=0.03), Machine(cores=2, has_gil=False), 400, Mode.COMBINED),
        (profile(wait_s=0.02), Machine(cores=2, has_gil=False), 400, Mode.CONCURRENT),
        (profile(work_s=0.03), TWO, 1, Mode.SEQUENTIAL),
        (profile(work_s=0.03), TWO, 0, Mode.SEQUENTIAL),
        (profile(work_s=0.03), TWO, None, Mode.PARALLEL),
        (profile(wait_s=0.05, children_s=0.045), TWO, 100, Mode.CONCURRENT),  # commands that load a core each
    ],
)
def test_the_nature_of_a_call_decides(call, machine, left, mode):
    assert chosen(call, machine, left=left).mode is mode


def test_without_a_gil_threads_that_work_are_parallel():
    decision = chosen(profile(work_s=0.02), Machine(cores=2, has_gil=False), left=64)
    assert decision.backend == "threads"
    assert "work with the GIL" not in str(decision)
    assert "by processes: about" in decision.reason
    assert Mode.PARALLEL not in {each.mode for each in decision.rejected}


@pytest.mark.parametrize(
    ("locked_s", "mode"), [(0.02, Mode.SEQUENTIAL), (0.008, Mode.CONCURRENT), (0.0, Mode.CONCURRENT)]
)
def test_a_wait_with_a_lock_held_does_not_overlap(locked_s, mode):
    decision = chosen(profile(wait_s=0.02, locked_s=locked_s, writes=(LOCKED,)), left=60)
    assert decision.mode is mode
    assert decision.forecast_s[Mode.CONCURRENT] >= 60 * locked_s


def test_each_process_has_a_lock_of_its_own():
    possible, _ = forecasts(profile(wait_s=0.02, locked_s=0.02), TWO, DecisionInput(left=60))
    assert possible[Mode.COMBINED].seconds >= 60 * 0.02 / 2


def test_what_every_thread_loads_for_itself_asks_for_fewer_threads():
    call = profile(work_s=0.001, wait_s=0.02)
    few = chosen(call, costs=Costs(thread_start_s=0.2), left=100)
    assert few.workers < chosen(call, left=100).workers
    assert few.workers * few.threads_per_worker <= 4


def test_the_threads_of_processes_load_it_as_well():
    loads = DecisionInput(left=100, can_fork=True, costs=Costs(thread_start_s=0.2))
    possible, _ = forecasts(profile(work_s=0.001, wait_s=0.02), TWO, loads)
    assert possible[Mode.COMBINED].threads_per_worker <= 2
    assert possible[Mode.COMBINED].seconds >= 0.2


def test_no_more_calls_are_in_flight_than_workers_are_asked_for_in_any_mode():
    asked = DecisionInput(left=200, can_fork=True, most_workers=8)
    possible, _ = forecasts(profile(work_s=0.001, wait_s=0.05), TWO, asked)
    assert set(possible) == set(Mode)
    assert all(each.workers * each.threads_per_worker <= 8 for each in possible.values())
    assert chosen(profile(work_s=0.001, wait_s=0.05), left=200).workers > 8


def test_children_that_load_a_core_need_no_more_than_the_cores():
    commands = chosen(profile(wait_s=0.05, children_s=0.05), left=100)
    assert commands.workers <= 4


def test_a_native_pool_that_fills_the_cores_is_not_multiplied_in_threads():
    decision = chosen(profile(work_s=0.02, held=0.0, native_s=0.019), left=100)
    assert decision.mode in (Mode.SEQUENTIAL, Mode.PARALLEL)


def test_threads_that_were_tried_in_vain_are_not_chosen_again():
    call = profile(work_s=0.02, held=0.0)
    assert chosen(call, tried_threads=1.0).mode is Mode.PARALLEL
    assert chosen(call, tried_threads=1.9).mode is Mode.CONCURRENT


def test_what_can_not_be_pickled_stays_here():
    decision = chosen(profile(work_s=0.03, is_picklable=False, why_not="its result can't be pickled (a lock)"))
    assert decision.mode is Mode.SEQUENTIAL
    assert "a lock" in {rejection.mode: rejection.reason for rejection in decision.rejected}[Mode.PARALLEL]


def test_a_payload_may_cost_more_than_the_work():
    assert chosen(profile(work_s=0.004, argument_bytes=8 << 20, result_bytes=8 << 20, pickle_s=0.02)).mode in (
        Mode.SEQUENTIAL,
        Mode.CONCURRENT,
    )


UNLOCKED = Write("the global SEEN", "crawl.py:7 in visit", is_confirmed=True)
LOCKED = Write("self.done (under a lock)", "client.py:9 in ask", is_confirmed=True, spoils_threads=False)
PROCESS = Write("the working directory, which the whole process shares", spoils_processes=False)
DRAWS = Write("the shared random generator", is_random=True)


@pytest.mark.parametrize(
    ("write", "modes"),
    [
        (UNLOCKED, {Mode.SEQUENTIAL}),
        (LOCKED, {Mode.SEQUENTIAL, Mode.CONCURRENT}),
        (PROCESS, {Mode.SEQUENTIAL, Mode.PARALLEL}),
        (DRAWS, set(Mode)),
    ],
)
def test_writes_rule_modes_out(write, modes):
    call = profile(work_s=0.015, wait_s=0.03, writes=(write,))
    possible, rejected = forecasts(call, TWO, DecisionInput(left=400))
    assert set(possible) == modes
    assert set(possible) | set(rejected) == set(Mode)


def test_waits_that_threads_would_mix_up_get_more_processes_than_cores():
    decision = chosen(profile(wait_s=0.02, writes=(PROCESS,)), can_fork=True)
    assert decision.mode is Mode.PARALLEL
    assert decision.workers > 2


def test_seeded_draws_must_be_in_order_unless_the_run_has_a_seed_of_its_own():
    call = profile(work_s=0.03, writes=(DRAWS,))
    assert chosen(call, is_seeded=True).mode is Mode.SEQUENTIAL
    assert chosen(call, is_seeded=True, has_own_seed=True).mode is Mode.PARALLEL
    assert "seed" in " ".join(chosen(call).given_up)


def test_hazards_say_what_and_where():
    threads, processes = hazards((UNLOCKED,), DecisionInput())
    assert "SEEN" in threads
    assert "crawl.py line 7" in threads
    assert processes


def test_a_slow_start_keeps_short_runs_here():
    call = profile(work_s=0.01)
    assert chosen(call, left=20, server_start_s=0.5).mode is Mode.SEQUENTIAL
    assert chosen(call, left=20, can_fork=True).mode is Mode.PARALLEL
    assert chosen(call, left=20, server_start_s=0.5, workers_are_up=True).mode is Mode.PARALLEL


def test_what_every_clean_worker_must_load_again_counts():
    call = profile(work_s=0.004)
    assert chosen(call, left=400, first_call_extra_s=2.0).mode is Mode.SEQUENTIAL
    assert chosen(call, left=400, first_call_extra_s=2.0, can_fork=True).mode is Mode.PARALLEL


def test_the_caller_may_limit_the_workers():
    assert chosen(profile(wait_s=0.02), most_workers=3).workers <= 3
    assert chosen(profile(work_s=0.03), most_workers=1).mode is Mode.SEQUENTIAL


def test_coroutines_go_to_a_loop():
    decision = chosen(profile(wait_s=0.02, is_coroutine=True))
    assert (decision.mode, decision.backend) == (Mode.CONCURRENT, "eventloop")


def test_batches_hide_the_hand_over_and_stay_short():
    assert chosen(profile(work_s=0.03), left=64).batch == 1
    assert 10 <= chosen(profile(work_s=0.0005), left=10_000).batch <= 64


def test_a_decision_says_why_and_why_not_otherwise():
    decision = chosen(profile(work_s=0.0002, wait_s=0.02))
    text = str(decision)
    assert "waiting" in text
    for mode in set(Mode) - {decision.mode}:
        assert f"Not {mode.value}" in text
    assert decision.to_dict()["mode"] == "concurrent"


_seconds = st.floats(0, 10, allow_nan=False)


@given(
    work=_seconds,
    wait=_seconds,
    held=st.floats(0, 1),
    native=_seconds,
    children=_seconds,
    left=st.none() | st.integers(0, 10**7),
    cores=st.integers(1, 128),
    fork=st.booleans(),
)
@example(work=1e-4, wait=0.02, held=1.0, native=0.0, children=0.0, left=0, cores=2, fork=True)  # none is left
def test_every_profile_gets_a_decision_no_slower_than_sequential(work, wait, held, native, children, left, cores, fork):
    call = profile(work, wait, held, native_s=native, children_s=children)
    where = DecisionInput(left=left, can_fork=fork)
    decision = decide(call, Machine(cores=cores), where)
    assert decision.workers >= (0 if decision.mode is Mode.SEQUENTIAL else 1)
    assert decision.forecast_s[decision.mode] <= decision.forecast_s[Mode.SEQUENTIAL]
    assert {decision.mode} | {rejection.mode for rejection in decision.rejected} == set(Mode)


def test_first_calls_that_work_more_than_later_ones_send_nobody_to_processes():
    figures = {"work_s": 0.005, "wait_s": 0.020, "gil_s": 0.005, "calls": 1, "is_picklable": True}
    cold = DecisionInput(left=110, can_fork=True, cold=3.0)
    decision = decide(Profile(**figures), TWO, cold)
    assert decision.mode is Mode.CONCURRENT
    assert "warmed up" in next(each.reason for each in decision.rejected if each.mode is Mode.COMBINED)
    assert decide(Profile(**figures), TWO, cold._replace(cold=1.0)).mode is Mode.COMBINED


def test_processes_that_would_win_with_a_third_of_the_work_are_not_kept_waiting():
    figures = {"work_s": 0.100, "wait_s": 0.100, "gil_s": 0.100, "calls": 1, "is_picklable": True}
    cold = DecisionInput(left=400, can_fork=True, cold=3.0)
    assert decide(Profile(**figures), TWO, cold).mode is Mode.COMBINED


def test_blas_held_to_one_thread_where_that_was_tried_and_pays():
    figures = {"work_s": 0.018, "wait_s": 0.0, "gil_s": 0.001, "native_s": 0.018, "calls": 4, "is_picklable": True}
    tried = DecisionInput(left=100, can_fork=True, limited_native_s=0.020)
    decision = decide(Profile(**figures), TWO, tried)
    assert decision.mode is Mode.CONCURRENT
    assert decision.native_threads == 1
    assert decide(Profile(**figures), TWO, tried._replace(limited_native_s=0.036)).native_threads is None


def test_one_more_call_is_made_where_much_depends_on_its_work():
    call = Profile(work_s=0.015, wait_s=0.030, gil_s=0.015, calls=1)
    cold = DecisionInput(left=63, can_fork=True, cold=3.0)
    assert is_another_call_worth_it(call, TWO, cold)
    assert decide(call, TWO, cold._replace(cold=1.25)).mode is Mode.COMBINED  # the second worked as much


@pytest.mark.parametrize(
    ("call", "left"),
    [
        (Profile(wait_s=0.030, work_s=0.0002, gil_s=0.0002, calls=1), 400),  # threads, whatever the next call is like
        (Profile(wait_s=0.100, work_s=0.100, gil_s=0.100, calls=1), 400),  # processes, likewise
        (Profile(wait_s=0.030, work_s=0.015, gil_s=0.015, calls=1), 8),  # it would take as long as it could bring
    ],
)
def test_no_call_is_made_alone_where_nothing_depends_on_it(call, left):
    assert not is_another_call_worth_it(call, TWO, DecisionInput(left=left, can_fork=True, cold=3.0))


def test_no_more_threads_than_the_rounds_need():
    """399 calls on 256 threads take two rounds, as they do on 200."""
    decision = chosen(profile(wait_s=0.02), left=399, waits_only_in_sleep=True)
    assert decision.workers == 200
    assert chosen(profile(wait_s=0.02), left=3).workers == 3


def test_later_calls_are_looked_at_only_where_something_depends_on_them():
    cold = DecisionInput(left=400, cold=3.0, waits_only_in_sleep=True, most_threads=256)
    sleeps = profile(work_s=1e-4, wait_s=0.02)
    assert not depends_on_later_calls(decide(sleeps, TWO, cold), sleeps, cold)
    mixed = profile(work_s=0.004, wait_s=0.02)
    assert depends_on_later_calls(decide(mixed, TWO, cold), mixed, cold)
    assert not depends_on_later_calls(decide(mixed, TWO, cold._replace(cold=1.0)), mixed, cold._replace(cold=1.0))
