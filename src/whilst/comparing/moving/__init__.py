"""Should I move? The same calls under another interpreter beside this one, by the same few lines in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from os import PathLike
from time import perf_counter
from typing import Any, Final

from whilst.comparing.comparison import ComparisonError
from whilst.comparing.moving.measuring import Reading, Request, Side, measure
from whilst.comparing.moving.move import Move, MoveRow, Way, median
from whilst.measuring.interpreters import find_interpreter, this_interpreter
from whilst.measuring.machine import look_at_machine
from whilst.measuring.pilot import Pilot
from whilst.model import Machine, Mode, Profile
from whilst.planning import Costs, forecast
from whilst.running.policies.choosing import gives_coroutines

__all__ = ["Move", "MoveRow", "compare_interpreters"]

_CALLS_LOOKED_INTO: Final = 20
_LOOK_S: Final = 0.1
"""For so long, two calls at least."""
_ORDER: Final[tuple[Way, ...]] = ("loop", "thread pool", "thread pool, GIL on", "process pool")


def compare_interpreters(
    fn: Callable[[Any], object],
    target: str,
    items: Sequence[object],
    interpreter: str | PathLike[str],
    *,
    workers: int | None = None,
    on_progress: Callable[[str], None],
) -> Move:
    """Call a function on every item under this interpreter and under another, in turn, in every way that each has.

    Args:
        fn: the function as it was loaded here; its first calls are looked into. `target` is where the other finds it.
        items: what JSON can hold.
        interpreter: the path of a CPython, 3.9 or newer, or its name on PATH. Nothing but what the function imports has
            to be installed there.
        workers: threads and processes; by default as many as there are cores, more where calls wait.
    Raises:
        InterpreterError: there is no such interpreter.
        ComparisonError: no items, a coroutine function, or the function can't be loaded there.
    """
    if gives_coroutines(fn):
        raise ComparisonError(
            f"{target} is a coroutine function, and other interpreters are asked about plain ones: "
            "name one that calls asyncio.run() on it."
        )
    if not items:
        raise ComparisonError("There are no items to call the function on; pass at least one.")
    there = find_interpreter(interpreter)
    cores = look_at_machine().cores
    here_side, there_side, asked = measure(target, items, workers, (this_interpreter(), there), cores, on_progress)
    on_progress("looking into the first calls")
    looked, calls = _looked_into(fn, items)
    gil_share = None
    if looked is not None and looked.gil_s is not None and looked.work_s:
        gil_share = min(1.0, looked.gil_s / looked.work_s)
    reference = here_side.readings["loop"]
    rows = [
        _row(side, way, asked, cores, reference, len(items), gil_share)
        for side in (here_side, there_side)
        for way in _ORDER
        if way in side.readings
    ]
    waiting = 1 - min(1.0, (median(reference.cpu_s) or 0.0) / (median(reference.seconds) or 1.0))
    return Move(
        target=target,
        items=len(items),
        here=here_side.interpreter.name,
        there=there_side.interpreter.name,
        rows=tuple(rows),
        is_there_free_threaded=there.is_free_threaded,
        culprits=tuple(there_side.culprits) if there_side.has_gil else (),
        waiting=waiting,
        gil_share=gil_share,
        writes=tuple(each for each in looked.writes if not each.is_of_item and not each.is_random) if looked else (),
        calls_looked_at=calls if looked is not None else 0,
        raised=len(reference.raised),
        first_raised="".join(f"item {each} gave {reference.shown[each]}" for each in reference.raised[:1]),
        starts_s=(here_side.start_s, there_side.start_s),
    )


def _looked_into(fn: Callable[[Any], object], items: Sequence[object]) -> tuple[Profile | None, int]:
    """What calls are like and change, as `auto` finds out; None where they don't let themselves be seen."""
    with suppress(Exception, SystemExit):  # what the very first call imports and sets up is no doing of the others
        fn(items[0])
    pilot = Pilot(fn)
    calls, start = 0, perf_counter()
    few = items[1 : 1 + _CALLS_LOOKED_INTO] or items
    for number, item in enumerate(few):
        if number > 1 and perf_counter() - start > _LOOK_S:
            break
        pilot.rest = few[number + 1 :]
        if number == 0:
            pilot.look_into(item)
        pilot.begin(item)
        try:
            with suppress(Exception, SystemExit):  # an outcome like another
                fn(item)
        finally:
            pilot.end(item)
        calls += 1
    try:
        return pilot.profile(), calls
    except Exception:  # a look that fails is no fault of the function: it is then not known
        return None, 0


def _row(
    side: Side, way: Way, asked: Request, cores: int, reference: Reading, items: int, gil_share: float | None
) -> MoveRow:
    reading = side.readings[way]
    has_gil = side.has_gil or way == "thread pool, GIL on"
    count = {"loop": 1, "process pool": asked.processes}.get(way, asked.threads)
    name = side.interpreter.name
    if reading.error:
        return MoveRow(name, side.is_here, way, count, has_gil, error=reading.error)
    loop = side.readings["loop"]
    share = (1.0 if gil_share is None else gil_share) if has_gil else 0.0
    return MoveRow(
        name,
        side.is_here,
        way,
        count,
        has_gil,
        seconds=median(reading.seconds),
        low_s=min(reading.seconds),
        high_s=max(reading.seconds),
        cpu_s=median(reading.cpu_s),
        predicted_s=None if way == "loop" else _predicted_s(loop, items, way, count, cores, share),
        agreement=_agreement(reference, reading),
    )


def _predicted_s(loop: Reading, items: int, way: Way, workers: int, cores: int, gil_share: float) -> float:
    """What so many calls would take, with nothing but their own work and waiting; start-up is not in it."""
    seconds, work_s = median(loop.seconds) or 0.0, median(loop.cpu_s) or 0.0
    profile = Profile(work_s=work_s / items, wait_s=max(0.0, seconds - work_s) / items, calls=items)
    shared = way != "process pool"
    costs = Costs(gil_share=gil_share if shared else 0.0, shared_by=workers)
    machine = Machine(cores, has_gil=shared and gil_share > 0)
    likely = forecast(profile, items, machine, executors=min(workers, items), costs=costs)[Mode.PARALLEL]
    return max(likely, work_s / min(workers, cores))


def _agreement(reference: Reading, reading: Reading) -> str:
    """Do the digests agree with those of the loop here? One that begins with "?" proves nothing where it differs."""
    pairs = list(zip(reference.digests, reading.digests, strict=True))
    differing = [number for number, (one, other) in enumerate(pairs) if one != other]
    certain = [number for number in differing if "?" not in pairs[number][0] + pairs[number][1]]
    if certain:
        at = certain[0]
        many = f" for {len(certain):,} of {len(pairs):,} items" if len(certain) > 1 else ""
        return f"differs{many}: item {at} gave {reading.shown[at]}, not {reference.shown[at]}"
    if differing or any(one == "?" for one, _ in pairs):
        at = differing[0] if differing else 0
        return f"unknown: the result of item {at} ({reading.shown[at]}) can't be compared between interpreters"
    return "same"
