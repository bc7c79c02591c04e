"""On paper: schedules, bounds, optimum, forecast. Pure and deterministic: no clock, and no drawing."""

from __future__ import annotations

from whilst.planning.planned import Percentiles, Plan
from whilst.planning.planner import plan
from whilst.planning.reading import parse_day, read_day

__all__ = ["Percentiles", "Plan", "parse_day", "plan", "read_day"]
