"""A planned timeline as SVG: a row of bars for each executor, work told from waiting by hatching as well as by colour.

Used by `docs/draw_story.py` for the README's picture, and in the reader's browser by the page of the story.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from whilst.model import Kind, Span, Timeline

ROW: Final = 26
GAP: Final = 4
STYLE: Final = """
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
HATCH: Final = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="plate" width="6" height="6"/><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern>'
)


@dataclass(frozen=True, slots=True)
class Axis:
    """From hours to pixels: 0 h at `left`, `longest_h` at `right`."""

    left: float
    right: float
    longest_h: float

    def x(self, hours: float) -> float:
        return self.left + hours / self.longest_h * (self.right - self.left)


def text(at_x: float, at_y: float, words: str, kind: str) -> str:
    return f'<text x="{at_x:g}" y="{at_y:g}" class="{kind}">{escape(words)}</text>'


def bars(timeline: Timeline, axis: Axis, y: float, *, is_always_named: bool = False) -> tuple[list[str], float]:
    """Return the rows of all executors that do something, from `y` on, and where they end.

    Args:
        is_always_named: an executor that does everything is named, too.
    """
    used = [name for name in timeline.executors if any(span.executor == name for span in timeline)]
    parts: list[str] = []
    for executor in used:
        for number, spans in enumerate(_lanes(timeline, executor)):
            if (len(used) > 1 or is_always_named) and number == 0:
                parts.append(f'<g text-anchor="end">{text(axis.left - 10, y + 17.5, executor, "small muted")}</g>')
            for span in spans:
                parts += _bar(span, axis, y, timeline.unit_s)
            y += ROW + GAP
    return parts, y


def _bar(span: Span, axis: Axis, y: float, unit_s: float) -> Iterator[str]:
    start, end = axis.x(span.start_ns / 1e9 / unit_s), axis.x(span.end_ns / 1e9 / unit_s)
    kind = ("work", "wait", "held")[span.kind]
    label = "held" if kind == "held" else span.label
    both = span.task if label == span.task else f"{span.task}: {label}"
    hours = f"{span.start_ns / 1e9 / unit_s:g} to {span.end_ns / 1e9 / unit_s:g} h"
    yield (
        f'<rect x="{start + 0.75:g}" y="{y}" width="{max(end - start - 1.5, 0):g}" height="{ROW}" rx="3" '
        f'class="{kind}"><title>{escape(both)}, {hours}</title></rect>'
    )
    words = next(each for each in (both, label, "") if len(each) * 7 < end - start - 6 or not each)
    if kind == "wait" and words:
        half = len(words) * 3.4 + 5
        yield f'<rect x="{(start + end) / 2 - half:g}" y="{y + 5}" width="{2 * half:g}" height="16" class="plate"/>'
    yield text((start + end) / 2, y + 17.5, words, f"middle small on-{kind}")


def _lanes(timeline: Timeline, executor: str) -> list[list[Span]]:
    """The executor's work in its first row; in further ones what waits meanwhile, none over another."""
    own = [span for span in timeline if span.executor == executor]
    lanes = [[span for span in own if span.kind == Kind.WORK]]
    for span in own:
        if span.kind == Kind.WORK:
            continue
        free = (lane for lane in lanes if all(w.start_ns >= span.end_ns or w.end_ns <= span.start_ns for w in lane))
        lane = next(free, None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(span)
    return lanes
