"""The search in pieces: the union of what the pieces run is what one process runs, trace by trace."""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute_force import program, random_programs, searched, trace_of

from whilst.checking.explorer.explorer import Execution, Explorer
from whilst.checking.search.subtrees import SubtreeQueue, SubtreeResult, SubtreeTask, explore

PROGRAMS = list(random_programs(60, seed=23))


def up_to(most: int) -> Callable[[int], bool]:
    return lambda done: done >= most


def in_pieces(explorer: Explorer, draws: random.Random) -> list[frozenset[object]]:
    """Explore in pieces of one to four executions, several out at once, taken in in any order."""
    traces: list[frozenset[object]] = []

    def take(execution: Execution) -> bool:
        traces.append(trace_of(execution))
        return False

    queue = SubtreeQueue()
    out: list[tuple[SubtreeTask, SubtreeResult]] = []
    while out or not queue.is_over:
        task = queue.take() if len(out) < 3 else None
        if task is not None:
            task = pickle.loads(pickle.dumps(task))  # as another process gets it
            piece = explore(explorer, {}, task, take, up_to(draws.randint(1, 4)))
            assert not piece.has_learnt
            assert not piece.differs
            out.append((task, pickle.loads(pickle.dumps(piece))))
        else:
            done, piece = out.pop(draws.randrange(len(out)))
            queue.take_in(done.number, piece)
    assert not out
    return traces


@pytest.mark.parametrize("tasks", PROGRAMS, ids=[f"{n}" for n in range(len(PROGRAMS))])
def test_pieces_run_each_trace_exactly_once(tasks: list[list[str]]) -> None:
    whole: list[frozenset[object]] = []
    with Explorer(program(tasks)) as explorer:
        searched(explorer, lambda execution: None)  # finds the points
        searched(explorer, lambda execution: whole.append(trace_of(execution)))
        pieces = in_pieces(explorer, random.Random(str(tasks)))
    assert len(pieces) == len(set(pieces)), "a trace was run twice"
    assert set(pieces) == set(whole)
