"""What a trace gives back: sentences first, then the largest causes, then the picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from whilst.model import Drawable, Kind, Timeline, TimelineBuilder, timeline_to_json
from whilst.model.lengths import seconds_text
from whilst.seeing.events import Place, Recording
from whilst.seeing.explaining.causes import shown_function
from whilst.seeing.explaining.coroutines import courses_of_tasks
from whilst.seeing.explaining.courses import Course, courses_of_lane
from whilst.seeing.explaining.critical import Step, critical_path, parts_of, text_of
from whilst.seeing.explaining.findings import Finding, findings_of
from whilst.seeing.explaining.holders import Holder
from whilst.seeing.explaining.pieces import Piece, Process, processes_of
from whilst.seeing.explaining.reasons import Reason, Sums, sums_of
from whilst.seeing.remedies import remedies_for

_MOST_CAUSES: Final = 5
_MOST_FINDINGS: Final = 3
_FULL: Final = 0.8
"""Cores of which so many are at work on average leave little to gain."""
_OVERLAPPED: Final = 1.5
"""Tasks in progress, from which on one says that they overlapped."""
_LEAST: Final = 0.005
_MOST_PARTS: Final = 3
_LEAST_PART: Final = 0.05
"""Of the critical path: what is less is not named."""
_WHOLE: Final = 0.95
_SILENCE_NS: Final = 3_000_000_000
_START: Final = 0.15
"""What an interpreter takes to start is listed only if it is as much of all."""
_TRUST: Final = {
    "perf": "On and off a core: the kernel's own record of every switch (perf).",
    "schedstat": "On and off a core: the kernel's counters, read 200 times a second (schedstat): right in sum, to 5 ms "
    "in order.",
    "stacks": "On and off a core: guessed from where threads were seen, since the system does not say; "
    "parallelism is an upper bound.",
}

_PLAIN: Final = {
    "gil": "gil: in one process, only one thread at a time may run Python code; the others wait for their turn.",
    "core": "core: ready to go on, but every core was taken by another thread.",
    "loop": "loop: an event loop runs one task at a time; the others go on once it gives the loop back at an await.",
    "queue:executor full": "queue:executor full: every thread of the executor is taken; the call waits for one.",
    "queue:full": "queue:full: who takes from the queue is slower than who puts into it.",
    "queue:empty": "queue:empty: who puts into the queue is slower than who takes from it.",
}


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One of the largest causes. `share` is of the time of all tasks together."""

    cause: str
    share: float
    seconds: float
    where: str
    held_by: str


@dataclass(frozen=True, repr=False)
class Trace(Drawable):
    """What a program did; implements `whilst.model.Report`.

    `timeline` holds a span for each stretch of work, wait or being held off; `causes` the five largest; `findings` what
    is said of them, the weightiest first; `unknown_share` how much of the time off a core has no known cause.
    """

    name: str
    sentence: str
    findings: tuple[str, ...]
    causes: tuple[CauseRow, ...]
    timeline: Timeline
    clock: str
    unknown_share: float
    remarks: tuple[str, ...]
    exit_code: int | None = None
    critical_path: tuple[CauseRow, ...] = ()
    """What the critical path consists of, the largest first: shares are of its length; `timeline.path` has each step.
    """

    @property
    def title(self) -> str:
        return self.sentence

    def timelines(self) -> Sequence[Timeline]:
        return (self.timeline,)

    def table(self) -> Sequence[Sequence[str]]:
        rows = [("cause", "share", "time", "where", "held by")]
        rows += [
            (row.cause, f"{100 * row.share:.0f} %", seconds_text(row.seconds), row.where, row.held_by)
            for row in self.causes
        ]
        return rows if self.causes else ()

    def notes(self) -> Sequence[str]:
        return (*self.findings[1:3], *self._path_sentence(), *self.remarks)

    def _path_sentence(self) -> Sequence[str]:
        """What determined the length, in one sentence; none where nothing ran."""
        rows = self.critical_path
        whole = sum(row.seconds for row in rows)
        if not whole:
            return ()
        named = [row for row in rows[:_MOST_PARTS] if row.share > _LEAST_PART] or rows[:1]
        parts = [_part_text(row) for row in named]
        others = whole - sum(row.seconds for row in named)
        if others > _LEAST_PART * whole:
            parts.append(f"{seconds_text(others)} in smaller parts")
        makespan = self.timeline.makespan_s
        of = f" of {seconds_text(makespan)}" if whole < _WHOLE * makespan else ""
        return [f"Critical path {seconds_text(whole)}{of}: {', '.join(parts)}."]

    answers_say_all = True
    """Of what the notes say."""

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        line = self.timeline
        did = f"{seconds_text(line.makespan_s)}, with {_counted(line)}."
        remedies = list(remedies_for(self.findings[:_MOST_FINDINGS]).values())
        is_full = line.cores and line.parallelism > _FULL * line.cores
        nothing = "Nothing held it up that can be named."
        advice = " ".join(remedies) or (
            "Nothing here: the cores were at work. Less work, or more cores, is what is left." if is_full
            else "Whether a loop of it can be changed: whilst advise, with the same script, tells."
        )  # fmt: skip
        return [
            ("What did it do?", did),
            ("Was that good?", self._worth(has_remedy=bool(remedies), is_full=bool(is_full))),
            ("What held it up?", " ".join(self.findings[:_MOST_FINDINGS]) or nothing),
            *(("What decided how long it took?", sentence) for sentence in self._path_sentence()),
            ("What should I change?", advice),
            ("How is it known?", " ".join(self.remarks)),
        ]

    def _worth(self, *, has_remedy: bool, is_full: bool) -> str:
        line = self.timeline
        cores = line.cores or 1
        what = "its core" if cores == 1 else f"{cores} cores"
        share = f"{min(100, 100 * line.parallelism / cores):.0f} % of what {what} can do"
        if has_remedy:
            return f"No: something holds it up that need not. It did {share}."
        if is_full:
            return f"Yes: it did {share}."
        if line.concurrency < _OVERLAPPED:
            return f"One thing was done at a time, and that was {share}."
        return f"{_number(line.concurrency)} tasks overlapped, and did {share}."

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        return ()

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        return {
            "name": self.name,
            "sentence": self.sentence,
            "findings": list(self.findings),
            "causes": [asdict(row) for row in self.causes],
            "critical_path": [asdict(row) for row in self.critical_path],
            "clock": self.clock,
            "unknown_share": self.unknown_share,
            "remarks": list(self.remarks),
            "exit_code": self.exit_code,
            "timeline": json.loads(timeline_to_json(self.timeline)),
        }


def trace_of(recording: Recording, exit_code: int | None = None) -> Trace:
    """Conclude from a recording. Pure."""
    processes = processes_of(recording)
    courses = [course for process in processes for course in _courses(process, recording)]
    sums = sums_of(recording, processes, courses)
    steps = critical_path(processes, courses)
    timeline = _timeline(recording, courses, sums, steps)
    findings = findings_of(sums)
    off = [reason for reason in sums.reasons if reason.kind is not Kind.WORK]
    off_ns = sum(reason.length_ns for reason in off)
    unknown_ns = sum(reason.length_ns for reason in off if reason.cause is not None and reason.cause.kind == "unknown")
    unknown = unknown_ns / off_ns if off_ns else 0.0
    return Trace(
        name=recording.name,
        sentence=_sentence(timeline, findings),
        findings=tuple(finding.sentence for finding in findings),
        causes=tuple(_row(reason, sums) for reason in _largest(sums)),
        timeline=timeline,
        critical_path=_path_rows(steps, sums),
        clock=recording.clock,
        unknown_share=unknown,
        remarks=tuple(_remarks(recording, sums, unknown)),
        exit_code=exit_code,
    )


def _courses(process: Process, recording: Recording) -> list[Course]:
    of_tasks = list(courses_of_tasks(process, recording.end_ns))
    loops = {id(course.lane) for course in of_tasks}
    return of_tasks + [course for lane in process.lanes if id(lane) not in loops for course in courses_of_lane(lane)]


def _timeline(recording: Recording, courses: Sequence[Course], sums: Sums, steps: Sequence[Step]) -> Timeline:
    builder, path = TimelineBuilder(), TimelineBuilder()
    details = _details(sums)
    spots: dict[Place | None, str] = {}
    numbers: Counter[str] = Counter()
    several = Counter(course.task for course in courses)
    origin = recording.start_ns
    names: dict[int, str] = {}

    def add(to: TimelineBuilder, course: Course, piece: Piece, start_ns: int, end_ns: int) -> None:
        if piece.kind is Kind.WORK:
            label = "gc" if piece.cause else shown_function(piece.where.function) if piece.where else "start"
        else:
            label = piece.cause.text if piece.cause else ""
        detail = details.get(id(piece)) or spots.get(piece.where)
        if detail is None:
            detail = spots[piece.where] = sums.spot(piece.where)
        assert piece.kind is not None
        start, end = max(start_ns - origin, 0), max(end_ns - origin, 0)
        to.add(course.executor, names[id(course)], piece.kind, start, end, label, detail)

    for course in courses:
        numbers[course.task] += 1
        names[id(course)] = f"{course.task} {numbers[course.task]}" if several[course.task] > 1 else course.task
        for piece in course.in_progress:
            add(builder, course, piece, piece.start_ns, piece.end_ns)
    for step in steps:
        add(path, step.course, step.piece, step.start_ns, step.end_ns)
    facts = {"clock": recording.clock, "lost switches": str(recording.lost)}
    return builder.build(
        name=recording.name, origin_ns=0, cores=recording.cores, facts=facts, path=path.build(origin_ns=0)
    )


def _details(sums: Sums) -> dict[int, str]:
    """Which spans have a holder to be named: by the piece's id."""
    found = {}
    for reason in sums.reasons:
        for position, holder in reason.holders.items():
            piece = reason.waits[position].piece
            found[id(piece)] = f"{sums.spot(piece.where)}, {_holder_text(holder, sums)}"
    return found


def _sentence(timeline: Timeline, findings: Sequence[Finding]) -> str:
    first = f" {findings[0].sentence}" if findings else ""
    return f"{_counted(timeline)}.{first}"


def _counted(timeline: Timeline) -> str:
    tasks, cores = _number(timeline.concurrency), timeline.cores or 1
    counted = f"{tasks} {'task' if tasks == '1' else 'tasks'} in progress"
    return f"{counted}, {timeline.parallelism:.1f} at work, of {cores} core{'s' if cores > 1 else ''}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 or abs(value - round(value)) < 0.05 else f"{value:.1f}"


def _largest(sums: Sums) -> list[Reason]:
    """What to list: causes first, and of work only what takes much."""
    around = [
        reason for reason in sums.around
        if reason.cause is not None and reason.where is not None and reason.cause.text == "child"
    ]  # fmt: skip
    both = sorted([*sums.reasons, *around], key=lambda reason: -reason.length_ns)
    total = max(sums.task_ns, 1)
    listed = [reason for reason in both if reason.length_ns > (_START if _is_start(reason) else _LEAST) * total]
    return listed[:_MOST_CAUSES]


def _is_start(reason: Reason) -> bool:
    """An interpreter's start, which every short program has."""
    return reason.where is None and not reason.program


def _row(reason: Reason, sums: Sums) -> CauseRow:
    held = _holder_text(reason.holder, sums).removeprefix("held by ") if reason.holder else ""
    seconds = reason.length_ns / 1e9
    where = sums.asked if reason.name in ("handing over", "pickling", "sending") else reason.where
    spot = sums.spot(where) or (f"program {reason.program}" if reason.program else "")
    return CauseRow(reason.text, reason.length_ns / max(sums.task_ns, 1), seconds, spot, held)


def _path_rows(steps: Sequence[Step], sums: Sums) -> tuple[CauseRow, ...]:
    whole = max(sum(step.end_ns - step.start_ns for step in steps), 1)
    rows = []
    for part in parts_of(steps):
        piece = part.piece
        cause = f"work: {part.name}" if part.name else "work" if piece.kind is Kind.WORK else text_of(piece)
        awaited, length = next(iter(part.awaited.most_common(1)), ("", 0))
        held = ""
        if length > part.length_ns / 2:  # for most of it, others waited for it
            who = part.holders.most_common()
            others = f" and {len(who) - 1} other{'s' if len(who) > 2 else ''}" if len(who) > 1 else ""
            held = f"{awaited} held by {who[0][0]}{others}" if who else awaited
        spot = sums.spot(piece.where) or (f"program {part.program}" if part.program else "")
        rows.append(CauseRow(cause, part.length_ns / whole, part.length_ns / 1e9, spot, held))
    return tuple(rows)


def _part_text(row: CauseRow) -> str:
    place = f" in {row.where}" if row.where else ""
    cause = {"core": "without a core", "gil": "held off by the GIL"}.get(row.cause, row.cause.removeprefix("work: "))
    if " held by " in row.held_by:
        doing = "" if row.cause.startswith("work") else f" ({cause})"
        return f"{seconds_text(row.seconds)} {row.held_by}{place}{doing}"
    meanwhile = {"gil": ", the GIL kept from others", "loop": ", the loop kept from its other tasks"}
    return f"{seconds_text(row.seconds)} {cause}{place}{meanwhile.get(row.held_by, '')}"


def _holder_text(holder: Holder, sums: Sums) -> str:
    doing = "" if holder.doing in ("work", "core", "gil") else f" ({holder.doing})"
    inner = sums.spot(holder.inner)
    if not holder.is_holding:
        return f"meanwhile {holder.who} in {inner}{doing}"
    place = sums.spot(holder.place)
    return f"held by {holder.who} at {place}" + (f", in {inner}{doing}" if inner != place else doing)


def _plain_words(sums: Sums) -> list[str]:
    """What the causes that are listed mean, for whom they are only words."""
    named = dict.fromkeys(_PLAIN.get(reason.text, "") for reason in _largest(sums) if reason.kind is not Kind.WORK)
    return [words for words in named if words]


def _remarks(recording: Recording, sums: Sums, unknown: float) -> list[str]:
    remarks = _plain_words(sums)
    remarks += [f"{_TRUST[recording.clock]} Causes: where threads were seen, 200 times a second at most."]
    if unknown > 0.005:
        remarks.append(f"{100 * unknown:.0f} % of the time off a core has no known cause.")
    if recording.lost:
        remarks.append(f"{recording.lost} switches were lost: the machine was too busy to take them.")
    held = sum(
        r.length_ns for r in sums.reasons if r.cause is not None and r.cause.kind == "core" and r.kind is Kind.HELD
    )
    if held > 0.1 * sums.task_ns and sums.work_ns / sums.span_ns < 0.6 * recording.cores:
        remarks.append("Other programs had the cores for a good part of the time.")
    remarks += recording.notes
    for log in recording.logs:
        ends = max((each.end_ns or recording.end_ns for each in recording.threads if each.pid == log.pid), default=0)
        if not log.is_whole and ends - log.end_ns > _SILENCE_NS:
            seconds = (log.end_ns - recording.start_ns) / 1e9
            remarks.append(
                f"Process {log.pid} noted nothing after {seconds_text(seconds)}: its record could not be written."
            )
    remarks += [f"Process {log.pid}: {note}" for log in recording.logs for note in log.notes]
    return remarks
