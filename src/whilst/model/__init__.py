"""The language that every other room speaks.

Frozen, slotted values, validated when they are made; the standard library only; no clock, no thread, no file.
A plan's result is a predicted `Timeline`, a run's a measured one, a check's counterexample an interleaved one.

Each module is loaded when one of its names is first asked for: a short run needs few of them, and its user waits for
the import.
"""

from __future__ import annotations

from whilst._light import lazily

# Not from `typing`, whose import takes longer than a run of short calls.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

    from whilst.model.curve import StepFunction
    from whilst.model.day import Day
    from whilst.model.decision import Change, Decision, Evidence, Rejection
    from whilst.model.drawable import Drawable, install_renderers
    from whilst.model.machine import Machine, NativePool
    from whilst.model.mode import Mode
    from whilst.model.profile import Profile, Write
    from whilst.model.record import timeline_from_json, timeline_to_json
    from whilst.model.report import Renderers, Report
    from whilst.model.span import Kind, Span
    from whilst.model.task import Estimate, Step, Task, wait, work
    from whilst.model.timeline import Numbered, Timeline, TimelineBuilder
    from whilst.model.verdict import Answer, Counterexample, Ending, Moment, Verdict

__all__ = [
    "Answer",
    "Change",
    "Counterexample",
    "Day",
    "Decision",
    "Drawable",
    "Ending",
    "Estimate",
    "Evidence",
    "Kind",
    "Machine",
    "Mode",
    "Moment",
    "NativePool",
    "Numbered",
    "Profile",
    "Rejection",
    "Renderers",
    "Report",
    "Span",
    "Step",
    "StepFunction",
    "Task",
    "Timeline",
    "TimelineBuilder",
    "Verdict",
    "Write",
    "install_renderers",
    "timeline_from_json",
    "timeline_to_json",
    "wait",
    "work",
]

_HOMES: Final = {
    "whilst.model.curve": ("StepFunction",),
    "whilst.model.day": ("Day",),
    "whilst.model.decision": (
        "Change",
        "Decision",
        "Evidence",
        "Rejection",
    ),
    "whilst.model.drawable": (
        "Drawable",
        "install_renderers",
    ),
    "whilst.model.machine": (
        "Machine",
        "NativePool",
    ),
    "whilst.model.mode": ("Mode",),
    "whilst.model.profile": (
        "Profile",
        "Write",
    ),
    "whilst.model.record": (
        "timeline_from_json",
        "timeline_to_json",
    ),
    "whilst.model.report": (
        "Renderers",
        "Report",
    ),
    "whilst.model.span": (
        "Kind",
        "Span",
    ),
    "whilst.model.task": (
        "Estimate",
        "Step",
        "Task",
        "wait",
        "work",
    ),
    "whilst.model.timeline": (
        "Numbered",
        "Timeline",
        "TimelineBuilder",
    ),
    "whilst.model.verdict": (
        "Answer",
        "Counterexample",
        "Ending",
        "Moment",
        "Verdict",
    ),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
