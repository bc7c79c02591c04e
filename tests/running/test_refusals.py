"""Which errors say that a call was turned away, and which are the call's own."""

from __future__ import annotations

import errno
import http.client
import sqlite3
import urllib.error
from types import SimpleNamespace

import pytest

from whilst.running.refusals import refusal


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
