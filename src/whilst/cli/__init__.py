"""The command line: one command a file, no logic, loaded only when it is called for."""

from __future__ import annotations

from whilst.cli.entry import main

__all__ = ["main"]
