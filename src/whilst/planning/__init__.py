"""On paper: schedules, bounds, optimum, forecast. Pure and deterministic: no clock, and no drawing.

A day, in Python or TOML, is put into a normal form (`problem`), dispatched by several priority rules (`searching`,
`dispatching`), held against lower bounds (`bounds`), handed to a solver where that is asked for (`solving`), and
turned back into a predicted timeline (`picturing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

_HOMES = {
    "forecasting": ("Scaling", "ScalingRow", "day_scaling", "scaling"),
    "likecalls": ("Costs", "forecast"),
    "planned": ("Percentiles", "Plan", "Plans"),
    "planner": ("plan", "plan_modes"),
    "reading": ("parse_day", "read_day"),
}


def __getattr__(name: str) -> object:
    """Load what is asked for: a run needs the forecast alone, and a parser of days would hold it up."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
