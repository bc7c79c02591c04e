"""`whilst compare`: perform a day, or a function over items, in every mode."""

from __future__ import annotations

import click

from whilst.cli.options import Output, output_options

__all__ = ["compare"]


@click.command()
@click.argument("what")
@output_options
def compare(what: str, output: Output) -> None:
    """Perform WHAT (a day, or MODULE:FUNCTION) in every mode, and compare."""
    raise click.ClickException(f"compare {what}: being built ({output})")
