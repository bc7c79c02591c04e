"""Compares a day with its plans: every mode for real, and naive threads, which the story's reader will ask for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from whilst.comparing.comparison import NAIVE, Comparison, Row
from whilst.comparing.days import forecast_naively, perform, perform_naively
from whilst.errors import WhilstError
from whilst.model import Day, Kind, Mode, Timeline
from whilst.planning import plan

_MUCH: Final = 0.02


def compare_day(day: Day, names: Sequence[str], on_progress: Callable[[str], None]) -> Comparison:
    """Plan and perform the day in each of the named modes; a mode that can't be is a row that says why."""
    rows: list[Row] = []
    for name in names:
        try:
            rows.append(_naive_row(day, on_progress) if name == NAIVE else _row(day, Mode(name), on_progress))
        except WhilstError as error:
            rows.append(Row(name, error=str(error)))
    baseline = next((row.seconds for row in rows if row.name == Mode.SEQUENTIAL), None)
    by_name = {row.name: row for row in rows}
    return Comparison(
        kind="day",
        title=f"{day.name or 'a day'}, planned and performed (1 {day.unit} in {day.performed_unit_s:g} s)",
        rows=tuple(_with_speed_up(row, baseline) for row in rows),
        unit=day.unit,
        unit_s=day.performed_unit_s,
        remarks=tuple(_remarks(day, by_name)),
        disturbed=_disturbed(day, by_name),
    )


def _row(day: Day, mode: Mode, on_progress: Callable[[str], None]) -> Row:
    planned = plan(day, mode)
    on_progress(_announcement(day, mode.value, planned.timeline))
    measured = perform(day, planned)
    count = sum(1 for share in measured.utilisation.values() if share > 0)
    who = "this thread" if not mode.uses_several_executors else f"{count} process{'es' if count != 1 else ''}"
    return _both(day, mode.value, planned.timeline, measured, who)


def _naive_row(day: Day, on_progress: Callable[[str], None]) -> Row:
    planned = forecast_naively(day)
    on_progress(_announcement(day, NAIVE, planned))
    measured = perform_naively(day)
    return _both(day, NAIVE, planned, measured, f"{len(day.tasks)} threads")


def _both(day: Day, name: str, planned: Timeline, measured: Timeline, who: str) -> Row:
    planned = _at_performed_scale(planned, day)
    return Row(
        name,
        seconds=measured.makespan_s,
        predicted_s=planned.makespan_s,
        timeline=replace(measured, name=name),
        planned=replace(planned, name=name),
        who=who,
    )


def _at_performed_scale(planned: Timeline, day: Day) -> Timeline:
    """The same picture in performed seconds, so that it stands beside the measured one on any axis."""
    scale = day.performed_unit_s / day.unit_s
    starts, ends = (array("q", [round(each * scale) for each in times]) for times in (planned.start_ns, planned.end_ns))
    return replace(planned, start_ns=starts, end_ns=ends, unit_s=day.performed_unit_s)


def _announcement(day: Day, name: str, planned: Timeline) -> str:
    length = planned.makespan_s / day.unit_s
    return f"{name}: performing {length:g} {day.unit} in {length * day.performed_unit_s:.1f} s"


def _with_speed_up(row: Row, baseline_s: float | None) -> Row:
    return row if row.seconds is None or not baseline_s else replace(row, speed_up=baseline_s / row.seconds)


def _remarks(day: Day, rows: dict[str, Row]) -> list[str]:
    naive, concurrent = rows.get(NAIVE), rows.get(Mode.CONCURRENT)
    if naive is None or naive.timeline is None:
        return []
    return [_explain_naive(day, naive.timeline, concurrent.timeline if concurrent else None)]


def _disturbed(day: Day, rows: dict[str, Row]) -> str:
    lacking = [
        f"{row.name} {kept_ns / 1e9 / day.performed_unit_s:.2f} {day.unit}"
        for row in rows.values()
        if row.timeline is not None and (kept_ns := _kept_ns(row)) > _MUCH * row.timeline.makespan_ns
    ]
    if not lacking:
        return ""
    return (
        f"Executors were ready to work without getting a core ({', '.join(lacking)}): "
        f"the machine is busy with something else, or has fewer cores than the day has executors."
    )


def _kept_ns(row: Row) -> int:
    """How long executors lacked a core; naive threads lack the GIL by their nature."""
    own = {"no core"} if row.name == NAIVE else {"no core", "the GIL"}
    spans = row.timeline or ()
    return sum(span.end_ns - span.start_ns for span in spans if span.kind is Kind.HELD and span.detail in own)


def _explain_naive(day: Day, naive: Timeline, concurrent: Timeline | None) -> str:
    """Why blind sharing takes longer than handing over: the first long wait begins late."""
    held = f"{naive.held_s / day.performed_unit_s:.1f} {day.unit}"
    text = (
        f"{NAIVE}: one free thread a task; the GIL goes round among all that want to work, without knowing the plan "
        f"(ready but held off for {held} in all)."
    )
    late = _latest_start_of_a_wait(naive, concurrent) if concurrent is not None else None
    if late is None:
        return text
    task, here_ns, there_ns = late
    here, there = (f"{each / 1e9 / day.performed_unit_s:.1f} {day.unit}" for each in (here_ns, there_ns))
    return (
        f"{text} So {task!r} begins to wait at {here}; in concurrent mode its work goes first, and it begins to wait "
        f"at {there}, while the other tasks have the executor."
    )


def _latest_start_of_a_wait(naive: Timeline, concurrent: Timeline) -> tuple[str, int, int] | None:
    """The task whose first wait begins later by the most: (task, start under naive threads, start in the other)."""
    here, there = _first_waits(naive), _first_waits(concurrent)
    late = [(here[task] - there[task], task) for task in here if task in there]
    if not late or max(late)[0] < _MUCH * naive.makespan_ns:
        return None
    task = max(late)[1]
    return task, here[task], there[task]


def _first_waits(timeline: Timeline) -> dict[str, int]:
    found: dict[str, int] = {}
    for span in timeline:
        if span.kind is Kind.WAIT:
            found[span.task] = min(span.start_ns, found.get(span.task, span.start_ns))
    return found
