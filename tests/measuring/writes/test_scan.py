"""What the bytecode scan finds, and what it must not cry wolf about: every trap has its harmless twin."""

from __future__ import annotations

import abc
import asyncio
import atexit
import contextlib
import copy
import decimal
import functools
import heapq
import io
import json
import math
import os
import random
import sys
import threading
import time
import warnings
import weakref
from xmlrpc.client import ServerProxy

import pytest

from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach

VISITED: set[str] = set()
TOTALS = {"fetched": 0}
RESULTS: list[int] = []
CONFIG = {"limits": {"size": 3}, "names": ["a", "b"]}
LOCK = threading.Lock()
LOCAL = threading.local()
MODEL: dict[str, int] | None = None
READER = iter(range(1000))
QUEUE: list[int] = []
TABLE = {"up": str.upper, "down": str.lower}


def found(fn, sample=1, **kinds):
    return [(suspect.reach, suspect.what) for suspect in scan(fn, sample, **kinds).suspects]


def reaches(fn, sample=1):
    return {suspect.reach for suspect in scan(fn, sample).suspects}


class Client:
    count = 0

    def __init__(self, name="x"):
        self.name = name
        self.done = 0
        self.lock = threading.Lock()
        self.log = []

    def plain(self, x):
        return self.name + str(x)

    def counted(self, x):
        self.done += 1
        return x

    def counted_locked(self, x):
        with self.lock:
            self.done += 1
        return x

    def counted_on_class(self, x):
        Client.count += 1
        return x

    @classmethod
    def counted_by_class(cls, x):
        cls.count += 1
        return x

    @property
    def touched(self):
        self.done += 1
        return self.done

    def through_property(self, x):
        return self.touched + x

    def __call__(self, x):
        self.log.append(x)
        return x


def visits(url):
    if url in VISITED:
        return None
    VISITED.add(url)
    TOTALS["fetched"] += 1
    return url


def sets_global(x):
    global MODEL
    MODEL = {"x": x}
    return x


def loads_lazily(x):
    global MODEL
    if MODEL is None:
        MODEL = {"x": 1}
    return MODEL["x"] + x


def loads_lazily_with_early_return(x):
    return _model()["x"] + x


def _model():
    global MODEL
    if MODEL is not None:
        return MODEL
    MODEL = {"x": 1}
    return MODEL


def reads_only(x):
    return CONFIG["limits"]["size"] + x + len(CONFIG["names"])


def copies_then_writes(x):
    mine = dict(CONFIG)
    mine["x"] = x
    names = CONFIG["names"].copy()
    names.append(str(x))
    return mine, names


def writes_deep_inside(x):
    CONFIG["limits"]["size"] = x


def appends(x):
    RESULTS.append(x)


def appends_through_an_alias(x):
    here = RESULTS
    here.append(x)


def extends_in_place(x):
    global RESULTS
    RESULTS += [x]


def pushes(x):
    heapq.heappush(QUEUE, x)


def takes_next(x):
    return next(READER) + x


def has_mutable_default(x, seen=[]):  # noqa: B006 - the trap itself
    seen.append(x)
    return len(seen)


def changes_item(item):
    item["seen"] = True
    return item


def changes_dir(path):
    os.chdir(path)
    return path


def captures(x):
    with contextlib.redirect_stdout(io.StringIO()):
        print(x)


def sets_environment(x):
    os.environ["X"] = str(x)


def sets_stdout(x):
    sys.stdout = x


def silences(x):
    with warnings.catch_warnings():
        return x


def draws(x):
    return random.random() + x


def draws_by_a_parameter(x):
    return _sample(random, x)


def _sample(rng, x):
    return rng.gauss(x, 1)


def draws_from_its_own(x):
    return random.Random(x).random()


def keeps_in_thread(x):
    LOCAL.value = x
    return LOCAL.value


def builds_a_fresh_one(x):
    client = Client("y")
    client.counted(x)
    out = []
    out.append(client.name)
    return out


def counts_under_lock(x):
    with LOCK:
        TOTALS["fetched"] += 1
    return x


def counts_after_acquire(x):
    LOCK.acquire()
    try:
        TOTALS["fetched"] += 1
    finally:
        LOCK.release()
    return x


def uses_table(x):
    return TABLE["up"](x) + TABLE[x](x)


def calls_helper(x):
    return visits(x)


def hands_over(x):
    return list(map(visits, [x]))


def in_a_lambda(x):
    return sorted([x], key=lambda y: RESULTS.append(y))


def in_a_comprehension(x):
    return [VISITED.add(y) for y in range(x)]


def make_closure(limit):
    seen = set()
    total = 0

    def check(x):
        nonlocal total
        total += x
        seen.add(x)
        return limit

    def harmless(x):
        return limit + len(seen) + x

    return check, harmless


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (visits, "VISITED"),
        (visits, "TOTALS[…]"),
        (sets_global, "the global MODEL"),
        (appends, "RESULTS"),
        (appends_through_an_alias, "RESULTS"),
        (extends_in_place, "the global RESULTS"),
        (writes_deep_inside, "CONFIG[…][…]"),
        (pushes, "QUEUE"),
        (has_mutable_default, "the default of seen"),
        (calls_helper, "VISITED"),
        (hands_over, "VISITED"),
        (in_a_lambda, "RESULTS"),
        (in_a_comprehension, "VISITED"),
        (Client().counted, "self.done"),
        (Client().counted_on_class, "Client.count"),
        (Client.counted_by_class, "Client.count"),
        (Client().through_property, "self.done"),
        (functools.partial(lambda box, x: box.append(x), []), "argument 1 of the partial"),
        (make_closure(1)[0], "seen"),
        (make_closure(1)[0], "total"),
    ],
)
def test_shared_writes_are_found(fn, what):
    assert (Reach.SHARED, what) in found(fn)


def test_a_callable_object_that_keeps_a_log_is_found():
    assert any(reach is Reach.SHARED for reach, _ in found(Client()))


@pytest.mark.parametrize(
    "fn",
    [
        reads_only,
        copies_then_writes,
        draws_from_its_own,
        keeps_in_thread,
        builds_a_fresh_one,
        uses_table,
        Client().plain,
        make_closure(1)[1],
        functools.partial(lambda box, x: len(box) + x, []),
        math.sqrt,
        json.dumps,
    ],
)
def test_harmless_functions_have_no_suspects(fn):
    assert found(fn, "up" if fn is uses_table else 1) == []


@pytest.mark.parametrize("fn", [changes_dir, captures, sets_environment, sets_stdout, silences])
def test_settings_of_the_whole_process_are_told_apart(fn):
    assert reaches(fn) == {Reach.PROCESS}


@pytest.mark.parametrize("fn", [draws, draws_by_a_parameter])
def test_draws_from_the_shared_generator_are_found(fn):
    assert reaches(fn) == {Reach.DRAWS}


def test_numpys_own_seed_is_a_seed():
    np = pytest.importorskip("numpy")
    pytest.importorskip("numpy.random")  # loaded when it is first asked for, and a scan loads nothing

    def fn(item):
        np.random.seed(item)
        return np.random.rand()

    assert scan(fn, 1).seeds_itself


def test_one_connection_of_a_library_that_all_calls_use_is_stateful():
    class Proxy(ServerProxy):
        pass

    proxy = Proxy("http://127.0.0.1:9")
    assert (Reach.STATEFUL, "an XML-RPC connection that all calls use, proxy") in found(lambda x: proxy.square(x))


def test_modules_imported_in_the_function_are_known():
    def silences_by_own_import(x):
        import warnings as own

        with own.catch_warnings():
            return x

    def draws_by_own_import(x):
        from random import random as draw

        return draw()

    assert reaches(silences_by_own_import) == {Reach.PROCESS}
    assert reaches(draws_by_own_import) == {Reach.DRAWS}


def test_a_file_that_all_calls_add_to_keeps_their_order():
    def adds(x):
        with open(f"{CONFIG}/log.txt", "a") as log:  # noqa: PTH123 - what the scan is to see
            log.write(str(x))

    def adds_to_its_own(x):
        with open(f"/tmp/{x}/log.txt", "a") as log:  # noqa: PTH123
            log.write(str(x))

    def only_reads(x):
        with open("/etc/hostname") as file:  # noqa: PTH123
            return file.read() + str(x)

    assert reaches(adds) == {Reach.STATEFUL}
    assert reaches(adds_to_its_own) == set()
    assert reaches(only_reads) == set()


def test_an_iterator_that_all_calls_use_is_stateful():
    assert reaches(takes_next) == {Reach.STATEFUL}


def test_a_changed_item_is_the_calls_own_affair():
    assert reaches(changes_item, {}) == {Reach.ARGUMENT}


def test_an_open_file_that_all_calls_write_to_is_stateful(tmp_path):
    with (tmp_path / "log").open("w") as log:

        def writes(x):
            log.write(str(x))

        assert reaches(writes) == {Reach.STATEFUL}


@pytest.mark.parametrize("fn", [counts_under_lock, counts_after_acquire, Client().counted_locked])
def test_locks_are_seen(fn):
    assert [suspect.is_locked for suspect in scan(fn, 1).suspects] == [True]


def test_without_a_lock_nothing_is_locked():
    assert not any(suspect.is_locked for suspect in scan(visits, "u").suspects)


@pytest.mark.parametrize("fn", [loads_lazily, loads_lazily_with_early_return])
def test_a_lazy_load_may_settle(fn):
    assert [suspect.settles for suspect in scan(fn, 1).suspects] == [True]


def test_a_test_of_the_item_never_settles():
    assert not any(suspect.settles for suspect in scan(visits, "u").suspects)


def test_what_sleeps_only_is_told_from_what_may_wait_for_others():
    def sleeps(x):
        time.sleep(x)
        return x * x

    async def sleeps_in_a_loop(x):
        await asyncio.sleep(x)

    def opens(x):
        time.sleep(0.1)
        return open(x)  # noqa: PTH123 - what the scan is to see

    assert scan(sleeps, 1).waits_only_in_sleep
    assert scan(sleeps_in_a_loop, 1).waits_only_in_sleep
    assert not scan(opens, 1).waits_only_in_sleep


def test_caches_of_functools_are_looked_through():
    @functools.lru_cache
    def remembers(x):
        VISITED.add(x)
        return x

    result = scan(remembers, 1)
    assert result.caches
    assert [suspect.what for suspect in result.suspects] == ["VISITED"]


MISSING = object()
FEW = {1: 2}


class Registry:
    total = 0

    @classmethod
    def get(cls):
        return cls


def picks(k):
    return MISSING if k % 9 == 8 else k


def looks(table, k):
    return table.get(k, MISSING)


def looks_and_tells(k):
    found = FEW.get(k, MISSING)
    return -1 if found is MISSING else found


@pytest.mark.parametrize("fn", [picks, lambda k: {"v": picks(k)}, lambda k: [k, (picks(k),)], lambda k: looks(FEW, k)])
def test_a_sentinel_is_seen_in_what_is_given_back(fn):
    assert scan(fn, 1).sentinel == "MISSING"


@pytest.mark.parametrize("fn", [looks_and_tells, lambda k: picks(k) is MISSING, lambda k: [k]])
def test_a_sentinel_that_stays_within_is_no_matter(fn):
    assert not scan(fn, 1).sentinel


def test_what_is_given_back_twice_is_known_twice():
    def adds(k):
        print(Registry.get().total)
        Registry.get().total += k

    def asks(k):
        return Registry.get().total + Registry.get().total

    assert reaches(adds) == {Reach.SHARED}
    assert not reaches(asks)


@functools.lru_cache
def keeps(k):
    return [k]


@functools.lru_cache
def keeps_one():
    return [1]


class Borg:
    state = {}  # noqa: RUF012 - what is tested

    def __init__(self):
        self.__dict__ = self.state


class Alone:
    def __init__(self):
        self.__dict__ = {}


class Counting:
    copies = 0

    def __deepcopy__(self, memo):
        Counting.copies += 1
        return self


class Node:
    def __init__(self, parent=None):
        self.parent = parent
        self.size = 0

    def add(self, n):
        self.size += n
        if self.parent:
            self.parent.add(n)


HELD = Counting()


def test_a_state_that_all_objects_of_a_class_have_is_shared():
    def adds(k, kind):
        made = kind()
        made.total = k

    assert reaches(lambda k: adds(k, Borg)) == {Reach.SHARED}
    assert not reaches(lambda k: adds(k, Alone))


def test_what_a_library_calls_of_a_part_of_its_argument_is_a_hint():
    assert [suspect.is_hint for suspect in scan(lambda k: copy.deepcopy({"d": HELD}), 1).suspects] == [True]
    assert not scan(lambda k: copy.deepcopy({"d": k}), 1).suspects


def test_what_a_weak_reference_leads_to_is_somebody_elses():
    parent = Node()
    refers = weakref.ref(parent)

    def adds(k):
        refers().size += k

    assert reaches(adds) == {Reach.SHARED}
    assert not reaches(lambda k: refers().size + k)


def test_an_item_and_what_it_holds_are_followed_both():
    child = Node(Node())
    changed = [suspect.changed for suspect in scan(lambda node: node.add(1), child).suspects]
    assert {each is child for each in changed} == {True, False}


def test_what_a_cache_keeps_is_told_from_what_each_call_makes():
    for fn, is_by_item in [(keeps, True), (lambda k: {"part": keeps(k)}, True), (lambda k: keeps(k % 4), False)]:
        found = scan(fn, 1)
        assert (found.kept, found.is_kept_by_item) == ("what keeps keeps", is_by_item)
    for fn in (lambda k: sum(keeps(k)), lambda k: [k, keeps_one()]):
        assert not scan(fn, 1).kept


def test_recursion_and_depth_end():
    def around(x):
        return around(x - 1) if x else 0

    assert scan(around, 1).suspects == ()


@pytest.mark.parametrize("fn", [print, len, 3, Client, object(), functools.partial(print, 1), type("T", (), {})()])
def test_anything_can_be_scanned(fn):
    scan(fn, 1)


def test_starmap_items_are_spread_over_the_parameters():
    def fills(box, x):
        box.append(x)

    assert [suspect.reach for suspect in scan(fills, ([], 1), how="star").suspects] == [Reach.ARGUMENT]


def test_library_code_is_not_followed(monkeypatch):
    assert scan(json.JSONEncoder().encode, {}).functions == 0


def test_standard_output_by_its_number_is_an_open_file_of_all_calls():
    assert reaches(lambda x: os.write(1, b"%d" % x)) == {Reach.STATEFUL}


def registers(x):
    if x == 300:
        atexit.register(print, x)
    return x


def registers_by_decorator(x):
    @atexit.register
    def bye():
        RESULTS.clear()

    return x


def registers_once(x):
    global MODEL
    if MODEL is None:
        MODEL = {}
        atexit.register(MODEL.clear)
    return x


@pytest.mark.parametrize("fn", [registers, registers_by_decorator])
def test_what_is_to_run_at_the_programs_end_is_seen(fn):
    assert (Reach.SHARED, "what atexit calls at the program's end") in found(fn)


def test_what_is_registered_with_a_lazy_load_settles_as_it_does():
    assert [suspect.settles for suspect in scan(registers_once, 1).suspects] == [True, True]


class Odd:
    """Each of its methods changes it, and none is called by its name."""

    all: list[int] = []  # noqa: RUF012 - what all instances share

    def __init__(self) -> None:
        self.n = 0

    def __add__(self, other):
        self.n += other
        return self

    def __lt__(self, other):
        self.n += 1
        return False

    def __len__(self):
        self.n += 1
        return 1

    def __getitem__(self, key):
        self.n += 1
        return key

    def __contains__(self, key):
        self.n += 1
        return False

    def __iter__(self):
        self.n += 1
        yield self.n

    def __enter__(self):
        self.n += 1

    def __exit__(self, *_):
        pass

    def __str__(self):
        self.n += 1
        return ""

    def __getattr__(self, name):
        self.n += 1
        return name

    def plain(self):
        return self.n

    def noted(self):
        self.all.append(self.n)


ODD = Odd()
SLOTS = [0]


def put(x, *, into):
    into.append(x)


def within(x):
    with ODD:
        return x


def through(x):
    return [each for each in ODD]  # noqa: C416


def decimals(x):
    decimal.getcontext().prec = x


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: ODD + x,
        lambda x: x > ODD,
        lambda x: len(ODD),
        lambda x: 1 if ODD else 2,
        lambda x: ODD[x],
        lambda x: x in ODD,
        within,
        through,
        lambda x: f"{ODD}",
        lambda x: str(ODD),
        lambda x: ODD.missing,
        lambda x: Odd().noted(),
        lambda x: list(map(RESULTS.append, [x])),
        lambda x: list.append(RESULTS, x),
        lambda x: object.__setattr__(ODD, "n", x),
        lambda x: SLOTS.__setitem__(0, x),
        lambda x: globals().__setitem__("SLOTS", x),
        lambda x: random.shuffle(RESULTS),
        lambda x: [change(x) for change in CHANGES],
        lambda x: x in READER,
        lambda x: put(x, into=RESULTS),
        decimals,
    ],
)
def test_what_is_called_without_being_named_is_followed(fn):
    assert {Reach.SHARED, Reach.STATEFUL} & reaches(fn)


CHANGES = (RESULTS.append,)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: ODD.plain(),
        lambda x: len(CONFIG),
        lambda x: [each(x) for each in (str, repr)],
        lambda x: list(map(CONFIG.get, [x])),
        lambda x: str.upper("x"),
        lambda x: Odd().plain(),
        lambda x: x in CONFIG,
        lambda x: globals()["CONFIG"],
        lambda x: decimal.getcontext().prec,
    ],
)
def test_what_only_reads_is_not_suspected(fn):
    assert found(fn) == []


class Column:
    """As a library of frames has them: whatever it is asked for is a column, which is neither true nor hashable."""

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name):
        return Column()

    def __eq__(self, other):
        return Column()

    def __bool__(self):
        raise TypeError("the truth value of a column is ambiguous")

    def __call__(self, name):
        return Column()


Column.__call__.__code__ = Column.__call__.__code__.replace(co_filename=abc.__file__)  # no code of the user's
column = Column()


def test_what_has_all_that_it_is_asked_for_can_be_called():
    assert scan(lambda item: column("price") + item).suspects == ()


class Numbers(dict):
    def __missing__(self, name):
        self[name] = len(self)
        return self[name]


class Asked:
    def __init__(self):
        self._names = []

    def __getattr__(self, name):
        self._names.append(name)
        return len(self._names)


class Turns:
    def __init__(self):
        self.turns = []

    def __iter__(self):
        self.turns.append(1)
        return iter(self.turns)


numbers, asked, turns = Numbers(), Asked(), Turns()


def number_of(item):
    return numbers[item] if item >= 10 else item


def ask_for(item):
    return getattr(asked, f"name {item}") if item >= 10 else item


def go_through(item):
    if item >= 10:
        for each in turns:
            item = each
    return item


@pytest.mark.parametrize(
    ("fn", "what"), [(number_of, "numbers"), (ask_for, "asked._names"), (go_through, "turns.turns")]
)
def test_what_the_users_own_code_says_is_no_hint(fn, what):
    """A later call alone makes it: those that are watched would clear a hint."""
    [suspect] = scan(fn, 1).suspects
    assert what in suspect.what
    assert not suspect.is_hint


def set_in_module(item):
    import wave

    wave.LAST = item
    return wave.LAST


def test_what_is_set_in_a_module_that_only_calls_import_is_seen(monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    [suspect] = scan(set_in_module, 1).suspects
    assert suspect.what == "wave.LAST"
