"""Terminal text, by rich: pictures, tables and decisions, as wide as the terminal, in what it can show.

Sentences are wrapped only for a reader at a terminal: what is piped goes to a program, or to a file. A note of several
lines is a diff, which is wrapped nowhere, since it is to be applied.

Colours are rich's affair: it leaves them out where NO_COLOR is set or nobody looks at a terminal. Nothing is told by
colour alone. A terminal that isn't UTF-8 gets ASCII.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from whilst.model import Decision, Kind, Mode, Timeline
from whilst.model.verdict import Verdict
from whilst.showing.figures import figures_of, is_figure, length_text, percent
from whilst.showing.glyphs import ASCII, UTF8, Glyphs, printable
from whilst.showing.pictures import Picture, picture_of, shared_unit
from whilst.showing.rows import MOST_EXECUTOR_ROWS, Bar, Layer, Row, means_of, rows_of
from whilst.showing.verdict_text import verdict_text

_WIDEST_NAME: Final = 24
_PERCENT_WIDTH: Final = 7
_GAP: Final = 2
_LEAST_CELLS: Final = 14
"""Of a picture: beyond that, names are not cut for it."""


def show(value: object, console: Console | None = None) -> None:
    """Print the value's picture on the console (standard output by default)."""
    console = console or Console(highlight=False)
    glyphs = UTF8 if console.encoding.lower().replace("-", "").startswith("utf") else ASCII
    is_read = console.is_terminal or console.is_jupyter
    if isinstance(value, Verdict):  # its last line, a token to be copied, must not be wrapped or cropped
        told = verdict_text(value, width=console.width, is_wrapped=is_read, is_coloured=True, is_ascii=glyphs.is_ascii)
        console.print(Text.from_ansi(told), soft_wrap=True)
        return
    drawn = _rendered(value, console.width, glyphs, is_coloured=console.color_system is not None, is_wrapped=is_read)
    console.print(drawn, crop=False)


def text(value: object, *, width: int | None = None) -> str:
    """The picture without colours, `width` columns wide (the terminal's width by default)."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    if isinstance(value, Verdict):
        return verdict_text(value, width=width)
    console = Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False, force_jupyter=False
    )
    with console.capture() as captured:
        console.print(_rendered(value, width, UTF8), crop=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


@dataclass(frozen=True, slots=True)
class _Verbatim:
    """Lines as they are, whatever the width: rich would wrap them, and make blanks of their tabs."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(f"{self.text}\n")


def _rendered(
    value: object, width: int, glyphs: Glyphs, *, is_coloured: bool = False, is_wrapped: bool = True
) -> RenderableType:
    if isinstance(value, Decision):
        return _decision_panel(value, glyphs)
    return Group(*_parts(picture_of(value), width, glyphs, is_coloured=is_coloured, is_wrapped=is_wrapped))


def _parts(
    picture: Picture, width: int, glyphs: Glyphs, *, is_coloured: bool, is_wrapped: bool
) -> Iterator[RenderableType]:
    def said(text: str, style: str = "") -> RenderableType:
        if "\n" in text:
            # Piped, it is exactly what it is; at a terminal, what could drive that stays out.
            return _Verbatim(printable(text, glyphs, kept="\t\n\f") if is_wrapped or glyphs.is_ascii else text)
        return Text(printable(text, glyphs), style, no_wrap=not is_wrapped, overflow="fold" if is_wrapped else "ignore")

    drawn = [timeline for timeline in picture.timelines if timeline.makespan_ns]
    if picture.title and picture.names != (picture.title,):
        yield said(picture.title, "bold")
        yield Text()
    for table in picture.tables:
        for block in _blocks(table, width):
            yield _table(block, glyphs)
            yield Text()
    yield from map(said, picture.notes)
    if picture.timelines and picture.notes:
        yield Text()
    names = chain.from_iterable(timeline.executors for timeline in drawn)
    longest = max(map(cell_len, chain(names, _task_names(drawn))), default=0)
    # Rows that count ("concurrency ≤ 24") come with timelines that are dense, as measured ones may be.
    least = 17 if any(len(timeline) > 50 or not timeline.is_predicted for timeline in drawn) else 8
    if any(len(timeline.executors) > MOST_EXECUTOR_ROWS for timeline in drawn):
        least = _WIDEST_NAME
    gutter = min(max(least, longest + 2), _WIDEST_NAME, max(8, width - _LEAST_CELLS - _PERCENT_WIDTH)) + 1
    axis = _Axis.of(drawn, max(10, width - gutter - _PERCENT_WIDTH))
    for name, timeline in zip(picture.names, picture.timelines, strict=True):
        head = Text(no_wrap=not is_wrapped, overflow="fold" if is_wrapped else "ignore")
        head.append(printable(name, glyphs), "bold")
        yield head.append(f"  {'planned' if timeline.is_predicted else 'measured'}", "dim")
        yield from _timeline(timeline, axis, gutter, width, glyphs)
        yield Text()
    if drawn:
        yield from _legend(glyphs, width, is_coloured=is_coloured)


@dataclass(frozen=True, slots=True)
class _Axis:
    """`columns` cells, `cells_per_step` of them between two ticks that are `step` units apart."""

    columns: int
    step: float
    cells_per_step: int
    unit: str
    is_shared: bool
    factor: float = 1.0
    """How many of the written unit make one of the axis's: 1000 where seconds are written in ms."""

    @classmethod
    def of(cls, timelines: Sequence[Timeline], width: int) -> _Axis:
        """Choose the axis for these timelines, at most `width` cells wide.

        A step takes a whole number of cells, so that bars which end on whole hours end on whole cells.
        """
        unit = shared_unit(timelines)
        lengths = [line.makespan_s / (line.unit_s if unit is not None else 1.0) for line in timelines]
        end = max(lengths, default=0.0) or 1.0
        factor, written = 1.0, unit or "s"
        if written == "s" and end < 1:
            factor, written = next((pair for pair in ((1e3, "ms"), (1e6, "µs")) if end * pair[0] >= 1), (1e9, "ns"))
        step = _step(end * factor, width)
        cells_per_step = max(1, int(step / (end * factor) * width + 1e-9))
        columns = min(width, math.ceil(end * factor / step * cells_per_step - 1e-9))
        return cls(max(1, columns), step, cells_per_step, written, unit is not None, factor)

    def cell_ns(self, timeline: Timeline) -> float:
        """Nanoseconds of the timeline's clock that a cell stands for."""
        unit_s = timeline.unit_s if self.is_shared else 1.0
        return self.step / self.factor * unit_s * 1e9 / self.cells_per_step

    def lines(self, gutter: int, glyphs: Glyphs) -> Iterator[Text]:
        """The rule with its ticks, and the figures below them."""
        rule = [glyphs.rule] * self.columns
        figures = " " * 0
        for number in range(self.columns // self.cells_per_step + 1):
            at = number * self.cells_per_step
            if at < self.columns:
                rule[at] = glyphs.tick
            figure = f"{round(number * self.step, 9):g}"
            if len(figures) <= at and at + len(figure) <= self.columns + 6:
                figures = figures.ljust(at) + figure
        unit = self.unit.replace("µ", "u") if glyphs.is_ascii else self.unit
        yield Text(" " * gutter + "".join(rule), "dim")
        yield Text(" " * gutter + figures + f" {unit}", "dim", no_wrap=True)


def _step(end: float, width: int) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten whose figures have room between the ticks."""
    power = 10.0 ** math.floor(math.log10(end))
    for size in (power * each for each in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)):
        figures = max(len(f"{round(size * number, 9):g}") for number in range(1, min(50, int(end / size) + 2)))
        if size / end * width >= figures + 3:
            return size
    return power * 10


def _task_names(timelines: Sequence[Timeline]) -> Iterator[str]:
    """Names that may stand before a row of their own, with the room for their indent."""
    for timeline in timelines:
        if len(timeline.tasks) <= 64:
            yield from ("  " + name for name in timeline.tasks)


def _timeline(timeline: Timeline, axis: _Axis, gutter: int, width: int, glyphs: Glyphs) -> Iterator[Text]:
    if not timeline.makespan_ns:
        what = f"{len(timeline)} spans of no length" if timeline else "no spans"
        yield Text(f"  Nothing to draw: {what}.")
        return
    cell_ns = axis.cell_ns(timeline)
    rows = list(rows_of(timeline, axis.columns, cell_ns))
    figures = figures_of(timeline)
    if any(row.layer is Layer.EXECUTOR and not row.bars and any(map(any, row.shares)) for row in rows):
        for name, steps in (("concurrency", timeline.concurrency_steps), ("parallelism", figures.parallelism_steps)):
            most = max(1, steps.maximum)
            means = means_of(steps, axis.columns, cell_ns)
            line = _name(f"{name} ≤ {most}", gutter, glyphs, "dim")
            for mean in means:
                glyph, style = glyphs.count(mean / most)
                line.append(glyph, glyphs.style(Kind.WORK) if name == "parallelism" else style)
            yield line
    for row in rows:
        yield _line(row, cell_ns, gutter, glyphs)
    yield from axis.lines(gutter, glyphs)
    yield from _figures(figures.sentences(timeline), width, glyphs)


def _figures(pairs: Sequence[tuple[str, str]], width: int, glyphs: Glyphs) -> Iterator[Text]:
    """The figures in as few lines as they fit, no name parted from its value."""
    shown = (Text.assemble((printable(name, glyphs) + " ", "dim"), (printable(value, glyphs), "bold"))
             for name, value in pairs)  # fmt: skip
    return _in_lines(shown, " | " if glyphs.is_ascii else " · ", width)


def _in_lines(parts: Iterable[Text], separator: str, width: int, indent: str = "") -> Iterator[Text]:
    """The parts in as few lines as they fit, none of them broken."""
    line = Text(indent, no_wrap=True)
    for part in parts:
        is_first = len(line) == len(indent)
        if not is_first and line.cell_len + len(separator) + part.cell_len > width:
            yield line
            line, is_first = Text(indent, no_wrap=True), True
        if not is_first:
            line.append(separator, "dim")
        line.append_text(part)
    yield line


def _name(name: str, gutter: int, glyphs: Glyphs, style: str) -> Text:
    clean = printable(name, glyphs)
    if cell_len(clean) > gutter - 1:
        clean = set_cell_size(clean, gutter - 2) + ("~" if glyphs.is_ascii else "…")
    line = Text(no_wrap=True, end="\n")
    return line.append(set_cell_size(clean, gutter), style)  # a style of the whole line would dim its cells


def _line(row: Row, cell_ns: float, gutter: int, glyphs: Glyphs) -> Text:
    line = _name(row.name if row.layer is Layer.EXECUTOR else f"  {row.name}", gutter, glyphs, "")
    line.stylize("dim" if row.layer is not Layer.EXECUTOR else "bold")
    if row.layer is Layer.COUNT:
        cells = [glyphs.count(cell[Kind.WAIT]) for cell in row.shares]
    elif row.bars:
        cells = [glyphs.solid(cell) for cell in row.shares]
        _label(cells, row, cell_ns, glyphs)
    else:
        cells = [glyphs.dense(cell) for cell in row.shares]
    for glyph, style in cells:
        line.append(glyph, style)
    if row.utilisation is not None:
        line.append(f"{percent(row.utilisation):>{_PERCENT_WIDTH}}", "dim")
    return line


def _label(cells: list[tuple[str, str]], row: Row, cell_ns: float, glyphs: Glyphs) -> None:
    """Write each bar's name into it where it fits, and an edge where it follows a bar of its own kind."""
    placed: list[tuple[Bar, int, int]] = []
    for bar in row.bars:
        first, end = round(bar.start_ns / cell_ns), min(len(cells), round(bar.end_ns / cell_ns))
        if end <= first:
            continue
        style = glyphs.style(bar.kind)
        if first > 0 and end - first > 2 and bar.kind != Kind.WAIT and cells[first - 1][1] == style:
            cells[first] = (glyphs.edge, style)
            first += 1
        placed.append((bar, first, end))
    styles = ["", *(style for _, style in cells), ""]
    for bar, first, end in placed:
        # Without colour a name shows where its bar ends only if a bar of its kind, or its own, stands to each side.
        is_bounded = styles[first] == styles[end + 1] == glyphs.style(bar.kind)
        name = list(_by_cell(_fitting(bar, row.layer is Layer.TASK, end - first - 2 * (not is_bounded), glyphs)))
        at = first + (end - first - len(name)) // 2
        cells[at : at + len(name)] = [(part, glyphs.label_style(bar.kind)) for part in name]


def _by_cell(name: str) -> Iterator[str]:
    """One string a cell: a glyph that is two cells wide takes the place of two."""
    for character in name:
        size = cell_len(character)
        if size:
            yield character
        yield from ("" for _ in range(size - 1))


def _fitting(bar: Bar, is_named: bool, room: int, glyphs: Glyphs) -> str:
    """The longest of the ways to name a bar that fits, with a space to each side if any fits so."""
    task, label = bar.task, "held off" if bar.kind == Kind.HELD else bar.label
    if is_named:
        ways = [label or task]
    else:
        ways = [
            f"{task}: {label}" if label not in ("", task) else task,
            label or task if bar.kind == Kind.WAIT else task,
        ]
    names = [printable(way, glyphs) for way in ways]
    return next((f" {name} " for name in names if 0 < cell_len(name) <= room - 2), "") or next(
        (name for name in names if cell_len(name) <= room), ""
    )


def _legend(glyphs: Glyphs, width: int, *, is_coloured: bool) -> Iterator[Text]:
    swatches = [
        (glyphs.of_kind(kind) * 2, glyphs.style(kind), word)
        for kind, word in ((Kind.WORK, "work"), (Kind.WAIT, "wait"), (Kind.HELD, "held off"))
    ]
    shares = "1 5 9" if glyphs.is_ascii else f"{glyphs.levels[0]}{glyphs.levels[3]}{glyphs.levels[6]}"
    swatches.append((shares, glyphs.style(Kind.WORK), f"share of work{' in tenths' if glyphs.is_ascii else ''}"))
    if is_coloured:
        glyph, style = glyphs.mixed()
        swatches.append((glyph * 2, style, "rest waits"))
    swatches.append(("(blank)", "", "idle"))
    return _in_lines((Text.assemble((glyph, style), f" {word}") for glyph, style, word in swatches), "   ", width, "  ")


def _blocks(rows: Sequence[Sequence[str]], width: int) -> Iterator[Sequence[Sequence[str]]]:
    """As many columns as fit, the others under them; each block begins with the first column, which names the rows."""
    first, *others = range(len(rows[0]))
    block, taken = [first], _least_width(rows, first)
    for at in others:
        wanted = _GAP + _least_width(rows, at)
        if taken + wanted > width and len(block) > 1:
            yield [[row[each] for each in block] for row in rows]
            block, taken = [first], _least_width(rows, first)
        block.append(at)
        taken += wanted
    yield [[row[each] for each in block] for row in rows]


def _least_width(rows: Sequence[Sequence[str]], at: int) -> int:
    """Cells below which a column would lose something: figures are not wrapped, and words not broken."""
    cells = [row[at] for row in rows]
    parts = cells if is_figure(cells[1:]) else [word for cell in cells for word in cell.split()]
    return max(map(cell_len, parts), default=0)


def _table(rows: Sequence[Sequence[str]], glyphs: Glyphs) -> Table:
    heading, *body = rows
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for at, name in enumerate(heading):
        right = is_figure([row[at] for row in body])
        table.add_column(
            Text(printable(name, glyphs)),
            justify="right" if right else "left",
            no_wrap=right,
            min_width=_least_width(rows, at),
        )
    for row in body:
        table.add_row(*(Text(printable(cell, glyphs)) for cell in row))
    return table


def _decision_panel(decision: Decision, glyphs: Glyphs) -> Panel:
    """Return the panel; whatever a user named is made printable first."""

    def clean(text: str) -> str:
        return printable(text, glyphs)

    parts: list[RenderableType] = [Text(clean(decision.reason or "As asked."))]
    if decision.evidence:
        parts += [Text(), Text("Measured", "bold")]
        parts += [
            Text(f"  {clean(each.text or _figure(each.name, each.value, each.unit))}") for each in decision.evidence
        ]
    if decision.rejected or decision.forecast_s:
        parts += [Text(), _mode_table(decision, glyphs)]
    if decision.given_up:
        parts += [Text(), Text("Done without", "bold"), *(Text(f"  {clean(each)}") for each in decision.given_up)]
    if decision.history:
        parts += [Text(), Text("Changed while running", "bold")]
        parts += [Text(f"  after {length_text(each.at_s)}: {clean(each.text)}") for each in decision.history]
    return Panel(Group(*parts), title=Text(clean(_decision_title(decision)), "bold"), title_align="left", expand=True)


def _decision_title(decision: Decision) -> str:
    batch = f", {decision.batch:,} calls a batch" if decision.batch > 1 else ""
    return f"{decision.mode.value}: {decision.who}{batch}"


def _mode_table(decision: Decision, glyphs: Glyphs) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("mode")
    if decision.forecast_s:
        table.add_column("forecast", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    reasons = {rejection.mode: rejection.reason for rejection in decision.rejected}
    for mode in Mode:
        if mode is not decision.mode and mode not in reasons and mode not in decision.forecast_s:
            continue
        is_chosen = mode is decision.mode
        seconds = decision.forecast_s.get(mode)
        forecast = (
            [printable(length_text(seconds) if seconds is not None else "", glyphs)] if decision.forecast_s else []
        )
        why = "chosen" if is_chosen else reasons.get(mode, "")
        table.add_row(
            Text(mode.value, "bold" if is_chosen else ""),
            *forecast,
            Text(printable(why, glyphs), "bold" if is_chosen else ""),
        )
    return table


def _figure(name: str, value: float, unit: str) -> str:
    return f"{name} {value:.3g} {unit}".rstrip()
