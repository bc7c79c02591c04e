"""What belongs to the whole process and some call may leave set: cheap to look at, and lost or mixed up elsewhere."""

from __future__ import annotations

import sys
import warnings

__all__ = ["settings_now"]


def settings_now() -> dict[str, object]:
    """Return each by its name. Equal as long as nobody changes them."""
    found: dict[str, object] = {
        "sys.path": tuple(sys.path),
        "the recursion limit": sys.getrecursionlimit(),
        "the warning filters": len(warnings.filters),
    }
    decimal = sys.modules.get("decimal")
    if decimal is not None:
        context = decimal.getcontext()
        found["the decimal context"] = (context.prec, context.rounding, context.Emin, context.Emax)
    return found
