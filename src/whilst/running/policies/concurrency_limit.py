"""Controllers that follow a run: how many calls at once, how many to a batch. Pure: figures in, numbers out.

How many calls to keep in flight against something whose capacity nobody knows (a server, a disk, a lock, this
machine's own cores) is the question that TCP answers for packets, and the answer here is the same:

- slow start: every call that comes back in good time lets one more out, which doubles the number per round trip
  (V. Jacobson, "Congestion Avoidance and Control", SIGCOMM 1988);
- latency is the early signal: when calls take much longer than they did alone and no more of them come through,
  the rest is queueing, and a quarter more than were being served is gone back to (J. Little's law; L. Brakmo,
  S. O'Malley, L. Peterson, "TCP Vegas", SIGCOMM 1994, the gradient rule of adaptive concurrency limiters);
- after that hill climbing in small steps on throughput, since a capacity may change;
- a refusal takes the number back to the last one that a whole round went well with, or halves it where that was
  refused itself, and growth is by one from there (additive increase, multiplicative decrease: D.-M. Chiu, R. Jain,
  "Analysis of the Increase and Decrease Algorithms", 1989); what was refused is tried again, ever more rarely.

Rejected: a fixed number (32, or 5 per core), which is right for nobody; growth on free capacity alone, which ends
at whatever the server tolerates last.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

_HANDOVER_SHARE: Final = 0.02
_LONGEST_BATCH_S: Final = 0.03
_QUEUEING: Final = 0.65
"""Base latency over latency: below this most of the rest is queueing."""
_WORTH_DOUBLING: Final = 1.15
"""A doubling must bring this much throughput to be kept."""
_HEADROOM: Final = 1.25
"""So many times as many as are being served."""
_STEP: Final = 0.15
_FIRST_PATIENCE: Final = 4
"""Rounds; twice as many after each refusal."""
_LONGEST_PATIENCE: Final = 256
_FIRST_LOOK_S: Final = 0.003
_LAST_LOOK_S: Final = 0.05
_LEAVES_ROOM: Final = 0.5
"""Threads that work no more than this share of the time, all together, wait for something else than their turn."""
_LEAVES_NONE: Final = 0.8
"""From this share on they mostly wait for their turn."""


class Phase(Enum):
    """Where a limit stands."""

    FIXED = "fixed"
    """It is set once: nothing limits such calls."""
    RISING = "rising"
    STEADY = "steady"


class _Round:
    """As many answers as were in flight at its start."""

    def __init__(self, level: int, begin_s: float) -> None:
        self.level = level
        self.begin_s = begin_s
        self.answers = 0
        self.latency_s = 0.0


class ThreadsBesideLoop:
    """How many threads at once, where a loop of this process is to wake in time.

    Threads that work in Python take turns, and a loop that wakes has to wait for the turns of all. As many as there are
    cores use them, whether their calls let go of the GIL or not; more only bring something where calls wait, and then
    the CPU time of this process falls behind the clock. While it does, their number doubles; where it does not with
    more, as on a machine that was busy with something else at first, half as many go on.

    Args:
        cores: how many to begin with.
        most: never more.
    """

    def __init__(self, cores: int, most: int) -> None:
        self.at_once = min(cores, most)
        self.look_again_s = _FIRST_LOOK_S
        """When it may change."""
        self._fewest, self._most = self.at_once, most
        self._since_ns: int | None = None
        self._cpu_ns = 0

    def look(self, now_ns: int, cpu_ns: int) -> int:
        """The number now.

        Args:
            now_ns: by the clock.
            cpu_ns: what this process has worked so far.
        """
        if self._since_ns is None:
            self._since_ns, self._cpu_ns = now_ns, cpu_ns
        took_ns = now_ns - self._since_ns
        if took_ns < self.look_again_s * 1e9:
            return self.at_once
        share, before = (cpu_ns - self._cpu_ns) / max(took_ns, 1), self.at_once
        if share < _LEAVES_ROOM:
            self.at_once = min(2 * before, self._most)
        elif share > _LEAVES_NONE:
            self.at_once = max(before // 2, self._fewest)
        self.look_again_s = min(2 * self.look_again_s, _LAST_LOOK_S) if self.at_once == before else _FIRST_LOOK_S
        self._since_ns, self._cpu_ns = now_ns, cpu_ns
        return self.at_once


class AdaptiveLimit:
    """How many calls to have in progress at once.

    Args:
        base_s: latency of one call alone; 0 where it is not known, the first answers then tell.
        start: how many at first.
        most: never more.
        is_fixed: start is final.
        share_s: what every further call at once makes all of them longer by, because they work on the same cores:
            that is no queue anywhere else.
    """

    def __init__(self, base_s: float, start: int, most: int, *, is_fixed: bool = False, share_s: float = 0.0) -> None:
        self.most = max(1, most)
        self.target = max(1, min(start, self.most))
        self.phase = Phase.FIXED if is_fixed else Phase.RISING
        self.base_s = base_s
        self._share_s = share_s
        self.ceiling = self.most
        """The highest number that was not refused; one more is tried after `_patience` rounds without a refusal."""
        self._patience = _FIRST_PATIENCE
        self.refusals = 0
        self._retreated_s = 0.0
        self._proven = 0
        """The highest number at once with which a whole round of calls has gone well."""
        self._round: _Round | None = None
        self._best = 1 / base_s if base_s > 0 else 0.0
        """The best throughput of a round (answers per second); alone to begin with."""
        self._before_step = 0.0
        self._direction = 1
        self._quiet = 0
        self._idle_rounds = 0

    @property
    def is_fixed(self) -> bool:
        """It is set once: nothing limits such calls."""
        return self.phase is Phase.FIXED

    @property
    def is_down_to_one(self) -> bool:
        """One at a time turned out best, where more were allowed: no round brought much more than one alone."""
        is_down = self.target == 1 and self.phase is Phase.STEADY and self.most > 1
        return is_down and self._best * self.base_s < _HEADROOM

    def cap(self, most: int, share_s: float) -> None:
        """Never more than this from here on, with a better `share_s`; what was refused stays the ceiling."""
        self._share_s = share_s
        self.most = max(1, most)
        self.ceiling = min(self.ceiling, self.most) if self.refusals else self.most
        self.target = min(self.target, self.ceiling)

    def rise_to(self, level: int) -> None:
        """The first calls are known to have left room for so many, if nothing was refused yet."""
        if self.phase is Phase.RISING and not self._idle_rounds:
            self.target = max(self.target, min(level, self.ceiling))

    def answered(self, count: int, latency_s: float, now_s: float) -> str:
        """Take in answers with their mean latency; return what changed, in words, or ""."""
        if self.phase is Phase.FIXED or count <= 0:
            return ""
        current = self._round
        if current is None:
            current = self._round = _Round(self.target, now_s - latency_s)
        current.answers += count
        current.latency_s += count * latency_s
        if self.base_s <= 0 or latency_s < self.base_s:
            self.base_s = latency_s if self.base_s <= 0 else 0.5 * (self.base_s + latency_s)
        if (
            self.phase is Phase.RISING
            and not self._idle_rounds
            and self._gradient(latency_s, current.level) > _QUEUEING
        ):
            self.target = min(self.ceiling, self.target + count)
        if current.answers < current.level:
            return ""
        self._round = None
        self._proven = max(self._proven, current.level)
        return self._end_round(current, now_s)

    def refused(self, in_flight: int, begun_s: float, now_s: float) -> str:
        """A call that began at `begun_s` was refused with `in_flight` calls in flight: go back to what went well.

        Return what changed, in words, or "". A call that was on its way before the last retreat tells nothing new.
        """
        if self.refusals and begun_s < self._retreated_s:
            return ""
        self.refusals += 1
        self._retreated_s = now_s
        before = self.target
        self.ceiling = max(1, min(self.ceiling, in_flight - 1))
        back = self._proven if 0 < self._proven < in_flight else in_flight // 2
        if self.target < in_flight:  # others were still on their way: nothing is said about so few
            back = max(back, self.target)
        self.target = max(1, min(self.target, self.ceiling, back))
        self._proven = min(self._proven, self.target)
        self.phase = Phase.STEADY
        self._round = None
        self._best = 0.0
        self._quiet = 0
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        if self.target == before:
            return ""
        return f"a call was refused with {in_flight:,} in flight: {self.target:,} at once instead of {before:,}"

    # ---------------------------------------------------------------- rounds

    def _gradient(self, latency_s: float, level: int) -> float:
        expected_s = self.base_s + self._share_s * (level - 1)
        return min(1.0, expected_s / latency_s) if latency_s > 0 else 1.0

    def _end_round(self, ended: _Round, now_s: float) -> str:
        throughput = ended.answers / max(now_s - ended.begin_s, 1e-9)
        latency = ended.latency_s / ended.answers
        text = ""
        if self.phase is Phase.RISING:
            text = self._end_rising_round(ended, latency, throughput)
        else:
            text = self._climb(throughput, latency, ended.level)
        self._best = max(self._best, throughput)
        return text

    def _end_rising_round(self, ended: _Round, latency_s: float, throughput: float) -> str:
        best = self._best
        if throughput > best * _WORTH_DOUBLING or best <= 0:
            self._idle_rounds = 0
            if self.target >= self.ceiling:
                self.phase = Phase.STEADY
            elif self._gradient(latency_s, ended.level) <= _QUEUEING:
                self.target = min(self.ceiling, max(self.target, math.ceil(1.25 * ended.level)))
            return ""
        # One round that brings nothing may be the workers' own start; two of them are an answer.
        self._idle_rounds += 1
        self.target = min(self.target, ended.level)
        if self._idle_rounds < 2:
            return ""
        self.phase = Phase.STEADY
        served = ended.level * self._gradient(latency_s, ended.level)
        self.target = max(1, min(self.ceiling, round(_HEADROOM * served)))
        self._before_step = throughput
        return (
            f"{ended.level} at once took {latency_s / self.base_s:.1f} times as long as one alone and brought "
            f"{100 * (throughput / best - 1):+.0f} % calls a second: {self.target:,} at once"
        )

    def _climb(self, throughput: float, latency_s: float, level: int) -> str:
        """One step at the end of every second round, so that a step's effect is seen before the next.

        A step that lost throughput is taken back. Otherwise latency says where to go: near that of a call alone
        there is room for more; at twice that, fewer will do as well.
        """
        self._quiet += 1
        if self._quiet % 2:
            return ""
        gradient = self._gradient(latency_s, level)
        if throughput < 0.95 * self._before_step:
            self._direction = -self._direction
        elif gradient > 0.8:
            self._direction = 1
        elif gradient < 0.55:
            self._direction = -1
        else:
            self._direction = 0
        self._before_step = throughput
        if self.refusals and level >= self.ceiling and self._quiet >= self._patience:
            self.ceiling = min(self.ceiling + 1, self.most)  # it was refused by chance, or there is more room now
        highest = math.ceil(0.9 * self.ceiling) if self.refusals else self.ceiling
        step = 1 if self.refusals else max(1, round(_STEP * level))
        before, self.target = self.target, max(1, min(highest, self.target + self._direction * step))
        is_news = abs(self.target - before) > max(2, 0.3 * before)
        return f"{self.target:,} at once instead of {before:,}: throughput says so" if is_news else ""


class Batches:
    """How many calls to hand over at once, from their measured length.

    Hand-over is to stay below 2 % of the work and a batch below some tens of milliseconds, so that what is left
    can still be spread evenly; the driver cuts batches further toward the end.
    """

    def __init__(self, call_s: float, handover_s: float) -> None:
        self.call_s = call_s
        self.handover_s = handover_s

    def answered(self, count: int, seconds: float) -> None:
        """Take in that `count` calls took `seconds` together."""
        if count > 0:
            weight = min(0.5, count / 32 + 0.1)
            self.call_s += weight * (seconds / count - self.call_s)

    @property
    def size(self) -> int:
        call_s = max(self.call_s, 1e-9)
        wanted = math.ceil(self.handover_s / (_HANDOVER_SHARE * call_s))
        longest = max(1, int(_LONGEST_BATCH_S / call_s))
        return max(1, min(wanted, longest, 100_000))
