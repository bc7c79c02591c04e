"""This process's share of the machine, if it is a worker. Read by `running.nesting`."""

from __future__ import annotations

__all__ = ["nested_workers"]

nested_workers: int | None = None
"""How many workers a map made in a call here may use; None: this process is nobody's worker."""
