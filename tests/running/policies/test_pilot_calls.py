"""Which functions need no look before their first call: those that get at nothing but what they are given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from whilst.running.policies.pilot_calls import _names_nothing as names_nothing


class Own:
    """A class of the user's, whose making may do anything."""


@pytest.mark.parametrize("fn", [len, abs, int, str, sorted, lambda item: len(item) + 1])
def test_builtins_and_what_calls_only_them_get_at_nothing_else(fn: Callable[..., object]) -> None:
    assert names_nothing(fn)


@pytest.mark.parametrize("fn", [open, exec, eval, __import__, Own, [].append, lambda name: __import__(name)])
def test_what_opens_or_runs_or_holds_something_is_looked_into(fn: Callable[..., object]) -> None:
    assert not names_nothing(fn)
