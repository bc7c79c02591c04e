"""A verdict's text says what happened, keeps to its width, and folds what meets nobody."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from whilst.model.verdict import Answer, BlockedTask, Counterexample, Ending, Moment, Verdict
from whilst.showing.verdict_text import picture_parts, verdict_text


def moment(task: int, action: str, line: int, value: str | None = None, **more: object) -> Moment:
    source = {12: "balance = account.balance", 13: "account.balance = balance + 50"}.get(line, f"step({line})")
    return Moment(
        task, action, "account.balance", value, "/x/bank.py", line, "deposit", source, "account.balance", **more
    )  # type: ignore[arg-type]


LOST = Counterexample(
    tasks=("deposit 1", "deposit 2"),
    moments=(
        moment(0, "read", 12, "100", conflicts=(2,)),
        moment(1, "read", 12, "100", conflicts=(3,), is_switch=True),
        moment(1, "write", 13, "150", conflicts=(0, 3)),
        moment(0, "write", 13, "150", conflicts=(2,), is_switch=True),
    ),
    pattern="lost update",
    sentence="deposit 1 reads account.balance, deposit 2 writes it, and deposit 1 writes from the old value.",
    reached=Ending({"account.balance": "150"}),
    sequential=(Ending({"account.balance": "200"}, ("deposit 1", "deposit 2")),),
    switches=2,
    is_shortest=True,
)
FOUND = Verdict(
    Answer.NOT_ISOLATED,
    LOST.tasks,
    executions=2,
    guarantee="as far as the first counterexample",
    elapsed_s=0.01,
    counterexample=LOST,
    token="w1.abc.311.def.ghi",
)


def test_the_picture_has_a_column_a_task_and_marks_what_meets() -> None:
    text = verdict_text(FOUND, width=100)
    lines = text.splitlines()
    assert lines[0].startswith("not isolated: lost update")
    rows = [line for line in lines if re.match(r" *1[23]  ", line)]
    assert [row.count("●") for row in rows] == [1, 1, 1, 1]
    assert rows[1].index("●") > rows[0].index("●")
    assert "│" in rows[1]
    assert "this interleaving" in text
    assert "deposit 1 → deposit 2" in text
    assert "whilst check --replay w1.abc.311.def.ghi" in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_asked(width: int) -> None:
    example = replace(LOST, tasks=tuple(f"a task with a rather long name {n}" for n in range(2)))
    for line in verdict_text(replace(FOUND, counterexample=example), width=width).splitlines():
        assert len(line) <= width, line


def test_a_sentence_that_nobody_reads_at_a_terminal_is_one_line() -> None:
    lines = verdict_text(FOUND, width=60, is_wrapped=False).splitlines()
    assert LOST.sentence in lines
    assert LOST.remark in lines
    assert LOST.sentence not in verdict_text(FOUND, width=60).splitlines()


def test_code_without_a_source_is_drawn_all_the_same() -> None:
    moments = tuple(replace(each, source="") for each in LOST.moments)
    text = verdict_text(replace(FOUND, counterexample=replace(LOST, moments=moments)), width=80)
    assert "reads account.balance → 100" in text


def test_many_tasks_share_one_column() -> None:
    moments = tuple(moment(n % 9, "write", 12 + n % 2, str(n), conflicts=(0,)) for n in range(18))
    example = replace(LOST, tasks=tuple(f"task {n}" for n in range(9)), moments=moments)
    text = verdict_text(replace(FOUND, counterexample=example), width=90)
    assert "task 8: writes account.balance = 17" in text
    assert max(map(len, text.splitlines())) <= 90


def test_long_stretches_that_meet_nobody_are_folded() -> None:
    idle = tuple(moment(0, "read", line) for line in range(100, 300))
    example = replace(LOST, moments=(*LOST.moments[:1], *idle, *LOST.moments[1:]))
    text = verdict_text(replace(FOUND, counterexample=example), width=100)
    assert "rows of steps that meet no other task" in text
    assert len(text.splitlines()) < 30


def test_a_deadlock_shows_who_waits_for_whom() -> None:
    blocked = (
        BlockedTask(0, "acquire", "state.b", "/x/bank.py", 12, "with state.b:", 1, "/x/bank.py", 30, "with state.b:"),
        BlockedTask(1, "acquire", "state.a", "/x/bank.py", 31, "with state.a:", 0, "/x/bank.py", 11, "with state.a:"),
    )
    example = replace(LOST, blocked=blocked, pattern="deadlock", reached=Ending({}), sequential=())
    text = verdict_text(replace(FOUND, counterexample=example), width=120)
    assert text.count("✗") == 2
    assert "bank.py:30" in text
    assert "bank.py:11" in text


def test_colours_are_only_there_when_asked_for() -> None:
    assert "\033[" not in verdict_text(FOUND)
    coloured = verdict_text(FOUND, is_coloured=True)
    assert re.sub(r"\033\[[\d;]*m", "", coloured).replace(" ", "") == verdict_text(FOUND).replace(" ", "")


def test_isolated_and_inconclusive_are_told_apart_at_a_glance() -> None:
    isolated = Verdict(Answer.ISOLATED, ("a", "b"), 6, "every interleaving", 0.01, audited=20)
    assert verdict_text(isolated).startswith("isolated")
    assert "20 random schedules audited" in verdict_text(isolated)
    unclear = replace(isolated, answer=Answer.INCONCLUSIVE, reason="the budget is used up", estimate=1e6)
    assert verdict_text(unclear).startswith("inconclusive")
    assert "1,000,000" in verdict_text(unclear)
    assert isolated
    assert not unclear


def test_a_page_of_a_verdict_answers_in_the_order_of_the_questions() -> None:
    found = picture_parts(FOUND)["answers"]
    assert [asked for asked, _ in found[:4]] == [
        "Is the outcome the same in every interleaving?", "Why?", "Can it happen?", "What should I change?",
    ]  # fmt: skip
    assert dict(found)["Run it again"] == "whilst check --replay w1.abc.311.def.ghi"
    proved = dict(picture_parts(Verdict(Answer.ISOLATED, ("a", "b"), 6, "every interleaving", 0.01))["answers"])
    assert proved["What should I change?"] == "Nothing."


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [("lost update", "one lock around all"), ("deadlock", "in one order"), ("lost wake-up", "loop")],
)
def test_what_to_change_depends_on_what_went_wrong(pattern: str, remedy: str) -> None:
    found = replace(FOUND, counterexample=replace(LOST, pattern=pattern))
    assert remedy in dict(picture_parts(found)["answers"])["What should I change?"]


def test_statements_of_a_database_get_no_lock_of_a_program() -> None:
    moments = tuple(replace(each, file="") for each in LOST.moments)
    found = replace(FOUND, counterexample=replace(LOST, moments=moments))
    assert "isolation level" in dict(picture_parts(found)["answers"])["What should I change?"]


def test_a_verdict_is_json_and_a_timeline() -> None:
    assert json.loads(FOUND.to_json())["counterexample"]["pattern"] == "lost update"
    timeline = LOST.timeline()
    assert list(timeline.tasks) == ["deposit 1", "deposit 2"]
    assert timeline.makespan_s == 4
    assert len(timeline) == 5
