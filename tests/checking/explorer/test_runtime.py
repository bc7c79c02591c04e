"""One runtime serves check after check: what an earlier one learnt, took or kept must not be met in the next."""

from __future__ import annotations

import contextlib
import gc
import io
import re
import signal
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from whilst.checking import check
from whilst.checking.explorer.explorer import Explorer, Program
from whilst.checking.search.search import SearchConfig, search
from whilst.model.verdict import Answer


class Counter:
    def __init__(self) -> None:
        self.value = 0


def add(counter: Any) -> None:
    counter.value += 1


def search_all(program: Program) -> int:
    with Explorer(program) as explorer:
        return search(explorer, SearchConfig(is_symmetric=False, random_executions=0), lambda _: False).executions


def test_what_one_check_found_to_be_shared_is_not_known_to_the_next() -> None:
    assert search_all(Program(Counter, (add, add))) > 1
    with Explorer(Program(Counter, (add,))) as explorer:
        assert not explorer.known_site_keys()
        assert explorer.run().choices == ()


def test_a_class_that_has_changed_between_two_checks_is_looked_at_anew() -> None:
    class Cell:
        value = 0

    def write(cell: Any) -> None:
        cell.value = cell.value + 1

    alone = search_all(Program(Cell, (write, write)))
    Cell.value = property(lambda self: self.seen, lambda self, new: setattr(self, "seen", new))  # type: ignore[assignment]
    Cell.seen = 0  # type: ignore[attr-defined]
    assert search_all(Program(Cell, (write, write))) == alone
    assert check(Cell, [write, write]).answer is Answer.NOT_ISOLATED


def made_anew() -> Callable[[Any], str]:
    def look(counter: Any) -> str:
        before = counter.value
        counter.value = before + 1
        return str(before)

    return look


MADE: dict[str, Callable[[Any], str]] = {}


def substitute(counter: Any) -> str:
    """`re` is not rewritten, so that nobody is asked before it calls."""
    return re.sub("x", lambda _: MADE["look"](counter), "x")


def test_functions_made_after_their_file_was_looked_through_are_seen() -> None:
    for _ in range(3):
        MADE["look"] = made_anew()
        assert check(Counter, [substitute, substitute]).answer is Answer.NOT_ISOLATED


def test_a_check_keeps_neither_states_nor_classes_nor_namespaces_alive() -> None:
    gone: list[weakref.ref[Any]] = []

    def run() -> None:
        class Local:
            value = 0

        space: dict[str, Any] = {"__name__": "nowhere"}
        exec("def look(state): return state.value", space)
        module = types.ModuleType("nowhere")
        space["held"] = module
        gone.extend([weakref.ref(Local), weakref.ref(module), weakref.ref(space["look"])])
        assert check(Local, [space["look"], space["look"]])  # a fault would be remembered, to be replayed

    run()
    gc.collect()
    assert [each() for each in gone] == [None, None, None]


def test_functions_have_their_own_code_between_and_after_checks() -> None:
    codes = (add.__code__, Counter.__init__.__code__)
    for _ in range(3):
        check(Counter, [add, add])
        assert (add.__code__, Counter.__init__.__code__) == codes


def test_checks_in_other_threads_have_machines_of_their_own() -> None:
    answers: list[Answer] = [check(Counter, [add, add]).answer]
    for _ in range(2):
        thread = threading.Thread(target=lambda: answers.append(check(Counter, [add, add]).answer))
        thread.start()
        thread.join()
    answers.append(check(Counter, [add, add]).answer)
    assert answers == [Answer.NOT_ISOLATED] * 4


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
def test_the_timer_that_watches_over_a_check_gives_way_to_somebody_elses() -> None:
    def mine(*_: object) -> None:
        """Never called: the alarm is an hour away."""

    def timer() -> tuple[object, bool]:
        return signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0

    before = timer()
    check(Counter, [add, add])
    assert timer() == before
    handler = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        check(Counter, [add, add])
        assert timer() == (mine, True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def print_into(buffer: list[str]) -> None:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print("once")
    buffer.append(text.getvalue())


def test_streams_that_a_race_leaves_redirected_are_given_back() -> None:
    before = sys.stdout
    assert check(list, [print_into, print_into]).answer is Answer.NOT_ISOLATED
    assert sys.stdout is before
