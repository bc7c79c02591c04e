"""What a verb can't do is said before any work begins: the value, and what to pass instead."""

from __future__ import annotations

from typing import Any

import pytest

import whilst
from whilst.running.backends import UnknownBackendError
from whilst.running.options import Options, OptionsError

made: list[object] = []


def note(item: object) -> object:
    made.append(item)
    return item


BAD_KEYWORDS: dict[str, dict[str, Any]] = {
    "mode must be one of .*'paralel'": {"mode": "paralel"},
    "'threads' is a back end, not a mode; pass mode='concurrent' or .*backend='threads'": {"mode": "threads"},
    "workers must be a whole number of at least 1, got 0": {"workers": 0},
    "workers must be a whole number of at least 1, got 2.5": {"workers": 2.5},
    "retries must be a whole number of at least 0, got -1": {"retries": -1},
    "timeout_s must be a number of seconds, more than 0, got -1": {"timeout_s": -1},
    "timeout_s must be a number of seconds, more than 0, got '3'": {"timeout_s": "3"},
    "errors must be one of .*'ignore'": {"errors": "ignore"},
    "seed must be a whole number, got 'x'": {"seed": "x"},
    "backend='processes' is parallel, not mode='sequential'": {"mode": "sequential", "backend": "processes"},
    "backend='threads' is concurrent or parallel, not mode='combined'": {"mode": "combined", "backend": "threads"},
}


@pytest.mark.parametrize("message", BAD_KEYWORDS)
@pytest.mark.parametrize("verb", ["map", "imap", "imap_unordered", "starmap"])
def test_a_keyword_that_cannot_be_is_refused_before_any_call(verb: str, message: str) -> None:
    made.clear()
    with pytest.raises(OptionsError, match=message):
        getattr(whilst, verb)(note, [(1,), (2,)], **BAD_KEYWORDS[message])
    assert not made


# `errors` is about a whole list of items: an Executor refuses the keyword, whatever its value.
@pytest.mark.parametrize("message", [message for message, keywords in BAD_KEYWORDS.items() if "errors" not in keywords])
def test_an_executor_refuses_it_when_it_is_made(message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        whilst.Executor(**BAD_KEYWORDS[message])


def test_a_back_end_that_is_none_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownBackendError, match=r"'ray' is no back end; pass one of 'inline', 'threads'"):
        whilst.map(note, [1], backend="ray")


def test_a_misspelt_keyword_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'worker'; did you mean 'workers'\?"):
        whilst.map(note, [1], worker=2)  # type: ignore[call-overload]


@pytest.mark.parametrize("verb", ["map", "imap", "imap_unordered", "starmap"])
def test_the_result_of_a_call_instead_of_a_function_is_refused(verb: str) -> None:
    with pytest.raises(TypeError, match=rf"{verb}\(\) makes calls of a function, got 7. Pass the function itself"):
        getattr(whilst, verb)(note(7), [1])


@pytest.mark.parametrize("verb", ["map", "imap", "imap_unordered", "starmap"])
def test_a_single_item_instead_of_items_is_refused(verb: str) -> None:
    with pytest.raises(TypeError, match=rf"{verb}\(\) takes items to loop over, got 5. For a single call, pass \[5\]"):
        getattr(whilst, verb)(note, 5)


def test_help_names_every_keyword_with_its_default() -> None:
    text = (whilst.map.__doc__ or "").replace('"', "'")
    usual = zip(Options._fields, Options(), strict=True)
    assert [name for name, value in usual if f"{name}={value!r}: " not in text] == []
