"""What calls in processes say is said in the order of the calls, whoever answers first."""

from __future__ import annotations

from pickle import dumps

import pytest

from whilst.running.jobs import Job
from whilst.running.worker import captured_output as echoing
from whilst.running.worker.captured_output import CapturedOutput


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    words: list[str] = []
    monkeypatch.setattr(echoing, "_replay", lambda _kind, text: words.append(text))
    return words


def hold(output: CapturedOutput, job: Job, number: int) -> None:
    output.hold(dumps([(number, 0, f"call {number}")]), job, number, lambda serial: serial)


def test_a_call_waits_for_those_before_it_that_workers_have(said: list[str]) -> None:
    output, job = CapturedOutput(), Job(1, print)
    hold(output, job, 5)
    output.say([(job, 4)], is_over=False)
    assert said == []
    hold(output, job, 4)
    output.say([], is_over=False)
    assert said == ["call 4", "call 5"]


def test_a_call_waits_for_one_that_was_taken_back_from_its_worker(said: list[str]) -> None:
    """While nobody has that one in hand a later call is answered."""
    output, job = CapturedOutput(), Job(1, print)
    output.taken_back([8])
    hold(output, job, 9)
    hold(output, job, 7)
    output.say([], is_over=False)
    assert said == ["call 7"]
    output.sent(job, [8])
    output.say([(job, 8)], is_over=False)
    assert said == ["call 7"]
    hold(output, job, 8)
    output.say([], is_over=False)
    assert said == ["call 7", "call 8", "call 9"]


def test_at_the_end_everything_is_said(said: list[str]) -> None:
    output, job = CapturedOutput(), Job(1, print)
    output.taken_back([1])
    hold(output, job, 3)
    hold(output, job, 2)
    output.say([], is_over=True)
    assert said == ["call 2", "call 3"]
