"""One self-contained page: template, style, scripts and packed timelines put together.

Whatever a user named (tasks, executors, labels, titles) either travels inside the packed data, which is base64 and
so can't close a script, or is escaped here; the page's scripts write it by `textContent` and canvas alone. A content
security policy in the page forbids every request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Final

from whilst.model import Timeline
from whilst.showing.figures import Figures, figures_of, is_figure, length_text, percent
from whilst.showing.packing import pack
from whilst.showing.pictures import Picture

_SCRIPTS: Final = ("unpack.js", "shares.js", "rows.js", "theme.js", "view.js", "plot.js", "tooltip.js", "page.js")
_MOST_EXECUTORS_LISTED: Final = 200
_HOLE: Final = re.compile(r"\{\{(\w+)\}\}")


def write_page(picture: Picture, path: str | PathLike[str]) -> None:
    """Write the page as UTF-8 to `path`.

    Raises:
        OSError: the file can't be written.
    """
    Path(path).write_text(page_of(picture), encoding="utf-8")


def page_of(picture: Picture) -> str:
    """Return the page's HTML."""
    figures = [figures_of(timeline) for timeline in picture.timelines]
    heading = picture.title or _listed(picture.names) or "Timeline"
    return _filled(
        _asset("page.html"),
        {
            "title": escape(f"{heading} - whilst"),
            "heading": escape(heading),
            "report": _tables(picture) + _notes(picture),
            "style": _asset("page.css"),
            "script": "\n".join(map(_asset, _SCRIPTS)),
            "sections": "\n".join(map(_section, picture.names, picture.timelines, figures)),
            "data": "\n".join(f'<script type="text/plain">{pack(each)}</script>' for each in picture.timelines if each),
        },
    )


@cache
def _asset(name: str) -> str:
    return files("whilst.showing").joinpath("assets", name).read_text(encoding="utf-8")


def _filled(template: str, parts: Mapping[str, str]) -> str:
    # One pass, so that what fills a hole is never searched for holes.
    return _HOLE.sub(lambda hole: parts[hole[1]], template)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")


def _tables(picture: Picture) -> str:
    return "".join(f'<div class="wide">{_table(table)}</div>' for table in picture.tables)


def _table(rows: Sequence[Sequence[str]], caption: str = "") -> str:
    heading, *body = rows
    kinds = [' class="figure"' if is_figure([row[at] for row in body]) else "" for at in range(len(heading))]
    head = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for cell, kind in zip(heading, kinds, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in body
    ]
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _notes(picture: Picture) -> str:
    return "".join(f"<p>{escape(note)}</p>" for note in picture.notes)


def _section(name: str, timeline: Timeline, figures: Figures) -> str:
    origin = "planned" if timeline.is_predicted else "measured"
    facts = [origin, _counted(figures.spans, "span"), _counted(figures.tasks, "task")]
    facts += [f"{key}: {value}" for key, value in timeline.facts.items()]
    pairs = figures.sentences(timeline)
    shown = "".join(f"<span>{escape(key)} <b>{escape(value)}</b></span>" for key, value in pairs)
    head = f'<div class="title"><h2>{escape(name)}</h2><small>{escape(" · ".join(facts))}</small></div>'
    if not timeline:
        return f'<section>{head}<p class="empty">Nothing happened: this timeline has no spans.</p></section>'
    summary = escape(f"Picture of {name}: " + ", ".join(f"{k} {v}" for k, v in pairs))
    return (
        f'<section>{head}<div class="figures">{shown}</div>'
        f'<div class="plot"><canvas role="img" tabindex="0" aria-label="{summary}"></canvas></div>'
        f"<details><summary>Figures by executor</summary>{_executors(timeline, figures)}</details></section>"
    )


def _executors(timeline: Timeline, figures: Figures) -> str:
    rows = [("executor", "worked", "share of the makespan")]
    listed = list(figures.utilisation.items())[:_MOST_EXECUTORS_LISTED]
    rows += [(name, length_text(share * figures.makespan_s, timeline), percent(share)) for name, share in listed]
    left_out = len(figures.utilisation) - len(listed)
    note = f"<p>and {left_out:,} more executors</p>" if left_out else ""
    totals = (
        f"In sum over all tasks: work {length_text(figures.work_s, timeline)}, "
        f"wait {length_text(figures.wait_s, timeline)}, held off {length_text(figures.held_s, timeline)}."
    )
    return f'<div class="wide">{_table(rows)}</div>{note}<p>{escape(totals)}</p>'


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
