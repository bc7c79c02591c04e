"""A verdict as terminal text: the answer, the interleaving with one column a task, and what came of it.

    text = verdict_text(verdict, width=100)            # plain
    text = verdict_text(verdict, is_coloured=True)     # with ANSI colours

Consecutive moments of one task on one source line share a row; long stretches in which nothing meets are folded.
"""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from whilst.model.verdict import Answer, BlockedTask, Counterexample, Ending, Moment, Verdict

ASKED_FOR: Final[ContextVar[str]] = ContextVar("whilst_asked_for", default="")
"""What the command was told to check, by which it finds setup and tasks again."""
_DEFAULT_WIDTH: Final = 100
_NARROWEST: Final = 40
_LEAST_COLUMN: Final = 18
_FOLD_BEYOND: Final = 48  # rows; below that, everything is shown
_MARK, _PLAIN, _THROUGH, _WAITS = "●", "·", "│", "✗"

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _CYAN = "1", "2", "31", "32", "33", "36"


def verdict_text(
    verdict: Verdict,
    *,
    width: int | None = None,
    is_wrapped: bool = True,
    is_coloured: bool = False,
    is_ascii: bool = False,
) -> str:
    """The whole verdict; lines are at most `width` columns wide (default 100), except for a long token.

    Without `is_wrapped`, sentences are a line each, however long.
    """
    paint = _Paint(is_coloured)
    width = max(width or _DEFAULT_WIDTH, _NARROWEST)
    said_width = width if is_wrapped else sys.maxsize
    lines = list(_headline(verdict, paint, said_width))
    if (found := verdict.counterexample) is not None:
        lines += ["", *_counterexample_lines(found, paint, width), "", *_wrap(found.remark, said_width)]
    lines += ["", *_footnotes(verdict, paint, said_width)]
    return "\n".join(_clean(line, is_ascii=is_ascii) for line in lines) + "\n"


def picture_parts(verdict: Verdict) -> dict[str, Any]:
    """What a page shows of a verdict: answers ahead of the picture, and the moments side by side as a table."""
    found = verdict.counterexample
    asked = "Is the outcome the same in every interleaving?"
    if found is None:
        yes = "Yes: every interleaving ends as one of the sequential orders does."
        said = yes if verdict.is_isolated else f"{str(verdict.answer).capitalize()}. {_as_sentence(verdict.reason)}"
        answers = [(asked, said)]
    else:
        answers = [(asked, f"No: {found.pattern}.")]
        answers += [("Why?", found.sentence), ("Can it happen?", found.remark)]
    answers.append(("What should I change?", _remedy(verdict)))
    answers.append(("What does the answer rest on?", _effort(verdict)))
    if verdict.assumed:
        answers.append(("Assumed", "; ".join(verdict.assumed)))
    if verdict.token:
        answers.append(("Run it again", _again(verdict.token)))
    parts: dict[str, Any] = {"answers": tuple(answers), "notes": ()}
    if found is not None:
        ends = verdict.table()
        parts["tables"] = (_moments_table(found), *([tuple(map(tuple, ends))] if ends else []))
        parts["names"] = ("how it comes about",)
    return parts


_LOCK: Final = "Hold one lock around all that belongs together, in every task that touches it."
_REMEDIES: Final = {
    "deadlock": "Take the locks in one order everywhere, or have one lock for both.",
    "lock never released": "Take the lock by `with`, which gives it back however the block ends.",
    "waits for ever": "See to it that somebody ends the wait in every order, or give it a time-out.",
    "lost wake-up": "Wait in a loop that looks at the condition while it holds the lock (Condition.wait_for), or use a "
    "queue.Queue or an Event.",
    "livelock": "Wait for a Condition or an Event in place of polling.",
    "order violation": "Have the reader wait for the writer: an Event, join(), or a queue.Queue.",
    "early publication": "Write first what belongs to it, and last what others look at; or do both under one lock.",
    "interleaved at an await": "Hold an asyncio.Lock around it, or keep what belongs together free of awaits.",
    "cancelled half-way": "Put what must be whole into a `finally`, or shield it (asyncio.shield).",
    "generator entered twice": "Give each task a generator of its own, or hand its items out by a queue.Queue.",
    "lock not had": "Release only a lock that this task has taken: `with` does.",
    "broken invariant": "Hold one lock around all that the invariant speaks of; or, if it does not even hold in a "
    "sequential order, mend the code first.",
}
"""What to change, by the name of what went wrong; for all other names it is `_LOCK`."""


def _remedy(verdict: Verdict) -> str:
    found = verdict.counterexample
    if found is None:
        return (
            "Nothing." if verdict.is_isolated else "Fewer tasks or shorter loops; or let it look for longer (budget)."
        )
    if not any(moment.file for moment in found.moments):  # statements of a database
        return "A stricter isolation level, rows that are locked as they are read, or one statement that does it all."
    return _REMEDIES.get(found.pattern, _LOCK)


def _moments_table(found: Counterexample) -> tuple[tuple[str, ...], ...]:
    rows = [*_rows(found), *(_waiting_row(found, each) for each in found.blocked)]
    files = {row.file for row in rows if row.file}
    lines = [("line", "source", *found.tasks)]
    shown, skipped = _shown(rows), 0
    for at, row in enumerate(rows):
        if at not in shown:
            skipped += 1
            continue
        if skipped:
            lines.append(("⋮", _skipped(skipped), *("" for _ in found.tasks)))
            skipped = 0
        place = f"{Path(row.file).name}:{row.line}" if len(files) > 1 else str(row.line or "")
        cells = ["" for _ in found.tasks]
        cells[row.task] = row.text
        lines.append((place, row.source.strip(), *cells))
    return tuple(lines)


def _skipped(count: int) -> str:
    return f"{count} rows of steps that meet no other task"


_CONTROL: Final = re.compile(r"\x1b(?!\[[\d;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_PLAINER: Final = str.maketrans({"●": "*", "·": ".", "│": "|", "✗": "x", "⋮": ":", "→": ">", "…": "~"})


def _clean(line: str, *, is_ascii: bool = False) -> str:
    """Without control characters, which could drive the terminal; and without what its encoding can't show."""
    line = _CONTROL.sub("?", line).rstrip()
    return line.translate(_PLAINER).encode("ascii", "replace").decode("ascii") if is_ascii else line


class _Paint:
    """Puts colours around text, or leaves it alone."""

    def __init__(self, is_coloured: bool) -> None:
        self._is_coloured = is_coloured

    def __call__(self, text: str, *codes: str) -> str:
        return f"\033[{';'.join(codes)}m{text}\033[0m" if self._is_coloured and codes and text.strip() else text


# ---------------------------------------------------------------------------------------------- around the picture
def _headline(verdict: Verdict, paint: _Paint, width: int) -> Iterator[str]:
    colour = _GREEN if verdict.is_isolated else _RED if verdict.answer.is_fault else _YELLOW
    found = verdict.counterexample
    named = f": {found.pattern}" if found and found.pattern != verdict.answer else ""
    answer = f"{verdict.answer}{named}"
    tasks = _wrap(", ".join(verdict.tasks), width - len(answer) - 3)
    yield paint(answer, _BOLD, colour) + paint(f"   {tasks[0]}", _DIM)
    yield from (" " * (len(answer) + 3) + paint(line, _DIM) for line in tasks[1:])
    if found is not None:
        yield from _wrap(found.sentence, width)
    if verdict.answer is Answer.LINEARIZABLE:
        said = "What the calls give and leave is explained by an order of the calls, in every case that was tried."
        yield from textwrap.wrap(said, width)
    elif verdict.is_isolated:
        yield from textwrap.wrap("Every interleaving ends as one of the sequential orders does.", width)
    is_said = found is not None and (verdict.answer is Answer.LIVELOCK or verdict.reason in found.sentence)
    if verdict.reason and not is_said:
        yield from textwrap.wrap(_as_sentence(verdict.reason), width)


def _as_sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _footnotes(verdict: Verdict, paint: _Paint, width: int) -> Iterator[str]:
    for line in textwrap.wrap(_effort(verdict), width):
        yield paint(line, _DIM)
    for number, assumed in enumerate(verdict.assumed):
        head = "Assumed: " if number == 0 else "         "
        yield from (paint(line, _DIM) for line in textwrap.wrap(head + assumed, width, subsequent_indent=" " * 9))
    calls = verdict.counterexample is not None and any(e.action == "begin" for e in verdict.counterexample.moments)
    if verdict.token and not (calls and verdict.token.startswith("w1p.")):  # the same seed makes the same calls
        yield paint("Run it again: ", _DIM) + _again(verdict.token)


def _again(token: str) -> str:
    """How to run it again; a token that begins with "w1p" does not say where setup and tasks are found."""
    if token.startswith("w1p.") and ASKED_FOR.get():
        return f"whilst check {shlex.quote(ASKED_FOR.get())} --replay {token}"
    if token.startswith("w1p."):
        return f"whilst.replay({token!r}, setup, tasks)"
    return f"whilst check --replay {token}" if token.startswith("w1.") else f"token {token!r}"


def _effort(verdict: Verdict) -> str:
    said = verdict.effort
    if verdict.audited:
        said += f" {verdict.audited} random schedules audited."
    if verdict.answer is Answer.INCONCLUSIVE and verdict.estimate:
        said += f" About {verdict.estimate:,.0f} executions would be needed."
    return said


# -------------------------------------------------------------------------------------------------------- the picture
@dataclass(slots=True)
class _Row:
    """Moments of one task on one source line, in a row, or the end of a task that waits for ever."""

    task: int
    file: str
    line: int
    source: str
    cells: list[str] = field(default_factory=list)
    is_marked: bool = False
    is_switch: bool = False
    is_waiting: bool = False
    is_raise: bool = False
    first: int = 0
    last: int = 0

    @property
    def text(self) -> str:
        cells = list(dict.fromkeys(self.cells))
        # Where another task comes next, it is the last of them that matters.
        return ", ".join(cells if len(cells) <= 5 else [*cells[:2], f"… {len(cells) - 4:,} more", *cells[-2:]])


def _counterexample_lines(found: Counterexample, paint: _Paint, width: int) -> list[str]:
    rows = [*_rows(found), *(_waiting_row(found, each) for each in found.blocked)]
    layout = _Layout(found, rows, paint, width)
    lines = [*layout.heading(), *layout.body()]
    endings = _endings(found, paint, width)
    return [*lines, "", *endings] if endings else lines


def _rows(found: Counterexample) -> list[_Row]:
    rows: list[_Row] = []
    for at, moment in enumerate(found.moments):
        row = rows[-1] if rows else None
        place = (moment.task, moment.file, moment.line)
        is_same = row is not None and (row.task, row.file, row.line, row.source) == (*place, moment.source)
        if row is None or not is_same or moment.action == "raise":
            row = _Row(moment.task, moment.file, moment.line, moment.source, is_switch=moment.is_switch, first=at)
            rows.append(row)
        row.last = at
        row.cells.append(_cell(moment))
        row.is_marked |= bool(moment.conflicts)
        row.is_raise |= moment.action == "raise"
    return rows


_VERBS: Final = {
    "read": "reads",
    "write": "writes",
    "acquire": "takes",
    "release": "releases",
    "join": "waits for",
    "start": "starts",
    "call": "calls",
    "resume": "goes on after",
    "raise": "raises",
    "begin": "calls",
    "return": "",  # the target says what the call gives
}
# What a method is called says more than that it takes or gives something.
_METHODS: Final = {
    "set": "sets",
    "notify": "notifies",
    "notify_all": "notifies all of",
    "put": "puts into",
    "put_nowait": "puts into",
    "get": "gets from",
    "get_nowait": "gets from",
    "wait": "waits on",
    "wait_for": "waits on",
}


def _cell(moment: Moment) -> str:
    target = moment.target if len(moment.target) <= 60 else f"…{moment.target[-59:]}"
    if moment.action == "try":
        return f"{'gets' if moment.did_succeed else 'does not get'} {target}"
    verb = _VERBS.get(moment.action, moment.action)
    if moment.action == "resume":
        if moment.value:
            return f"is {moment.value}" + (f" while it waits for {target}" if target else "")
        return f"{verb} {target}" if target else "goes on"
    if moment.action in ("acquire", "release", "join"):
        method = re.search(r"\.(\w+)\($", moment.statement.partition("(")[0] + "(")
        return f"{_METHODS.get(method[1], verb) if method else verb} {target}"
    if moment.value is None:
        return f"{verb} {target}".strip()
    return f"{verb} {target} {'→' if moment.action == 'read' else '='} {moment.value}"


def _waiting_row(found: Counterexample, blocked: BlockedTask) -> _Row:
    held = ""
    if blocked.holder is not None:
        held = f", held by {found.tasks[blocked.holder]}"
        if blocked.holder_line:
            held += f" since {_short_place(blocked.holder_file, blocked.holder_line)}"
    end = len(found.moments)
    row = _Row(blocked.task, blocked.file, blocked.line, blocked.source, is_waiting=True, first=end, last=end)
    row.cells.append(f"waits for ever for {blocked.target}{held}")
    return row


def _short_place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"


class _Layout:
    """Widths of the columns, and the rows drawn in them."""

    def __init__(self, found: Counterexample, rows: Sequence[_Row], paint: _Paint, width: int) -> None:
        self._found, self._rows, self._paint = found, rows, paint
        self._tasks = sorted({row.task for row in rows})
        files = {row.file for row in rows if row.file}
        self._file = Path(next(iter(files))).name if len(files) == 1 else ""
        self._places = [self._place(row) for row in rows]
        self._place_width = max((len(place) for place in self._places), default=1)
        # At least one: the code of `python -c` has no source to show.
        longest = max((len(row.source) for row in rows), default=10) or 1
        count = max(len(self._tasks), 1)
        rest = width - self._place_width - 2
        self._source_width = max(min(longest, rest - count * 28, 56), min(longest, rest // 3))
        self._column = (rest - self._source_width - 2) // count
        self._is_list = self._column < _LEAST_COLUMN
        if self._is_list:  # too many tasks for a column each: the task's name leads its cell
            self._source_width = min(longest, rest // 2)
            self._column = rest - self._source_width - 2
        self._column = min(self._column, 46)

    def _place(self, row: _Row) -> str:
        if not row.line:
            return ""
        return str(row.line) if self._file else _short_place(row.file, row.line)

    def heading(self) -> Iterator[str]:
        left = self._file.ljust(self._place_width + 2 + self._source_width + 2)
        if self._is_list:
            yield self._paint(left, _DIM)
            return
        names = "".join(_cut(self._found.tasks[task], self._column - 2).ljust(self._column) for task in self._tasks)
        yield self._paint(left, _DIM) + self._paint(names, _BOLD)

    def body(self) -> Iterator[str]:
        shown = _shown(self._rows)
        skipped = 0
        for at, row in enumerate(self._rows):
            if at not in shown:
                skipped += 1
                continue
            if skipped:
                yield self._paint(f"{'⋮':>{self._place_width}}  {_skipped(skipped)}", _DIM)
                skipped = 0
            yield from self._draw(at, row)
        if skipped:
            yield self._paint(f"{'⋮':>{self._place_width}}  {_skipped(skipped)}", _DIM)

    def _draw(self, at: int, row: _Row) -> Iterator[str]:
        text = self._text(row)
        lines = _wrap(text, self._column - 4)
        sources = _wrap(row.source, self._source_width, later="  ")
        is_end = row.is_waiting or row.is_raise
        mark = _WAITS if is_end else _MARK if row.is_marked else _PLAIN
        colour = (_RED,) if is_end else (_CYAN,) if row.is_marked else (_DIM,)
        for number in range(max(len(lines), len(sources))):
            is_first = number == 0
            place = (self._places[at] if is_first else "").rjust(self._place_width)
            source = (sources[number] if number < len(sources) else "").ljust(self._source_width)
            cell = f"{mark if is_first else ' '} {lines[number] if number < len(lines) else ''}"
            yield f"{self._paint(place, _DIM)}  {source}  {self._columns(row, cell, colour)}"

    def _text(self, row: _Row) -> str:
        return f"{self._found.tasks[row.task]}: {row.text}" if self._is_list else row.text

    def _columns(self, row: _Row, cell: str, colour: tuple[str, ...]) -> str:
        if self._is_list:
            return self._paint(cell, *colour)
        parts = []
        for task in self._tasks:
            if task == row.task:
                parts.append(self._paint(cell, *colour) + " " * (self._column - len(cell)))
            else:
                through = _THROUGH if self._is_under_way(task, row) else ""
                parts.append(self._paint(through, _DIM) + " " * (self._column - len(through)))
        return "".join(parts)

    def _is_under_way(self, task: int, row: _Row) -> bool:
        own = [each for each in self._rows if each.task == task]
        is_unfinished = own[-1].last > row.last or any(each.is_waiting for each in own)
        return own[0].first < row.first and is_unfinished


def _shown(rows: Sequence[_Row]) -> set[int]:
    """Which rows to draw: all of a short picture; of a long one what meets another task, switches, and the ends."""
    if len(rows) <= _FOLD_BEYOND:
        return set(range(len(rows)))
    telling = {at for at, row in enumerate(rows) if row.is_marked or row.is_waiting or row.is_switch or row.is_raise}
    telling |= {at - 1 for at, row in enumerate(rows) if row.is_switch and at}
    return telling | {0, len(rows) - 1}


def _wrap(text: str, width: int, later: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=later, break_on_hyphens=False) or [""]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


# --------------------------------------------------------------------------------------------------------- the endings
def _endings(found: Counterexample, paint: _Paint, width: int) -> list[str]:
    """A small table: this interleaving beside the sequential orders."""
    if not found.reached.facts or not found.sequential:
        return []
    ends: list[Ending] = list(found.sequential)
    names = list(dict.fromkeys(name for end in (found.reached, *ends) for name in end.facts))[:12]
    heads = ["this interleaving", *(" → ".join(end.order) if end.order else "in order" for end in ends)]
    first = min(max([len("how it ends"), *map(len, names)]), width // (2 if width >= 60 else 3))
    room = width - first - 2
    fitting = max(2, min(len(heads), room // 20))  # what it is held against is seen at any width
    column = min(room // fitting, max(18, *(len(each) + 2 for each in heads[:fitting])))
    if column < len(heads[0]) + 2:
        heads[0] = "this one"
    lines = []
    for row in _wrapped("how it ends", heads[:fitting], column):
        lines.append(paint(row[0].ljust(first) + "  " + "".join(each.ljust(column) for each in row[1:]), _BOLD))
    for name in names:
        values = [end.facts.get(name, "-") for end in (found.reached, *ends)][:fitting]
        for row in _wrapped(name, values, column):
            reached = paint(row[1].ljust(column), _RED, _BOLD)
            rest = paint("".join(each.ljust(column) for each in row[2:]), _GREEN)
            lines.append(f"{_cut(row[0], first).ljust(first)}  {reached}{rest}")
    if fitting < len(heads):
        lines.append(paint(f"… and {len(heads) - fitting} more sequential outcomes", _DIM))
    return lines


def _wrapped(name: str, values: Sequence[str], column: int) -> list[list[str]]:
    """Lines of one table row: each value wrapped in its column."""
    split = [[name], *(_wrap(value, column - 2) for value in values)]
    height = max(map(len, split))
    return [[part[line] if line < len(part) else "" for part in split] for line in range(height)]
