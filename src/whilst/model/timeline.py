"""A timeline: who did what when, in columns, and what follows from it.

A million spans as objects would take some 200 MB; as columns they take 33 bytes each. Names are stored once and
spans refer to them by position, so a span is made into an object only when somebody asks for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, overload

from whilst.errors import TimelineError
from whilst.model.curve import StepFunction
from whilst.model.drawable import Drawable
from whilst.model.lengths import number_text, seconds_text
from whilst.model.span import Kind, Span

_COLUMNS: Final = {
    "start_ns": "q",
    "end_ns": "q",
    "kind": "B",
    "executor": "I",
    "task": "I",
    "label": "I",
    "detail": "I",
}


@dataclass(frozen=True, slots=True)
class Numbered(Sequence[str]):
    """The names "fetch 0" … "fetch n-1", without holding n strings."""

    stem: str
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[str]: ...
    def __getitem__(self, position: int | slice) -> str | Sequence[str]:
        if isinstance(position, slice):
            return tuple(self[each] for each in range(*position.indices(self.length)))
        return f"{self.stem} {range(self.length)[position]}"


@dataclass(frozen=True, slots=True, repr=False)
class Timeline(Drawable):
    """Spans in columns, ordered by start; times are nanoseconds from the timeline's origin.

    `kind[i]` is a `Kind`; `executor[i]`, `task[i]`, `label[i]` and `detail[i]` are positions in `executors`,
    `tasks`, `labels` and `details`. Build one with `TimelineBuilder` or `Timeline.from_spans`.

    Args:
        after: for each task that had to wait for others, their names; the critical path follows them.
        cores: how many cores the executors could use, where that is known.
        unit, unit_s: how a report writes lengths, e.g. "h" and 3600.0.
        is_predicted: planned rather than measured.
        facts: whatever else a report should say about this run, by name.
        path: the critical path as a timeline of its own, where it is known what ended each wait; its spans may be parts
            of those here.
    """

    executors: tuple[str, ...]
    tasks: Sequence[str]
    labels: tuple[str, ...]
    details: tuple[str, ...]
    start_ns: array[int]
    end_ns: array[int]
    kind: array[int]
    executor: array[int]
    task: array[int]
    label: array[int]
    detail: array[int]
    name: str = ""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cores: int | None = None
    unit: str = "s"
    unit_s: float = 1.0
    is_predicted: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    path: Timeline | None = None

    def __post_init__(self) -> None:
        for column, code in _COLUMNS.items():
            values = getattr(self, column)
            if values.typecode != code:
                raise TimelineError(f"Column {column!r} must be an array of type {code!r}, got {values.typecode!r}.")
            if len(values) != len(self.start_ns):
                raise TimelineError(
                    f"Column {column!r} has {len(values)} entries, 'start_ns' has {len(self.start_ns)}."
                )
        if not len(self):
            return
        for column, names in self._tables().items():
            largest = max(getattr(self, column))
            if largest >= len(names):
                raise TimelineError(f"Column {column!r} refers to entry {largest}, but there are {len(names)}.")
        if max(self.kind) > max(Kind):
            raise TimelineError(f"Column 'kind' holds {max(self.kind)}; the kinds are {[int(kind) for kind in Kind]}.")
        if min(self.start_ns) < 0:
            raise TimelineError(f"A span starts at {min(self.start_ns)} ns, before the timeline's origin.")
        if any(map(int.__gt__, self.start_ns, self.end_ns)):
            at = next(row for row in range(len(self)) if self.start_ns[row] > self.end_ns[row])
            raise TimelineError(f"Span {at} ends at {self.end_ns[at]} ns, before it starts at {self.start_ns[at]} ns.")

    @classmethod
    def from_spans(cls, spans: Iterable[Span], *, name: str = "") -> Timeline:
        """Make a timeline of spans in any order; the origin stays where their times have it."""
        builder = TimelineBuilder()
        for span in spans:
            builder.add(span.executor, span.task, span.kind, span.start_ns, span.end_ns, span.label, span.detail)
        return builder.build(name=name, origin_ns=0)

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        counts = ((len(self), "span"), (len(self.tasks), "task"), (len(self.executors), "executor"))
        held = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
        length = (
            seconds_text(self.makespan_s)
            if self.unit == "s"
            else f"{number_text(self.makespan_s / self.unit_s)} {self.unit}"
        )
        return f"<Timeline: {name:.60}{held}, {length}>"

    def __len__(self) -> int:
        return len(self.start_ns)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Span]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Span:
        return Span(
            self.executors[self.executor[row]],
            self.tasks[self.task[row]],
            Kind(self.kind[row]),
            self.start_ns[row],
            self.end_ns[row],
            self.labels[self.label[row]],
            self.details[self.detail[row]],
        )

    @property
    def makespan_ns(self) -> int:
        """Nanoseconds from the origin to the end of the last span."""
        return max(self.end_ns, default=0)

    @property
    def makespan_s(self) -> float:
        """Seconds from the origin to the end of the last span."""
        return self.makespan_ns / 1e9

    @property
    def work_s(self) -> float:
        """Seconds of work, summed over all spans."""
        return self._total_ns(Kind.WORK) / 1e9

    @property
    def wait_s(self) -> float:
        """Seconds of waiting, summed over all spans."""
        return self._total_ns(Kind.WAIT) / 1e9

    @property
    def held_s(self) -> float:
        """Seconds held off (ready to work, but kept from it), summed over all spans."""
        return self._total_ns(Kind.HELD) / 1e9

    @property
    def concurrency(self) -> float:
        """Mean over the makespan of the number of tasks started and not finished."""
        starts, ends = self._task_bounds()
        return (sum(ends.values()) - sum(starts.values())) / self.makespan_ns if self.makespan_ns else 0.0

    @property
    def concurrency_steps(self) -> StepFunction:
        """The number of tasks started and not finished, over time."""
        starts, ends = self._task_bounds()
        return StepFunction.counting(starts.values(), ends.values(), self.makespan_ns)

    @property
    def parallelism(self) -> float:
        """Mean over the makespan of the number of tasks in a work span."""
        return self._total_ns(Kind.WORK) / self.makespan_ns if self.makespan_ns else 0.0

    @property
    def parallelism_steps(self) -> StepFunction:
        """The number of tasks in a work span, over time."""
        working = [row for row, kind in enumerate(self.kind) if kind == Kind.WORK]
        return StepFunction.counting(
            map(self.start_ns.__getitem__, working), map(self.end_ns.__getitem__, working), self.makespan_ns
        )

    @property
    def parallel_share(self) -> float:
        """The share of the makespan in which two or more tasks worked at once."""
        return self.parallelism_steps.share_at_least(2)

    @property
    def utilisation(self) -> dict[str, float]:
        """For each executor, the share of the makespan that it worked."""
        worked = [0] * len(self.executors)
        for executor, kind, start, end in zip(self.executor, self.kind, self.start_ns, self.end_ns, strict=True):
            if kind == Kind.WORK:
                worked[executor] += end - start
        whole = self.makespan_ns or 1
        return {name: worked[position] / whole for position, name in enumerate(self.executors)}

    @property
    def critical_path(self) -> tuple[Span, ...]:
        """The chain of spans that determined the makespan, first to last.

        That is `path`, where that is known. Else it is walked backward from the span that ended last: what it waited
        for is the span that ended last before it among its own task's, those of the tasks it came after, and the work
        done on its executor.
        """
        if self.path is not None:
            return tuple(self.path)
        if not self:
            return ()
        ends = _EndIndex(self)
        caused = [each for each, kind in enumerate(self.kind) if kind != Kind.HELD] or range(len(self))
        row: int | None = max(caused, key=lambda each: (self.end_ns[each], -self.start_ns[each]))
        path: list[Span] = []
        while row is not None:
            path.append(self[row])
            row = ends.before(row)
        return tuple(reversed(path))

    def _total_ns(self, kind: Kind) -> int:
        return sum(
            end - start for start, end, each in zip(self.start_ns, self.end_ns, self.kind, strict=True) if each == kind
        )

    def _task_bounds(self) -> tuple[dict[int, int], dict[int, int]]:
        starts: dict[int, int] = {}
        ends: dict[int, int] = {}
        for task, start, end in zip(self.task, self.start_ns, self.end_ns, strict=True):
            if start < starts.get(task, start + 1):
                starts[task] = start
            if end > ends.get(task, -1):
                ends[task] = end
        return starts, ends

    def _tables(self) -> dict[str, Sequence[str]]:
        return {"executor": self.executors, "task": self.tasks, "label": self.labels, "detail": self.details}


class TimelineBuilder:
    """Collects spans in any order, from any clock that counts nanoseconds."""

    def __init__(self) -> None:
        self._executors: dict[str, int] = {}
        self._tasks: dict[str, int] = {}
        self._labels: dict[str, int] = {"": 0}
        self._details: dict[str, int] = {"": 0}
        self._columns = {column: array(code) for column, code in _COLUMNS.items()}
        # Bound once: a plan or a run adds a span for every step.
        self._append_numbers = tuple(self._columns[column].append for column in ("start_ns", "end_ns", "kind"))
        self._append_names = tuple(self._columns[column].append for column in ("executor", "task", "label", "detail"))

    def __len__(self) -> int:
        return len(self._columns["start_ns"])

    def declare(self, *, executors: Iterable[str] = (), tasks: Iterable[str] = ()) -> None:
        """Fix the order of executors and tasks, and let those without a span have a row too."""
        for name in executors:
            self._executors.setdefault(name, len(self._executors))
        for name in tasks:
            self._tasks.setdefault(name, len(self._tasks))

    def add(
        self,
        executor: str,
        task: str,
        kind: Kind,
        start_ns: int,
        end_ns: int,
        label: str = "",
        detail: str = "",
    ) -> None:
        """Add one span; its times count from whatever origin `build` is told."""
        executors, tasks, labels, details = self._executors, self._tasks, self._labels, self._details
        append_start, append_end, append_kind = self._append_numbers
        append_executor, append_task, append_label, append_detail = self._append_names
        append_start(start_ns)
        append_end(end_ns)
        append_kind(kind)
        append_executor(executors.setdefault(executor, len(executors)))
        append_task(tasks.setdefault(task, len(tasks)))
        append_label(labels.setdefault(label, len(labels)))
        append_detail(details.setdefault(detail, len(details)))

    def build(
        self,
        *,
        name: str = "",
        origin_ns: int | None = None,
        after: Mapping[str, tuple[str, ...]] | None = None,
        cores: int | None = None,
        unit: tuple[str, float] = ("s", 1.0),
        is_predicted: bool = False,
        facts: Mapping[str, str] | None = None,
        path: Timeline | None = None,
    ) -> Timeline:
        """Return the timeline, its times counted from `origin_ns` (default: the first span's start)."""
        starts, ends = self._columns["start_ns"], self._columns["end_ns"]
        if origin_ns is None:
            origin_ns = min(starts, default=0)
        # Two stable passes order rows by (start, end) without making a tuple for each.
        order = sorted(range(len(self)), key=ends.__getitem__)
        order.sort(key=starts.__getitem__)
        arrays = {
            column: array(code, map(self._columns[column].__getitem__, order)) for column, code in _COLUMNS.items()
        }
        if origin_ns:
            for column in ("start_ns", "end_ns"):
                arrays[column] = array("q", [value - origin_ns for value in arrays[column]])
        return Timeline(
            executors=tuple(self._executors),
            tasks=tuple(self._tasks),
            labels=tuple(self._labels),
            details=tuple(self._details),
            name=name,
            after=after or {},
            cores=cores,
            unit=unit[0],
            unit_s=unit[1],
            is_predicted=is_predicted,
            facts=facts or {},
            path=path,
            **arrays,
        )


class _EndIndex:
    """Finds, for a span, the one that it waited for."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._by_task: dict[int, list[int]] = {}
        self._by_executor: dict[int, list[int]] = {}
        self._positions = {name: position for position, name in enumerate(timeline.tasks)} if timeline.after else {}
        for row in sorted(range(len(timeline)), key=timeline.end_ns.__getitem__):
            if timeline.kind[row] == Kind.HELD:
                continue  # standing by is no cause: what held the task off is the work on its executor
            self._by_task.setdefault(timeline.task[row], []).append(row)
            if timeline.kind[row] == Kind.WORK:
                self._by_executor.setdefault(timeline.executor[row], []).append(row)

    def before(self, row: int) -> int | None:
        line = self._timeline
        start = line.start_ns[row]
        groups = [self._by_task.get(line.task[row], [])]
        if line.after:
            earlier = line.after.get(line.tasks[line.task[row]], ())
            groups += [self._by_task.get(self._positions[name], []) for name in earlier if name in self._positions]
        groups.append(self._by_executor.get(line.executor[row], []))
        best: int | None = None
        for group in groups:
            found = self._latest(group, start, row)
            # Ties go to the earlier group: the own task before its dependencies before the executor.
            if found is not None and (best is None or line.end_ns[found] > line.end_ns[best]):
                best = found
        return best

    def _latest(self, group: list[int], start_ns: int, row: int) -> int | None:
        """The row of the group that ended last, at or before start_ns; never the asking row itself."""
        line = self._timeline
        low, high = 0, len(group)
        while low < high:
            middle = (low + high) // 2
            if line.end_ns[group[middle]] <= start_ns:
                low = middle + 1
            else:
                high = middle
        for position in range(low - 1, -1, -1):
            found = group[position]
            # An empty span at the same instant must not lead back to itself, nor to a later row.
            if found != row and (line.start_ns[found], found) < (start_ns, row):
                return found
        return None
