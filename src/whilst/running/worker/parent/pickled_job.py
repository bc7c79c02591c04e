"""A job on the parent's side: pickled once, when it is first sent."""

from __future__ import annotations

from whilst.running.call_names import add_note, name_of
from whilst.running.calls.process_state import ProcessState
from whilst.running.worker.child import environment
from whilst.running.worker.transport import byvalue, serialization

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from whilst.errors import NotPicklableError
    from whilst.running.jobs import Job
    from whilst.running.worker.transport.serialization import Packed


class PickledJob:
    """A job, pickled when it is first sent: workers that start later get the very same function."""

    def __init__(self, job: Job, key: int) -> None:
        self.job = job
        self.key = key
        """Jobs of one backend have keys of their own: ids may be used again."""
        self.surroundings = environment.capture(job.context, job.process_state or ProcessState.now())
        self._for_clean_ones: bytes | None = None
        self.is_careful = False
        """Modules that only this program can import go by value, since a worker could not."""
        module = _module_of(job.fn)
        self._is_known = job.how == "call" or module == "__main__" or byvalue.is_importable(module)
        self._packed: dict[tuple[bool, bool], tuple[Packed, NotPicklableError | None]] = {}

    def cares(self, shares_main: bool) -> bool:
        """Whether to be careful with what is sent to such a worker."""
        return self.is_careful or not (self._is_known or shares_main)

    def surroundings_for(self, shares_main: bool) -> bytes:
        """What surrounds the calls in such a worker; with what the program has set, where it is no fork of it."""
        if shares_main:
            return self.surroundings
        if self._for_clean_ones is None:
            from whilst.running.worker.parent.program_state import collect

            self._for_clean_ones = environment.with_program(self.surroundings, collect(self.job))
        return self._for_clean_ones

    def packed(self, shares_main: bool) -> tuple[Packed, NotPicklableError | None]:
        """The function for a worker that has this program's `__main__`, or has not; and why it can't be had."""
        key = (self.cares(shares_main), shares_main)
        found = self._packed.get(key)
        if found is None:
            fn = None if self.job.how == "call" else self.job.fn
            packed = serialization.pack([fn], is_careful=key[0], shares_main=shares_main)
            error = None
            if 0 in packed.failures:
                from whilst.running.worker.transport.pickle_errors import not_picklable

                name = name_of(self.job.fn)
                error = not_picklable(name, "it", fn, packed.failures[0])
                error.is_of_every_call = True
                add_note(error, f"whilst: raised by every call of {name}: none of them began")
            found = self._packed[key] = (packed, error)
        return found


def _module_of(fn: Any) -> str:
    from whilst.inspecting.objects import ask

    while (inner := ask(fn, "func")) is not None:
        fn = inner
    return str(ask(fn, "__module__") or type(fn).__module__)
