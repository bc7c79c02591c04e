"""Errors that say "not now, too many at once": the call was turned away, not carried out.

A `for` loop never meets them, since it has one call in flight; calls that overlap may. Such a call, and no other,
is made again, with fewer at once. What is recognised:

- what says by itself that nothing was done: HTTP 429 and 503 (RFC 6585, RFC 9110), in the error, in its text or in
  the answer that the function had in its hands when it raised; connections that were not let in; files or threads
  that the system had no more of; a database that was locked or full or rolled back;
- a connection that was closed before its answer came. Whoever serves ten at a time and no more often says so like
  this. RFC 9110 (9.2.2) lets a client repeat a request then, unless its method may change something at each
  request (POST, PATCH): such a call counts as failed, as does one whose method was lost on the way.

Whatever depends on the item counts as the call's own error, as it does in a `for` loop.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Final

_STATUS: Final = frozenset({429, 503})
_SUCCESS: Final = range(200, 400)
_ERRNOS: Final = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.EAGAIN,
        errno.ENOBUFS,
        errno.ECONNREFUSED,
        errno.EADDRNOTAVAIL,
        errno.EBUSY,
        errno.ETXTBSY,
    }
)
_SQLSTATES: Final = frozenset({"40001", "40P01", "53300", "55P03", "57P03"})
_WORDS: Final = {
    "operationalerror": (
        "database is locked",
        "database table is locked",
        "too many connections",
        "too many clients",
        "connection slots",
    ),
    "runtimeerror": ("can't start new thread",),
}
"""By the name of the error's type. Such words alone prove nothing: "database is locked" may be a user's own error."""
_PHRASES: Final = re.compile(
    r"too many (concurrent |simultaneous )?(requests|connections)|rate.?limit(ed| exceeded| reached)|(is|was) throttled"
)
"""What says in words, whatever the type, that there were too many at once."""
_NAMES: Final = ("ratelimit", "toomany", "throttl")
_DEEPEST: Final = 6
_SAID: Final = re.compile(r"\b(429|503)\b")
_SAID_WITH: Final = ("http", "status", "too many", "unavailable", "response", "server", "rate limit")
_BROKEN: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
_BROKEN_NAMES: Final = frozenset({"ServerDisconnectedError", "RemoteProtocolError", "ReadError", "ClientOSError"})
"""Of the types that HTTP clients have for it."""
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_MOST_FRAMES: Final = 64


def refusal(error: BaseException) -> str:
    """Return what in the error (or in its causes) says that the call was turned away, "" if nothing does."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen and len(seen) < _DEEPEST:
        found = _refusal_of_one(current) or _answer_at_hand(current)
        if found:
            return found
        seen.append(current)
        inner = getattr(current, "reason", None)  # urllib's URLError and urllib3's keep their cause here
        current = current.__cause__ or (inner if isinstance(inner, BaseException) else None) or current.__context__
    return ""


def turned_away(value: object, usual: object) -> bool:
    """Is it the answer of a server that turned a request away, given back as a value?

    Args:
        usual: what a call gave that was alone. A bare number is a status only where a status of success stood
            then: 503 may as well be how many bytes there were.
    """
    if isinstance(value, (tuple, list)):
        if not 0 < len(value) <= 4:
            return False
        likes: Sequence[object] = usual if isinstance(usual, (tuple, list)) else ()
        return any(map(turned_away, value, likes)) if len(likes) == len(value) else any(map(_has_status, value))
    if isinstance(value, int):
        return value in _STATUS and isinstance(usual, int) and usual in _SUCCESS
    return _has_status(value)


def _has_status(value: object) -> bool:
    """Is it an object or a dict with the status of such an answer?"""
    if isinstance(value, Mapping):
        return any(value.get(name) in _STATUS for name in ("status", "status_code") if name in value)
    return not isinstance(value, int) and _status(value) in _STATUS


def _refusal_of_one(error: BaseException) -> str:
    if not isinstance(error, Exception) or isinstance(error, (AssertionError, LookupError, TypeError)):
        return ""
    status = _status(error)
    if status in _STATUS:
        return f"{type(error).__name__} with status {status}"
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return f"{type(error).__name__}: {errno.errorcode[error.errno]}"
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state in _SQLSTATES:
        return f"{type(error).__name__} with SQLSTATE {state}"
    name = type(error).__name__.lower()
    if any(word in name for word in _NAMES):
        return type(error).__name__
    text = str(error).lower()
    word = next((word for word in _WORDS.get(name, ()) if word in text), "")
    if word:
        return f"{type(error).__name__}: {word}"
    said = _PHRASES.search(text)
    if said:
        return f"{type(error).__name__}: {said.group()}"
    if _SAID.search(text) and any(word in text for word in _SAID_WITH):
        return f"{type(error).__name__}: {text[:60]}"
    if (isinstance(error, _BROKEN) or type(error).__name__ in _BROKEN_NAMES) and _may_be_repeated(error):
        return f"{type(error).__name__}: closed before its answer came"
    return ""


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Where the error came through, the innermost last. None of use where it comes from another process."""
    trace, count = error.__traceback__, 0
    while trace is not None and count < _MOST_FRAMES:
        yield trace.tb_frame
        trace, count = trace.tb_next, count + 1


def _may_be_repeated(error: BaseException) -> bool:
    """Was it a request that may be made twice, or no request known to be one that may not?"""
    methods = set()
    has_locals = False
    for frame in _frames(error):
        known = frame.f_locals
        has_locals = has_locals or bool(known)
        for holder in (known, getattr(known.get("self"), "__dict__", {})):
            for name in ("method", "_method"):
                value = holder.get(name)
                if isinstance(value, str) and value.isupper():
                    methods.add(value)
    return has_locals and methods <= _REPEATABLE


def _answer_at_hand(error: BaseException) -> str:
    """The function raised with a server's answer in its hands that said: too many."""
    if not isinstance(error, Exception):
        return ""
    for frame in list(_frames(error))[-3:]:
        for value in list(frame.f_locals.values())[:32]:
            if not isinstance(value, (str, bytes, type, dict, list, tuple)) and _status(value) in _STATUS:
                return f"{type(error).__name__} at an answer with status {_status(value)}"
    return ""


def _status(holder: object) -> int | None:
    """The HTTP status of an error or of an answer. A user's object may refuse to be asked."""
    try:
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        response = getattr(holder, "response", None)
        for name in ("status_code", "status"):
            value = getattr(response, name, None)
            if isinstance(value, int):
                return value
    except Exception:
        return None
    return None
