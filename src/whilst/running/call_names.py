"""Calls and their errors as people are to see them: names, notes that say which item it was, tracebacks without us."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from whilst.running.jobs import Job


def without_own_frames(error: BaseException) -> BaseException:
    """Cut whilst's own frames off the top of a traceback, so that it starts in the user's function."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None and is_own(trace):
        trace = trace.tb_next
    # Not by assignment: an exception whose attributes can't be set (a frozen dataclass) has a traceback all the same.
    return BaseException.with_traceback(error, trace)


def is_own(trace: TracebackType) -> bool:
    """This frame stands between the one who asked for a call and the call."""
    name = str(trace.tb_frame.f_globals.get("__name__"))
    return name.startswith(_RUNNING) or name in {"asyncio.runners", "asyncio.base_events"}


_NAMED = (type(without_own_frames), type(len), type)
_NOTE = "whilst: raised by"
_RUNNING = __name__.rpartition(".")[0] + "."


def short(value: object) -> str:
    """Survives objects whose repr raises, and cuts long ones."""
    import reprlib

    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = 120
    # Cut before, not after: the repr of a large one is four times as large.
    shortened.repr_bytes = shortened.repr_bytearray = lambda data, _: _cut(repr(data[:120]), len(data) > 120)  # type: ignore[attr-defined]
    return shortened.repr(value)


def _cut(text: str, is_longer: bool) -> str:
    return f"{text[:56]}...{text[-56:]}" if is_longer else text


def describe_call(job: Job, number: int, item: object) -> str:
    """Name a call for a person: "call 17 of fetch, for 'http://…'"."""
    if job.how == "call":
        call: Any = item
        return f"call {number}, {describe_arguments(*call)}"
    return f"call {number} of {name_of(job.fn)}, for {short(item)}"


def describe_arguments(fn: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Name a call by its function and arguments: "fetch('http://…', retries=3)"."""
    shown = [short(each) for each in args] + [f"{key}={short(each)}" for key, each in kwargs.items()]
    return f"{name_of(fn)}({', '.join(shown)})"


def name_of(fn: Callable[..., object]) -> str:
    """A function's name as its author wrote it; that of the function within a partial.

    Where the partial is whilst's own, around functions of the user's, it is named by what it holds: "add, work, 0".
    """
    if type(fn) in _NAMED:
        return fn.__qualname__
    from whilst.inspecting.objects import ask

    inner = ask(fn, "func", fn)
    if inner is not fn and str(ask(inner, "__module__", "")).startswith(_RUNNING):
        held: Any = fn
        return ", ".join(name_of(each) if callable(each) else short(each) for each in held.args if each is not None)
    return str(ask(inner, "__qualname__") or type(inner).__name__)


def as_raised(error: BaseException, job: Job, number: int, item: object) -> BaseException:
    """An error as the caller is to see it: its traceback starts in the user's code, and a note names the item."""
    note_item(error, job, number, item)
    return without_own_frames(error)


def note_item(error: BaseException, job: Job, number: int, item: object) -> None:
    """Add the note that names the item, once. An error that is no single call's says so itself."""
    if getattr(error, "is_of_every_call", False) or (job.how == "call" and _is_noted(error, item)):
        return
    add_note(error, f"{_NOTE} {describe_call(job, number, item)}")


def _is_noted(error: BaseException, call: Any) -> bool:
    """Who made several calls of one function as one has said already which of them it was."""
    function = getattr(call[0], "func", call[0])
    is_chunk = getattr(function, "__module__", "").startswith(_RUNNING) and function.__name__ == "make_calls"
    return is_chunk and any(str(note).startswith(_NOTE) for note in getattr(error, "__notes__", ()))


def add_note(error: BaseException, note: str) -> None:
    """Add a note, unless it has it already, or takes none."""
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # noqa: S110 - a frozen dataclass, a `__setattr__` of its own: the error matters more than a note
        pass
