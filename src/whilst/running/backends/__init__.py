"""The back ends, by name. Each stands in a file of its own and is imported when it is first asked for."""

from __future__ import annotations

from whilst._light import Record
from whilst.errors import WhilstError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Final

    from whilst.model import Mode
    from whilst.running.backends.base import Backend, BackendConfig

__all__ = ["BACKENDS", "Traits", "UnknownBackendError", "mode_of", "open_backend", "traits_of"]


class Traits(Record):
    """What the rest of the run must know of a back end. Nobody outside this folder asks for its name."""

    modes: tuple[str, ...]
    """Modes in which it can be asked for; it realises the first of them."""
    module: str = ""
    """In this folder; "" where there is nothing to open: calls are made by the caller."""
    name: str = ""
    """Of the class there."""
    takes: tuple[str, ...] = ()
    """What it is made with, of what `open_backend` knows."""
    noun: str = "worker"
    """What a timeline calls one of its workers."""
    shares_memory: bool = False
    """Calls are made in this process, on the caller's own objects."""
    is_remote: bool = False
    """Calls are made in processes of their own, which can be forked, limited and killed."""
    is_elsewhere: bool = False
    """Those are on other machines, to which one connects (`on`)."""
    shares_process: bool = False
    """Calls that overlap may do so in one process."""
    awaits: bool = False
    """Calls are coroutines, many of them in flight in one thread."""

    @property
    def has_threads(self) -> bool:
        """Each call in progress has a thread of this process."""
        return self.overlaps_here and not self.awaits

    @property
    def has_loop(self) -> bool:
        """Calls are in flight on an event loop of this process."""
        return self.overlaps_here and self.awaits

    @property
    def overlaps_here(self) -> bool:
        """Calls overlap in this process, on the caller's own objects."""
        return self.shares_memory and self.shares_process


_OF_PROCESSES = ("slots", "overlaps", "native_threads", "memory_limit_bytes", "is_forked")
BACKENDS: Final[dict[str, Traits]] = {
    "inline": Traits(("sequential",), shares_memory=True),
    "threads": Traits(
        ("concurrent", "parallel"),  # parallel without the GIL, and where calls let go of it
        "threads",
        "ThreadBackend",
        ("keeps_order_of_output",),
        "thread",
        shares_memory=True,
        shares_process=True,
    ),
    "eventloop": Traits(
        ("concurrent", "sequential"),
        "eventloop",
        "EventLoopBackend",
        ("in_thread", "keeps_order_of_output", "caller_loop"),
        "loop",
        shares_memory=True,
        shares_process=True,
        awaits=True,
    ),
    "processes": Traits(("parallel",), "processes", "ProcessBackend", _OF_PROCESSES, "process", is_remote=True),
    "processes*threads": Traits(
        ("combined",), "processes", "ProcessBackend", _OF_PROCESSES, "process", is_remote=True, shares_process=True
    ),
    "processes*eventloop": Traits(
        ("combined",),
        "processes",
        "ProcessBackend",
        _OF_PROCESSES,
        "process",
        is_remote=True,
        shares_process=True,
        awaits=True,
    ),
    "dask": Traits(("parallel",), "dask", "DaskBackend", ("on",), "seat", is_remote=True, is_elsewhere=True),
}


class UnknownBackendError(WhilstError, ValueError):
    """A word that names no back end."""


def traits_of(name: str) -> Traits:
    """What is known of a back end.

    Raises:
        UnknownBackendError: there is none of that name.
    """
    if name not in BACKENDS:
        raise UnknownBackendError(f"{name!r} is no back end; pass one of {', '.join(map(repr, BACKENDS))}.")
    return BACKENDS[name]


def mode_of(name: str) -> Mode:
    """The mode that a back end realises."""
    from whilst.model import Mode

    return Mode(traits_of(name).modes[0])


def open_backend(
    config: BackendConfig,
    *,
    in_background: bool = False,
    keeps_order_of_output: bool = True,
    caller_loop: AbstractEventLoop | None = None,
) -> Backend:
    """Make a back end. Nothing is started yet.

    Args:
        config: which one, and what it is made with.
        in_background: calls must go on while nobody asks for events.
        keeps_order_of_output: what a call prints waits for all calls before it. Not where one of those may never end,
            while others go on.
        caller_loop: on which the run is awaited; coroutines of this process go there.

    Raises:
        UnknownBackendError: there is none of that name, or only the caller itself ("inline").
    """
    traits = traits_of(config.backend)
    if not traits.module:
        raise UnknownBackendError(f"{config.backend!r} is the caller itself: there is nothing to open.")
    known = {
        "slots": config.slots,
        "overlaps": traits.awaits,
        "native_threads": config.native_threads,
        "memory_limit_bytes": config.memory_limit_bytes,
        "on": config.on,
        "is_forked": config.is_forked,
        "in_thread": in_background or None,
        "keeps_order_of_output": keeps_order_of_output,
        "caller_loop": caller_loop,
    }
    kind = getattr(__import__(f"{__name__}.{traits.module}", fromlist=[traits.name]), traits.name)
    backend: Backend = kind(**{name: known[name] for name in traits.takes})
    return backend
