"""Draw docs/story.svg, the README's picture: the story planned in its four modes, on one axis.

    python docs/draw_story.py

The picture follows the reader's light or dark, and tells work from waiting by hatching as well as by colour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from whilst.model import Kind, Mode, Span, Timeline  # noqa: E402 (runs from a checkout, as a plain script)
from whilst.planning import plan  # noqa: E402 (as above)

WIDTH, LEFT, RIGHT, TOP = 940, 262, 22, 34
ROW, GAP, BLOCK_GAP = 26, 4, 20
LONGEST_H = 13
SAYS = {
    Mode.SEQUENTIAL: "one after the other",
    Mode.CONCURRENT: "a laptop: work while waiting",
    Mode.PARALLEL: "an assistant: two at once",
    Mode.COMBINED: "both",
}
STYLE = """
svg { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif }
.back { fill: #ffffff } .text { fill: #1a1f24 } .muted { fill: #5c6670 } .grid { stroke: #e4e8ec }
.work { fill: #0072b2 } .on-work { fill: #ffffff } .on-wait { fill: #2b343c }
.wait { fill: url(#hatch) } .plate { fill: #cfd8e0 } .hatch { stroke: #a9b7c4 } .end { stroke: #1a1f24 }
.held { fill: #e69f00 } .on-held { fill: #241800 }
.mode { font-weight: 700; font-size: 15px } .small { font-size: 12px } .middle { text-anchor: middle }
@media (prefers-color-scheme: dark) {
  .back { fill: #14181c } .text { fill: #e7ebee } .muted { fill: #9aa6b1 } .grid { stroke: #262d34 }
  .work { fill: #56b4e9 } .on-work { fill: #06202f } .on-wait { fill: #e7ebee }
  .plate { fill: #3a4550 } .hatch { stroke: #566472 } .end { stroke: #e7ebee }
  .held { fill: #d55e00 } .on-held { fill: #ffffff }
}
"""
HATCH = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="plate" width="6" height="6"/><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern>'
)


def x(hours: float) -> float:
    return LEFT + hours / LONGEST_H * (WIDTH - LEFT - RIGHT)


def text(at_x: float, at_y: float, words: str, kind: str) -> str:
    return f'<text x="{at_x:g}" y="{at_y:g}" class="{kind}">{escape(words)}</text>'


def bar(span: Span, y: float, unit_s: float) -> Iterator[str]:
    start, end = x(span.start_ns / 1e9 / unit_s), x(span.end_ns / 1e9 / unit_s)
    kind = ("work", "wait", "held")[span.kind]
    yield f'<rect x="{start + 0.75:g}" y="{y}" width="{end - start - 1.5:g}" height="{ROW}" rx="3" class="{kind}"/>'
    label = "held" if kind == "held" else span.label
    both = span.task if label == span.task else f"{span.task}: {label}"
    words = next(each for each in (both, label, "") if len(each) * 7 < end - start - 6)
    if kind == "wait" and words:
        half = len(words) * 3.4 + 5
        yield f'<rect x="{(start + end) / 2 - half:g}" y="{y + 5}" width="{2 * half:g}" height="16" class="plate"/>'
    yield text((start + end) / 2, y + 17.5, words, f"middle small on-{kind}")


def lanes(timeline: Timeline, executor: str) -> list[list[Span]]:
    """The executor's work in its first row, and in a second what waits meanwhile."""
    own = [span for span in timeline if span.executor == executor]
    work = [span for span in own if span.kind == Kind.WORK]
    behind = [
        span
        for span in own
        if span.kind != Kind.WORK and any(w.start_ns < span.end_ns and w.end_ns > span.start_ns for w in work)
    ]
    first = [span for span in own if span not in behind]
    return [first, behind] if behind else [first]


def block(mode: Mode, timeline: Timeline, y: float) -> tuple[list[str], float]:
    hours = timeline.makespan_s / timeline.unit_s
    used = [name for name in timeline.executors if any(span.executor == name for span in timeline)]
    parts = [text(12, y + 17, f"{mode.value}, {hours:g} h", "mode text"), text(12, y + 34, SAYS[mode], "small muted")]
    top = y
    for executor in used:
        for number, spans in enumerate(lanes(timeline, executor)):
            if len(used) > 1 and number == 0:
                parts.append(f'<g text-anchor="end">{text(LEFT - 10, y + 17.5, executor, "small muted")}</g>')
            for span in spans:
                parts += bar(span, y, timeline.unit_s)
            y += ROW + GAP
    y = max(y, top + 40)
    parts.append(f'<line class="end" x1="{x(hours):g}" x2="{x(hours):g}" y1="{top - 4}" y2="{y}" stroke-width="2"/>')
    return parts, y + BLOCK_GAP


def picture() -> str:
    parts: list[str] = []
    y: float = TOP
    for mode in Mode:
        drawn, y = block(mode, plan(ROOT / "examples" / "story.toml", mode).timeline, y)
        parts += drawn
    height = y + 2
    grid = [
        f'<line class="grid" x1="{x(hour):g}" x2="{x(hour):g}" y1="{TOP - 10}" y2="{height - 20}"/>'
        f"{text(x(hour), TOP - 16, f'{hour} h', 'middle small muted')}"
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
    print(f"wrote {target} ({target.stat().st_size:,} bytes)")  # noqa: T201 (a script)
