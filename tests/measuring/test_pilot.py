"""The pilot keeps clocks, probe, payload and writes of calls that others make."""

from __future__ import annotations

import functools
import logging
import logging.handlers
import threading
import time

import pytest

from whilst.measuring import clocks
from whilst.measuring.gil_probe import GilProbe, Sightings
from whilst.measuring.payload import measure, measure_function
from whilst.measuring.pilot import Pilot
from whilst.measuring.writes.reachable import Reachable


def test_a_canary_leaves_no_thread():
    before = threading.active_count()
    probe = GilProbe()
    probe.stop()
    assert threading.active_count() == before


def test_the_share_of_the_gil_is_that_of_looks_on_a_core():
    assert Sightings(held=3, free=1, waits={"sleep": 5}).gil_share == 0.75
    assert Sightings(waits={"sleep": 5}).gil_share is None
    assert Sightings(waits={"sleep": 5}).waits_only_in_sleep
    assert not Sightings(waits={"sleep": 5, "socket": 1}).waits_only_in_sleep
    assert not Sightings().waits_only_in_sleep


def test_what_the_canary_saw_bounds_the_waiting():
    assert Sightings(held=4).most_wait_s(1.0) == 0.0
    assert Sightings(held=1, waits={"socket": 3}).most_wait_s(1.0) == 0.75
    assert Sightings(held=1).most_wait_s(1.0) is None
    assert clocks.Lap(1.0, 0.3, 0, 0, most_wait_s=0.1).wait_s == 0.1
    assert clocks.Lap(1.0, 0.3, 0, 0, blocks=0).wait_s == 0.0


def test_laps_are_shared_by_calls():
    lap = clocks.Lap(1.0, 0.5, 0.2, 0.1).shared_by(10)
    assert (lap.wall_s, lap.thread_s, lap.others_s, lap.children_s) == (0.1, 0.05, 0.02, 0.01)
    assert lap.wait_s == pytest.approx(0.05)


def test_payload_counts_bytes_and_buffers():
    numpy = pytest.importorskip("numpy")
    payload = measure(numpy.zeros(1 << 17), "its argument")
    assert payload.buffer_bytes == 1 << 20
    assert payload.pickled_bytes < 1000
    assert not payload.why_not


def test_what_can_not_be_pickled_says_why():
    assert "its result can't be pickled" in measure(threading.Lock(), "its result").why_not


def test_what_dies_while_pickled_is_no_error():
    class Hostile:
        def __reduce__(self):
            raise RuntimeError("never")

    assert "never" in measure(Hostile(), "its argument").why_not


def test_lambdas_and_closures_can_be_sent_by_value():
    limit = 3
    assert not measure_function(lambda x: x + limit).why_not


def test_too_much_is_cut_off():
    assert "more than" in measure([bytes(1 << 20) + bytes([k]) for k in range(200)], "its argument").why_not


def test_a_profile_sets_the_first_call_apart():
    pilot = Pilot(lambda x: x)
    pilot.laps += [clocks.Lap(0.6, 0.6, 0, 0), clocks.Lap(0.004, 0.003, 0, 0), clocks.Lap(0.004, 0.003, 0, 0)]
    pilot.counts += [1, 1, 1]
    profile = pilot.profile()
    assert profile.first_call_s == 0.6
    assert profile.wall_s == pytest.approx(0.004)
    assert pilot.first_extra_s == pytest.approx(0.596)


def test_a_watched_call_is_measured_and_convicted():
    box = []

    def fn(x):
        box.append(x)
        time.sleep(0.001)

    pilot = Pilot(fn)
    pilot.look_into(1)
    pilot.begin(1)
    fn(1)
    lap = pilot.end(1)
    assert lap.wall_s >= 0.001
    assert [(write.what, write.is_confirmed) for write in pilot.writes] == [("box", True)]


def test_an_item_that_the_call_changes_is_noticed_without_a_scan():
    pilot = Pilot(len)  # it is changed here, so that no code tells of it
    item = {"a": 1}
    pilot.look_into(item)
    pilot.begin(item)
    item.clear()
    pilot.end(item)
    assert [write.what for write in pilot.writes] == ["its own argument"]


def test_of_a_function_with_a_cache_the_later_calls_count():
    pilot = Pilot(functools.cache(lambda x: x))
    pilot.look_into(1)
    for length, calls in ((0.015, 1), (0.015, 1), (0.015, 1), (1e-6, 60)):
        pilot.laps.append(clocks.Lap(length, length, 0, 0))
        pilot.counts.append(calls)
    assert pilot.profile().wall_s == pytest.approx(1e-6)


def watched(ask):
    """A pilot of one call at which the probe has looked often: a look that comes late counts for none."""
    for _ in range(50):
        pilot = Pilot(ask)
        pilot.look_into(1)
        pilot.begin(1)
        ask(1)
        pilot.end(1)
        if sum(pilot.seen.waits.values()) >= 4:
            break
    return pilot


@pytest.mark.parametrize(
    "lock",
    [threading.Lock(), threading.RLock(), threading.Semaphore(1), threading.Condition()],
    ids=lambda lock: type(lock).__name__,
)
def test_a_lock_held_while_a_call_waits_is_seen(lock):
    def ask(x):
        with lock:
            time.sleep(0.02)

    pilot = watched(ask)
    assert pilot.may_differ
    assert pilot.seen.locked_share > 0.5  # the last look may fall between the call's end and the probe's
    assert pilot.profile().locked_s > 0.5 * pilot.profile().wait_s
    assert [write.spoils_threads for write in pilot.writes] == [False]


def test_a_lock_held_only_between_waits_limits_nothing():
    lock = threading.Lock()

    def ask(x):
        time.sleep(0.01)
        with lock:
            pass
        time.sleep(0.01)

    pilot = watched(ask)
    assert pilot.profile().locked_s == 0.0
    assert not pilot.writes


@functools.lru_cache
def model():
    return 3


@pytest.mark.parametrize(("fn", "may_differ"), [(lambda x: x * model(), True), (lambda x: x * 3, False)])
def test_a_cache_or_what_a_thread_keeps_asks_for_a_second_look(fn, may_differ):
    pilot = Pilot(fn)
    pilot.look_into(1)
    assert pilot.may_differ is may_differ


def test_what_a_thread_loads_for_itself_is_known_from_the_second_call():
    own = threading.local()

    def call(x):
        own.model = getattr(own, "model", None) or object()
        return x

    reachable = Reachable(call)
    call(1)
    pilot = Pilot(call, reachable=reachable)
    pilot.add(clocks.Lap(0.3, 0.2, 0, 0))
    pilot.look_into(1)
    assert pilot.may_differ
    assert pilot.thread_extra_s == 0.0
    pilot.add(clocks.Lap(0.11, 0.01, 0, 0))
    assert pilot.thread_extra_s == pytest.approx(0.19)


def test_what_was_weighed_is_known_of_coroutines_too_which_nobody_measures_alone():
    async def fn(k):
        return k

    pilot = Pilot(fn, is_coroutine=True)
    pilot.look_into(None)
    assert pilot.profile().is_picklable is None
    pilot.weigh(1, 1, is_forked=True)
    profile = pilot.profile()
    assert profile.is_picklable
    assert profile.argument_bytes


@functools.lru_cache
def keeps(k):
    return [k]


@pytest.mark.parametrize(
    ("fn", "rest", "is_written"),
    [
        (keeps, (1, 2, 1), True),
        (keeps, (1, 2, 3), False),
        (lambda k: keeps(k % 2), (1, 2, 3), True),
        (lambda k: len(keeps(k % 2)), (1, 1), False),
    ],
)
def test_calls_that_would_each_make_what_a_cache_keeps_do_not_overlap(fn, rest, is_written):
    pilot = Pilot(fn)
    pilot.look_into(0)
    pilot.rest = rest
    pilot.note_what_is_kept(fn(0))
    assert bool([write for write in pilot.writes if write.spoils_threads]) == is_written


def writes_of(fn):
    pilot = Pilot(fn)
    for item in range(2):
        pilot.look_into(item)
        pilot.begin(item)
        fn(item)
        pilot.end(item)
    return pilot.writes


def test_what_is_drawn_on_an_image_is_seen():
    image_of = pytest.importorskip("PIL.Image")
    drawing_on = pytest.importorskip("PIL.ImageDraw").Draw
    shown, canvas, drawn = (image_of.new("L", (20, 20)) for _ in range(3))
    drawing = drawing_on(drawn)
    assert writes_of(lambda k: canvas.paste(k + 1, (0, 0, 9, 9)))
    assert writes_of(lambda k: drawing.rectangle((0, 0, 9, 9), fill=k + 1))
    assert not writes_of(lambda k: shown.crop((k, 0, k + 3, 3)).tobytes())


def test_an_object_made_for_several_threads_is_safe_from_those_who_do_not_ask():
    handler = logging.handlers.MemoryHandler(1000)
    log = logging.Logger("memory")
    log.addHandler(handler)

    def asks(k):
        log.warning("%s", k)
        return len(handler.buffer)

    def tells(k):
        log.warning("%s", k)
        return bool(handler)

    assert any(write.spoils_threads for write in writes_of(asks))
    assert not any(write.spoils_threads for write in writes_of(tells))


def test_what_a_reader_changes_between_calls_is_seen():
    state = {"best": 0}
    others: list[int] = []
    pilot = Pilot(lambda k: state["best"] + k)
    pilot.look_into(1)
    others.append(1)
    pilot.compare_after_reader()
    assert not pilot.writes
    state["best"] = 1
    pilot.compare_after_reader()
    assert any(write.spoils_threads for write in pilot.writes)
