"""What workers tell the resource tracker of this program; see `worker.child.resource_tracker`.

Where the tracker is running its own descriptor is given to workers. It is not started for their sake, which takes as
long as a Python does: until it runs they write to a pipe, and what they wrote there is handed on.
"""

from __future__ import annotations

import contextlib
import os
import sys

from whilst.running.worker.parent import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from typing import Any

_NAME = "multiprocessing.resource_tracker"
_POLLIN = 1


class TrackerPipe:
    """Of one back end. `forward` before a worker's answers are handled: what it noted came before."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._ends: tuple[int, int] | None = None
        self._unfinished = b""

    def writing_end(self) -> int:
        """A new descriptor to which a worker may write what is for the tracker."""
        tracker: Any = getattr(sys.modules.get(_NAME), "_resource_tracker", None)
        if tracker is not None and tracker._fd is not None:
            with contextlib.suppress(OSError):
                return os.dup(tracker._fd)
        if self._ends is None:
            self._ends = os.pipe()
            os.set_blocking(self._ends[0], False)
            fork.private.update(self._ends)
            self._poll.register(self._ends[0], _POLLIN)
        return os.dup(self._ends[1])

    def forward(self) -> None:
        """Hand on what was written."""
        if self._ends is None:
            return
        try:
            written = os.read(self._ends[0], 1 << 16)
        except BlockingIOError:
            return
        *lines, self._unfinished = (self._unfinished + written).split(b"\n")
        for line in lines:
            if not line.startswith(b"PROBE:"):
                _tell_tracker(line + b"\n")

    def close(self) -> None:
        """No worker is left."""
        if self._ends is not None:
            self.forward()
            self.drop()

    def drop(self) -> None:
        """Close it here."""
        if self._ends is not None:
            for fd in self._ends:
                fork.private.discard(fd)
                os.close(fd)
            self._ends = None


def _tell_tracker(line: bytes) -> None:
    from multiprocessing import resource_tracker

    with contextlib.suppress(OSError):  # no process to be had: nothing is tracked
        fd = resource_tracker.getfd()
        if fd is not None:
            os.write(fd, line)
