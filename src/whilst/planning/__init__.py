"""On paper: schedules, bounds, optimum, forecast. Pure and deterministic: no clock, and no drawing.

A day, in Python or TOML, is put into a normal form (`problem`), dispatched by several priority rules (`searching`,
`dispatching`), held against lower bounds (`bounds`), handed to a solver where that is asked for (`solving`), and
turned back into a predicted timeline (`picturing`).
"""

from __future__ import annotations

from whilst.planning.forecasting import Costs, Scaling, ScalingRow, day_scaling, forecast, scaling
from whilst.planning.planned import Percentiles, Plan, Plans
from whilst.planning.planner import plan, plan_modes
from whilst.planning.reading import parse_day, read_day

__all__ = [
    "Costs",
    "Percentiles",
    "Plan",
    "Plans",
    "Scaling",
    "ScalingRow",
    "day_scaling",
    "forecast",
    "parse_day",
    "plan",
    "plan_modes",
    "read_day",
    "scaling",
]
