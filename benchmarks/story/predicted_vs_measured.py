"""How close performing comes to the plan: the story in every mode, median of 5 with spread.

    python benchmarks/story/predicted_vs_measured.py [ROUNDS]

The rounds are interleaved, so that a busy minute of the machine meets every mode. Beside the measured makespan
stands the CPU time that executors were kept from ("held off"): where that is not small, the machine was not quiet,
and the ratio says more of it than of whilst.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from whilst.comparing import Row, compare
from whilst.planning import read_day

STORY = Path(__file__).parents[2] / "examples" / "story.toml"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    day = read_day(STORY)
    found: dict[str, list[Row]] = {}
    for _ in range(rounds):
        for row in compare(day).rows:
            found.setdefault(row.name, []).append(row)
    print(f"{day.name}: 1 {day.unit} in {day.performed_unit_s:g} s, {rounds} rounds")
    heading = ("mode", "plan", "median", "min", "max", "ratio", "conc.", "paral.", "kept from a core")
    print("{:14}{:>9}{:>9}{:>9}{:>9}{:>8}{:>8}{:>8}{:>18}".format(*heading))
    for name, rows in found.items():
        scale = day.performed_unit_s
        lengths = [row.seconds / scale for row in rows if row.seconds is not None]
        planned = (rows[0].predicted_s or 0.0) / scale
        middle = statistics.median(lengths)
        print(
            f"{name:14}{planned:7.2f} {day.unit}{middle:7.2f} {day.unit}{min(lengths):7.2f} {day.unit}"
            f"{max(lengths):7.2f} {day.unit}{middle / planned:8.3f}"
            f"{statistics.median(row.concurrency or 0.0 for row in rows):8.2f}"
            f"{statistics.median(row.parallelism or 0.0 for row in rows):8.2f}"
            f"{statistics.median(map(_kept_s, rows)) / scale:16.2f} {day.unit}"
        )


def _kept_s(row: Row) -> float:
    return sum(span.length_s for span in row.timeline or () if span.detail == "no core")


if __name__ == "__main__":
    main()
