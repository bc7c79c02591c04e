"""On paper: schedules, bounds, optimum, forecast. Pure and deterministic: no clock, and no drawing.

A day, in Python or TOML, is put into a normal form (`problem`), dispatched by several priority rules (`searching`,
`dispatching`), held against lower bounds (`bounds`), handed to a solver where that is asked for (`solving`), and
turned back into a predicted timeline (`picturing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whilst._light import lazily

if TYPE_CHECKING:
    from whilst.planning.forecasting import Scaling, ScalingRow, day_scaling, scaling
    from whilst.planning.likecalls import Costs, forecast
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

# A run needs the forecast alone, and the parser of days would hold it up.
_HOMES: Final = {
    "whilst.planning.forecasting": ("Scaling", "ScalingRow", "day_scaling", "scaling"),
    "whilst.planning.likecalls": ("Costs", "forecast"),
    "whilst.planning.planned": ("Percentiles", "Plan", "Plans"),
    "whilst.planning.planner": ("plan", "plan_modes"),
    "whilst.planning.reading": ("parse_day", "read_day"),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
