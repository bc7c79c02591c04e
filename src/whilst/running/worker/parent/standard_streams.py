"""What a worker process writes outside of its answers: to the standard output that it shares, and last to stderr."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from whilst.running.worker.transport.status_page import StatusPage

_TAIL_BYTES = 1 << 14
_TAIL_LINES = 12


def stderr_tail(page: StatusPage, stderr_fd: int) -> str:
    """What was printed to `sys.stderr` last, and what came from outside Python (faulthandler, C, a child)."""
    try:
        size = os.fstat(stderr_fd).st_size
        raw = os.pread(stderr_fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode("utf-8", "replace")
    except OSError:
        raw = ""
    # A dump of faulthandler has the innermost call first: of that the head tells most, of all else the end.
    said, mark, dump = raw.partition("Fatal Python error")
    lines = (page.tail() + said).splitlines()[-_TAIL_LINES:]
    return "\n".join([*lines, *(mark + dump).splitlines()[:_TAIL_LINES]])


def standard_output() -> int:
    """The descriptor 1 of this moment, whatever was redirected; the null device if it is closed."""
    try:
        return os.dup(1)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
