"""mode="auto" gives what a `for` loop gives, whatever the function does; what it may not do, it does not.

Real calls on real threads and processes, short ones; nothing is asserted about time.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import functools
import itertools
import os
import random
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from whilst.measuring.pilot import Pilot
from whilst.model import Mode
from whilst.running.verbs.api import imap
from whilst.running.verbs.api import map as whilst_map

WORK_S = 0.004


def burn(seconds=WORK_S):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class State:
    """What the functions below write, made anew for each run."""

    def __init__(self):
        self.seen = set()
        self.log = []
        self.memo = {}
        self.count = 0
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.active = 0
        self.calls = []
        self.budget = 60


STATE = State()


def fresh():
    global STATE
    STATE = State()


def visits(k):
    key = k % 7
    if key in STATE.seen:
        return None
    time.sleep(0.004)
    STATE.seen.add(key)
    return key


def logs(k):
    time.sleep(0.001 + 0.002 * (k % 3))
    STATE.log.append(k)
    return k


def counts(k):
    burn()
    STATE.count += 1
    return STATE.count


def counts_under_lock(k):
    time.sleep(0.004)
    with STATE.lock:
        STATE.count += k
    return k


def spends(k):
    if STATE.budget <= 0:
        return None
    time.sleep(0.004)
    STATE.budget -= k
    return k


def memoises(k):
    key = k % 9
    if key not in STATE.memo:
        burn()
        STATE.memo[key] = key * key
    return STATE.memo[key]


def takes_the_next(k):
    time.sleep(0.002)
    return next(STATE.numbers)


def works(k):
    burn()
    return k * k


def waits(k):
    time.sleep(0.004)
    return k * k


def waits_and_works(k):
    time.sleep(0.008)
    burn()
    return k * k


def raises_in_the_middle(k):
    burn(0.002)
    if k == 37:
        raise LookupError("bad", k)
    return k


def gives_what_can_not_travel(k):
    burn()
    return (x for x in range(k % 3))


def changes_directory(path):
    old = Path.cwd()
    os.chdir(path)
    try:
        time.sleep(0.004)
        return Path("name.txt").read_text()
    finally:
        os.chdir(old)


@functools.cache
def squares(k):
    burn()
    return k * k


def squares_of_few(k):
    return squares(k % 5)


def gets_heavier(k):
    burn(0.00002 if k < 150 else 0.006)
    return k


def draws(k):
    burn(0.002)
    return random.random()


class Limited:
    """A server that turns the fifth call in flight away."""

    def __init__(self):
        self.active = 0
        self.lock = threading.Lock()
        self.refused = 0

    def ask(self, k):
        with self.lock:
            if self.active >= 4:
                self.refused += 1
                raise OSError(errno.EAGAIN, "too many at once")
            self.active += 1
        time.sleep(0.004)
        with self.lock:
            self.active -= 1
        return k


def loop_of(fn, items):
    return [fn(item) for item in items]


@pytest.mark.parametrize(
    ("fn", "after"),
    [
        (visits, lambda: STATE.seen),
        (logs, lambda: STATE.log),
        (counts, lambda: STATE.count),
        (counts_under_lock, lambda: STATE.count),
        (memoises, lambda: STATE.memo),
        (spends, lambda: STATE.budget),
        (takes_the_next, lambda: None),
        (works, lambda: None),
        (waits, lambda: None),
        (waits_and_works, lambda: None),
        (squares_of_few, lambda: None),
        (gets_heavier, lambda: None),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_the_same_as_a_loop(fn, after, count):
    fresh()
    squares.cache_clear()
    items = range(count * (4 if fn is gets_heavier else 1))
    expected, left = loop_of(fn, items), after()
    fresh()
    squares.cache_clear()
    assert list(whilst_map(fn, items)) == expected
    assert after() == left


@pytest.mark.parametrize("fn", [visits, logs, counts, takes_the_next])
def test_what_depends_on_the_order_stays_in_order(fn):
    fresh()
    decision = whilst_map(fn, range(40)).decision
    assert decision.mode is Mode.SEQUENTIAL
    assert {rejected.mode for rejected in decision.rejected} == set(Mode) - {Mode.SEQUENTIAL}


def test_what_forbids_other_modes_is_said_though_all_calls_were_made_to_find_it_out():
    fresh()
    decision = whilst_map(visits, range(3)).decision
    assert {rejected.mode for rejected in decision.rejected} == set(Mode) - {Mode.SEQUENTIAL}
    assert "seen" in str(decision)


def test_waits_overlap():
    assert whilst_map(waits, range(60)).decision.mode in (Mode.CONCURRENT, Mode.COMBINED)


def test_an_error_is_that_of_the_loop():
    seen, caught = [], None
    try:
        for value in imap(raises_in_the_middle, range(80)):
            seen.append(value)
    except LookupError as error:
        caught = error
    assert seen == list(range(37))
    assert caught is not None
    assert caught.args == ("bad", 37)


def test_map_raises_the_first_error_wherever_its_results_go():
    seen = []
    with pytest.raises(LookupError) as caught:  # noqa: PT012 - the loop is what is tested
        for value in whilst_map(raises_in_the_middle, range(80)):
            seen.append(value)
    assert (seen, caught.value.args) == ([], ("bad", 37))


def test_results_that_can_not_travel_are_made_here():
    results = whilst_map(gives_what_can_not_travel, range(40))
    assert [list(each) for each in results] == [list(range(k % 3)) for k in range(40)]
    assert results.decision.backend in ("inline", "threads")


def test_a_change_of_directory_is_never_made_by_threads(tmp_path):
    for k in range(4):
        (tmp_path / str(k)).mkdir()
        (tmp_path / str(k) / "name.txt").write_text(str(k))
    results = whilst_map(changes_directory, [tmp_path / str(k % 4) for k in range(30)])
    assert list(results) == [str(k % 4) for k in range(30)]
    assert results.decision.mode in (Mode.SEQUENTIAL, Mode.PARALLEL)


def test_seeded_draws_are_those_of_the_loop():
    random.seed(5)
    expected = loop_of(draws, range(30))
    random.seed(5)
    assert list(whilst_map(draws, range(30))) == expected


def test_draws_with_a_seed_of_the_run_do_not_depend_on_the_mode():
    expected = list(whilst_map(draws, range(30), mode="sequential", seed=3))
    assert list(whilst_map(draws, range(30), seed=3)) == expected


def test_calls_that_were_turned_away_are_made_again_with_fewer():
    server = Limited()
    results = whilst_map(server.ask, range(80))
    assert list(results) == list(range(80))
    if server.refused:
        assert "turned away" in str(results.decision)


def test_a_bound_method_of_a_big_object_is_called_right():
    class Big:
        def __init__(self):
            self.table = list(range(100_000))

        def look(self, k):
            burn()
            return self.table[k]

    assert list(whilst_map(Big().look, range(40))) == list(range(40))


def test_items_that_calls_change_are_changed_here():
    items = [{"k": k} for k in range(40)]

    def marks(item):
        burn()
        item["seen"] = True
        return item["k"]

    assert list(whilst_map(marks, items)) == list(range(40))
    assert all(item["seen"] for item in items)


def test_one_item_that_all_calls_change_is_changed_in_order():
    box = {"n": 0}

    def adds(item):
        n = item["n"]
        time.sleep(0.002)
        item["n"] = n + 1
        return n

    assert list(whilst_map(adds, [box] * 30)) == list(range(30))


def test_a_database_connection_stays_in_its_thread():
    database = sqlite3.connect(":memory:")
    database.execute("create table t(x)")

    def inserts(k):
        database.execute("insert into t values (?)", (k,))
        time.sleep(0.002)
        return k

    assert list(whilst_map(inserts, range(40))) == list(range(40))
    assert database.execute("select count(*) from t").fetchone() == (40,)
    database.close()


def test_coroutines_are_in_flight_together_unless_they_race():
    seen = set()

    async def waits_in_a_loop(k):
        await asyncio.sleep(0.003)
        return k

    async def visits_in_a_loop(k):
        if k % 5 in seen:
            return None
        await asyncio.sleep(0.003)
        seen.add(k % 5)
        return k

    results = whilst_map(waits_in_a_loop, range(50))
    assert list(results) == list(range(50))
    assert results.decision.mode is Mode.CONCURRENT
    assert list(whilst_map(visits_in_a_loop, range(30))) == [0, 1, 2, 3, 4] + [None] * 25


def test_each_call_is_made_once():
    made = []

    def remembers(k):
        time.sleep(0.003)
        with STATE.lock:
            made.append(k)
        return k

    list(whilst_map(remembers, range(50)))
    assert sorted(made) == list(range(50))


def test_lazy_runs_are_right_too():
    fresh()
    assert list(imap(works, iter(range(60)))) == [k * k for k in range(60)]
    assert list(itertools.islice(imap(waits, itertools.count()), 30)) == [k * k for k in range(30)]


def test_a_generator_as_input():
    assert list(whilst_map(waits, (k for k in range(50)))) == [k * k for k in range(50)]


@pytest.mark.parametrize("fn", [works, waits])
def test_an_input_that_prints_takes_turns_with_calls_that_print(fn, capsys):
    def source():
        for k in range(30):
            print("item", k)
            yield k

    def speak(k):
        fn(k)
        print("call", k)

    whilst_map(speak, source())
    assert capsys.readouterr().out == "".join(f"item {k}\ncall {k}\n" for k in range(30))


def test_an_input_that_prints_alone_need_not(capsys):
    def source():
        for k in range(40):
            print("item", k)
            yield k

    assert "its input prints" not in str(whilst_map(waits, source()).decision)
    assert capsys.readouterr().out == "".join(f"item {k}\n" for k in range(40))


def test_a_generator_that_raises():
    def source():
        yield from range(20)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        whilst_map(waits, source())


def test_errors_in_the_place_of_results():
    results = whilst_map(raises_in_the_middle, range(60), errors="return")
    assert isinstance(results[37], LookupError)
    assert [each for each in results if not isinstance(each, Exception)] == [k for k in range(60) if k != 37]


def test_the_decision_is_a_paragraph_and_a_dict():
    decision = whilst_map(works, range(40)).decision
    assert str(decision).endswith(".")
    assert isinstance(decision.to_dict()["evidence"], (list, tuple))


VARIABLE: contextvars.ContextVar[object] = contextvars.ContextVar("of the tests")


def reads_a_variable(k):
    burn()
    return type(VARIABLE.get(None)).__name__


def test_a_context_variable_that_can_not_be_sent_keeps_calls_here():
    VARIABLE.set(threading.Lock())
    gate = threading.Event()
    stranger = threading.Thread(target=gate.wait)
    stranger.start()
    busy = threading.Lock()
    busy.acquire()  # so that the program may not be forked
    try:
        results = whilst_map(reads_a_variable, range(60))
    finally:
        gate.set()
        stranger.join()
        VARIABLE.set(None)
    assert set(results) == {"lock"}


def test_what_a_context_variable_holds_counts_as_sent():
    pilot = Pilot(reads_a_variable)
    pilot.look_into(0)
    VARIABLE.set(threading.Lock())
    try:
        pilot.weigh(0, "lock")
    finally:
        VARIABLE.set(None)
    assert "the context variable 'of the tests'" in pilot.why_not_sent
    pilot.weigh(0, "lock", is_forked=True)
    assert pilot.why_not_sent == ""


@pytest.mark.parametrize("mode", ["sequential", "auto"])
def test_a_lazy_run_fails_a_call_that_was_late_once_it_is_over(mode):
    def fn(k):
        time.sleep(1.1 if k == 3 else 0)
        return k

    seen = []
    with pytest.raises(TimeoutError):
        seen.extend(imap(fn, range(8), mode=mode, timeout_s=1))
    assert seen == [0, 1, 2]
