"""From a stage's calls to the mode and the number of executors that are advised, by forecasts alone."""

from __future__ import annotations

from typing import Any

import pytest

from whilst.model import Machine, Mode, Profile
from whilst.seeing.advising.judging import Choice, Safety, choose


def chosen(work_s: float, wait_s: float, *, calls: int = 400, cores: int = 4, safety: Safety | None = None) -> Choice:
    profile = Profile(work_s=work_s, wait_s=wait_s, gil_s=work_s, locked_s=0.0, calls=2, is_picklable=True)
    probe: dict[str, Any] = {"courses": 1, "calls": calls, "longest_s": profile.wall_s, "waits_only_in_sleep": False}
    total_s = calls * profile.wall_s
    choices, _ = choose(profile, probe, safety or Safety("", ""), Machine(cores), total_s)
    return choices[0]


@pytest.mark.parametrize(
    ("work_s", "wait_s", "mode"),
    [
        (0.0001, 0.05, Mode.CONCURRENT),
        (0.02, 0.0, Mode.PARALLEL),
        (0.02, 0.06, Mode.COMBINED),
    ],
)
def test_what_calls_are_like_decides(work_s: float, wait_s: float, mode: Mode) -> None:
    assert chosen(work_s, wait_s).mode is mode


def test_threads_within_processes_need_both_to_be_safe() -> None:
    assert chosen(0.02, 0.06, safety=Safety("buffer is shared", "")).mode is Mode.PARALLEL
    assert chosen(0.02, 0.06, safety=Safety("", "it can't be sent")).mode is Mode.CONCURRENT


def test_work_alone_has_no_use_for_threads_within_processes() -> None:
    profile = Profile(work_s=0.02, wait_s=0.001, gil_s=0.02, locked_s=0.0, calls=2, is_picklable=True)
    probe: dict[str, Any] = {"courses": 1, "calls": 400, "longest_s": 0.021, "waits_only_in_sleep": False}
    choices, _ = choose(profile, probe, Safety("", ""), Machine(4), 8.4)
    assert [choice.mode for choice in choices] == [Mode.PARALLEL, Mode.CONCURRENT]


def test_one_core_has_no_use_for_processes() -> None:
    assert chosen(0.02, 0.06, cores=1).mode is Mode.CONCURRENT
