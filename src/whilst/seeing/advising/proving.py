"""Is a changed script faster? What runs of it and of the script as it is, in pairs and in both orders, allow to say.

Each pair of neighbouring runs gives one ratio: what slows the machine for longer slows both. The logarithms of the
ratios are held against Student's t, one-sided at 0.5 %; to look again after each further pair (at most six looks)
leaves 3 % for a change that is not worth it to seem so, and far less for one that is slower. The quickest runs must
agree. Rejected: these alone, which a machine that is busy while one side runs turns around. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST_GAIN: Final = 1.1
"""So many times as fast must the whole script be, or the change is not worth it."""
FEWEST_PAIRS: Final = 3
MOST_PAIRS: Final = 8
_ENOUGH_S: Final = 120.0
"""Once the runs have taken so long, there is no further pair."""
_STUDENT: Final = {2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499}
"""By the degrees of freedom."""


@dataclass(frozen=True)
class Gain:
    """How many times as fast: the median of the pairs; `low` is what it is at least. None: more pairs may tell."""

    ratio: float
    low: float
    is_proved: bool | None

    @property
    def words(self) -> str:
        if self.ratio < LEAST_GAIN:
            return f"it was {self.ratio:.2f} times as fast when it was run"
        least = f"at least {self.low:.2f} times is all that is sure" if self.low > 0.01 else "nothing is sure"
        return f"it was {self.ratio:.2f} times as fast when it was run, but its runs differ too much: {least}"


def gain_of(before_s: Sequence[float], after_s: Sequence[float]) -> Gain:
    """What pairs of runs, as it is and changed, in seconds, tell by now (at least two pairs)."""
    ratios = [max(before, 1e-9) / max(after, 1e-9) for before, after in zip(before_s, after_s, strict=True)]
    logs = [math.log(ratio) for ratio in ratios]
    mean, spread = statistics.fmean(logs), statistics.stdev(logs)
    student = _STUDENT.get(len(logs) - 1, math.inf)
    low = math.exp(mean - student * spread / math.sqrt(len(logs))) if spread else math.exp(mean)
    if len(logs) < FEWEST_PAIRS:
        return Gain(statistics.median(ratios), low, is_proved=None)
    if low > LEAST_GAIN and min(before_s) > LEAST_GAIN * min(after_s):
        return Gain(statistics.median(ratios), low, is_proved=True)
    is_over = len(logs) >= MOST_PAIRS or sum(before_s) + sum(after_s) > _ENOUGH_S or math.exp(mean) < LEAST_GAIN
    return Gain(math.exp(mean), low, is_proved=False if is_over else None)
