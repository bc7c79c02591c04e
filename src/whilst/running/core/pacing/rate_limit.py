"""How many calls may begin a second: the generic cell rate algorithm (GCRA, ITU-T I.371), a leaky bucket as a meter.

One number is kept: when the next call would begin if all came evenly. A call may begin no earlier than that, less
what may be caught up. Looks at no clock and waits for nothing.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CAUGHT_UP_NS: Final = 10_000_000
"""Who was woken late may begin with what was missed meanwhile, as far as this goes. Below 100 calls a second nothing is
missed; above, no second has more than one call in a hundred too many."""


class RateLimit:
    """`per_s` calls a second, evenly, over the whole run."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._interval_ns = 1e9 / per_s
        self._caught_up_ns = max(_CAUGHT_UP_NS - self._interval_ns, 0.0)
        self._next_ns = -math.inf

    def wait_ns(self, now_ns: int) -> int:
        """How long until one more may begin; 0: now."""
        return max(math.ceil(self._next_ns - self._caught_up_ns - now_ns), 0) if self._next_ns > 0 else 0

    def begin(self, now_ns: int, count: int = 1) -> None:
        """So many begin now."""
        self._next_ns = max(self._next_ns, now_ns) + count * self._interval_ns
