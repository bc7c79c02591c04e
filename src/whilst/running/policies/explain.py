"""The words of a decision: its reason, its evidence and what speaks against the other modes, with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from whilst.measuring.machine import gil_in_words
from whilst.model import Evidence, Machine, Mode, Profile, Write
from whilst.running.backends import traits_of

if TYPE_CHECKING:
    from whilst.running.policies.evidence import DecisionInput, Forecast


def reason_for(
    best: Forecast,
    possible: Mapping[Mode, Forecast],
    reasons: Mapping[Mode, str],
    profile: Profile,
    given: DecisionInput,
) -> str:
    count = f"{given.left:,} calls" if given.left is not None else "the calls"
    if best.mode is Mode.SEQUENTIAL:
        if set(reasons) >= {Mode.CONCURRENT, Mode.PARALLEL} and not (set(possible) - {Mode.SEQUENTIAL}):
            return "any other mode could change the results; if you know that it can't, pass mode='concurrent'"
        if given.left == 0:
            return "all calls were made while it was found out what they are like"
        return f"the {count} left take {_seconds(best.seconds)} this way, and no other mode would be enough faster"
    saved = possible[Mode.SEQUENTIAL].seconds
    share = (profile.wait_s or 0.0) / max(profile.wall_s, 1e-12)
    nature = f"{100 * share:.0f} % of a call is waiting" if share >= 0.1 else "a call works all the time"
    held = 1.0 if profile.gil_s is None or not profile.work_s else profile.gil_s / profile.work_s
    if best.mode is Mode.CONCURRENT and share < 0.5 and held < 0.5:
        nature = "its work does not hold the GIL"
    note = f", {best.note}" if best.note else ""
    return f"{nature}; {count} left take about {_seconds(best.seconds)} instead of {_seconds(saved)}{note}"


def why_slower(forecast: Forecast, best: Forecast) -> str:
    if forecast.seconds <= best.seconds * 1.001:
        # As `decide` chooses: the plainer mode, unless the other brings this much.
        enough = "a quarter and 0.1 s" if forecast.mode is Mode.COMBINED else "a tenth and 3 ms"
        return f"about {_seconds(forecast.seconds)}, which is not faster by {enough}"
    return f"about {_seconds(forecast.seconds)}"


def evidence_of(profile: Profile, machine: Machine, given: DecisionInput) -> tuple[Evidence, ...]:
    wall = profile.wall_s
    share = (profile.wait_s or 0.0) / wall if wall else 0.0
    found = [
        Evidence("length of a call", wall, "s", f"a call takes {_seconds(wall)}"),
        Evidence("share of waiting", round(share, 4), "", f"{100 * share:.0f} % of it waiting"),
    ]
    if machine.has_gil and profile.gil_s is not None and profile.work_s:
        held = profile.gil_s / profile.work_s
        found.append(
            Evidence("share of work with the GIL", round(held, 4), "", f"{100 * held:.0f} % of its work with the GIL")
        )
    if profile.locked_s and profile.locked_s > 0.1 * wall:
        share = round(profile.locked_s / wall, 4)
        found.append(
            Evidence("share of a lock", share, "", f"{100 * share:.0f} % of it with a lock held that all calls share")
        )
    if profile.native_s and profile.native_s > 0.2 * wall:
        found.append(
            Evidence(
                "native threads", profile.native_s, "s", f"native threads add {_seconds(profile.native_s)} of work"
            )
        )
    if profile.children_s and profile.children_s > 0.05 * wall:
        found.append(Evidence("children", profile.children_s, "s", f"its children work {_seconds(profile.children_s)}"))
    if profile.first_call_s is not None and profile.first_call_s > 3 * wall:
        text = f"the first call took {_seconds(profile.first_call_s)}"
        found.append(Evidence("first call", profile.first_call_s, "s", text))
    moved = (profile.argument_bytes or 0) + (profile.result_bytes or 0)
    if moved > 1 << 16:
        found.append(Evidence("payload", moved, "B", f"{moved / 1e6:.1f} MB to send and receive"))
    if given.tried_threads is not None:
        text = f"two threads at once were {given.tried_threads:.1f} times as fast as one"
        found.append(Evidence("trial of two threads", given.tried_threads, "", text))
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    found.append(Evidence("cores", machine.cores, "", cores))
    if said := gil_in_words():
        found.append(Evidence("GIL", float(machine.has_gil), "", said))
    return tuple(found)


def start_of_workers(backend: str, *, is_forked: bool) -> tuple[Evidence, ...]:
    """Say how worker processes were started: it decides what they have of what the program has set."""
    if not traits_of(backend).is_remote:
        return ()
    words = "workers are forks of this program" if is_forked else "workers are clean processes"
    return (Evidence("forked workers", float(is_forked), "", words),)


def given_up_by(profile: Profile, given: DecisionInput) -> tuple[str, ...]:
    given_up = []
    for write in profile.writes:
        if write.is_random and not (given.has_own_seed or given.is_seeded):
            given_up.append(
                "Its random draws can't be repeated, since nobody seeds them; seed= gives the same draws in every mode"
            )
    return tuple(dict.fromkeys(given_up))


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:,.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.3g} µs"


def write_in_words(write: Write) -> str:
    """Say what is written, whether it was seen, and where in the code."""
    if write.is_random:
        return f"it draws from {write.what}, which this program seeds: only in order come the same draws"
    seen = "seen to change" if write.is_confirmed else "found in its code"
    where = f", {_place(write.where)}" if write.where else ""
    return f"it changes {write.what} ({seen}{where})"


def _place(where: str) -> str:
    path, _, rest = where.rpartition(":")
    line = rest.split(" ")[0]
    return f"{path.rsplit('/', 1)[-1]} line {line}" if path else where
