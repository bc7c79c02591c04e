"""Errors for people: what could not cross between two processes, why, and what to do about it."""

from __future__ import annotations

from whilst.errors import NotPicklableError
from whilst.running.worker.transport.culprit import find_culprit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from whilst.running.jobs import Job

__all__ = ["not_picklable", "noun_of", "refusal", "unloadable"]


def noun_of(job: Job) -> str:
    return "one of its arguments" if job.how == "call" else "its argument"


def not_picklable(name: str, noun: str, value: object, cause: BaseException) -> NotPicklableError:
    return refusal(name, noun, find_culprit(value), cause)


def refusal(name: str, noun: str, culprit: tuple[str, str, str], cause: BaseException) -> NotPicklableError:
    path, kind, remedy = culprit
    where = f"{noun} holds a {kind} at {path.strip()}" if path else f"{noun} is a {kind}"
    error = NotPicklableError(f"{name} can't cross to another process: {where}, which can't be pickled. {remedy}")
    error.__cause__ = cause
    return error


def unloadable(name: str, noun: str, place: str, cause: BaseException) -> NotPicklableError:
    what = f"{type(cause).__name__}: {cause}"
    error = NotPicklableError(
        f"{name}: {noun} was pickled but can't be rebuilt {place} ({what}). "
        "Give its class a __reduce__ that can be undone, or pass mode='concurrent'."
    )
    error.__cause__ = cause
    return error
