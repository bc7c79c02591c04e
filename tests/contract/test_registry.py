"""Who adds a back end adds a file and an entry in the registry; all the rest is there by that."""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Callable, Sequence
from os import getpid

import pytest

import whilst
from whilst.model import Mode
from whilst.running.backends import BACKENDS, Traits
from whilst.running.calls.one_argument import Awaiter
from whilst.running.calls.perform import Cell, perform
from whilst.running.jobs import Batch, Event, WorkerDied, WorkerReady, WorkerStopped
from whilst.running.options import OptionsError


class ToyBackend:
    """Workers that make their calls when somebody asks for events."""

    name = "toy"
    slots = 1
    can_kill = overlaps = takes_early = False

    def __init__(self) -> None:
        self._said: deque[Event] = deque()
        self._sent: deque[tuple[int, Batch]] = deque()
        self._awaiter = Awaiter()

    def start_worker(self, worker: int) -> None:
        self._said.append(WorkerReady(worker, getpid()))

    def send(self, worker: int, batch: Batch) -> None:
        self._sent.append((worker, batch))

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        self._said.append(WorkerDied(worker) if kill else WorkerStopped(worker))

    def running(self, _worker: int) -> Sequence[tuple[int, int]]:
        return ()

    def recall(self, _worker: int) -> Sequence[int]:
        return ()

    def events(self, _timeout_s: float | None) -> Sequence[Event]:
        if not self._said and self._sent:
            worker, batch = self._sent.popleft()
            self._said.append(perform(batch, worker, Cell(), self._awaiter))
        said = list(self._said)
        self._said.clear()
        return said

    def wake(self) -> None:
        """Nobody waits here."""

    def close(self, *, kill: bool) -> None:
        self._awaiter.close()


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file and one entry."""
    module = types.ModuleType("whilst.running.backends.toy")
    vars(module)["ToyBackend"] = ToyBackend
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(BACKENDS, "toy", Traits(("parallel",), "toy", "ToyBackend", noun="toy"))


async def later(number: int) -> int:
    return number + 1


def fails_at_five(number: int) -> int:
    if number == 5:
        raise KeyError(number)
    return number


@pytest.mark.parametrize("fn", [lambda number: number + 1, later], ids=["a function", "a coroutine function"])
def test_a_back_end_of_one_file_and_one_entry_gives_what_a_loop_gives(fn: Callable[[int], int]) -> None:
    results = whilst.map(fn, range(50), backend="toy", workers=2)
    assert results == list(range(1, 51))
    assert results.decision.mode is Mode.PARALLEL
    assert results.decision.backend == "toy"
    assert set(results.timeline.executors) <= {"toy 1", "toy 2"}
    assert list(whilst.imap(fn, iter(range(9)), backend="toy")) == list(range(1, 10))


def test_its_errors_are_those_of_a_loop() -> None:
    with pytest.raises(KeyError) as caught:
        whilst.map(fails_at_five, range(20), backend="toy")
    assert caught.value.args == (5,)
    returned = whilst.map(fails_at_five, range(8), backend="toy", errors="return")
    assert [type(each) for each in returned] == [int] * 5 + [KeyError] + [int] * 2


def test_it_can_be_had_in_its_mode_only() -> None:
    assert whilst.map(abs, [-1, 2], mode="parallel", backend="toy") == [1, 2]
    with pytest.raises(OptionsError, match="toy"):
        whilst.map(abs, [-1, 2], mode="concurrent", backend="toy")
