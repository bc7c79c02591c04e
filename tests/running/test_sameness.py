"""mode="auto" against the loop: results, and what the calls leave behind, of functions that share something unseen.

Each case is a factory of (function, what is left afterwards); items are numbers. Half of a case's calls work, the
other half wait: both ways to overlap are tempting.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from whilst.running.verbs.api import map as whilst_map

Case = tuple[Callable[[int], object], Callable[[], object]]
CASES: list[Callable[[Path, Callable[[], None]], Case]] = []
COUNT = 36


def case(make: Callable[[Path, Callable[[], None]], Case]) -> Callable[[Path, Callable[[], None]], Case]:
    CASES.append(make)
    return make


def works() -> None:
    end = time.thread_time() + 0.003
    while time.thread_time() < end:
        pass


def waits() -> None:
    time.sleep(0.004)


def nothing() -> None:
    """Nothing is left to look at."""


def contents(folder: Path) -> list[tuple[str, bytes]]:
    return sorted((str(path.relative_to(folder)), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


@case
def adds_to_one_of_a_few_files(folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> None:
        spend()
        with (folder / f"bucket-{k % 4}").open("a") as file:
            file.write(f"{k}\n")

    return fn, lambda: contents(folder)


@case
def the_last_one_wins(folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> None:
        spend()
        (folder / f"last-{k % 5}").write_text(str(k))

    return fn, lambda: contents(folder)


@case
def counts_in_a_file(folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> int:
        path = folder / f"count-{k % 3}.json"
        number = json.loads(path.read_text()) if path.exists() else 0
        spend()
        path.write_text(json.dumps(number + 1))
        return int(number)

    return fn, lambda: contents(folder)


@case
def goes_on_from_the_last_ones_file(folder: Path, spend: Callable[[], None]) -> Case:
    (folder / "s-1").write_text("1")

    def fn(k: int) -> int:
        spend()
        value = int((folder / f"s{k - 1}").read_text())
        (folder / f"s{k}").write_text(str(value + k))
        return value

    return fn, nothing


@case
def numbers_rows_of_a_database(folder: Path, spend: Callable[[], None]) -> Case:
    path = folder / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("create table t(id integer primary key, v)")
    connection.close()

    def fn(k: int) -> int | None:
        spend()
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
            return connection.execute("insert into t(v) values (?)", (k,)).lastrowid

    return fn, nothing


@case
def asks_a_command_to_add_to_a_file(folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> None:
        spend()
        if k < 10:  # they take their time
            subprocess.run(["sh", "-c", f"echo {k} >> {folder}/log"], check=True)

    return fn, lambda: contents(folder)


@case
def has_a_directory_within_a_helper(folder: Path, spend: Callable[[], None]) -> Case:
    @contextlib.contextmanager
    def within(place: Path):  # type: ignore[no-untyped-def]  # as people write it
        before = Path.cwd()
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)

    def fn(k: int) -> str:
        with within(folder / str(k)):
            spend()
            return Path("name").read_text()

    for k in range(COUNT):
        (folder / str(k)).mkdir()
        (folder / str(k) / "name").write_text(str(k))
    return fn, Path.cwd


@case
def counts_by_thread(_folder: Path, spend: Callable[[], None]) -> Case:
    local = threading.local()

    def fn(_k: int) -> int:
        local.count = getattr(local, "count", 0) + 1
        spend()
        return int(local.count)

    return fn, lambda: local.count


@case
def gives_numbers_to_names_under_a_lock(_folder: Path, spend: Callable[[], None]) -> Case:
    lock, numbers = threading.Lock(), dict[str, int]()

    def fn(k: int) -> int:
        spend()
        with lock:
            return numbers.setdefault(f"w{k * 7 % 11}", len(numbers))

    return fn, lambda: numbers


@case
def writes_late_through_a_table(_folder: Path, spend: Callable[[], None]) -> Case:
    hits: list[int] = []
    handlers = {"rare": hits.append}

    def fn(k: int) -> None:
        spend()
        handler = handlers.get("rare" if k == COUNT - 3 else "none")
        if handler:
            handler(k)

    return fn, lambda: hits


@case
def writes_late_by_exec(_folder: Path, spend: Callable[[], None]) -> Case:
    names = {"total": 0}

    def fn(k: int) -> None:
        spend()
        if k > 30:
            exec("total += 1", names)

    return fn, lambda: names["total"]


@case
def reads_on_by_number(folder: Path, spend: Callable[[], None]) -> Case:
    path = folder / "data"
    path.write_bytes(bytes(range(COUNT)))
    file = os.open(path, os.O_RDONLY)

    def fn(k: int) -> int:
        spend()
        data = os.read(file, 1)
        if k == COUNT - 1:
            os.close(file)
        return data[0]

    return fn, nothing


@case
def returns_a_generator_late(_folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> object:
        spend()
        return (x for x in range(k)) if k > 25 else k

    return fn, nothing


@case
def returns_a_sentinel_late(_folder: Path, spend: Callable[[], None]) -> Case:
    missing = object()

    def fn(k: int) -> object:
        spend()
        return missing if k > 25 else k

    return fn, nothing


@case
def sets_a_logger_late(_folder: Path, spend: Callable[[], None]) -> Case:
    logger = logging.getLogger("whilst-sameness")
    logger.setLevel("WARNING")

    def fn(k: int) -> bool:
        spend()
        if k == 20:
            logger.setLevel("INFO")
        return logger.isEnabledFor(logging.INFO)

    return fn, lambda: logger.level


@case
def lengthens_the_path(_folder: Path, spend: Callable[[], None]) -> Case:
    def fn(k: int) -> bool:
        spend()
        place = f"/nowhere{k % 30}"
        if is_new := place not in sys.path:
            sys.path.append(place)
        return is_new

    def left() -> list[str]:
        found = [place for place in sys.path if place.startswith("/nowhere")]
        sys.path[:] = [place for place in sys.path if not place.startswith("/nowhere")]
        return found

    return fn, left


@case
def goes_through_a_modules_state_by_name(folder: Path, spend: Callable[[], None]) -> Case:
    name = f"plugin_{abs(hash(folder))}"
    (folder / f"{name}.py").write_text("COUNT = 0\ndef go():\n    global COUNT\n    COUNT += 1\n    return COUNT\n")
    sys.path.insert(0, str(folder))

    def fn(_k: int) -> object:
        import importlib

        spend()
        return importlib.import_module(name).go()

    def left() -> object:
        sys.path.remove(str(folder))
        return sys.modules.pop(name).COUNT

    return fn, left


def shown(value: object) -> object:
    """A value as something to compare."""
    if hasattr(value, "__next__"):
        return list(value)  # type: ignore[call-overload]
    return value if isinstance(value, (int, str, bool, type(None))) else type(value).__name__


@pytest.mark.parametrize("spend", [works, waits])
@pytest.mark.parametrize("make", CASES)
def test_the_same_as_a_loop(
    make: Callable[[Path, Callable[[], None]], Case], spend: Callable[[], None], tmp_path: Path
) -> None:
    looped, mapped = tmp_path / "loop", tmp_path / "map"
    looped.mkdir()
    mapped.mkdir()
    fn, left = make(looped, spend)
    expected, remains = [shown(fn(k)) for k in range(COUNT)], left()
    fn, left = make(mapped, spend)
    results = whilst_map(fn, range(COUNT))
    assert [shown(each) for each in results] == expected, results.decision
    assert left() == remains, results.decision


def test_the_decision_names_the_file_that_calls_share(tmp_path: Path) -> None:
    fn, _ = counts_in_a_file(tmp_path, works)
    decision = str(whilst_map(fn, range(COUNT)).decision)
    assert "count-" in decision or "a file whose name several items give" in decision


def test_a_sentinel_stays_the_one_that_it_is() -> None:
    missing = object()

    def fn(k: int) -> object:
        works()
        return missing if k % 2 else k

    assert all(each is missing for each in list(whilst_map(fn, range(COUNT)))[1::2])


def test_files_of_their_own_keep_nobody_from_working_side_by_side(tmp_path: Path) -> None:
    def fn(k: int) -> None:
        works()
        (tmp_path / f"out-{k}").write_text(str(k))

    whilst_map(functools.partial(fn), range(COUNT))
    decision = whilst_map(fn, range(COUNT)).decision
    assert len(list(tmp_path.iterdir())) == COUNT
    assert not any("out-" in rejected.reason for rejected in decision.rejected)


@pytest.mark.parametrize("spend", [works, waits])
def test_calls_that_look_at_what_their_input_does_take_turns_with_it(spend: Callable[[], None]) -> None:
    def run(mapper: Callable[..., object]) -> list[object]:
        seen: list[int] = []

        def note(k: int) -> int:
            seen.append(k)
            return k

        def fn(k: int) -> tuple[int, int]:
            spend()
            return k, len(seen)

        return list(mapper(fn, map(note, range(COUNT))))  # type: ignore[call-overload]

    assert run(whilst_map) == run(map)
