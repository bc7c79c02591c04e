"""The language that every other room speaks.

Frozen, slotted values, validated when they are made; the standard library only; no clock, no thread, no file.
A plan's result is a predicted `Timeline`, a run's a measured one, a check's counterexample an interleaved one.
"""

from __future__ import annotations

from whilst.model.curve import StepFunction
from whilst.model.day import Day
from whilst.model.decision import Change, Decision, Evidence, Rejection
from whilst.model.drawable import Drawable, Renderers, Report, install_renderers
from whilst.model.machine import Machine, NativePool
from whilst.model.mode import Mode
from whilst.model.profile import Profile, Write
from whilst.model.record import timeline_from_json, timeline_to_json
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
