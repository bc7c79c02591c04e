"""How long a day takes when its lengths are uncertain: the plan's policy, over seeded draws.

A plan is made knowing the likely lengths alone, so a draw must not be planned again with its lengths known: that
would measure a clairvoyant. Its policy (who takes what first, by rank) is run on the drawn lengths instead.
Every mode draws the same lengths for the same seed, so that modes are compared on the same days.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Final

from whilst.model import Day, Estimate, Mode
from whilst.planning.dispatching import Policy
from whilst.planning.planned import Percentiles
from whilst.planning.problem import make_problem, to_ns

_MOST_DRAWS: Final = 1000
_FEWEST_DRAWS: Final = 20
# Operations dispatched over all draws: about three seconds.
_EFFORT: Final = 300_000


def choose_draws(steps: int) -> int:
    """A thousand draws, fewer on a day of many steps."""
    return max(_FEWEST_DRAWS, min(_MOST_DRAWS, _EFFORT // max(1, steps)))


def draw_percentiles(
    day: Day, mode: Mode, executors: Sequence[str], policy: Policy, *, seed: int, draws: int
) -> Percentiles:
    """Run the policy on drawn lengths and return the 10th, 50th and 90th percentile (nearest rank)."""
    makespans = sorted(
        policy.run(make_problem(day, mode, executors, lengths_ns)).makespan for lengths_ns in _drawn(day, seed, draws)
    )

    def at(share: float) -> float:
        return makespans[max(0, math.ceil(share * draws) - 1)] / 1e9

    return Percentiles(at(0.1), at(0.5), at(0.9), draws, seed)


def _drawn(day: Day, seed: int, draws: int) -> Iterator[list[int]]:
    # Seeded, so that the same day gives the same percentiles; nothing here is a secret.
    source = random.Random(seed)  # noqa: S311
    lengths = [step.length for task in day.tasks for step in task.steps]
    fixed = [None if isinstance(length, Estimate) else to_ns(length) for length in lengths]
    for _ in range(draws):
        yield [
            max(1, to_ns(source.triangular(length.low_s, length.high_s, length.likely_s)))
            if isinstance(length, Estimate)
            else sure or 0
            for length, sure in zip(lengths, fixed, strict=True)
        ]
