"""Are the calls still what the decision takes them for? Pure: answers go in, a changed profile and words come out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, TypeAlias

from whilst.model import Profile
from whilst.model.lengths import seconds_text
from whilst.running.backends import traits_of

ProfileChange: TypeAlias = tuple[Profile, str]
"""What the calls are like by now, and how that differs from what they were taken for."""

_DRIFT: Final = 2.0
"""It is decided again when calls take this many times as long as supposed, or less than that part of it."""
_FEWEST: Final = 8
_FORGOTTEN_AFTER: Final = 256
"""After this many answers the count begins anew, so that a late change still shows."""
_WORTH_THREADS: Final = 0.75
"""Threads that bring less than this share of what as many cores would are weighed against processes again."""
_NEXT_TO_NOTHING: Final = 0.01
"""Share of a call that many threads add by asking for the GIL."""
_FEWEST_OF_LOOP: Final = 6
_SHORTEST_OF_LOOP_S: Final = 0.02
_ROOM: Final = 2.0
"""A loop that is idle so many times as long as it works has room for more."""
_SATURATED: Final = 0.7
"""From this share of time at work on, a core counts as full."""


class DriftDetector:
    """What has come back since the last decision.

    Args:
        profile: what the decision rests on.
        backend: where the calls are made.
        workers: how many make them.
        core_share: the share of its time in which the pilot had a core: on a busy machine threads that work get no
            more of their time than the pilot did.
        is_provisional: the decision waits for what calls are like once the first ones have warmed everything up.
        trial: how many times as fast as one thread several were, where that is known already.
    """

    def __init__(
        self,
        profile: Profile,
        backend: str,
        workers: int,
        core_share: float = 1.0,
        *,
        is_provisional: bool = False,
        trial: float | None = None,
    ) -> None:
        self.profile = profile
        self.trial = trial
        """How many times as fast as one thread these were, once that is known."""
        self._traits = traits_of(backend)
        self._workers = max(1, workers)
        self._core_share = max(core_share, 0.1)
        self._answers = 0
        self._wall_s = 0.0
        self._work_s = 0.0
        self._is_provisional = is_provisional

    def answered(self, count: int, wall_s: float, work_s: float, *, is_warm: bool = True) -> ProfileChange | None:
        """Take in that `count` calls took `wall_s` together; return what they are like by now if that has changed."""
        if self._is_provisional and not is_warm:
            return None
        self._answers += count
        self._wall_s += wall_s
        self._work_s += work_s
        if self._answers < _FEWEST or self.profile.work_s is None:
            return None
        if self._traits.is_remote and not self._traits.shares_process:
            return self._change_of_processes(self.profile.work_s)
        if self._traits.has_threads:
            return self._change_of_threads(self.profile.work_s)
        return None

    def _change_of_processes(self, was_s: float) -> ProfileChange | None:
        if self._wall_s < 0.03:
            return None
        now_s = self._work_s / self._answers  # a busy machine makes calls longer, but not their work
        if (self.profile.wait_s or 0.0) >= 0.5 * self.profile.wall_s:
            now_s, was_s = self._wall_s / self._answers, self.profile.wall_s
        if not was_s / _DRIFT <= now_s <= was_s * _DRIFT:
            text = f"calls take {seconds_text(now_s)} instead of {seconds_text(was_s)}"
            return _scaled(self.profile, now_s / max(was_s, 1e-12)), text
        if self._answers >= _FORGOTTEN_AFTER:
            self._answers, self._wall_s, self._work_s = 0, 0.0, 0.0
        return None

    def _change_of_threads(self, was_s: float) -> ProfileChange | None:
        alone_s = self.profile.wall_s
        if self._is_provisional:
            return self._figures(self._work_s / self._answers)
        now_s, work_s = self._wall_s / self._answers, self._work_s / self._answers
        if (self.profile.wait_s or 0.0) <= 0.2 * alone_s:
            if self.trial is not None or self._answers < 4 * self._workers:
                return None
            share = work_s / max(now_s, 1e-9) / self._core_share
            self.trial = round(self._workers * min(1.0, share), 2)
            if self.trial >= _WORTH_THREADS * self._workers:
                return None
            return self.profile, f"{self._workers} threads were only {self.trial:.1f} times as fast as one"
        if self._answers < 2 * _FEWEST or work_s <= _DRIFT * max(was_s, _NEXT_TO_NOTHING * alone_s, 1e-4):
            return None
        changed = replace(self.profile, work_s=work_s, gil_s=work_s, wait_s=max(alone_s - work_s, 0.0))
        return changed, f"a call works {seconds_text(work_s)} instead of {seconds_text(was_s)}"

    def _figures(self, work_s: float) -> ProfileChange:
        """What calls are like now that they are made over and over."""
        was_s = self.profile.work_s or 0.0
        share = 1.0 if self.profile.gil_s is None or not was_s else self.profile.gil_s / was_s
        wait_s = self.profile.wait_s
        changed = replace(self.profile, work_s=work_s, gil_s=share * work_s, wait_s=wait_s)
        return changed, f"after the first ones a call works {seconds_text(work_s)} instead of {seconds_text(was_s)}"


class LoopDriftDetector:
    """Is the core of an event loop what limits its coroutines? Fed with answers, until `is_over`.

    Args:
        busy_s: what the loop's thread has worked when the first coroutine begins,
        idle_s: and how long it has had nothing to do.
    """

    def __init__(self, busy_s: float = 0.0, idle_s: float = 0.0) -> None:
        self.is_over = False
        self.has_room = False
        """Until the first answer the loop had little to do."""
        self._start = busy_s, idle_s
        self._begun: tuple[float, float] | None = None
        self._answers = self._all_answers = 0
        self._length_s = math.inf

    def answered(self, count: int, length_s: float, busy_s: float, idle_s: float) -> tuple[float, float] | None:
        """Take in answers; return a call's work and wait (seconds) if there is next to no time left on the core.

        Args:
            length_s: of these calls, on average, with whatever others did meanwhile.
            busy_s: what the loop's thread has worked so far,
            idle_s: and how long it had nothing to do; when it wanted a core that others had, it did neither.
        """
        if self._begun is None:  # what the first ones imported and opened is left out
            self._begun = busy_s, idle_s
            self._length_s = length_s
            self.has_room = idle_s - self._start[1] > _ROOM * (busy_s - self._start[0])
            return None
        self._answers += count
        self._all_answers += count
        self._length_s = min(self._length_s, length_s)
        worked_s, idled_s = busy_s - self._begun[0], idle_s - self._begun[1]
        if self._answers < _FEWEST_OF_LOOP or worked_s + idled_s < _SHORTEST_OF_LOOP_S:
            return None
        self.is_over = self._all_answers >= _FORGOTTEN_AFTER
        work_s, self._answers, self._begun = worked_s / self._answers, 0, (busy_s, idle_s)
        if worked_s < _SATURATED * (worked_s + idled_s):
            return None
        return work_s, max(self._length_s - work_s, 0.0)


def _scaled(profile: Profile, ratio: float) -> Profile:
    """A profile with the same shares, `ratio` times as long."""

    def times(value: float | None) -> float | None:
        return None if value is None else value * ratio

    return replace(
        profile,
        work_s=times(profile.work_s),
        wait_s=times(profile.wait_s),
        gil_s=times(profile.gil_s),
        native_s=times(profile.native_s),
        children_s=times(profile.children_s),
    )
