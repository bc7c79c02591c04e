"""The one sentence: does moving pay, and why? On rows that are made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from whilst.comparing.moving import Move, MoveRow
from whilst.model import Write


def row(way: str, seconds: float, *, here: bool = False, gil: bool = False, **more: Any) -> MoveRow:
    spread = more.pop("spread", 0.01)
    return MoveRow(
        "3.11.7" if here else "3.14.7t", here, way, 1 if way == "loop" else 2, gil or here, seconds=seconds,
        low_s=seconds * (1 - spread), high_s=seconds * (1 + spread), cpu_s=1.0, agreement=more.pop("agreement", "same"),
        **more,
    )  # fmt: skip


HERE = (row("loop", 1.0, here=True), row("thread pool", 1.0, here=True), row("process pool", 0.8, here=True))


def move(*there: MoveRow, here: tuple[MoveRow, ...] = HERE, **more: Any) -> Move:
    known = {"waiting": 0.0, "is_there_free_threaded": True, **more}
    return Move("shop:price", 9, "3.11.7", "3.14.7t", (*here, *there), **known)


def test_threads_without_a_gil_that_beat_processes_pay() -> None:
    found = move(
        row("loop", 1.1), row("thread pool", 0.5), row("process pool", 0.9), row("thread pool, GIL on", 0.1, gil=True)
    )
    assert found.pays is True
    assert found.title == (
        "On 3.14.7t threads take 0.50 s against 0.80 s here with processes: the move pays, because without the GIL "
        "threads are at work at once (2.0 cores on average), and nothing has to be sent to a process."
    )
    assert found.gain == pytest.approx(1.6)


def test_a_quicker_python_pays_for_that() -> None:
    found = move(row("loop", 0.5, gil=True), row("thread pool", 0.5, gil=True), is_there_free_threaded=False)
    assert found.pays is True
    assert found.title.endswith("the move pays, because one call after the other is 2.0 times as fast there.")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (move(row("loop", 1.0), row("thread pool", 0.78)), "processes use the cores here as well"),
        (
            move(row("loop", 1.0, gil=True), row("thread pool", 1.0, gil=True), culprits=("lib._fast",)),
            "lib._fast turns the GIL on there, so that threads take turns as here",
        ),
        (
            move(row("loop", 1.0), row("thread pool", 0.78), waiting=0.97),
            "a call waits for 97 % of its time, and waits overlap with a GIL, too",
        ),
        (
            move(row("loop", 1.0), row("thread pool", 0.4), writes=(Write("the global COUNT", "shop.py:3"),)),
            "threads would race there: the global COUNT (shop.py:3) is changed by its calls",
        ),
        (
            move(row("loop", 1.0), row("thread pool", 0.4, agreement="differs: item 0 gave 2, not 1")),
            "threads give other results there",
        ),
        (move(row("loop", 1.3), row("thread pool", 0.9)), "one call after the other takes 1.30 times as long there"),
        (
            move(row("loop", 1.0, gil=True), is_there_free_threaded=False),
            "there is a GIL on that build, too, and it runs the calls about as fast",
        ),
        (
            move(row("loop", 1.0), row("thread pool", 0.8), gil_share=0.1),
            "most of the work of a call lets go of the GIL, so that threads share the cores here, too",
        ),
        (
            move(row("loop", 1.0), row("thread pool", 2.0), here=(row("loop", 1.0, here=True),)),
            "the calls are too short to be shared out: one after the other is quickest",
        ),
    ],
)
def test_where_it_does_not_pay_the_reason_is_told(found: Move, why: str) -> None:
    assert found.pays is False
    assert found.title.endswith(f": the move does not pay, because {why}.")


def test_a_gain_within_the_noise_is_no_gain() -> None:
    found = move(row("loop", 1.0), row("thread pool", 0.6, spread=0.5))
    assert found.pays is None
    assert (
        "can't be told, because the rounds differ too much (0.30 to 0.90 s there, 0.79 to 0.81 s here)" in found.title
    )


def test_processes_that_would_lose_what_calls_change_are_no_way() -> None:
    found = move(row("loop", 1.0), row("thread pool", 0.4), writes=(Write("the global COUNT"),))
    best = found.best(is_here=True)
    assert best is not None
    assert best.way == "loop"


def test_other_results_and_failures_are_noted() -> None:
    found = move(
        row("loop", 1.0, agreement="differs: item 3 gave 2, not 1"),
        MoveRow("3.14.7t", False, "process pool", 2, False, error="BrokenProcessPool: gone"),
        culprits=("lib._fast",),
    )
    assert found.agrees is False
    assert found.notes()[:2] == [
        "there, 3.14.7t, 2 processes: BrokenProcessPool: gone",
        "there, 3.14.7t, loop: differs: item 3 gave 2, not 1",
    ]
    assert "the GIL is on again because of lib._fast" in found.notes()[2]
    assert found.title == "Nothing could be measured on 3.14.7t that gives the results."
    plain = json.loads(json.dumps(found.to_dict()))
    assert (plain["pays"], plain["agrees"], plain["gil_turned_on_by"]) == (False, False, ["lib._fast"])
    assert "failed" in found.to_text(width=100)
