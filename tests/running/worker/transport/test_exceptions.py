"""Exceptions there and back."""

from __future__ import annotations

import json
import threading
import traceback
from typing import Any

import pytest

from whilst.errors import RemoteCallError
from whilst.running.worker.transport.exceptions import describe, rebuild


class TwoArguments(Exception):
    """Its default reduction calls it with one argument."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())
        self.lock = threading.Lock()
        self.text = text


class Growing(Exception):
    """Rebuilt from its args it is another one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"<{text}>")


class DiesInReduce(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


class DiesInStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("never")


def there_and_back(error: BaseException) -> BaseException:
    return rebuild(describe(error))


def caught(error: BaseException) -> BaseException:
    def user_function() -> None:
        raise error

    try:
        user_function()
    except BaseException as raised:
        return raised
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 3),
        KeyError("k"),
        SystemExit(4),
        KeyboardInterrupt(),
        OSError(2, "No such file", "/nowhere"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        StopIteration(7),
        json.JSONDecodeError("msg", "doc", 0),
    ],
)
def test_ordinary_exceptions_come_back_alike(error: BaseException) -> None:
    again = there_and_back(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


@pytest.mark.parametrize("error", [TwoArguments(404, "not here"), KeywordOnly(code=5), Growing("x")])
def test_exceptions_that_pickle_can_t_rebuild_come_back_alike(error: BaseException) -> None:
    again = there_and_back(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_parts_that_can_t_travel_are_replaced_by_their_repr() -> None:
    again = there_and_back(HoldsLock("held"))
    assert type(again) is HoldsLock
    assert again.text == "held"
    assert again.args[0] == "held"
    assert "lock" in again.args[1]


@pytest.mark.parametrize("kind", [DiesInReduce, DiesInStr])
def test_hostile_exceptions_come_back_somehow(kind: type[Exception]) -> None:
    again = there_and_back(kind("x"))
    assert type(again) is kind
    assert again.args == ("x",)


def test_an_exception_whose_class_can_t_be_found_keeps_its_name_and_text() -> None:
    data = describe(ValueError("gone"))
    broken = data.replace(b"builtins", b"builtinz")
    again = rebuild(broken)
    assert isinstance(again, RemoteCallError)
    assert "ValueError: gone" in str(again)
    assert again.type_name == "ValueError"


def test_local_classes_come_back() -> None:
    class Local(Exception):
        pass

    again = there_and_back(Local("here"))
    assert type(again).__qualname__ == Local.__qualname__
    assert str(again) == "here"


def test_the_traceback_leads_to_the_line_that_raised() -> None:
    error = caught(ValueError("x"))
    again = there_and_back(error)
    expected = traceback.extract_tb(error.__traceback__)
    got = traceback.extract_tb(again.__traceback__)
    assert [(each.filename, each.lineno, each.name) for each in got] == [
        (each.filename, each.lineno, each.name) for each in expected
    ]
    assert "raise error" in "".join(traceback.format_exception(again))


def test_cause_context_and_notes_come_back() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as raised:
        raised.add_note("a note")
        again = there_and_back(raised)
    assert isinstance(again.__cause__, KeyError)
    assert again.__cause__.__traceback__ is not None
    assert again.__suppress_context__
    assert again.__notes__ == ["a note"]


def test_a_group_keeps_the_tracebacks_of_its_members() -> None:
    group = ExceptionGroup("several", [caught(ValueError("one")), caught(TypeError("two"))])  # type: ignore[list-item]
    again = there_and_back(group)
    assert isinstance(again, ExceptionGroup)
    assert [type(each) for each in again.exceptions] == [ValueError, TypeError]
    assert all(each.__traceback__ is not None for each in again.exceptions)


def test_an_exception_that_is_its_own_context_ends() -> None:
    error = caught(ValueError("x"))
    other = caught(TypeError("y"))
    error.__context__, other.__context__ = other, error
    assert isinstance(there_and_back(error).__context__, TypeError)


def test_a_very_deep_traceback_is_shortened() -> None:
    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as raised:
        error = raised
    again = there_and_back(error)
    assert isinstance(again, RecursionError)
    assert len(traceback.extract_tb(again.__traceback__)) <= 400
