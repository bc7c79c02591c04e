"""The back ends, by name. Each stands in a file of its own and is imported when it is first asked for."""

from __future__ import annotations

from whilst.errors import WhilstError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from whilst.model import Mode
    from whilst.running.backends.base import Backend, BackendConfig

__all__ = ["BACKENDS", "UnknownBackendError", "check_backend", "mode_of", "open_backend"]

# Name: (mode that it realises, module, class, keywords of `BackendConfig` that it takes beyond none).
BACKENDS: Final[dict[str, tuple[str, str, str]]] = {
    "inline": ("sequential", "", ""),
    "threads": ("concurrent", "threads", "ThreadBackend"),
    "eventloop": ("concurrent", "eventloop", "EventLoopBackend"),
    "processes": ("parallel", "processes", "ProcessBackend"),
    "processes*threads": ("combined", "processes", "ProcessBackend"),
    "processes*eventloop": ("combined", "processes", "ProcessBackend"),
    "subinterpreters": ("parallel", "subinterpreters", "SubinterpreterBackend"),
}


class UnknownBackendError(WhilstError, ValueError):
    """A word that names no back end."""


def check_backend(name: str) -> None:
    """Raise UnknownBackendError unless there is a back end of that name."""
    if name not in BACKENDS:
        raise UnknownBackendError(f"{name!r} is no back end; pass one of {', '.join(map(repr, BACKENDS))}.")


def mode_of(name: str) -> Mode:
    """The mode that a back end realises."""
    from whilst.model import Mode

    check_backend(name)
    return Mode(BACKENDS[name][0])


def open_backend(config: BackendConfig, *, in_background: bool = False, keeps_order_of_output: bool = True) -> Backend:
    """Make a back end. Nothing is started yet.

    Args:
        config: which one, and what it is made with.
        in_background: calls must go on while nobody asks for events.
        keeps_order_of_output: what a call prints waits for all calls before it. Not where one of those may never end,
            while others go on.

    Raises:
        UnknownBackendError: there is none of that name, or only the caller itself ("inline").
    """
    check_backend(config.backend)
    _, module, name = BACKENDS[config.backend]
    if not module:
        raise UnknownBackendError("'inline' is the caller itself: there is nothing to open.")
    keywords: dict[str, Any] = {}
    if config.backend == "eventloop":
        keywords = {"in_thread": in_background or None, "keeps_order_of_output": keeps_order_of_output}
    elif config.backend == "threads":
        keywords = {"keeps_order_of_output": keeps_order_of_output}
    elif config.backend.startswith("processes"):
        keywords = {
            "slots": config.slots,
            "overlaps": config.backend.endswith("eventloop"),
            "native_threads": config.native_threads,
            "memory_limit_bytes": config.memory_limit_bytes,
            "is_forked": config.is_forked,
        }
    backend: Backend = getattr(__import__(f"{__name__}.{module}", fromlist=[name]), name)(**keywords)
    return backend
