"""Errors that say "not now, too many at once": the call was turned away, not carried out.

A `for` loop never meets them, since it has one call in flight; calls that overlap may. Such a call, and no other,
is made again, with fewer at once. What is recognised says by itself that nothing was done: HTTP 429 and 503
(RFC 6585, RFC 9110), connections that were not let in, files or threads that the system had no more of, a
database that was locked or full or rolled back. Whatever may have been carried out (a connection that broke off in the
midst), or depends on the item, counts as the call's own error, as it does in a `for` loop.
"""

from __future__ import annotations

import errno
from typing import Final

__all__ = ["refusal"]

_STATUS: Final = frozenset({429, 503})
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
"""By the name of the error's type. Words alone prove nothing: "rate limit must be positive" is a user's own error."""
_NAMES: Final = ("ratelimit", "toomany", "throttl")
_DEEPEST: Final = 6


def refusal(error: BaseException) -> str:
    """Return what in the error (or in its causes) says that the call was turned away, "" if nothing does."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen and len(seen) < _DEEPEST:
        found = _refusal_of_one(current)
        if found:
            return found
        seen.append(current)
        inner = getattr(current, "reason", None)  # urllib's URLError and urllib3's keep their cause here
        current = current.__cause__ or (inner if isinstance(inner, BaseException) else None) or current.__context__
    return ""


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
    return f"{type(error).__name__}: {word}" if word else ""


def _status(error: Exception) -> object:
    for name in ("status_code", "status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    response = getattr(error, "response", None)
    for name in ("status_code", "status"):
        value = getattr(response, name, None)
        if isinstance(value, int):
            return value
    return None
