"""Run Python work one after another, in overlap, side by side, or both. Know which, know why, and know that it is safe.

The verbs: `map`, `imap`, `imap_unordered`, `starmap`, `gather` and `Executor` run, and `amap` and the like do on a
running event loop; `reduce` divides one task, where `chunks` cuts it; `compare` shows what each mode would have given;
`plan` orders a day on paper; `trace` shows what a program really does, `advise` what to change in it; `check` and
`check_sql` try each and any interleaving.

Everything here is loaded when it is first used, so that `import whilst` costs next to nothing.
"""

from __future__ import annotations

from whilst._light import lazily
from whilst.model.drawable import install_renderers

# Not from `typing`, whose import takes longer than a run of short calls.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.checking import check, check_operations, check_sql, replay
    from whilst.comparing import Comparison, ComparisonError, compare
    from whilst.errors import (
        CheckError,
        ClusterError,
        DayError,
        DeadlineExceededError,
        InterpreterEndingError,
        JournalError,
        MachineLimitError,
        MissingExtraError,
        NotPicklableError,
        RemoteCallError,
        ReplayError,
        SplitError,
        TimelineError,
        TimeoutExceededError,
        UnmeasuredError,
        WhilstError,
        WorkerDiedError,
    )
    from whilst.model import (
        Day,
        Decision,
        Estimate,
        Kind,
        Machine,
        Mode,
        Profile,
        Span,
        Step,
        Task,
        Timeline,
        Verdict,
        wait,
        work,
    )
    from whilst.model.report import Renderers
    from whilst.planning import Plan, forecast, plan, plan_modes
    from whilst.running.calls.per_worker import per_worker
    from whilst.running.executor.executor import Executor
    from whilst.running.options import OptionsError
    from whilst.running.results import Results
    from whilst.running.splitting.api import check_split, divide, reduce, split
    from whilst.running.splitting.chunks import by, chunks
    from whilst.running.splitting.verdict import SplitReport, SplitVerdict
    from whilst.running.verbs.api import gather, imap, imap_unordered, map, starmap  # noqa: A004 - Pool's name for it
    from whilst.running.verbs.awaitable import agather, aimap, aimap_unordered, amap, astarmap
    from whilst.seeing.advising.api import advise
    from whilst.seeing.api import trace

__version__: Final = "0.1.0"

__all__ = [
    "CheckError",
    "ClusterError",
    "Comparison",
    "ComparisonError",
    "Day",
    "DayError",
    "DeadlineExceededError",
    "Decision",
    "Estimate",
    "Executor",
    "InterpreterEndingError",
    "JournalError",
    "Kind",
    "Machine",
    "MachineLimitError",
    "MissingExtraError",
    "Mode",
    "NotPicklableError",
    "OptionsError",
    "Plan",
    "Profile",
    "RemoteCallError",
    "ReplayError",
    "Results",
    "Span",
    "SplitError",
    "SplitReport",
    "SplitVerdict",
    "Step",
    "Task",
    "Timeline",
    "TimelineError",
    "TimeoutExceededError",
    "UnmeasuredError",
    "Verdict",
    "WhilstError",
    "WorkerDiedError",
    "advise",
    "agather",
    "aimap",
    "aimap_unordered",
    "amap",
    "astarmap",
    "by",
    "check",
    "check_operations",
    "check_split",
    "check_sql",
    "chunks",
    "compare",
    "divide",
    "forecast",
    "gather",
    "imap",
    "imap_unordered",
    "map",
    "per_worker",
    "plan",
    "plan_modes",
    "reduce",
    "replay",
    "split",
    "starmap",
    "trace",
    "wait",
    "work",
]

_HOMES: Final = {
    "whilst.errors": (
        "CheckError",
        "ClusterError",
        "DayError",
        "DeadlineExceededError",
        "JournalError",
        "InterpreterEndingError",
        "MachineLimitError",
        "MissingExtraError",
        "NotPicklableError",
        "RemoteCallError",
        "ReplayError",
        "SplitError",
        "TimelineError",
        "TimeoutExceededError",
        "UnmeasuredError",
        "WhilstError",
        "WorkerDiedError",
    ),
    "whilst.model": (
        "Day",
        "Decision",
        "Estimate",
        "Kind",
        "Machine",
        "Mode",
        "Profile",
        "Span",
        "Step",
        "Task",
        "Timeline",
        "Verdict",
        "wait",
        "work",
    ),
    "whilst.planning": ("Plan", "forecast", "plan", "plan_modes"),
    "whilst.comparing": ("Comparison", "ComparisonError", "compare"),
    "whilst.checking": ("check", "check_operations", "check_sql", "replay"),
    "whilst.running.executor.executor": ("Executor",),
    "whilst.running.verbs.api": ("gather", "imap", "imap_unordered", "map", "starmap"),
    "whilst.running.verbs.awaitable": ("agather", "aimap", "aimap_unordered", "amap", "astarmap"),
    "whilst.running.calls.per_worker": ("per_worker",),
    "whilst.running.options": ("OptionsError",),
    "whilst.running.results": ("Results",),
    "whilst.seeing.advising.api": ("advise",),
    "whilst.seeing.api": ("trace",),
    "whilst.running.splitting.api": ("check_split", "divide", "reduce", "split"),
    "whilst.running.splitting.chunks": ("by", "chunks"),
    "whilst.running.splitting.verdict": ("SplitReport", "SplitVerdict"),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)


def _load_renderers() -> Renderers:
    from whilst.showing import renderers

    return renderers


install_renderers(_load_renderers)
