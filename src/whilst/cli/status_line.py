"""One line on a terminal's stderr that says how far a long command has come; nothing anywhere else."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Final, Self

_EVERY_S: Final = 0.1


class StatusLine:
    """Call it with a text; the line is gone when the block ends."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        # Ten times a second is as often as one can read, and keeps the drawing out of what is measured.
        if self.is_shown and now >= self._next_s:
            self._next_s = now + _EVERY_S
            self._write(text)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.is_shown and self._next_s:
            self._write("")

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()
