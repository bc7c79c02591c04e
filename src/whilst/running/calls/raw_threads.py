"""What a thread started by `_thread` has to do at its end, since `threading` does not do it."""

from __future__ import annotations

import _thread
import threading


def forget_this_thread() -> None:
    """Take this thread out of `threading.enumerate()`, where `current_thread()` has put it for good.

    Python 3.13 does it by itself.
    """
    active: dict[int, threading.Thread] | None = getattr(threading, "_active", None)
    if active is not None and isinstance(active.get(_thread.get_ident()), threading._DummyThread):  # noqa: SLF001
        active.pop(_thread.get_ident(), None)
