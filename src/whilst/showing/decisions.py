"""A `Decision` as a panel: what was chosen and why, the evidence, the forecasts, and why not otherwise."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whilst.model import Decision, Mode
from whilst.showing.figures import length_text
from whilst.showing.glyphs import Glyphs, printable


def decision_panel(decision: Decision, glyphs: Glyphs) -> Panel:
    """Return the panel; whatever a user named is made printable first."""

    def clean(text: str) -> str:
        return printable(text, glyphs)

    parts: list[RenderableType] = [Text(clean(decision.reason or "As asked."))]
    if decision.evidence:
        parts += [Text(), Text("Measured", "bold")]
        parts += [
            Text(f"  {clean(each.text or _figure(each.name, each.value, each.unit))}") for each in decision.evidence
        ]
    if decision.rejected or decision.forecast_s:
        parts += [Text(), _modes(decision, glyphs)]
    if decision.given_up:
        parts += [Text(), Text("Done without", "bold"), *(Text(f"  {clean(each)}") for each in decision.given_up)]
    if decision.history:
        parts += [Text(), Text("Changed while running", "bold")]
        parts += [Text(f"  after {length_text(each.at_s)}: {clean(each.text)}") for each in decision.history]
    return Panel(Group(*parts), title=Text(clean(_title(decision)), "bold"), title_align="left", expand=True)


def _title(decision: Decision) -> str:
    batch = f", {decision.batch} calls a batch" if decision.batch > 1 else ""
    return f"{decision.mode.value}: {decision.who}{batch}"


def _modes(decision: Decision, glyphs: Glyphs) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("mode")
    if decision.forecast_s:
        table.add_column("forecast", justify="right", no_wrap=True)
    table.add_column("")
    reasons = {rejection.mode: rejection.reason for rejection in decision.rejected}
    for mode in Mode:
        if mode is not decision.mode and mode not in reasons and mode not in decision.forecast_s:
            continue
        is_chosen = mode is decision.mode
        seconds = decision.forecast_s.get(mode)
        forecast = (
            [printable(length_text(seconds) if seconds is not None else "", glyphs)] if decision.forecast_s else []
        )
        why = "chosen" if is_chosen else reasons.get(mode, "")
        table.add_row(
            Text(mode.value, "bold" if is_chosen else ""),
            *forecast,
            Text(printable(why, glyphs), "bold" if is_chosen else ""),
        )
    return table


def _figure(name: str, value: float, unit: str) -> str:
    return f"{name} {value:.3g} {unit}".rstrip()
