"""Sequential: every call in the calling thread, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from whilst.comparing.calling import Sampler, make_call, make_coroutine_call
from whilst.comparing.looping import run_coroutine
from whilst.comparing.recording import CallRecord, Run
from whilst.running.policies.choosing import gives_coroutines

__all__ = ["run_inline"]

_LANE = "caller"


def run_inline(fn: Callable[[object], object], items: Sequence[object], tick: Callable[[], None]) -> Run:
    """Make all calls here; coroutines are awaited one after the other, in one event loop."""
    start = time.perf_counter_ns()
    calls: list[CallRecord] = []
    with Sampler() as sampler:
        if gives_coroutines(fn):
            run_coroutine(_await_each(fn, items, calls, tick))
        else:
            sampler.register(_LANE)
            for number, item in enumerate(items):
                calls.append(make_call(fn, item, number, _LANE))
                tick()
    return Run("this thread", calls, start, time.perf_counter_ns(), sampler.samples)


async def _await_each(
    fn: Callable[[object], object], items: Sequence[object], calls: list[CallRecord], tick: Callable[[], None]
) -> None:
    for number, item in enumerate(items):
        calls.append(await make_coroutine_call(fn, item, number, _LANE))  # type: ignore[arg-type]  # it is one
        tick()
