"""What each worker opens once: as many as there are workers, and each closed with its worker, in every way."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

import whilst
from whilst.running.calls.per_worker import PerWorker
from whilst.running.options import Keywords


class Session:
    """Tells a file when it is opened and closed, and how many are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.worker = f"{os.getpid()} {threading.get_ident()}"
        self.is_closed = False

    def tell(self, word: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{word} {self.worker}\n")

    def square(self, x: int) -> int:
        assert not self.is_closed
        return x * x

    def __enter__(self) -> Self:
        self.tell("opened")
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True
        self.tell("closed")


class AsyncSession(Session):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tell("opened")

    def __enter__(self) -> Session:
        raise TypeError("use async with")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        Session.__exit__(self)


class SlowlyEntered(AsyncSession):
    is_entered = False

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0.001)
        self.is_entered = True
        return self


class Speaking:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        print("closed at last")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "told"
    path.touch()
    yield path
    deadline = time.monotonic() + 5
    while (said := _said(path))[0] != said[1] and time.monotonic() < deadline:
        time.sleep(0.01)  # what is on another machine ends when the run has told it to, and nobody waits for that
    opened, closed = said
    assert opened
    assert opened == closed


def _said(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Workers by how often they have opened and closed."""
    lines = [line.partition(" ") for line in path.read_text().splitlines()]
    opened = Counter(worker for word, _, worker in lines if word == "opened")
    return opened, Counter(worker for word, _, worker in lines if word == "closed")


class Square:
    def __init__(self, session: PerWorker[Session]) -> None:
        self.session = session

    def __call__(self, x: int) -> int:
        return self.session().square(x)


class SquareLater(Square):
    async def __call__(self, x: int) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return self.session().square(x)


def opener(path: Path, kind: Callable[[Path], Session] = Session) -> PerWorker[Session]:
    return whilst.per_worker(partial(kind, path))


def test_each_worker_opens_one_and_closes_it(way: Keywords, told: Path) -> None:
    assert whilst.map(Square(opener(told)), range(40), **way) == [x * x for x in range(40)]
    opened = told.read_text().count("opened")
    if "workers" in way and not str(way.get("backend")).endswith("*threads"):
        assert 1 <= opened <= (way["workers"] or 0)


def test_a_loops_coroutines_share_one_and_an_async_one_is_left(coroutine_way: Keywords, told: Path) -> None:
    assert whilst.map(SquareLater(opener(told, AsyncSession)), range(40), **coroutine_way) == [x * x for x in range(40)]


def test_what_is_entered_by_waiting_is_entered_once_for_all_of_a_loop(told: Path) -> None:
    session: PerWorker[SlowlyEntered] = whilst.per_worker(partial(SlowlyEntered, told))

    async def square(x: int) -> int:
        opened = await session
        assert opened.is_entered
        assert session() is opened
        return opened.square(x)

    assert whilst.map(square, range(20)) == [x * x for x in range(20)]
    assert asyncio.run(_awaited(square)) == [x * x for x in range(20)]
    assert told.read_text().count("opened") == 2


async def _awaited(square: Callable[[int], Coroutine[Any, Any, int]]) -> list[int]:
    return await whilst.amap(square, range(20))


def test_who_does_not_wait_for_it_is_told_to(tmp_path: Path) -> None:
    session = whilst.per_worker(partial(SlowlyEntered, tmp_path / "told"))

    async def ask(_: int) -> None:
        session()

    with pytest.raises(RuntimeError, match="write `await session` in the coroutine"):
        whilst.map(ask, [1])


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "parallel", "combined"])
def test_what_is_printed_at_the_end_is_not_lost(mode: Any, capsys: pytest.CaptureFixture[str]) -> None:
    speaking = whilst.per_worker(Speaking)

    def ask(x: int) -> None:
        speaking()
        print("call", x)

    whilst.map(ask, range(1), mode=mode, workers=1)
    assert capsys.readouterr().out == "call 0\nclosed at last\n"


def test_awaited_runs_on_one_loop_share_what_they_open(told: Path) -> None:
    square = SquareLater(opener(told, AsyncSession))

    async def main() -> list[list[int]]:
        return await asyncio.gather(*[whilst.amap(square, range(20)) for _ in range(3)])

    assert asyncio.run(main()) == [[x * x for x in range(20)]] * 3


def test_an_inner_run_leaves_what_the_outer_call_has_open(told: Path) -> None:
    square = Square(opener(told))

    def outer(x: int) -> int:
        session = square.session()
        inner = whilst.map(square, range(3), mode="sequential")
        return session.square(x) + sum(inner)

    for mode in ("sequential", "concurrent"):
        assert whilst.map(outer, range(3), mode=mode) == [5, 6, 9]  # type: ignore[arg-type]


def test_it_is_closed_when_a_call_fails(told: Path) -> None:
    session = opener(told)

    def fail(x: int) -> None:
        session().square(x)
        raise LookupError(x)

    for mode in ("sequential", "concurrent"):
        with pytest.raises(LookupError):
            whilst.map(fail, range(9), mode=mode)  # type: ignore[arg-type]


def test_no_more_are_open_at_once_than_there_are_workers(told: Path) -> None:
    session = opener(told)

    def square(x: int) -> int:
        time.sleep(0.02)
        return session().square(x)

    results = whilst.map(square, range(20), workers=3)
    assert list(results) == [x * x for x in range(20)]
    steps = [1 if line.startswith("opened") else -1 for line in told.read_text().splitlines()]
    assert max(itertools.accumulate(steps)) <= 3, results.decision


def test_a_run_that_another_thread_ends_leaves_nothing_open(told: Path) -> None:
    """As where the garbage collector, which runs anywhere, closes an iterator that nobody has read to its end."""
    session = opener(told)
    iterator = whilst.imap(Square(session), range(9), mode="sequential")
    assert next(iterator) == 0
    ending = threading.Thread(target=iterator.close)  # type: ignore[attr-defined]
    ending.start()
    ending.join()
    assert told.read_text().count("closed") == 1
    assert whilst.map(Square(session), range(3), mode="sequential") == [0, 1, 4]
    assert told.read_text().count("closed") == 2


def test_a_run_that_never_begins_holds_nothing_open(told: Path) -> None:
    session = opener(told)
    with pytest.raises((OSError, whilst.JournalError)):
        whilst.map(Square(session), range(3), mode="sequential", journal=told / "no folder" / "journal")
    assert whilst.map(Square(session), range(3), mode="sequential") == [0, 1, 4]
    assert told.read_text().count("closed") == 1


def test_what_is_no_context_manager_is_given_as_it_is() -> None:
    made: list[Any] = []

    def make() -> dict[str, int]:
        made.append(threading.get_ident())
        return {"x": 1}

    held = whilst.per_worker(make)
    assert whilst.map(lambda _: held()["x"], range(9), mode="concurrent", workers=2) == [1] * 9
    assert len(made) == len(set(made)) <= 2


def test_what_closing_raises_is_a_warning_beside_the_results() -> None:
    class Stubborn(list[int]):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            raise OSError("stuck")

    held = whilst.per_worker(Stubborn)
    with pytest.warns(UserWarning, match="raised OSError when it was closed: stuck"):
        assert whilst.map(lambda x: len(held()) + x, range(3), mode="sequential") == [0, 1, 2]


def test_what_is_no_factory_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a function that opens something"):
        whilst.per_worker(sys.stdout)  # type: ignore[arg-type]
