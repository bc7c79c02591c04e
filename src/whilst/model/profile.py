"""What one call is like, as measured on the first calls of a run. Unmeasured is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from whilst.errors import UnmeasuredError


@dataclass(frozen=True, slots=True)
class Write:
    """Something a call writes that outlives it: `what` for people ("global VISITED"), and where it was seen."""

    what: str
    where: str = ""
    is_confirmed: bool = False
    """Seen to change during a pilot call; otherwise only suspected from the code."""
    spoils_threads: bool = True
    """Calls that overlap would race for it or mix it up."""
    spoils_processes: bool = True
    """It would be lost in a worker process."""
    is_random: bool = False
    """Draws from a generator that all calls share: harmless unless somebody seeded it."""
    is_of_item: bool = False
    """It is the call's own item, or a part of it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Means over the pilot calls, in seconds and bytes.

    Args:
        work_s: CPU seconds of one call on its own thread.
        wait_s: wall seconds of one call in which its thread was not on a core.
        gil_s: the part of work_s in which the call held the GIL.
        locked_s: the part of it without the GIL, waiting or at work, in which it held a lock that other calls want.
        calls: how many pilot calls stand behind the means.
        first_call_s: wall seconds of the very first call, which may load or cache something.
        native_s: CPU seconds that other (native) threads of the process spent inside one call.
        children_s: CPU seconds that child processes spent inside one call.
        argument_bytes, result_bytes, pickle_s: what one call would have to send and receive, and the time it takes.
        is_picklable: function, arguments and results can cross to a process; `why_not` says what can't.
    """

    work_s: float | None = None
    wait_s: float | None = None
    gil_s: float | None = None
    locked_s: float | None = None
    calls: int = 0
    first_call_s: float | None = None
    native_s: float | None = None
    children_s: float | None = None
    argument_bytes: int | None = None
    result_bytes: int | None = None
    pickle_s: float | None = None
    is_picklable: bool | None = None
    why_not: str = ""
    writes: tuple[Write, ...] = ()
    is_coroutine: bool = False

    def __post_init__(self) -> None:
        for name in ("work_s", "wait_s", "gil_s", "locked_s", "first_call_s", "native_s", "children_s", "pickle_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UnmeasuredError(f"A profile's {name} must be None or at least 0 seconds, got {value!r}.")

    @property
    def wall_s(self) -> float:
        """Seconds from the start to the end of one call.

        Raises:
            UnmeasuredError: the profile has no pilot call.
        """
        if self.work_s is None or self.wait_s is None:
            raise UnmeasuredError("The profile has no pilot call; measure at least one before asking for its length.")
        return self.work_s + self.wait_s
