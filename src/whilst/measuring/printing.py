"""Is anything printed? Asked of a call, and of an input while it is asked for an item.

Calls that overlap print in the order of their items. Where the input prints as well, its lines belong between
theirs, and there they are only if item and call take turns.
"""

from __future__ import annotations

import sys
from typing import Any


class _Stream:
    """Stands for `sys.stdout`, and notes that something was written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.has_heard = False

    def write(self, text: str) -> int:
        self.has_heard = True
        return self._stream.write(text)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Ear:
    """Listens from when it is made until `close`, which says whether something was printed."""

    def __init__(self) -> None:
        self._outer = sys.stdout
        self._stream = None if self._outer is None else _Stream(self._outer)
        if self._stream is not None:
            sys.stdout = self._stream

    def close(self) -> bool:
        if self._stream is None:
            return False
        if sys.stdout is self._stream:  # else somebody has put something else there, who puts it back
            sys.stdout = self._outer
        return self._stream.has_heard
