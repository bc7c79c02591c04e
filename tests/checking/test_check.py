"""What `check` and `replay` answer, and what they say when they can't."""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.checking import Question
from whilst.checking.api import parse_budget
from whilst.checking.explorer.explorer import Limits
from whilst.errors import CheckError, ReplayError
from whilst.model.verdict import Answer


class Account:
    def __init__(self) -> None:
        self.balance = 100
        self.log: list[str] = []
        self.lock = threading.Lock()


def deposit(account: Account) -> None:
    balance = account.balance
    account.balance = balance + 50


def locked_deposit(account: Account) -> None:
    with account.lock:
        deposit(account)


def withdraw(account: Account) -> bool:
    with account.lock:
        if account.balance >= 80:
            account.balance -= 80
            return True
        return False


def test_a_lost_update_is_found_shrunk_and_named() -> None:
    verdict = whilst.check(Account, [deposit, deposit])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert not verdict
    found = verdict.counterexample
    assert found is not None
    assert found.pattern == "lost update"
    assert found.switches == 2
    assert len(found.moments) == 4
    assert found.reached.facts == {"state.balance": "150"}
    assert [end.facts for end in found.sequential] == [{"state.balance": "200"}]
    assert found.needs_free_threading  # no call in between: the GIL lets nobody in
    assert "balance = account.balance" in [moment.source for moment in found.moments]


def test_isolated_says_how_much_was_run() -> None:
    verdict = whilst.check(Account, [locked_deposit, withdraw])
    assert verdict
    assert verdict.answer is Answer.ISOLATED
    assert verdict.executions == 2
    assert "every interleaving" in verdict.guarantee
    assert verdict.counterexample is None
    assert len(verdict.sequential) == 1


def test_results_count_as_well_as_the_state() -> None:
    def read(account: Account) -> int:
        return account.balance

    def double_and_halve(account: Account) -> None:
        account.balance *= 2
        account.balance //= 2

    assert not whilst.check(Account, [read, double_and_halve])
    assert whilst.check(Account, [read, double_and_halve], outcome=lambda account: account.balance)


def test_an_outcome_may_look_at_the_results() -> None:
    def outcome(account: Account, results: tuple[object, ...]) -> object:
        return sorted(map(str, results))

    def log_a(account: Account) -> int:
        account.log.append("a")
        return len(account.log)

    assert not whilst.check(Account, [log_a, log_a])
    assert whilst.check(Account, [log_a, log_a], outcome=lambda account: len(account.log))
    assert not whilst.check(Account, [log_a, log_a], outcome=outcome)


def test_orders_can_be_narrowed_to_the_given_one() -> None:
    def append(account: Account, what: str) -> None:
        account.log.append(what)

    tasks = [partial(append, what="a"), partial(append, what="b")]
    assert whilst.check(Account, tasks)
    assert not whilst.check(Account, tasks, orders="given")
    assert whilst.check(Account, tasks, orders=[(1, 0), (0, 1)])
    with pytest.raises(CheckError, match="names each of the tasks"):
        whilst.check(Account, tasks, orders=[(0, 0)])
    with pytest.raises(CheckError, match='"any", "given"'):
        whilst.check(Account, tasks, orders="whatever")


def test_an_invariant_is_asked_in_every_ending() -> None:
    def never_below_zero(account: Account) -> bool:
        return account.balance >= 0

    def spend(account: Account) -> None:
        if account.balance >= 80:
            account.balance -= 80

    verdict = whilst.check(Account, [spend, spend], invariant=never_below_zero)
    assert verdict.answer in (Answer.BREAKS_INVARIANT, Answer.NOT_ISOLATED)

    def full(account: Account) -> None:
        assert account.balance == 100, "not full"

    broken = whilst.check(Account, [withdraw, withdraw], invariant=full)
    assert broken.answer is Answer.BREAKS_INVARIANT
    assert "not full" in broken.reason


def test_identical_tasks_are_interchangeable() -> None:
    verdict = whilst.check(Account, [withdraw] * 4)
    assert verdict
    assert verdict.executions == 1
    assert len(verdict.sequential) == 1


def test_a_task_that_never_ends_is_said_to() -> None:
    def loop(account: Account) -> None:
        while True:
            account.balance += 1

    verdict = whilst.check(Account, [loop, deposit], limits=Limits(steps=500, seconds=1))
    assert verdict.answer in (Answer.STEP_BOUND, Answer.INCONCLUSIVE)
    assert verdict.reason


def test_a_program_of_which_no_order_completes_is_not_called_isolated() -> None:
    def make() -> Any:
        return threading.Barrier(2)

    verdict = whilst.check(make, [lambda barrier: barrier.wait() and None] * 2)
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "no sequential order completes" in verdict.reason
    assert "the only interleaving came to an end, and nothing was raised" in verdict.reason


def test_what_was_found_is_said_even_where_no_order_completes() -> None:
    def make() -> Any:
        return threading.Barrier(2), []

    def meet(state: Any, name: str) -> None:
        state[0].wait()
        state[1].append(name)

    verdict = whilst.check(make, [partial(meet, name="a"), partial(meet, name="b")])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "none deadlocked, nothing was raised, and they ended in 2 different ways" in verdict.reason


def test_an_outcome_that_is_given_the_results_tells_identical_tasks_apart() -> None:
    def take(letters: Any) -> str:
        return str(next(letters))

    verdict = whilst.check(lambda: iter("ab"), [take, take], outcome=lambda _, results: results)
    assert verdict.answer is Answer.ISOLATED
    assert len(verdict.sequential) == 2


def test_chance_is_noticed() -> None:
    draws = itertools.count()

    def roll(account: Account) -> None:
        account.balance = next(draws)

    verdict = whilst.check(Account, [roll, roll])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "not deterministic" in verdict.reason
    assert "outcome=" in verdict.reason


def test_draws_of_the_system_are_the_same_in_every_execution() -> None:
    def roll(account: Account) -> None:
        account.balance = random.SystemRandom().getrandbits(60)

    assert whilst.check(Account, [roll, deposit]).answer is Answer.NOT_ISOLATED
    assert whilst.check(Account, [roll]).answer is Answer.ISOLATED


def test_an_exception_in_every_order_is_no_proof_unless_it_is_meant() -> None:
    def slip(account: Account) -> None:
        account.balance += account.amount  # type: ignore[attr-defined]  # a slip

    verdict = whilst.check(Account, [slip, slip])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "slip 1 raises AttributeError" in verdict.reason
    assert "raises=AttributeError" in verdict.reason
    assert whilst.check(Account, [slip, slip], raises=AttributeError).is_isolated
    assert whilst.check(Account, [slip, slip], raises=[KeyError]).answer is Answer.INCONCLUSIVE
    with pytest.raises(CheckError, match="raises= is one or more types of exceptions"):
        whilst.check(Account, [slip], raises=["AttributeError"])  # type: ignore[list-item]


class Box:
    def __init__(self) -> None:
        self.items = [1]
        self.lock = threading.Lock()


def refuse(box: Box) -> None:
    raise ValueError("closed")


def take(box: Box) -> None:
    if box.items:
        box.items.pop()


def take_locked(box: Box) -> None:
    with box.lock:
        take(box)


def test_the_exception_that_no_order_raises_is_the_one_that_is_named() -> None:
    found = whilst.check(Box, [refuse, take, take], raises=ValueError)
    assert found.answer is Answer.RAISES
    assert found.counterexample is not None
    said = found.counterexample.sentence
    assert re.match(r"take [12] raises IndexError\('pop from empty list'\), as in no sequential order: ", said)
    assert whilst.check(Box, [refuse, take_locked, take_locked], raises=ValueError).is_isolated


def test_a_thread_local_is_made_with_all_it_was_given() -> None:
    class Local(threading.local):
        def __init__(self, first: int, *, second: int) -> None:
            self.both = first, second

    def read(local: Local) -> tuple[int, int]:
        return local.both

    verdict = whilst.check(lambda: Local(1, second=2), [read, read], outcome=lambda _, results: results)
    assert verdict.is_isolated, verdict.reason
    assert set(verdict.sequential[0].facts.values()) == {"(1, 2)"}


def test_a_repr_that_takes_the_lock_of_its_object_is_not_asked() -> None:
    class Counter:
        def __init__(self) -> None:
            self.lock, self.n = threading.Lock(), 0

        def __repr__(self) -> str:
            with self.lock:
                return f"<Counter {self.n}>"

    class Box:
        counter: Counter | None = None

    def add(box: Box) -> None:
        if box.counter is None:
            box.counter = Counter()
        with box.counter.lock:
            box.counter.n += 1

    verdict = whilst.check(Box, [add, add])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.counterexample is not None
    assert any("Counter(" in (moment.value or "") for moment in verdict.counterexample.moments)


def test_a_class_may_have_a_property_for_its_module() -> None:
    class Proxy:
        @property
        def __module__(self) -> str:  # type: ignore[override]
            raise RuntimeError("nobody asks an instance")

        held: object = None

        def get(self) -> object:
            if self.held is None:
                self.held = object()
            return self.held

    def use(proxy: Proxy) -> object:
        return proxy.get()

    verdict = whilst.check(Proxy, [use, use], outcome=lambda _, results: results[0] is results[1])
    assert verdict.answer is Answer.NOT_ISOLATED


def test_state_that_setup_does_not_make_afresh_is_noticed() -> None:
    kept = Account()
    verdict = whilst.check(lambda: kept, [locked_deposit, locked_deposit])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "Does setup make everything afresh?" in verdict.reason


def test_what_setup_raises_is_raised() -> None:
    def setup() -> Account:
        raise LookupError("no such account")

    with pytest.raises(LookupError, match="no such account"):
        whilst.check(setup, [deposit])


@pytest.mark.parametrize(
    ("setup", "tasks", "said"),
    [(None, [deposit], "setup must be"), (Account, [], "nothing to check"), (Account, [3], "every task must be")],
)
def test_a_question_that_makes_no_sense_is_refused(setup: Any, tasks: Any, said: str) -> None:
    with pytest.raises(CheckError, match=said):
        whilst.check(setup, tasks)


def test_too_large_a_state_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.checking.judge.canonical.TREE_NODES", 10)
    monkeypatch.setattr("whilst.checking.judge.canonical.GRAPH_NODES", 20)

    def grow(account: Account) -> None:
        account.log += [[n] for n in range(100)]  # type: ignore[list-item]

    verdict = whilst.check(Account, [grow, grow])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "pass outcome=" in verdict.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (3, (3, None)),
        ("2 min", (120, None)),
        ("5_000 executions", (None, 5000)),
        ("1h", (3600, None)),
        (0.5, (0.5, None)),
    ],
)
def test_budgets_are_read(text: Any, expected: object) -> None:
    assert parse_budget(text) == expected


@pytest.mark.parametrize("text", ["", "-3", "0", "three", "3 days"])
def test_budgets_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(CheckError, match="budget is"):
        parse_budget(text)


def test_an_exhausted_budget_is_no_proof() -> None:
    def touch(account: Account) -> None:
        for _ in range(6):
            with account.lock:
                account.balance += 1

    verdict = whilst.check(Account, [touch, withdraw, touch], budget="20 executions")
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "budget" in verdict.reason


def test_a_token_runs_the_same_interleaving_again() -> None:
    verdict = whilst.check(Account, [deposit, deposit])
    assert verdict.token is not None
    again = whilst.replay(verdict.token)
    assert again.answer is Answer.NOT_ISOLATED
    assert again.counterexample is not None
    assert verdict.counterexample is not None
    assert again.counterexample.moments == verdict.counterexample.moments
    assert again.executions == 1
    with pytest.raises(CheckError, match="both setup and tasks"):
        whilst.replay(verdict.token, Account)


def test_a_replayed_interleaving_passes_through_the_tasks_own_code() -> None:
    seen: list[int] = []

    def watched(account: Account) -> None:
        balance = account.balance
        seen.append(balance)  # where a breakpoint would stand
        account.balance = balance + 1

    def state() -> Account:
        seen.clear()
        return Account()

    verdict = whilst.check(state, [watched, watched], outcome=lambda account: account.balance)
    assert verdict.token is not None
    seen.clear()
    whilst.replay(verdict.token, state, [watched, watched], outcome=lambda account: account.balance)
    assert seen == [100, 100]


PROGRAM = """
class Account:
    def __init__(self):
        self.balance = 100

def deposit(account):
    balance = account.balance
    account.balance = balance + 50
"""


def write_program(path: Path, text: str) -> Callable[[], dict[str, Any]]:
    path.write_text(text)

    def load() -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": path.stem}
        exec(compile(path.read_text(), str(path), "exec"), names)
        return names

    return load


def test_a_token_is_refused_when_the_code_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "bank_that_changes.py"
    names = write_program(path, PROGRAM)()
    token = whilst.check(names["Account"], [names["deposit"]] * 2).token
    assert token is not None
    assert whilst.replay(token, names["Account"], [names["deposit"]] * 2).answer is Answer.NOT_ISOLATED
    path.write_text("")  # another file's cache must not answer for this one
    names = write_program(path, PROGRAM.replace("balance + 50", "balance + 60"))()
    with pytest.raises(ReplayError, match="the code has changed"):
        whilst.replay(token, names["Account"], [names["deposit"]] * 2)


def test_nothing_of_the_users_is_changed_by_a_check() -> None:
    before = (deposit.__code__, Account.__init__.__code__, threading.Lock, time.sleep, threading.Thread.start)
    whilst.check(Account, [deposit, deposit])
    assert before == (deposit.__code__, Account.__init__.__code__, threading.Lock, time.sleep, threading.Thread.start)
    account = Account()
    deposit(account)
    assert account.balance == 150


def test_a_verdict_shows_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    verdict = whilst.check(Account, [deposit, deposit])
    verdict.show()
    assert "lost update" in capsys.readouterr().out
    assert "lost update" in verdict.to_text(width=80)
    verdict.to_html(tmp_path / "verdict.html")
    assert "lost update" in (tmp_path / "verdict.html").read_text()
    assert json.loads(verdict.to_json())["answer"] == "not isolated"


def test_a_question_can_be_kept_and_asked_later() -> None:
    question = Question(Account, (deposit, deposit))
    assert question.program.tasks == (deposit, deposit)


def test_what_a_task_leaves_in_the_place_of_the_process_s_own_is_given_back():
    """Also a copy that is equal: who has hold of the list itself would change what nobody asks any more."""

    def leaves(state):
        warnings.catch_warnings().__enter__()
        state.append(None)

    filters = warnings.filters
    assert whilst.check(list, [leaves, leaves])
    assert warnings.filters is filters
