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
from whilst.model.report import CAREFUL
from whilst.showing.figures import Figures, figures_of, is_figure, length_text, percent
from whilst.showing.packing import pack
from whilst.showing.pictures import Picture
from whilst.showing.still import still_of
from whilst.showing.thinning import MOST_SPANS, thinned

_CAREFUL: Final = ' class="careful" role="note"'
_WIDE: Final = ' class="whole"'
_SCRIPTS: Final = (
    "path.js", "unpack.js", "shares.js", "rows.js", "theme.js", "view.js", "plot.js", "tooltip.js", "reading.js",
    "page.js",
)  # fmt: skip
_MOST_EXECUTORS_LISTED: Final = 200
_BEFORE_A_UNIT: Final = re.compile(r"(?<=\d) (?=(?:ns|µs|ms|s|min|h|d|%|[KMG]i?B)(?!\w))")
_HOLE: Final = re.compile(r"\{\{(\w+)\}\}")


def write_page(picture: Picture, path: str | PathLike[str]) -> None:
    """Write the page as UTF-8 to `path`.

    Raises:
        OSError: the file can't be written.
    """
    Path(path).write_text(page_of(picture), encoding="utf-8")


def page_of(picture: Picture) -> str:
    """Return the page's HTML."""
    heading = _heading(picture)
    parts = picture.parts or (picture,)
    return _filled(
        _asset("page.html"),
        {
            "title": escape(f"{heading} - whilst"),
            "heading": _words(heading),
            "style": _asset("page.css"),
            "script": "\n".join(map(_asset, _SCRIPTS)),
            "parts": "\n".join(_part(part, number, len(parts)) for number, part in enumerate(parts)),
            "data": "\n".join(map(_packed, filter(None, picture.timelines))),
        },
    )


def _heading(picture: Picture) -> str:
    """The title, unless the answers below it say every sentence of it again."""
    answers = " ".join(said for _, said in picture.answers)
    is_said = all(sentence in answers for sentence in picture.title.rstrip(".").split(". "))
    return ("" if answers and is_said else picture.title) or _listed(picture.names) or picture.title or "Timeline"


def _packed(timeline: Timeline) -> str:
    return f'<script type="text/plain">{pack(thinned(timeline))}</script>'


def _part(part: Picture, number: int, of: int) -> str:
    """A report: what it answers, then its figures, then its pictures, which share an axis."""
    title = f"<h2>{escape(part.title)}</h2>" if of > 1 and part.title and len(part.timelines) != 1 else ""
    # Names that several reports share need the report's number to be found.
    ids = [f"line-{number}-{at}" for at in range(len(part.names))]
    tables = _tables(part)
    if part.answers and tables and not _is_read_first(part):
        tables = f"<details class='all'><summary>All figures</summary>{tables}</details>"
    beside = _bars(part, ids) + tables
    shown = _answers(part) + (f'<div class="beside">{beside}</div>' if beside else "") + _notes(part)
    figures = [figures_of(timeline) for timeline in part.timelines]
    sections = "\n".join(map(_section, ids, part.names, part.timelines, figures))
    report = f'<div class="report">{title}{shown}</div>' if title or shown else ""
    return f'<article data-group="{number}">{report}{sections}</article>'


def _is_read_first(part: Picture) -> bool:
    """Tables of lines (of an interleaving, of a script) and of causes are the answer, and no list of figures."""
    return any(table[0][0] in ("line", "cause") for table in part.tables)


def _answers(part: Picture) -> str:
    if not part.answers:
        return ""
    lines = "".join(
        f"<div{_CAREFUL if asked == CAREFUL else _WIDE if _is_diff(said) else ''}>"
        f"<dt>{escape(asked)}</dt><dd>{_answer(asked, said)}</dd></div>"
        for asked, said in part.answers
    )
    return f"<dl>{lines}</dl>"


def _answer(asked: str, said: str) -> str:
    if _is_diff(said):  # its lines are told apart by their first sign as well as by colour
        lines = (f"<span{_CHANGED.get(line[:1], '')}>{escape(line)}\n</span>" for line in said.splitlines())
        return f"<pre tabindex='0' aria-label='{escape(asked)}'>{''.join(lines)}</pre>"
    if "\n" in said:
        return f"<ul>{''.join(f'<li>{_words(line)}</li>' for line in said.splitlines())}</ul>"
    if asked == "Run it again":
        return f"<code>{escape(said)}</code>"
    return _words(said)


def _is_diff(said: str) -> bool:
    return any(line.startswith(("+", "-")) for line in said.splitlines()[1:])


def _words(text: str) -> str:
    """Escaped, and no line ends between a number and its unit."""
    return escape(_BEFORE_A_UNIT.sub("\N{NO-BREAK SPACE}", text))


_CHANGED: Final = {"+": ' class="added"', "-": ' class="removed"'}


def _bars(part: Picture, ids: Sequence[str]) -> str:
    """How many times as fast each was, best first, each a link to its picture."""
    most = max((value for _, value, _ in part.bars), default=0.0)
    if not most:
        return ""
    rows = []
    for name, value, said in part.bars:
        found = [at for at, line in zip(ids, part.names, strict=True) if line.startswith(name)]
        label = f'<a href="#{found[-1]}">{escape(name)}</a>' if found else escape(name)
        bar = f'<i style="width: {100 * value / most:.1f}%"></i>'
        rows.append(f"<tr><th scope='row'>{label}</th><td class='bar'>{bar}</td><td>{_words(said)}</td></tr>")
    caption = "<caption>How many times as fast as one after the other</caption>"
    return f'<div class="wide"><table class="bars">{caption}<tbody>{"".join(rows)}</tbody></table></div>'


@cache
def _asset(name: str) -> str:
    return files("whilst.showing").joinpath("assets", name).read_text(encoding="utf-8")


def _filled(template: str, parts: Mapping[str, str]) -> str:
    # One pass, so that what fills a hole is never searched for holes.
    return _HOLE.sub(lambda hole: parts[hole[1]], template)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")


def _tables(picture: Picture) -> str:
    labelled = ((_LABELS.get(table[0][0], "All figures"), table) for table in picture.tables)
    return "".join(f'<div class="wide">{_table(table, label)}</div>' for label, table in labelled)


_LABELS: Final = {"line": "Line by line", "cause": "The largest causes", "": "How it ends", "mode": "All modes"}
"""Of tables, by the first word of their heading, for whoever has them read out."""


def _table(rows: Sequence[Sequence[str]], label: str) -> str:
    heading, *body = rows
    kinds = [' class="figure"' if is_figure([row[at] for row in body]) else "" for at in range(len(heading))]
    head = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for cell, kind in zip(heading, kinds, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in body
    ]
    return f"<table aria-label='{label}'><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _notes(picture: Picture) -> str:
    answered = {said for _, said in picture.answers}
    notes = () if picture.is_answered else picture.notes
    return "".join(f"<p>{escape(note)}</p>" for note in notes if note not in answered)


def _section(place: str, name: str, timeline: Timeline, figures: Figures) -> str:
    origin = "planned" if timeline.is_predicted else "measured"
    is_of_steps = timeline.unit == "steps"  # an order of events: its lengths mean nothing
    facts = [] if is_of_steps else [origin, _counted(figures.spans, "span"), _counted(figures.tasks, "task")]
    facts += [f"{key}: {value}" for key, value in timeline.facts.items()]
    if len(timeline) > MOST_SPANS:
        facts.append("the shortest are drawn together")
    pairs = [] if is_of_steps else figures.sentences(timeline)
    shown = "".join(f"<span>{escape(key)} <b>{escape(value)}</b></span>" for key, value in pairs)
    head = f'<div class="title"><h2>{escape(name)}</h2><small>{escape(" · ".join(facts))}</small></div>'
    if not timeline:
        return (
            f'<section id="{place}">{head}<p class="empty">Nothing happened: this timeline has no spans.</p></section>'
        )
    summary = escape(f"Picture of {name}: " + ", ".join([f"{k} {v}" for k, v in pairs] or facts))
    return (
        f'<section id="{place}">{head}<div class="figures">{shown}</div>'
        f'<div class="plot">{still_of(timeline)}'
        f'<canvas role="img" tabindex="0" aria-label="{summary}" aria-details="{place}-table"></canvas>'
        f'<canvas class="axis" aria-hidden="true"></canvas></div>'
        f"{_TABLE.format(place)}{'' if is_of_steps else _executors(timeline, figures)}</section>"
    )


_TABLE: Final = (
    '<details id="{}-table" class="spans"><summary>What the picture shows, as a table</summary>'
    '<div class="wide"></div></details>'
)
"""Filled by the page's scripts once it is opened, with what is in sight."""


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
    told = f'<div class="wide">{_table(rows, "Figures by executor")}</div>{note}<p>{escape(totals)}</p>'
    return f"<details><summary>Figures by executor</summary>{told}</details>"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
