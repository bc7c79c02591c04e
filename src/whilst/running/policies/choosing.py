"""From the options of a call to the policy that runs it."""

from __future__ import annotations

import sys
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType

from whilst._light import has_gil
from whilst.running.backends import traits_of
from whilst.running.call_names import name_of
from whilst.running.nesting import is_in_worker
from whilst.running.options import OptionsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whilst.running.backends import Traits
    from whilst.running.core.inputs import Source
    from whilst.running.core.policy import Policy
    from whilst.running.jobs import Job
    from whilst.running.options import Options

_THREADS: Final = 32
"""Threads for waiting calls where nobody said how many, and nothing was measured."""
_IN_FLIGHT: Final = 4096
"""Coroutines in flight, likewise."""
_IN_FLIGHT_LAZY: Final = 256
THREADS_PER_PROCESS: Final = 16
_BACKENDS: Final[dict[str, tuple[str, str]]] = {
    # Mode: (for functions, for coroutine functions)
    "sequential": ("inline", "eventloop"),
    "concurrent": ("threads", "eventloop"),
    "parallel": ("processes", "processes"),
    "combined": ("processes*threads", "processes*eventloop"),
}
_CO_COROUTINE: Final = 0x0080
_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, partial, type)
_ONE_BY_ONE: Final = (
    "calls come one by one, each with a function of its own, so there is nothing to measure first; threads overlap "
    "their waiting, and mode='parallel' would share out work in pure Python"
)


def gives_coroutines(fn: Callable[..., object]) -> bool:
    """Whether every call of this gives a coroutine, as far as can be told without making one."""
    if type(fn) is FunctionType and not fn.__dict__:  # nobody has marked it as anything else
        return bool(fn.__code__.co_flags & _CO_COROUTINE)
    if type(fn) not in _FUNCTIONS:
        from whilst.inspecting.objects import look_up, looks_up_itself

        if looks_up_itself(type(fn)):  # its attributes are not asked for
            return _is_coroutine_function(look_up(type(fn), "__call__"))
    # An object with `async def __call__` gives them, too.
    return _is_coroutine_function(fn) or _is_coroutine_function(getattr(fn, "__call__", None))  # noqa: B004


def usual_backend(mode: str, *, is_coroutine: bool) -> str:
    """Return the back end of a mode that was asked for by name."""
    return _BACKENDS[mode][is_coroutine]


def has_no_mode(options: Options) -> bool:
    """Is it to be found out how calls are made that come one by one, by whom there is room for more workers?"""
    is_open = options.backend is None and options.on is None and options.mode == "auto" and options.pilot == "inline"
    return is_open and not is_in_worker()


def _is_coroutine_function(fn: object) -> bool:
    """As `inspect.iscoroutinefunction`, without importing that."""
    inspect = sys.modules.get("inspect")
    if inspect is not None:  # knows functions that were marked as such, besides
        return bool(inspect.iscoroutinefunction(fn))
    while isinstance(fn, partial):
        fn = fn.func
    if isinstance(fn, MethodType):
        fn = fn.__func__
    return isinstance(fn, FunctionType) and bool(fn.__code__.co_flags & _CO_COROUTINE)


def choose_policy(job: Job, source: Source, options: Options, *, is_lazy: bool) -> Policy:
    """The policy for this call of a verb.

    Raises:
        OptionsError, UnknownBackendError: what was asked for can't be had.
    """
    reason = "as asked"
    if is_in_worker():
        options = options._replace(mode="sequential", backend=None, on=None)
        reason = "inside a worker of another run, thus inline"
    if options.on is not None or (options.backend is not None and traits_of(options.backend).is_elsewhere):
        return _on_cluster(job, source, options, is_lazy=is_lazy)
    is_auto = options.backend is None and options.mode == "auto"
    if is_auto and job.how == "call" and source.length is None and options.pilot == "inline":
        # An Executor's. One of them may wait for another, which then must not wait for it in turn.
        options, reason, is_auto = options._replace(mode="concurrent"), _ONE_BY_ONE, False
    if is_auto:
        if options.pilot == "worker":
            return _pilot_in_worker(job, source, options)
        from whilst.running.policies.auto import AutoPolicy

        return AutoPolicy(job, source, options, is_lazy=is_lazy)
    from whilst.running.policies.fixed import FixedPolicy, InlinePolicy

    name = options.backend
    if name is None:
        name = usual_backend(options.mode, is_coroutine=job.is_coroutine)
    traits = traits_of(name)
    if not traits.module and not job.is_coroutine:
        return InlinePolicy(reason, is_lazy=is_lazy, is_timed=options.timeout_s is not None)
    workers, slots = _numbers(traits, options, is_lazy=is_lazy)
    if traits.has_loop and not (job.is_coroutine or job.how == "call"):
        raise OptionsError(
            f"backend={name!r} awaits coroutines, and {job.fn!r} is no coroutine function. "
            f"Write it with 'async def', or pass mode='concurrent' for threads."
        )
    if source.length is not None and not traits.has_loop:
        workers = max(min(workers, source.length), 1)
    from whilst.running.backends.base import BackendConfig
    from whilst.running.policies.caveats import Caveats

    config, why_clean = BackendConfig(name, slots=slots), ""
    if traits.is_remote:
        from whilst.measuring.machine import worker_memory_bytes

        why_clean = why_not_forked_for(None if job.how == "call" else job.fn)
        if why_clean:
            _refuse_replaced(job, why_clean)
        limit = worker_memory_bytes(workers)
        config = BackendConfig(name, slots=slots, memory_limit_bytes=limit, is_forked=not why_clean)
    beside_loop = None
    if job.awaits is not None and traits.has_threads and options.workers is None and has_gil():
        from whilst.measuring.machine import usable_cores
        from whilst.running.policies.concurrency_limit import ThreadsBesideLoop

        beside_loop = ThreadsBesideLoop(usable_cores(), workers)
    return FixedPolicy(
        config,
        workers,
        reason,
        is_batched=options.timeout_s is None,
        is_timed=options.timeout_s is not None,
        # Whoever is told of results, or ends the run by the clock, wants no answer to wait for others of its batch.
        is_lazy=is_lazy or options.on_result is not None or options.deadline_s is not None,
        caveats=Caveats(job, name, source, why_clean),
        beside_loop=beside_loop,
    )


def _on_cluster(job: Job, source: Source, options: Options, *, is_lazy: bool) -> Policy:
    from whilst.running.backends.cluster import connect
    from whilst.running.policies.caveats import Caveats
    from whilst.running.policies.places.cluster import ClusterPolicy

    why_clean, is_weighed = "they are on other machines", isinstance(options.on, list | tuple)
    if is_weighed and job.how == "call" and source.length is None:
        raise OptionsError(
            f"on={options.on!r} weighs by what the first calls of one function do, watched one at a time. Those of an "
            f"Executor come one by one, each with a function of its own, so nobody knows which may leave this machine. "
            f"Pass on=cluster to have all of them made there, leave out on= to have all made here, or give one "
            f"function and its items to map(fn, items, on=[None, cluster])."
        )
    if not is_weighed:
        _refuse_replaced(job, why_clean)
    on = next(each for each in options.on if each is not None) if is_weighed else options.on
    cluster = connect(on, options.timeout_s)
    there = ClusterPolicy(
        cluster,
        options.workers,
        is_batched=options.timeout_s is None,
        is_lazy=is_lazy,
        caveats=Caveats(job, "dask", source, why_clean),
    )
    if not is_weighed:
        return there
    from whilst.running.policies.auto import AutoPolicy
    from whilst.running.policies.places.weighed import WeighedPolicy

    return WeighedPolicy(AutoPolicy(job, source, options, is_lazy=is_lazy), there, cluster)


def _pilot_in_worker(job: Job, source: Source, options: Options) -> Policy:
    from whilst.measuring.machine import usable_cores, worker_memory_bytes
    from whilst.running.backends.base import BackendConfig
    from whilst.running.policies.pilot.in_worker import pilot_in_worker_policy

    workers = options.workers or usable_cores()
    if source.length is not None:
        workers = max(min(workers, source.length), 1)
    backend = "processes*eventloop" if job.is_coroutine else "processes"
    slots = _IN_FLIGHT_LAZY if job.is_coroutine else 1
    limit = worker_memory_bytes(workers)
    why_clean = why_not_forked_for(None if job.how == "call" else job.fn)
    if why_clean:
        from whilst.measuring.reads import why_not_clean

        sample = source.peek(1)
        reads = why_not_clean(job.fn, sample[0] if sample else None)
        if reads:
            raise OptionsError(
                f"pilot='worker' can't be had: workers can't be forks of this program ({why_clean}), and in a clean "
                f"process {reads} may be another. Leave it out."
            )
    config = BackendConfig(backend, slots=slots, memory_limit_bytes=limit, is_forked=not why_clean)
    return pilot_in_worker_policy(job, source, config, workers)


def why_not_forked_for(fn: Callable[..., object] | None) -> str:
    """Why workers for calls of this function can't be forks of this program; "" if they can.

    None stands for an Executor's functions, which are not known yet: who gives them to processes looks at each.
    """
    from whilst.inspecting.fork_safety import why_not_beside_threads
    from whilst.running.process_role import why_not_forked

    if fn is None and (never := why_not_beside_threads()):
        return never  # its own thread is one of them

    def reached() -> list[object]:
        from whilst.measuring.writes.reachable import Reachable

        return [] if fn is None else Reachable(fn).values()

    return why_not_forked(reached)


def _refuse_replaced(job: Job, why_clean: str) -> None:
    """A mock, or another function in the place of one: a clean process would import the original, without a word.

    Raises:
        OptionsError: the calls use such a thing.
    """
    if job.how == "call":
        return
    from whilst.measuring.reads import reads_of

    replaced = reads_of(job.fn).replaced
    if replaced:
        raise OptionsError(
            f"{name_of(job.fn)} uses {replaced[0]}, in whose place this program has put something else. Workers would "
            f"import the original, since they can't be forks of this program ({why_clean}). "
            f"Pass mode='concurrent', or end what stands in the way of a fork."
        )


def workers_of(options: Options) -> int:
    """How many workers an Executor with these options may come to use: what others read as `_max_workers`."""
    return _numbers(_traits_for(options), options, is_lazy=False)[0]


def is_made_here(options: Options) -> bool:
    """Whether all calls of an Executor with these options are made in this process."""
    is_sent_first = options.mode == "auto" and options.pilot == "worker"
    return is_in_worker() or (_traits_for(options).shares_memory and not is_sent_first)


def _traits_for(options: Options) -> Traits:
    if options.on is not None:
        return traits_of("dask")
    return traits_of(options.backend or _BACKENDS.get(options.mode, _BACKENDS["concurrent"])[False])


def _numbers(traits: Traits, options: Options, *, is_lazy: bool) -> tuple[int, int]:
    """Workers, and calls at once in each."""
    asked = options.workers
    in_flight = _IN_FLIGHT_LAZY if is_lazy else _IN_FLIGHT
    if traits.has_loop:
        return 1, 1 if options.mode == "sequential" else asked or in_flight
    if traits.has_threads:
        return asked or _THREADS, 1
    if not traits.module:
        return 1, 1
    from whilst.measuring.machine import usable_cores

    if traits.awaits:
        return asked or usable_cores(), in_flight
    if traits.is_remote and traits.shares_process:
        # A call that is over its time is ended with its process, which must hold no other then.
        return asked or usable_cores(), 1 if options.timeout_s is not None else THREADS_PER_PROCESS
    return asked or usable_cores(), 1
