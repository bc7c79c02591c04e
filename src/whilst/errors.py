"""Every error that whilst raises by itself.

All of them derive from `WhilstError` and, where callers expect one, from the standard type too, so that
`except BrokenExecutor` or `except ValueError` written for the standard library goes on working. A message
says what happened, to which value, and what to do next. Every error survives pickling: what it carries
beyond its message lives in its `__dict__`, which `BaseException.__reduce__` keeps.
"""

from __future__ import annotations

from _pickle import PicklingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures.process import BrokenProcessPool

__all__ = [
    "CheckError",
    "ClusterError",
    "DayError",
    "DeadlineExceededError",
    "InitializerError",
    "InterpreterEndingError",
    "JournalError",
    "MachineLimitError",
    "MissingExtraError",
    "NotPicklableError",
    "RemoteCallError",
    "ReplayError",
    "SplitError",
    "TimelineError",
    "TimeoutExceededError",
    "UnmeasuredError",
    "WhilstError",
    "WorkerDiedError",
]


class WhilstError(Exception):
    """The root of the hierarchy: `except WhilstError` catches whatever whilst itself has to say."""


class DayError(WhilstError, ValueError):
    """A day can't be planned as written: the message names file, line, key and remedy where known."""

    key: tuple[str, ...] = ()
    """Where in the day, e.g. ("tasks", "edits", "after"); empty where it can't be said."""


class TimelineError(WhilstError, ValueError):
    """A timeline's columns, or a file said to hold one, contradict themselves."""


class UnmeasuredError(WhilstError, ValueError):
    """A forecast was asked of a profile without the figures it needs."""


class MissingExtraError(WhilstError, ImportError):
    """An optional dependency is needed: the message names the extra to install."""


class ClusterError(WhilstError, ConnectionError):
    """A cluster can't make the calls: nobody answers, or what is there is not what is here."""


class NotPicklableError(WhilstError, PicklingError, TypeError):
    """A function, argument or result can't cross to another process: the message names the path inside it.

    `multiprocessing` raises `PicklingError` for some of these and `TypeError` for others; this is both.
    """

    has_begun: bool = False
    """The call was made, and it is its result that can't come back."""
    is_of_every_call: bool = False
    """The function itself can't cross, so that no call of it began."""


class RemoteCallError(WhilstError):
    """Stands in for a call's exception that can't be rebuilt on this side; `type_name` is its type."""

    type_name: str = ""


class TimeoutExceededError(WhilstError, TimeoutError):
    """One call ran longer than its `timeout_s`."""


class DeadlineExceededError(TimeoutExceededError):
    """A run took longer than its `deadline_s`: the message says how many of how many calls were done."""


class JournalError(WhilstError, ValueError):
    """A journal belongs to another function or other items, or can't be read."""


class MachineLimitError(WhilstError, OSError):
    """The machine does not give what a worker needs: the message names the limit and the remedy; `errno` is set."""


class InterpreterEndingError(WhilstError, RuntimeError):
    """The interpreter is about to end, and from Python 3.12 on starts no thread or process any more."""

    @classmethod
    def of(cls, what: str, error: RuntimeError) -> InterpreterEndingError:
        """The error to raise where `what` met "can't fork at interpreter shutdown", as in a function of `atexit`."""
        ending = cls(
            f"{what} can't be started: the program is ending ({error}). Have the calls made before its end, "
            f"or pass mode='sequential' to whilst.map in what atexit calls"
        )
        ending.__cause__ = error
        return ending


class CheckError(WhilstError, ValueError):
    """A check can't be made as asked: an unknown level, a task that can't be called, a database out of reach."""


class ReplayError(WhilstError, ValueError):
    """A replay token can't be honoured: it is malformed, or the code has changed since it was made."""


class SplitError(WhilstError, ValueError):
    """A whole can't be divided as asked, or divided it gives something else: `values` then holds the three that differ.

    They are what the message shows: of a triple the three partial results, else what was combined and the two outcomes.
    """

    values: tuple[object, ...] = ()


if TYPE_CHECKING:

    class WorkerDiedError(WhilstError, BrokenProcessPool):
        """As `__getattr__` makes it."""

    class InitializerError(WorkerDiedError):
        """As `__getattr__` makes it."""


_ABOUT = {
    "WorkerDiedError": "A worker died with this call in its hands: the message names signal or exit code, item and "
    "stderr. Whoever catches `BrokenProcessPool` catches it.",
    "InitializerError": "An Executor's `initializer` raised in a worker: the executor is not usable any more.",
}


def __getattr__(name: str) -> object:
    """Make these when they are asked for: their base imports more than all of whilst that a short run needs."""
    if name not in _ABOUT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    bases: tuple[type, ...]
    if name == "InitializerError":
        bases = (__getattr__("WorkerDiedError"),)  # type: ignore[assignment]
    elif name in globals():
        return globals()[name]
    else:
        try:
            from concurrent.futures.process import BrokenProcessPool as Broken
        except (ImportError, OSError):  # no processes on this platform
            from concurrent.futures import BrokenExecutor as Broken  # type: ignore[assignment]
        bases = (WhilstError, Broken)
    made = type(name, bases, {"__doc__": _ABOUT[name], "__module__": __name__})
    return globals().setdefault(name, made)  # of two threads that ask at once, both get the first one's
