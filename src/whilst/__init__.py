"""whilst: run Python work one after another, in overlap, side by side, or both."""

from __future__ import annotations

__version__ = "0.1.0"
