"""Which errors say that a call was turned away, and which are the call's own."""

from __future__ import annotations

import errno
import http.client
import sqlite3
import urllib.error
from types import SimpleNamespace

import pytest

from whilst.running.policies.throttling import refusal, turned_away


class HTTPError(OSError):
    def __init__(self, status):
        super().__init__(f"{status} for url")
        self.response = SimpleNamespace(status_code=status)


class OperationalError(Exception):
    sqlstate = "53300"


def caused(outer, cause):
    try:
        raise outer from cause
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(429),
        HTTPError(503),
        urllib.error.HTTPError("http://x", 429, "Too Many Requests", {}, None),
        urllib.error.URLError(ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
        OSError(errno.EMFILE, "Too many open files"),
        BlockingIOError(errno.EAGAIN, "again"),
        sqlite3.OperationalError("database is locked"),
        OperationalError("FATAL: sorry, too many clients already"),
        RuntimeError("can't start new thread"),
        caused(ValueError("page 7 failed"), HTTPError(429)),
        RuntimeError("rate limited"),
        RuntimeError("Too many concurrent requests, slow down"),
    ],
)
def test_turned_away(error):
    assert refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(404),
        HTTPError(500),
        ValueError("record 3 is damaged"),
        ValueError("rate limit must be positive, try again later"),
        ValueError("the throttle is stuck"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        http.client.RemoteDisconnected("Remote end closed connection without response"),
        KeyError("x"),
        AssertionError("too many requests"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        sqlite3.IntegrityError("UNIQUE constraint failed"),
        TimeoutError("timed out"),
        ZeroDivisionError(),
        KeyboardInterrupt(),
        SystemExit(429),
    ],
)
def test_the_calls_own_error(error):
    assert refusal(error) == ""


def test_causes_that_go_in_circles_end():
    a, b = ValueError("a"), ValueError("b")
    a.__cause__, b.__cause__ = b, a
    assert refusal(a) == ""


def raised(error, **names):
    """The error, as raised by a function that has such names."""

    def fn(names=names):
        answer = names.get("answer")
        method = names.get("method")
        if method or answer is not None or error:
            raise error

    try:
        fn()
    except Exception as caught:
        return caught


class Answer:
    def __init__(self, status):
        self.status = status


@pytest.mark.parametrize(
    "error",
    [
        raised(http.client.RemoteDisconnected("closed"), method="GET"),
        raised(ConnectionResetError(errno.ECONNRESET, "reset"), method="PUT"),
        raised(ConnectionResetError(errno.ECONNRESET, "reset")),
        raised(RuntimeError("HTTP 503")),
        raised(RuntimeError("no good"), answer=Answer(429)),
        raised(KeyError("value"), answer=Answer(503)),
    ],
)
def test_turned_away_by_closing_or_by_an_answer_at_hand(error):
    assert refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        raised(http.client.RemoteDisconnected("closed"), method="POST"),
        raised(ValueError("item 503 is damaged")),
        raised(RuntimeError("no good"), answer=Answer(404)),
    ],
)
def test_what_may_have_been_carried_out_or_depends_on_the_item_is_its_own_error(error):
    assert refusal(error) == ""


@pytest.mark.parametrize(
    ("value", "usual"),
    [
        (429, 200),
        ((503, "no"), (200, "yes")),
        (["x", 429], ["a", 201]),
        (Answer(429), Answer(200)),
        ({"status": 503}, {"status": 200, "text": "yes"}),
        ((Answer(429), 1), None),
    ],
)
def test_a_value_may_be_an_answer_that_says_no(value, usual):
    assert turned_away(value, usual)


@pytest.mark.parametrize("value", [200, (200, "ok"), Answer(200), {"status": 200}, "503", None, {"count": 503}, b"429"])
def test_other_values_are_not(value):
    assert not turned_away(value, value)


@pytest.mark.parametrize(
    ("value", "usual"), [(503, 512), (503, None), ((1, 503), (1, 7)), ((503, 200), (12, 200)), ((), ())]
)
def test_a_number_is_no_status_where_none_stood_before(value, usual):
    assert not turned_away(value, usual)
