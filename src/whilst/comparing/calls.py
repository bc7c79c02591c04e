"""Compares the modes on real calls of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from whilst.comparing.comparison import Comparison, Row
from whilst.comparing.driving import sample_calls
from whilst.comparing.measures import Usage, measured
from whilst.comparing.outcomes import Outcome, describe_difference
from whilst.comparing.recording import NO_CORE, Run, make_timeline
from whilst.errors import WhilstError
from whilst.measuring.machine import look_at_machine
from whilst.model import Kind, Mode, Profile
from whilst.model.lengths import seconds_text
from whilst.planning import Costs, forecast
from whilst.running.call_names import name_of
from whilst.running.policies.choosing import gives_coroutines

_MUCH = 0.1
"""What other programs may take of a run before that is said ahead of all figures."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many executors the several-executor modes use, and how many calls overlap where waits do."""

    workers: int
    overlap: int

    @classmethod
    def of(cls, workers: int | None, overlap: int | None, count: int, *, is_coroutine: bool) -> Shape:
        cores = look_at_machine().cores
        return cls(workers or cores, min(count, overlap or (100 if is_coroutine else 32)))


def compare_calls(
    fn: Callable[[object], object],
    items: Sequence[object],
    modes: Sequence[Mode],
    shape: Shape,
    on_progress: Callable[[str], None],
) -> Comparison:
    """Call fn on every item in every mode, sequential first, since the others are measured by it."""
    runs: dict[Mode, tuple[Run, Usage]] = {}
    errors: dict[Mode, str] = {}
    ordered = sorted(modes, key=list(Mode).index)
    for mode in ordered:
        try:
            runs[mode] = _perform(fn, items, mode, shape, _Ticker(mode, len(items), on_progress))
        except WhilstError as error:
            errors[mode] = str(error)
        except Exception as error:  # a pool that can't be opened (no more threads, no memory) is a row, not a crash
            errors[mode] = f"{type(error).__name__}: {error}"
    sequential = runs[Mode.SEQUENTIAL][0] if Mode.SEQUENTIAL in runs else None
    profile = _profile(sequential, fn) if sequential is not None else None
    reference = next(iter(runs.values()))[0] if runs else None
    rows = []
    for mode in ordered:
        if mode in errors:
            rows.append(Row(mode.value, error=errors[mode]))
            continue
        run, usage = runs[mode]
        row = _row(mode, run, usage, sequential)
        if sequential is not None and profile is not None:
            row = replace(row, predicted_s=_forecast_s(mode, run, sequential, profile, shape))
        rows.append(replace(row, agreement="" if run is reference else _agreement(reference, run)))
    return Comparison(
        kind="function",
        title=f"{name_of(fn)} over {len(items):,} item{'s' if len(items) != 1 else ''}",
        rows=tuple(rows),
        profile=profile,
        remarks=tuple(_remarks(runs, profile)),
        disturbed=_disturbed(rows),
    )


def _disturbed(rows: Sequence[Row]) -> str:
    """One thread alone always has a core, unless other programs have them."""
    alone = next((row.timeline for row in rows if row.name == Mode.SEQUENTIAL.value and row.timeline is not None), None)
    if alone is None:
        return ""
    kept_ns = sum(each.end_ns - each.start_ns for each in alone if each.kind is Kind.HELD and each.detail == NO_CORE)
    if kept_ns <= _MUCH * alone.makespan_ns:
        return ""
    share = kept_ns / alone.makespan_ns
    busy = f"for {100 * share:.0f} % of the sequential run there was no core for it"
    return f"The machine is busy with something else: {busy}."


class _Ticker:
    """Says how far a mode has come, call by call."""

    def __init__(self, mode: Mode, count: int, on_progress: Callable[[str], None]) -> None:
        self._mode, self._count, self._on_progress = mode, count, on_progress
        self._done = 0
        on_progress(f"{mode.value}: starting")

    def __call__(self, count: int) -> None:
        for _ in range(count):
            self._done += 1
            self._on_progress(f"{self._mode.value}: {self._done:,} of {self._count:,} calls done")


def _perform(
    fn: Callable[[object], object], items: Sequence[object], mode: Mode, shape: Shape, tick: _Ticker
) -> tuple[Run, Usage]:
    with measured() as usage:
        run = sample_calls(fn, items, mode, shape.workers, shape.overlap, tick)
    return run, usage


def _row(mode: Mode, run: Run, usage: Usage, sequential: Run | None) -> Row:
    waits = {call.item: call.sample.wait_ns for call in sequential.calls} if sequential is not None else None
    timeline = make_timeline(run, f"{mode.value}, {run.who}", waits)
    seconds = (run.end_ns - run.start_ns) / 1e9
    peaks = (usage.peak_bytes, *run.peaks_bytes)
    return Row(
        mode.value,
        seconds=seconds,
        timeline=replace(timeline, cores=look_at_machine().cores),
        start_up_s=_start_up_ns(run) / 1e9,
        speed_up=(sequential.end_ns - sequential.start_ns) / 1e9 / seconds if sequential and seconds else None,
        cpu_s=usage.cpu_s,
        peak_memory_bytes=None if None in peaks else sum(peak for peak in peaks if peak is not None),
        who=run.who,
        outcomes=_outcomes(run),
    )


def _start_up_ns(run: Run) -> int:
    return min(call.sample.start_ns for call in run.calls) - run.start_ns


def _outcomes(run: Run) -> list[Outcome]:
    return [Outcome.of(call.sample) for call in sorted(run.calls, key=lambda call: call.item)]


def _agreement(reference: Run | None, run: Run) -> str:
    return describe_difference(_outcomes(reference), _outcomes(run)) if reference is not None else ""


def _profile(run: Run, fn: Callable[[object], object]) -> Profile:
    count = len(run.calls)
    first = run.calls[0]
    return Profile(
        work_s=sum(call.sample.cpu_ns for call in run.calls) / count / 1e9,
        wait_s=sum(call.sample.wait_ns for call in run.calls) / count / 1e9,
        calls=count,
        first_call_s=(first.sample.end_ns - first.sample.start_ns) / 1e9,
        is_coroutine=gives_coroutines(fn),
    )


def _forecast_s(mode: Mode, run: Run, sequential: Run, profile: Profile, shape: Shape) -> float | None:
    """What planning says of n such calls, with what it can't know: the start-up, and how many calls overlap."""
    count, longest = len(run.calls), max(call.sample.end_ns - call.sample.start_ns for call in sequential.calls) / 1e9
    start_s = _start_up_ns(run) / 1e9 if mode.uses_several_executors else 0.0
    machine = look_at_machine()
    costs = Costs(start_s=start_s, longest_call_s=longest)
    seconds = forecast(profile, count, machine, executors=min(count, shape.workers), costs=costs).get(mode)
    if seconds is None or mode is Mode.SEQUENTIAL:
        return seconds
    if mode is Mode.CONCURRENT and not machine.has_gil and not profile.is_coroutine:  # each thread is an executor
        work_s = count * (profile.work_s or 0.0)
        rounds_s = -(-count // shape.overlap) * profile.wall_s
        return max(longest, rounds_s, work_s / min(count, shape.overlap, machine.cores))
    executors = min(count, shape.workers) if mode.uses_several_executors else 1
    places = executors * (shape.overlap if mode.overlaps_waits else 1)
    rounds_s = -(-count // places) * profile.wall_s
    # More executors than cores overlap their waits, but not their work.
    return max(seconds, start_s + rounds_s, start_s + count * (profile.work_s or 0.0) / min(executors, machine.cores))


def _remarks(runs: dict[Mode, tuple[Run, Usage]], profile: Profile | None) -> list[str]:
    said = []
    if profile is not None and profile.work_s is not None and profile.wait_s is not None:
        share = profile.wait_s / profile.wall_s if profile.wall_s else 0.0
        said.append(
            f"One call, measured in the sequential run: {seconds_text(profile.work_s)} of work and "
            f"{seconds_text(profile.wait_s)} of waiting ({100 * share:.0f} % waiting)."
        )
        rest = profile.wall_s * profile.calls - (profile.first_call_s or 0.0)
        if profile.calls > 2 and (profile.first_call_s or 0.0) > _SLOW_START * rest / (profile.calls - 1):
            said.append(
                f"The very first call took {seconds_text(profile.first_call_s or 0.0)}, the others "
                f"{seconds_text(rest / (profile.calls - 1))} on average: "
                "it loads something that later modes found loaded."
            )
    said += _failures(runs)
    printed = [f"{mode.value} {usage.printed_lines}" for mode, (_, usage) in runs.items() if usage.printed_lines]
    if printed:
        said.append(f"The function prints; its lines were kept out of this report (lines: {', '.join(printed)}).")
    for mode, (run, _) in runs.items():
        start_up, whole = _start_up_ns(run), run.end_ns - run.start_ns
        if start_up > _MUCH * whole:
            said.append(
                f"{mode.value}: {seconds_text(start_up / 1e9)} of its {seconds_text(whole / 1e9)} are start-up."
            )
    return said


def _failures(runs: dict[Mode, tuple[Run, Usage]]) -> list[str]:
    """One sentence for all modes that failed alike."""
    found: dict[str, list[str]] = {}
    for mode, (run, _) in runs.items():
        failed = [(number, each.failure) for number, each in enumerate(_outcomes(run)) if each.failure is not None]
        if failed:
            number, failure = failed[0]
            text = f"{len(failed):,} of {len(run.calls):,} calls raised; the first is item {number}: {failure}"
            found.setdefault(text, []).append(mode.value)
    return [f"{', '.join(modes)}: {text}" for text, modes in found.items()]


_MUCH = 0.1
_SLOW_START = 5
