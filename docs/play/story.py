"""What the page of the story shows: plans of a day, and forecasts for like calls, as HTML that the page puts in place.

Runs when the site is built, for the first picture, and in the reader's browser each time a slider is moved. All figures
come from `whilst.plan` and `whilst.forecast`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from drawing import HATCH, ROW, Axis, bars, text

import whilst
from whilst.model import Day, Kind, Machine, Mode, Profile, Task, work
from whilst.model import wait as waiting
from whilst.planning import Costs, Plan, forecast, plan
from whilst.showing.figures import percent

DAY: Final = {"there": 2, "line": 4, "back": 2, "draft": 3, "edits": 2, "presentations": 1, "assistants": 1}
CALLS: Final = {"n": 40, "work": 20, "wait": 80, "gil": 100, "cores": 4}
HOW: Final = {
    Mode.SEQUENTIAL: "You, one task after the other. Waiting holds you.",
    Mode.CONCURRENT: "You, with a laptop: work on one task while another waits.",
    Mode.PARALLEL: "You and the assistants: whole tasks, several at the same instant.",
    Mode.COMBINED: "Both: everybody has a laptop, and nobody waits who could work.",
}
_NS_PER_S: Final = 1e9


def day_of(asked: Mapping[str, float]) -> Day:
    """The day with these lengths (hours) and numbers."""

    def hours(name: str) -> float:
        return asked[name] * 3600

    count = int(asked["presentations"])
    helpers = ["assistant", *(f"assistant {number}" for number in range(2, int(asked["assistants"]) + 1))]
    executors = ("you", *helpers[: int(asked["assistants"])])
    passport = (
        work(hours("there"), "drive there"),
        waiting(hours("line"), "stand in line"),
        work(hours("back"), "drive back"),
    )
    tasks = [Task("passport", passport, by=("you",))]
    for number in range(1, count + 1):
        ending = f" {number}" if count > 1 else ""
        tasks.append(Task(f"draft{ending}", (work(hours("draft"), "draft"),)))
        tasks.append(Task(f"edits{ending}", (work(hours("edits"), "edit"),), after=(f"draft{ending}",), by=("you",)))
    return Day(executors, tuple(tasks), name="A passport and a presentation", unit="h", unit_s=3600.0)


def answer(request: str) -> str:
    """Answer the page: JSON in, JSON out."""
    asked = json.loads(request)
    plans = [plan(day_of(asked["day"]), mode) for mode in Mode]
    longest_h = max(each.makespan_s for each in plans) / 3600 or 1.0
    return json.dumps(
        {
            "plans": {
                each.mode.value: {
                    "makespan_h": each.makespan_s / 3600,
                    "bound_h": each.bound_s / 3600,
                    "concurrency": each.timeline.concurrency,
                    "parallelism": each.timeline.parallelism,
                    "html": _figure(each, asked["width"], longest_h),
                }
                for each in plans
            },
            "moral": _moral({each.mode: each for each in plans}),
            "calls": _calls(asked["calls"]),
        }
    )


def report(request: str) -> str:
    """The page that whilst itself writes for this day in its four modes."""
    from whilst.showing.page import page_of
    from whilst.showing.pictures import picture_of

    return page_of(picture_of(whilst.plan_modes(day_of(json.loads(request)["day"]))))


def _figure(planned: Plan, width: float, longest_h: float) -> str:
    timeline, mode = planned.timeline, planned.mode.value
    hours, bound = planned.makespan_s / 3600, planned.bound_s / 3600
    axis = Axis(left=84, right=width - 14, longest_h=longest_h)
    rows, end_y = bars(timeline, axis, 22, is_always_named=True)
    end_y = max(end_y, 22 + ROW)
    step = next(each for each in (1, 2, 4, 8, 12, 24, 48, 96) if longest_h / each * 44 <= axis.right - axis.left)
    grid = [
        f'<line class="grid" x1="{axis.x(hour):g}" x2="{axis.x(hour):g}" y1="18" y2="{end_y}"/>'
        + text(axis.x(hour), 13, f"{hour} h", f"{'middle ' if hour else ''}small muted")
        for hour in range(0, int(longest_h) + 1, step)
    ]
    ends = [_line("bound", axis.x(bound), end_y), _line("end", axis.x(hours), end_y)]
    label = (
        f"{mode}: {hours:g} hours; bound {bound:g}; concurrency {timeline.concurrency:.2f}; "
        f"parallelism {timeline.parallelism:.2f}"
    )
    # Each picture has a pattern of its own: one in a hidden element would not be painted elsewhere.
    pattern = HATCH.replace('id="hatch"', f'id="hatch-{mode}"')
    painted = "".join(grid + rows + ends).replace('class="wait"', f'class="wait" fill="url(#hatch-{mode})"')
    return (
        f'<h3 id="h-{mode}">{mode} <b>{hours:g} h</b></h3><p>{HOW[planned.mode]}</p>'
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {end_y + 4:g}" width="100%">'
        f"<defs>{pattern}</defs>{painted}</svg>"
        f"<p class=figures>concurrency <b>{timeline.concurrency:.2f}</b>, parallelism "
        f"<b>{timeline.parallelism:.2f}</b>, two or more at work <b>{percent(timeline.parallel_share)}</b> of the time."
        f"<p class=why>No shorter than <b>{bound:g} h</b>: {escape(planned.bound_reason)}. "
        f"{'This plan meets that, so it is the best there is.' if planned.is_optimal else 'Not proved to be best.'}"
        f"{_table(planned)}"
    )


def _line(kind: str, x: float, end_y: float) -> str:
    return f'<line class="{kind}" x1="{x:g}" x2="{x:g}" y1="18" y2="{end_y}" stroke-width="2"/>'


def _table(planned: Plan) -> str:
    """The same as the picture, for whoever can't see it."""
    cells = [
        (
            span.executor,
            span.task,
            span.label or "stands by",
            ("work", "wait", "held off")[Kind(span.kind)],
            f"{span.start_ns / _NS_PER_S / 3600:g}",
            f"{span.end_ns / _NS_PER_S / 3600:g}",
        )
        for span in planned.timeline
    ]
    return (
        f"<details><summary>as a table</summary>"
        f"{_html_table(f'{planned.mode.value}: who does what', _SPANS, cells)}</details>"
    )


_SPANS: Final = ("who", "task", "step", "kind", "from [h]", "to [h]")


def _html_table(caption: str, heading: Sequence[str], rows: Sequence[Sequence[str]], row_heads: bool = False) -> str:
    head = "".join(f"<th scope=col>{escape(each)}" for each in heading)

    def cell(position: int, value: str) -> str:
        return f"<th scope=row>{escape(value)}" if row_heads and not position else f"<td>{escape(value)}"

    body = "".join("<tr>" + "".join(cell(at, each) for at, each in enumerate(row)) for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}<tbody>{body}</table>"


def _moral(plans: Mapping[Mode, Plan]) -> str:
    """Property against behaviour, on the reader's own numbers."""
    overlapped, beside = plans[Mode.CONCURRENT].timeline, plans[Mode.PARALLEL].timeline
    first = (
        f"In the concurrent plan {overlapped.concurrency:.2f} tasks are in progress on average, and "
        f"{overlapped.parallelism:.2f} are worked on: never two at the same instant "
        f"({percent(overlapped.parallel_share)} of the time). That it can be done at all is a property of the tasks: "
        f"they can be interrupted."
    )
    second = (
        f"In the parallel plan two or more are worked on for {percent(beside.parallel_share)} of the time. That is "
        f"behaviour: what happens on that day, with those who are there. With nobody else there it is 0 %, and the "
        f"tasks are the same."
    )
    return f"<p>{first}<p>{second}"


def _calls(asked: Mapping[str, float]) -> str:
    n, cores = int(asked["n"]), int(asked["cores"])
    profile = Profile(work_s=asked["work"] / 1e3, wait_s=asked["wait"] / 1e3)
    assert profile.work_s is not None
    machine = Machine(cores=cores)
    plain = forecast(profile, n, machine)
    under_gil = forecast(profile, n, machine, costs=Costs(gil_share=asked["gil"] / 100, shared_by=cores))
    ways = (
        ("a for loop", "sequential", plain[Mode.SEQUENTIAL], "each wait holds the only executor"),
        ("asyncio, one event loop", "concurrent", plain[Mode.CONCURRENT], "waits overlap; one thread works"),
        ("threads, with the GIL", "concurrent", under_gil[Mode.COMBINED], "waits overlap; who holds the GIL works"),
        ("processes", "parallel", plain[Mode.PARALLEL], "each has a GIL of its own; its waits hold it"),
        ("threads, without the GIL", "combined", plain[Mode.COMBINED], "a free-threaded build: all cores work"),
        ("processes with threads or loops", "combined", plain[Mode.COMBINED], "each core works while calls wait"),
    )
    longest = max(seconds for *_, seconds, _ in ways) or 1.0
    rows = []
    for name, mode, seconds, why in ways:
        at_work = n * profile.work_s / seconds if seconds else 0.0
        share = seconds / longest * 100
        rows.append(
            f"<tr><th scope=row>{name}<td>{mode}<td class=number>{seconds:.3g} s"
            f"<td class=barcell><span class=bar style='width:{share:.4g}%'></span>"
            f"<td class=number>{at_work:.2f}<td>{why}"
        )
    head = "".join(
        f"<th scope=col>{each}"
        for each in ("written with", "mode", "at least", "<span class=hidden>length</span>", "parallelism", "why")
    )
    return (
        f"<table class=calls><caption>{n} calls on {cores} core{'s' if cores != 1 else ''}: the bounds that whilst "
        f"starts from</caption><thead><tr>{head}<tbody>{''.join(rows)}</table>"
    )


def first_request(width: float = 640) -> dict[str, Any]:
    """What the page asks before anything is moved."""
    return {"day": DAY, "calls": CALLS, "width": width}
