"""A job on the parent's side: pickled once, when it is first sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whilst.running.calls import name_of
from whilst.running.worker import ambient, byvalue, payload
from whilst.running.worker.refusing import not_picklable

if TYPE_CHECKING:
    from whilst.errors import NotPicklableError
    from whilst.running.backends.base import Job
    from whilst.running.worker.payload import Packed

__all__ = ["JobState"]


class JobState:
    """A job, pickled when it is first sent: workers that start later get the very same function."""

    __slots__ = ("error", "is_careful", "job", "key", "packed", "surroundings")

    def __init__(self, job: Job, key: int) -> None:
        self.job = job
        self.key = key
        """Jobs of one backend have keys of their own: ids may be used again."""
        self.surroundings = ambient.capture(job.context, job.cwd, job.env)
        module = _module_of(job.fn)
        self.is_careful = job.how != "call" and module != "__main__" and not byvalue.is_importable(module)
        self.packed: Packed
        self.error: NotPicklableError | None
        self.pack()

    def pack(self) -> None:
        fn = None if self.job.how == "call" else self.job.fn
        self.packed = payload.pack([fn], is_careful=self.is_careful)
        self.error = None
        if 0 in self.packed.failures:
            self.error = not_picklable(name_of(self.job.fn), "it", fn, self.packed.failures[0])


def _module_of(fn: Any) -> str:
    while hasattr(fn, "func"):
        fn = fn.func
    return str(getattr(fn, "__module__", None) or type(fn).__module__)
