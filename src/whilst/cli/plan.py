"""`whilst plan`: how should this day be ordered, and what would more executors bring?"""

from __future__ import annotations

import click

from whilst.cli.loading import require_file
from whilst.cli.options import NearChoice, Output, output_options
from whilst.model import Mode


@click.command()
@click.argument("day", metavar="DAY")
@click.option(
    "--mode",
    type=NearChoice([str(mode) for mode in Mode]),
    metavar="MODE",
    help="Only sequential, concurrent, parallel or combined; by default all four.",
)
@click.option("--executor", metavar="NAME", help="Who does everything in the modes of one executor.")
@click.option("--executors", type=click.IntRange(min=1), metavar="K", help="Plan as if there were K executors.")
@click.option(
    "--optimal",
    "optimal_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Let the solver look for the optimum for so long, in each mode (needs whilst[optimal]).",
)
@click.option("--forecast", is_flag=True, help="Show what 1 to 128 executors would bring.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws of uncertain lengths.")
@click.option("--draws", type=click.IntRange(min=1), metavar="N", help="How often uncertain lengths are drawn.")
@output_options
def plan(
    day: str,
    mode: str | None,
    executor: str | None,
    executors: int | None,
    optimal_s: float | None,
    forecast: bool,
    seed: int,
    draws: int | None,
    output: Output,
) -> None:
    """Plan DAY, a TOML file, in all four modes or in one.

    \b
    Examples:
      whilst plan examples/story.toml
      whilst plan examples/story.toml --mode combined --html plan.html
      whilst plan day.toml --executors 4 --optimal 10
      whilst plan day.toml --forecast
    """
    require_file(day, "file", "*.toml")
    from whilst import planning

    if forecast:
        taken = {"--mode": mode, "--executors": executors, "--executor": executor, "--optimal": optimal_s}
        for option, value in taken.items():
            if value is not None:
                raise click.UsageError(f"--forecast plans every number of executors by itself; leave {option} out.")
        output.write(planning.day_scaling(day, seed=seed))
    elif mode is not None:
        output.write(
            planning.plan(
                day, mode, executor=executor, executors=executors, optimal_s=optimal_s, seed=seed, draws=draws
            )
        )
    else:
        output.write(
            planning.plan_modes(
                day, executor=executor, executors=executors, optimal_s=optimal_s, seed=seed, draws=draws
            )
        )
