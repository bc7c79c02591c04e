"""What a call raises is the same exception in every mode: its type, its arguments and all it has besides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import failing
from failing import CASES, FailAt1

from whilst import Executor
from whilst.running.options import Keywords
from whilst.running.verbs.api import imap, map  # noqa: A004


def raised_by_a_loop(fail: Callable[[], None]) -> BaseException:
    try:
        fail()
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("fail", CASES, ids=lambda fail: fail.__name__)
def test_an_error_has_all_that_it_has_in_a_loop(way: Keywords, fail: Callable[[], None]) -> None:
    right, attributes = raised_by_a_loop(fail), CASES[fail]
    for got in (
        map(FailAt1(fail), range(3), errors="return", **way)[1],
        list(imap(FailAt1(fail), range(3), errors="return", **way))[1],
    ):
        assert type(got) is type(right)
        assert str(got) == str(right)
        for name in attributes:
            assert getattr(got, name) == getattr(right, name), name
        assert got.__traceback__ is not None
        assert type(got.__cause__) is type(right.__cause__)


@pytest.mark.parametrize("fail", [failing.frozen, failing.sealed, failing.slots], ids=lambda fail: fail.__name__)
def test_an_error_ends_the_run_as_it_ends_a_loop(way: Keywords, fail: Callable[[], None]) -> None:
    right = raised_by_a_loop(fail)
    with pytest.raises(type(right)) as caught:
        map(FailAt1(fail), range(3), **way)
    assert str(caught.value) == str(right)
    with Executor(**way) as executor:
        futures = [executor.submit(FailAt1(fail), number) for number in range(3)]
        assert [type(each.exception()) for each in futures] == [type(None), type(right), type(None)]


def test_a_slot_that_was_never_set_stays_so(way: Keywords) -> None:
    error = map(FailAt1(failing.slots), range(3), errors="return", **way)[1]
    assert not hasattr(error, "unset")


def test_what_cant_be_sent_is_not_replaced_by_a_text_of_it() -> None:
    error = map(FailAt1(failing.unsendable), range(3), mode="parallel", errors="return")[1]
    assert isinstance(error, AttributeError)
    assert (error.name, error.obj) == ("size", None)
