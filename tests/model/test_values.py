"""Decisions, profiles and machines: values that say what they mean, and refuse what can't be."""

from __future__ import annotations

import json

import pytest

from whilst.errors import UnmeasuredError, WhilstError
from whilst.model import Change, Decision, Evidence, Machine, Mode, Profile, Rejection, drawable


def decision() -> Decision:
    return Decision(
        mode=Mode.CONCURRENT,
        backend="threads",
        workers=32,
        reason="97 % of a call is waiting",
        evidence=(Evidence("wait", 0.97, "", "97 % of a call is waiting"), Evidence("call", 0.02, "s", "20 ms a call")),
        rejected=(Rejection(Mode.PARALLEL, "2 processes would take 4.1 s, threads 0.3 s"),),
        forecast_s={Mode.CONCURRENT: 0.3, Mode.PARALLEL: 4.1},
        history=(Change(0.5, "16 more threads, since throughput still rose"),),
    )


def test_a_decision_reads_as_a_paragraph() -> None:
    assert str(decision()) == (
        "concurrent, 32 threads: 97 % of a call is waiting. Measured: 20 ms a call. "
        "Not parallel: 2 processes would take 4.1 s, threads 0.3 s. "
        "After 0.50 s: 16 more threads, since throughput still rose."
    )
    assert str(Decision(Mode.SEQUENTIAL, "inline", 1)) == "sequential, in the calling thread: as asked."
    assert str(Decision(Mode.PARALLEL, "processes", 1)).startswith("parallel, 1 process: ")


def test_a_decision_is_json() -> None:
    plain = json.loads(json.dumps(decision().to_dict()))
    assert plain["mode"] == "concurrent"
    assert plain["forecast_s"] == {"concurrent": 0.3, "parallel": 4.1}
    assert plain["rejected"][0]["mode"] == "parallel"


def test_a_profile_without_a_pilot_call_has_no_length() -> None:
    with pytest.raises(UnmeasuredError, match="no pilot call"):
        _ = Profile().wall_s
    assert Profile(work_s=0.25, wait_s=0.5).wall_s == 0.75


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_profile_refuses_lengths_that_can_t_be(value: float) -> None:
    with pytest.raises(UnmeasuredError, match="work_s"):
        Profile(work_s=value)


def test_a_machine_has_a_core() -> None:
    with pytest.raises(WhilstError, match="at least one core"):
        Machine(cores=0)


def test_drawing_without_renderers_says_what_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    class Thing(drawable.Drawable):
        pass

    monkeypatch.setattr(drawable, "_load", None)
    with pytest.raises(WhilstError, match="import whilst"):
        Thing().show()
