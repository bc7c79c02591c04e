"""The command line: one command a file, no logic, loaded only when it is called for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import whilst

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if list(given) == ["--version"]:  # scripts ask for it: it needs neither click nor a command
        sys.stdout.write(f"whilst, version {whilst.__version__}\n")
        return 0
    from whilst.cli import entry

    return entry.main(arguments)
