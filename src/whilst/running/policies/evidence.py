"""What a decision of mode="auto" rests on: the profile of the first calls, the machine, and what else bears on it.

`EvidenceCollector` looks things up when they are first asked for. `decide` takes a profile, a machine and a
`DecisionInput`, makes a `Forecast` for each mode, and says what follows from them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whilst._light import Record
from whilst.measuring.machine import look_at_machine
from whilst.running.backends import traits_of

if TYPE_CHECKING:
    from whilst.model import Machine, Mode, Profile
    from whilst.running.backends.base import BackendConfig
    from whilst.running.core.inputs import Source
    from whilst.running.options import Options
    from whilst.running.policies.pilot.calls import PilotCalls

_MOST_WAITING: Final = 64
"""At once against something that may have a limit nobody knows."""
_MOST_SLEEPING: Final = 256
_WORTH_A_PROCESS_S: Final = 0.02
_WORTH_PROCESSES_S: Final = 0.1
"""Work in all, below which processes bring nothing that overlaps waits better than threads do."""
_LAST_STEPS_S: Final = 0.001
_LOOKED_AT: Final = 4096
"""Items to come."""
_UNKNOWN_COUNT: Final = 256
"""How many calls are taken to be left where the input does not know its length."""


class Costs(Record):
    """Seconds that the machinery takes, by the studies' floors on a machine with two cores."""

    thread_start_s: float = 200e-6
    """With what its first and last steps take from others that want the GIL."""
    thread_call_s: float = 20e-6
    loop_call_s: float = 25e-6
    fork_s: float = 0.012
    worker_s: float = 0.005
    """One more worker process, where there are more than cores."""
    server_s: float = 0.04
    process_call_s: float = 5e-6
    batch_s: float = 150e-6
    byte_s: float = 1.0e-9


class DecisionInput(Record):
    """What the decision depends on besides the call and the machine."""

    left: int | None = None
    """Calls that are still to be made; None where the input does not know its length."""
    can_fork: bool = False
    """Workers may be forks of this process, and have all that it has loaded and set."""
    only_by_fork: str = ""
    """Workers can't be forks, and no clean processes either: why, in words."""
    workers_are_up: bool = False
    """Processes run already: their start costs nothing more."""
    server_start_s: float = 0.0
    """What importing the program's modules adds to the start of a clean worker."""
    first_call_extra_s: float = 0.0
    """What the first call took beyond the others: a clean worker pays it again, a forked one does not."""
    waits_only_in_sleep: bool = False
    """Its waits are sleeps, which meet no limit however many wait at once."""
    limited_native_s: float | None = None
    """Seconds of one call with BLAS and OpenMP held to one thread, where that was tried."""
    tried_threads: float | None = None
    """How many times faster two calls on two threads were than one after the other, where that was tried."""
    most_workers: int | None = None
    """As the caller asked."""
    rate_per_s: float | None = None
    """Calls that may begin per second, as the caller asked."""
    is_seeded: bool = False
    """Somebody seeds the shared random generator, so that the order of the draws matters."""
    has_own_seed: bool = False
    """The run has a seed of its own: every item's draws are its own."""
    cold: float = 1.0
    """Warm-up factor: first calls may work up to this many times as much as later ones. They import, open and cache."""
    most_threads: int = 256
    costs: Costs = Costs()

    @property
    def calls(self) -> int:
        return _UNKNOWN_COUNT if self.left is None else self.left

    @property
    def process_start_s(self) -> float:
        if self.workers_are_up:
            return 0.0
        if self.can_fork:
            return self.costs.fork_s
        return self.costs.server_s + self.server_start_s + self.first_call_extra_s


class Forecast(Record):
    """What the rest takes in one mode, and with what."""

    mode: Mode
    seconds: float
    backend: str
    workers: int
    batch: int = 1
    threads_per_worker: int = 1
    note: str = ""
    native_threads: int | None = None
    """Threads that BLAS and OpenMP of this process are to be held to."""


class EvidenceCollector:
    """See the module's text.

    Args:
        calls: the first ones.
        source: where the others come from.
    """

    def __init__(self, calls: PilotCalls, source: Source, options: Options) -> None:
        self._calls = calls
        self._source = source
        self._options = options
        self._machine: Machine | None = None
        self._seeded: bool | None = None
        self._fork_hindrance: str | None = None
        self._read_elsewhere: str | None = None
        self.looked_at = 0
        """The number of the first item that nobody has looked at yet for code that it brings."""
        self._has_warmed_up = False
        """Calls were measured while they were made over and over."""

    @property
    def machine(self) -> Machine:
        if self._machine is None:
            self._machine = look_at_machine()
        return self._machine

    def profile(self, left: int | None, config: BackendConfig) -> Profile:
        """What the calls to come are like, as far as the first ones tell.

        Args:
            left: how many there are.
            config: where calls are made now.
        """
        pilot = self._calls.pilot
        if self._seeded is None and pilot.draws:
            from whilst.measuring.writes.seeds import is_seeded

            self._seeded = self._options.seed is None and is_seeded()
        if self._source.why_one_by_one:
            pilot.note_input(self._source.why_one_by_one)
        pilot.rest = self._source.peek(_LOOKED_AT)
        pilot.note_locks_of_items()
        if self._source.reader is not None:
            pilot.note_reader(self._source.reader)
        if self._calls.last is not None:
            pilot.note_what_is_kept(self._calls.last[1])
        if pilot.rest:
            pilot.look_into_others(pilot.rest)
            self.looked_at = self._source.next_id + len(pilot.rest)
        profile = self._checked_for_shared_items(pilot.profile())
        if self._calls.last is not None and _may_need_processes(profile, left):
            from whilst.measuring.inheriting import is_only_memory

            if not self.can_fork(config) and self._read_elsewhere is None:
                from whilst.measuring.reads import why_not_clean

                self._read_elsewhere = why_not_clean(pilot.fn, self._calls.last[0])
            is_forked, item = self.can_fork(config), self._calls.last[0]
            is_inherited = is_forked and self._source.inheritable is not None and is_only_memory([item], set())
            pilot.weigh(*self._calls.last, is_forked=is_forked, is_inherited=is_inherited)
            profile = self._checked_for_shared_items(pilot.profile())
        return profile

    def decision_input(self, left: int | None, config: BackendConfig, *, trial: float | None = None) -> DecisionInput:
        """What else bears on the decision. `trial`: how many times as fast as one thread several were."""
        options, pilot = self._options, self._calls.pilot
        workers_are_up = traits_of(config.backend).is_remote
        return DecisionInput(
            left=left,
            workers_are_up=workers_are_up,
            can_fork=self.can_fork(config),
            only_by_fork=self._only_by_fork(),
            server_start_s=_import_s(),
            first_call_extra_s=pilot.first_extra_s,
            waits_only_in_sleep=pilot.waits_only_in_sleep,
            limited_native_s=self._calls.limited_native_s,
            tried_threads=trial,
            most_workers=options.workers,
            rate_per_s=options.rate_per_s,
            is_seeded=bool(self._seeded),
            has_own_seed=options.seed is not None,
            cold=1.0 if self._has_warmed_up or workers_are_up else pilot.cold,
            costs=Costs(thread_start_s=Costs().thread_start_s + pilot.thread_extra_s),
            most_threads=_MOST_SLEEPING if pilot.waits_only_in_sleep else _MOST_WAITING,
        )

    def warmed_up(self, profile: Profile) -> Profile:
        """Calls were measured while they were made over and over: return what of it can be relied upon.

        What was never weighed for a process, since threads were certain to do, is not sent to one later.
        """
        self._has_warmed_up = True
        if profile.is_picklable is not None:
            return profile
        return replace(profile, is_picklable=False, why_not="nobody has looked whether it can be sent to a process")

    def can_fork(self, config: BackendConfig) -> bool:
        """May workers be forks of this program?"""
        from whilst.running.process_role import why_not_forked

        # What hinders it goes on hindering it, and what the run itself has open ends before a process starts.
        if not self._fork_hindrance and not traits_of(config.backend).overlaps_here:
            reached = self._reached
            self._fork_hindrance = why_not_forked(reached)
            if self._fork_hindrance and self._calls.pilot.calls > 1:
                # The thread that watched the last call has said that it is done, and may still be on its way out.
                time.sleep(_LAST_STEPS_S)
                self._fork_hindrance = why_not_forked(reached)
        return not self._fork_hindrance

    def _reached(self) -> list[object]:
        reachable = self._calls.pilot.reachable
        return [] if reachable is None else reachable.values()

    def _only_by_fork(self) -> str:
        """Why a clean process won't do where the program can't be forked: what its calls read may be another there."""
        if not self._fork_hindrance or self._read_elsewhere == "":
            return ""
        reads = self._read_elsewhere or "what it reads"
        return f"workers can't be forks ({self._fork_hindrance}), and in a clean process {reads} may be another"

    def _checked_for_shared_items(self, profile: Profile) -> Profile:
        """A call that changes its item is nobody else's affair only while no other call has the same item."""
        changes = [write for write in profile.writes if write.spoils_processes and not write.spoils_threads]
        if not any(write.is_of_item for write in changes):
            return profile
        items = self._source.peek(_LOOKED_AT)
        if items is not None and len({id(item) for item in items}) == len(items):
            made = () if self._calls.last is None else self._calls.last[:1]
            if not self._calls.pilot.share_what_is_written((*made, *items)):
                return profile
        writes = [
            replace(write, what=f"{write.what}, which may be another call's too", spoils_threads=True)
            if write.is_of_item
            else write
            for write in profile.writes
        ]
        return replace(profile, writes=tuple(writes))


def _may_need_processes(profile: Profile, left: int | None) -> bool:
    """Is there work for them, and may they do it? Pickling is tried only then."""
    if any(write.spoils_processes and not write.is_random for write in profile.writes):
        return False
    waits = (profile.wait_s or 0.0) > 0.5 * profile.wall_s
    can_overlap_here = not any(write.spoils_threads for write in profile.writes)
    worth_s = _WORTH_PROCESSES_S if waits and can_overlap_here else _WORTH_A_PROCESS_S
    return (profile.work_s or 0.0) * (64 if left is None else left) > worth_s


def _import_s() -> float:
    """What importing the program's modules again may take: some 0.3 ms each, beyond those every worker has."""
    return max(0.0, (len(sys.modules) - 250) * 0.0003)
