"""How long threads keep the GIL while a loop goes on beside them.

A thread that works in Python code gives the GIL away only after `sys.getswitchinterval()`, 5 ms as a rule. A loop that
wants to wake in time beside one or more of them would be late by so much each time. So while a run is awaited the
interval is shorter, and what it was once the last such run is over.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

_SHORT_S: Final = 0.0001
"""A switch takes some microseconds, and there is one only where somebody waits for it."""

_lock = threading.Lock()  # several loops may run, each in a thread of its own
_awaited = 0
_usual_s = 0.0
_set_s = 0.0


def shorten() -> None:
    """A run is awaited from here on."""
    global _awaited, _usual_s, _set_s
    with _lock:
        _awaited += 1
        if _awaited == 1:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual_s, _SHORT_S))
            _set_s = sys.getswitchinterval()


def restore() -> None:
    """It is over."""
    global _awaited
    with _lock:
        _awaited -= 1
        if not _awaited and sys.getswitchinterval() == _set_s:  # else somebody has set another meanwhile
            sys.setswitchinterval(_usual_s)
