"""From what is known of a stage to whether its calls may overlap, may move to processes, and what that would bring.

Two looks must agree: the one at the text (`splitting`), and the one at the first calls (the pilot's, in the copy). What
either of them doubts is not advised. Pure: everything comes in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from whilst.model import Machine, Mode, Profile, Write
from whilst.running.policies.choosing import THREADS_PER_PROCESS
from whilst.running.policies.decide import forecasts
from whilst.running.policies.evidence import DecisionInput, Forecast
from whilst.seeing.advising.splitting import Split

COUNTS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_ENOUGH: Final = 1.1
"""The fewest executors that come within a tenth of the best are enough."""
_STEP: Final = {Mode.CONCURRENT: 1.0, Mode.PARALLEL: 1.1, Mode.COMBINED: 1.33}
"""Threads are the smaller step: processes must be faster by a tenth, and processes with threads by a quarter."""
_LITTLE: Final = 0.1
"""A smaller share of a call is not what it is like."""
_LEAST_COURSE_S: Final = 0.02
"""A loop that is over sooner each time is not worth starting workers for."""
_MOST_SLEEPING: Final = 64
_MOST_WAITING: Final = 32
"""Against something that may have a limit nobody knows."""
LOCKED: Final = 0.3
"""From this share of a call on, a lock that it holds is what the others wait for."""
_SPREAD: Final = 0.15
"""How far a forecast may be off on a quiet machine, besides what is not known of the GIL."""


@dataclass(frozen=True)
class Safety:
    """Why calls of a stage must not overlap in threads, and not move to processes; "" where they may.

    `is_known` is False where it is a doubt, not a finding.
    """

    threads: str
    processes: str
    is_known: bool = True


@dataclass(frozen=True)
class Choice:
    """A mode, its executors, and the seconds that the loop would take with it: the forecast, the least and the most."""

    mode: Mode
    executors: int
    seconds: float
    low_s: float
    high_s: float


def profile_of(probe: Mapping[str, Any]) -> Profile | None:
    """The profile that the agent wrote down; None if it has none."""
    found = probe.get("profile")
    if not found:
        return None
    writes = tuple(Write(**each) for each in found.pop("writes", ()))
    profile = Profile(**found, writes=writes)
    found["writes"] = [
        {name: getattr(each, name) for name in Write.__dataclass_fields__} for each in writes
    ]  # leave what was given as it was
    return profile if profile.work_s is not None else None


def safety_of(split: Split, probe: Mapping[str, Any], profile: Profile | None) -> Safety:
    """May the calls of a stage be made in another order, at once, elsewhere?"""
    doubt = _doubt(split, probe, profile)
    if doubt or profile is None:
        return Safety(doubt, doubt, is_known=False)
    threads = processes = ""
    for write in profile.writes:
        said = f"{write.what}{f' ({write.where})' if write.where else ''} is changed by its calls"
        if write.is_random:
            said = f"its calls draw from {write.what}, in the order in which they are made"
        if write.spoils_threads:
            threads = threads or said
        if write.spoils_processes and re.split(r"\W", write.what)[0] not in split.scratch:
            processes = processes or said
    if split.shared_write:
        # The text says that calls write there. Under a lock that is no race; whose copy it is matters in any case.
        processes = processes if split.scratch else split.shared_write
        threads = threads and split.shared_write
        if not threads and not profile.writes:
            return Safety(split.shared_write, split.shared_write, is_known=False)
    if profile.is_picklable is False:
        processes = processes or profile.why_not or "it can't be sent to a process"
    if (profile.locked_s or 0.0) > LOCKED * profile.wall_s:
        processes = processes or "its calls hold a lock, and a worker would have a lock of its own"
    if probe.get("unlike") and split.changes_made:
        threads = threads or f"{probe['unlike']}, and it is changed afterwards"
    if probe.get("shares_written") and any(write.is_of_item for write in profile.writes):
        threads = threads or "two of its items have in common what a call changes"
    return Safety(threads, processes)


def _doubt(split: Split, probe: Mapping[str, Any], profile: Profile | None) -> str:
    """What keeps anybody from telling; "" for nothing."""
    if profile is None:
        return str(probe.get("error") or "no call of it was seen")
    if not probe["may_read_ahead"]:
        return (
            f"what it goes over, a {probe['items_type']}, gives items one by one: nobody knows what drawing ahead does"
        )
    if split.changes_target and probe["shares_items"]:
        return "one object is several of its items, and is changed on the way"
    if split.changes_target and not probe["can_repeat"]:
        return f"its items are changed on the way, and come from a {probe['items_type']}"
    for name in probe.get("between", ()):
        last = re.split(r"\W+", name)[-1]
        if "." not in name or not last or {last, f".{last}"} & split.reads:
            return f"{name}, which its calls can reach, is changed between them"
    if lost := probe.get("unscanned"):
        return f"nobody can follow {lost[0]}"
    return ""


def choose(
    profile: Profile, probe: Mapping[str, Any], safety: Safety, machine: Machine, total_s: float
) -> tuple[list[Choice], str]:
    """For each mode that is allowed the fewest executors that are nearly as good as any number, the best mode first.

    Args:
        total_s: seconds that the calls of the loop take in all, one after the other.
    Returns:
        The choices, and why there are none.
    """
    courses, calls = probe["courses"] or 1, probe["calls"]
    n = max(1, round(calls / courses))
    if n < 2:
        return [], "it goes over one item at a time"
    course_s = total_s / courses
    if course_s < _LEAST_COURSE_S:
        return [], f"each time it takes {1e3 * course_s:.3g} ms: starting workers would take longer"
    # What the pilot measured has the pilot's own share in it; the plain calls tell how long one is.
    # What calls write was judged already, and a forecast would rule out what is allowed.
    scaled = _scaled(replace(profile, writes=()), total_s / calls)
    longest_s = min(float(probe["longest_s"]), course_s)
    found: dict[Mode, list[Choice]] = {}
    allowed = {Mode.CONCURRENT: not safety.threads, Mode.PARALLEL: not safety.processes}
    sleeps = bool(probe.get("waits_only_in_sleep"))
    most = _MOST_SLEEPING if sleeps else _MOST_WAITING
    for count in COUNTS:
        if count > n or count > most:
            break
        given = DecisionInput(left=n, can_fork=True, waits_only_in_sleep=sleeps, most_workers=count, most_threads=count)
        likely, _ = forecasts(scaled, machine, given)
        worst, _ = forecasts(replace(scaled, gil_s=scaled.work_s), machine, given)
        for mode, is_allowed in allowed.items():
            if not is_allowed or mode not in likely:
                continue
            seconds = max(_seconds(likely[mode], scaled, n, count, machine, mode), longest_s)
            high = max(_seconds(worst.get(mode, likely[mode]), scaled, n, count, machine, mode), longest_s)
            # Processes beyond the cores overlap waits, which threads do for less where they may.
            if mode is Mode.PARALLEL and count > machine.cores and (not safety.threads or not _waits(scaled)):
                continue
            low_s, high_s = seconds * (1 - _SPREAD) * courses, max(seconds, high) * (1 + _SPREAD) * courses
            found.setdefault(mode, []).append(Choice(mode, count, seconds * courses, low_s, high_s))
    if not found:
        return [], safety.threads or safety.processes or "this machine lets it use one core only"
    best = [_fewest(choices) for choices in found.values()]
    threads = next((each for each in best if each.mode is Mode.CONCURRENT), None)
    if threads and not safety.processes and n > machine.cores > 1 and _is_held_by_work(scaled, n * courses, threads):
        most_threads = machine.cores * THREADS_PER_PROCESS
        given = DecisionInput(left=n, can_fork=True, waits_only_in_sleep=sleeps, most_threads=most_threads)
        forecast = forecasts(scaled, machine, given)[0][Mode.COMBINED]
        seconds = max(forecast.seconds, longest_s) * courses
        low_s, high_s = seconds * (1 - _SPREAD), seconds * (1 + _SPREAD)
        best.append(Choice(Mode.COMBINED, machine.cores, seconds, low_s, high_s))
    return sorted(best, key=lambda each: each.seconds * _STEP[each.mode]), ""


def _is_held_by_work(profile: Profile, calls: int, threads: Choice) -> bool:
    """Do calls wait, while it is their work that keeps threads from being quicker, not how many there are of them?"""
    if (profile.wait_s or 0.0) < _LITTLE * profile.wall_s:
        return False
    return calls * ((profile.work_s if profile.gil_s is None else profile.gil_s) or 0.0) > 0.6 * threads.seconds


def _waits(profile: Profile) -> bool:
    return (profile.wait_s or 0.0) > 0.5 * profile.wall_s


def _fewest(choices: list[Choice]) -> Choice:
    best = min(choice.seconds for choice in choices)
    return next(choice for choice in choices if choice.seconds <= _ENOUGH * best)


def _seconds(forecast: Forecast, profile: Profile, n: int, count: int, machine: Machine, mode: Mode) -> float:
    """The forecast, held to what so many executors can do: no more calls at once than there are of them."""
    rounds = -(-n // count) * profile.wall_s
    load = n * ((profile.work_s or 0.0) + (profile.children_s or 0.0)) / machine.cores
    if mode is Mode.PARALLEL and count > forecast.workers and _waits(profile):
        return max(rounds, load) + count * 0.005 + 0.012
    return max(forecast.seconds, rounds if mode is Mode.CONCURRENT else 0.0)


def _scaled(profile: Profile, call_s: float) -> Profile:
    """The profile with calls as long as they were on average."""
    wall = profile.wall_s
    if wall <= 0 or call_s <= 0:
        return profile
    factor = call_s / wall
    scaled = {
        name: value * factor
        for name in ("work_s", "wait_s", "gil_s", "locked_s", "children_s", "native_s")
        if (value := getattr(profile, name)) is not None
    }
    return replace(profile, **scaled)
