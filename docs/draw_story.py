"""Draw docs/story.svg, the README's picture: the story planned in its four modes, on one axis.

    python docs/draw_story.py

The picture follows the reader's light or dark, and tells work from waiting by hatching as well as by colour.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "docs" / "play")]

from drawing import HATCH, STYLE, Axis, bars, text  # noqa: E402 (runs from a checkout, as a plain script)

from whilst.model import Mode, Timeline  # noqa: E402 (as above)
from whilst.planning import plan  # noqa: E402 (as above)

WIDTH, TOP, BLOCK_GAP = 940, 34, 20
LONGEST_H = 13
AXIS = Axis(left=262, right=WIDTH - 22, longest_h=LONGEST_H)
SAYS = {
    Mode.SEQUENTIAL: "one after the other",
    Mode.CONCURRENT: "a laptop: work while waiting",
    Mode.PARALLEL: "an assistant: two at once",
    Mode.COMBINED: "both",
}


def block(mode: Mode, timeline: Timeline, y: float) -> tuple[list[str], float]:
    hours = timeline.makespan_s / timeline.unit_s
    parts = [text(12, y + 17, f"{mode.value}, {hours:g} h", "mode text"), text(12, y + 34, SAYS[mode], "small muted")]
    rows, end_y = bars(timeline, AXIS, y)
    top, y = y, max(end_y, y + 40)
    x = AXIS.x(hours)
    end = f'<line class="end" x1="{x:g}" x2="{x:g}" y1="{top - 4}" y2="{y}" stroke-width="2"/>'
    return [*parts, *rows, end], y + BLOCK_GAP


def picture() -> str:
    parts: list[str] = []
    y: float = TOP
    for mode in Mode:
        drawn, y = block(mode, plan(ROOT / "examples" / "story.toml", mode).timeline, y)
        parts += drawn
    height = y + 2
    grid = [
        f'<line class="grid" x1="{AXIS.x(hour):g}" x2="{AXIS.x(hour):g}" y1="{TOP - 10}" y2="{height - 20}"/>'
        f"{text(AXIS.x(hour), TOP - 16, f'{hour} h', 'middle small muted')}"
        for hour in range(LONGEST_H + 1)
    ]
    title = "The story planned in four modes: sequential 13 h, concurrent 9 h, parallel 10 h, combined 8 h"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title><style>{STYLE}</style><defs>{HATCH}</defs>\n"
        f'<rect class="back" width="100%" height="100%"/>\n' + "\n".join(grid + parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    target = ROOT / "docs" / "story.svg"
    target.write_text(picture(), encoding="utf-8")
    print(f"wrote {target} ({target.stat().st_size:,} bytes)")
