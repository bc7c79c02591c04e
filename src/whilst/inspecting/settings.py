"""What belongs to the whole process and some call may leave set: cheap to look at, and lost or mixed up elsewhere."""

from __future__ import annotations

import gc
import sys
import time
import warnings

__all__ = ["settings_now"]


def settings_now() -> dict[str, object]:
    """Return each by its name. Equal as long as nobody changes them."""
    found: dict[str, object] = {
        "sys.path": tuple(sys.path),
        "the recursion limit": sys.getrecursionlimit(),
        "the warning filters": len(warnings.filters),
        "the garbage collector": gc.isenabled(),
        "the switch interval": sys.getswitchinterval(),
        "the time zone": time.tzname,
    }
    signals, sockets = sys.modules.get("signal"), sys.modules.get("socket")
    if signals is not None:
        found["signal handlers"] = tuple(map(id, map(signals.getsignal, signals.valid_signals())))
    if sockets is not None:
        found["the default socket time-out"] = sockets.getdefaulttimeout()
    decimal = sys.modules.get("decimal")
    if decimal is not None:
        context = decimal.getcontext()
        found["the decimal context"] = (context.prec, context.rounding, context.Emin, context.Emax)
    return found
