"""The `whilst` command: a group whose subcommands are imported only when called, and the last word on errors.

Bad input ends with one line on stderr and exit code 2; Ctrl-C with 130, as a shell reports it. A command may
return its own exit code (`whilst check` returns 1 when it found a race).
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import click

import whilst
from whilst.cli.wording import as_options
from whilst.errors import WhilstError

BAD_INPUT: Final = 2
INTERRUPTED: Final = 130

COMMANDS: Final = {
    "run": "Call a function on every item, in the mode that fits.",
    "compare": "What would each mode have given me? Perform it in every mode.",
    "plan": "How should this day be ordered, and what would more executors bring?",
    "show": "Draw a timeline that was saved as JSON.",
    "trace": "What does a program really do, and what holds it up?",
    "advise": "Which loop of a script is worth changing, and how? Proved by running it.",
    "check": "Is the outcome the same in every interleaving?",
}
"""Each name is a module of this room that holds a click command of the same name."""


class _Help(click.HelpFormatter):
    """Help that is no wider than the terminal, whose examples can still be copied."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        usual = max(min(shutil.get_terminal_size().columns, max_width or 80) - 2, 20)  # click's is 50 at least
        super().__init__(indent_increment, width or usual, max_width)

    def write_text(self, text: str) -> None:
        """See click; lines that it leaves as they are, after a "\\b", are fitted here."""
        paragraphs = text.split("\n\n")
        for index, each in enumerate(paragraphs):
            if each.startswith("\b\n"):
                lines = each.split("\n")
                width = self.width - self.current_indent
                paragraphs[index] = "\n".join(
                    [lines[0], *(part for line in lines[1:] for part in _fitted(line, width))]
                )
        super().write_text("\n\n".join(paragraphs))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """See click; in a narrow terminal what is said of an option stands below it."""
        super().write_dl(list(rows), col_max if self.width >= _NARROW else _NARROW // 8, col_spacing)


_NARROW: Final = 58
_TOGETHER: Final = re.compile(r"""(['"]).*?\1|--\S+ (?=[^-\s])""")
"""What no line ends within: quotes, and an option before its value."""


def _fitted(example: str, width: int) -> list[str]:
    """A command in lines that a shell reads as one; then, after three spaces, what it does."""
    if len(example) <= width:
        return [example]
    indent = " " * (len(example) - len(example.lstrip()))
    command, _, what = example.strip().partition("   ")
    command = _TOGETHER.sub(lambda found: found[0].replace(" ", "\0"), command)
    folded = textwrap.wrap(
        command, width - 2, initial_indent=indent, subsequent_indent=f"{indent}    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    lines = " \\\n".join(folded).replace("\0", " ").split("\n")
    if what:
        lines += textwrap.wrap(f"# {what.strip()}", width, initial_indent=indent, subsequent_indent=f"{indent}# ")
    return lines


class _Context(click.Context):
    formatter_class = _Help


class LazyGroup(click.Group):
    """Lists its commands without importing them, so that `whilst --help` stays quick."""

    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"whilst.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"whilst.cli.{cmd_name}.{cmd_name} is no click command.")
        command.context_class = _Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant; say which one is nearly called like it, if none is."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(COMMANDS)}."
            raise click.UsageError(f"No such command '{args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(whilst.__version__, prog_name="whilst")
def cli() -> None:
    """Run Python work one after another, in overlap, side by side, or both.

    Know which, know why, and know that it is safe.

    \b
    Examples:
      whilst run shop:fetch --items urls.txt   call it on every line of a file
      whilst plan day.toml                     plan a day in all four modes
      whilst compare day.toml                  perform it, beside the plan
      whilst compare shop:fetch --items urls   your own function, in every mode
      whilst trace script.py                   what held it up, at which line
      whilst advise script.py                  which loop to change, and proof
      whilst check bank.py::deposits           each and any interleaving
      whilst show timeline.json --html out.html
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    if "_WHILST_COMPLETE" in os.environ:
        from whilst.cli import completing  # noqa: F401 - it tells click how bash asks
    try:
        is_program = "program" if arguments is None else None
        outcome = cli.main(args=arguments, prog_name="whilst", standalone_mode=False, obj=is_program)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return BAD_INPUT
    except click.UsageError as error:
        where = f" See {error.ctx.command_path} --help." if error.ctx is not None else ""
        said = error.format_message().rstrip(".").replace("a valid integer range", "a whole number")
        said = said.replace("a valid float range", "a number")
        return _complain(f"{said}{'' if said.endswith('?') else '.'}{where}")
    except click.ClickException as error:
        return _complain(error.format_message())
    except WhilstError as error:
        return _complain(as_options(str(error)))
    except (click.Abort, KeyboardInterrupt):
        click.echo("whilst: interrupted; nothing is left running.", err=True)
        return INTERRUPTED
    return outcome if isinstance(outcome, int) else 0


def _complain(message: str) -> int:
    """One line, whatever the message holds."""
    click.echo(f"whilst: {' '.join(message.split())}", err=True)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
