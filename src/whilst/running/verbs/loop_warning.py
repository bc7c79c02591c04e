"""The warning that a blocking verb was called where it holds up a running event loop."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_CO_COROUTINE = 0x0080
_CO_ASYNC_GENERATOR = 0x0200


def warn_on_running_loop(verb: str) -> None:
    """Warn, once for each place, that this verb blocks the loop that runs in this thread, if one does."""
    loop = sys.modules["asyncio"]._get_running_loop()  # noqa: SLF001 - public, but for its name
    if loop is None:
        return
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` takes long to load
    while frame is not None and _module_of(frame).startswith("whilst."):
        frame = frame.f_back
    if frame is None or _is_in_notebook(frame):
        return
    import warnings

    twin, is_lazy = f"a{verb}", verb.startswith("imap")
    how = f"async for … in whilst.{twin}(…)" if is_lazy else f"await whilst.{twin}(…)"
    warnings.warn_explicit(
        f"{verb}() blocks the event loop that it is called on: nothing else goes on there meanwhile. Write `{how}`.",
        RuntimeWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        _module_of(frame),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_in_notebook(frame: FrameType | None) -> bool:
    """Is it a cell's own code, which a notebook's kernel calls on its loop, and waits for anyway?"""
    while frame is not None and not frame.f_code.co_flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR):
        frame = frame.f_back
    return frame is not None and _module_of(frame).startswith(("IPython.", "ipykernel."))


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
