"""What one call is like (work, wait, GIL held, payload, what it writes) and what the machine is like."""

from __future__ import annotations

from whilst.measuring.machine import look_at_machine

__all__ = ["look_at_machine"]
