"""What Ctrl-C shows: how far the run was, and the user's own lines without those of this package."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from whilst.running.call_names import add_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.running.core.driver import Driver

_OURS: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep  # noqa: PTH100, PTH120
_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - `sysconfig` takes long to load and to ask


def say_how_far(interrupt: BaseException, driver: Driver, recalled: int) -> None:
    """Add a note with the count, and leave out the frames in which the run waited for its calls.

    Args:
        interrupt: KeyboardInterrupt or, in what is awaited, the CancelledError that asyncio makes of Ctrl-C.
        driver: of the run.
        recalled: calls that are done besides those that the driver knows of.
    """
    add_note(interrupt, f"whilst: {how_far(driver, recalled)}")
    interrupt.with_traceback(without_ours(interrupt.__traceback__))
    if "IPython" in sys.modules:
        interrupt._render_traceback_ = _lines_in_notebook  # type: ignore[attr-defined]  # IPython asks for it


def how_far(driver: Driver, recalled: int) -> str:
    """How many calls are done, of how many."""
    total = driver.source.length
    of = "" if total is None else f" of {total:,}"
    return f"{driver.status.done + recalled:,}{of} calls done"


def _lines_in_notebook() -> list[str]:
    """Of the error that is being shown, without our frames: of those that it hides IPython would show the last."""
    kind, error, trace = sys.exc_info()
    shell = sys.modules["IPython"].get_ipython()
    lines: list[str] = shell.InteractiveTB.structured_traceback(kind, error, without_ours(trace))
    return lines


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The frames that are neither of this package, nor of the standard library called by it."""
    kept: list[TracebackType] = []
    is_called_by_us = False
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        is_library = file.startswith(_LIBRARY) and "site-packages" not in file
        is_called_by_us = file.startswith(_OURS) or (is_called_by_us and is_library)
        if not is_called_by_us:
            kept.append(trace)
        trace = trace.tb_next
    found: TracebackType | None = None
    for each in reversed(kept):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found
