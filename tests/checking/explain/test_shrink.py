"""Shrinking on a toy: executions of tasks that are lists of letters, so that the smallest answer is known."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from whilst.checking.engine.events import Access, Op, SourceLocation, Status
from whilst.checking.explain.shrink import shrink
from whilst.checking.explorer.explorer import Execution


class Toy(Execution):
    """Remembers in what order the letters came; task 1 of a "gil" toy can't be interrupted at its letter 1."""

    letters: str = ""
    firm: frozenset[tuple[int, int]] = frozenset()

    def accesses(self) -> tuple[Access, ...]:
        counts = [0] * 10
        made = []
        for index, task in enumerate(self.choices):
            location = SourceLocation("t.py", 1, "t", 0)
            can_switch = (task, counts[task]) not in self.firm
            made.append(
                Access(index, task, counts[task], Op.WRITE, "x", "x", 1, location, can_switch_with_gil=can_switch)
            )
            counts[task] += 1
        return tuple(made)

    @property
    def needs_free_threading(self) -> bool:
        last, begun = -1, set()
        for access in self.accesses():
            if access.task != last and access.task in begun and not access.can_switch_with_gil:
                return True
            begun.add(access.task)
            last = access.task
        return False


def runner(tasks: Sequence[str], firm: frozenset[tuple[int, int]] = frozenset()) -> Callable[[Sequence[int]], Toy]:
    """What the engine promises: the prefix, then the running task as long as it can, then the lowest."""

    def run(choices: Sequence[int]) -> Toy:
        at = [0] * len(tasks)
        taken: list[int] = []
        letters = ""
        for k in itertools.count():
            able = [n for n, task in enumerate(tasks) if at[n] < len(task)]
            if not able:
                status = Status.DONE
                break
            if k < len(choices):
                if choices[k] not in able:
                    status = Status.DIVERGED
                    break
                task = choices[k]
            else:
                task = taken[-1] if taken and taken[-1] in able else able[0]
            letters += tasks[task][at[task]]
            at[task] += 1
            taken.append(task)
        made = Toy(tuple(taken), status, None, ())
        made.letters, made.firm = letters, firm
        return made

    return run


def random_choices(tasks: Sequence[str], rng: random.Random) -> list[int]:
    choices = [n for n, task in enumerate(tasks) for _ in task]
    rng.shuffle(choices)
    return choices


def in_order(letters: str) -> Callable[[Execution], bool]:
    def fails(execution: Execution) -> bool:
        assert isinstance(execution, Toy)
        places = [execution.letters.find(letter) for letter in letters]
        return execution.status is Status.DONE and -1 not in places and places == sorted(places)

    return fails


@pytest.mark.parametrize(
    ("tasks", "order", "switches"),
    [
        (("abcdef", "uvwxyz"), "by", 1),
        (("abcdef", "uvwxyz"), "auf", 2),
        (("abcdef", "uvwxyz"), "aubvcw", 5),
        (("abc", "klm", "uvw"), "akuc", 3),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_fewest_switches_are_found_and_proved(tasks: tuple[str, ...], order: str, switches: int, seed: int) -> None:
    run, fails = runner(tasks), in_order(order)
    rng = random.Random(seed)
    first = next(e for _ in itertools.count() if fails(e := run(random_choices(tasks, rng))))
    found = shrink(run, fails, first, len(tasks))
    best = run(found.choices)
    assert fails(best)
    assert found.is_shortest
    assert best.switches == switches


def test_an_interleaving_that_the_gil_allows_is_preferred_to_a_shorter_one() -> None:
    tasks = ("abc", "uvw")
    firm = frozenset({(0, 1)})  # no switch before task 0's second letter
    run = runner(tasks, firm)

    def fails(execution: Execution) -> bool:
        assert isinstance(execution, Toy)
        word = execution.letters
        return "au" in word or (word.startswith("abu") and word.endswith("w"))

    first = run((0, 1, 1, 1, 0, 0))
    assert fails(first)
    best = run(shrink(run, fails, first, 2).choices)
    assert best.letters.startswith("abu")


def test_shrinking_stops_when_its_runs_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.checking.explain.shrink._RUNS", 50)
    tasks = ("abcdefghij", "klmnopqrst")
    run, fails = runner(tasks), in_order("akblcm")
    first = run([n for pair in zip([0] * 10, [1] * 10, strict=True) for n in pair])
    found = shrink(run, fails, first, 2)
    assert fails(run(found.choices))
    assert not found.is_shortest
