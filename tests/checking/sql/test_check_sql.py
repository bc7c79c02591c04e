"""What `check_sql` takes, what it answers, and that it leaves nothing."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest

from whilst.checking.sql import check_sql
from whilst.errors import CheckError, ReplayError
from whilst.model.verdict import Answer

from .cases import CASES, SETUP

ACCOUNT = ["CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)", "INSERT INTO account VALUES (1, 100)"]


def deposit_in_python(connection: Any) -> None:
    (balance,) = connection.execute("SELECT balance FROM account WHERE id = 1").fetchone()
    connection.execute(f"UPDATE account SET balance = {balance + 50} WHERE id = 1")


def deposit_in_sql(connection: Any) -> None:
    connection.execute("UPDATE account SET balance = balance + 50 WHERE id = 1")


def deposit_locked(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT balance FROM account WHERE id = 1 FOR UPDATE")
        (balance,) = cursor.fetchone()
        cursor.execute("UPDATE account SET balance = %s WHERE id = 1", (balance + 50,))


def withdraw_if_covered(connection: Any) -> str:
    (balance,) = connection.execute("SELECT balance FROM account WHERE id = 1").fetchone()
    if balance < 80:
        raise ValueError("not covered")
    connection.execute("UPDATE account SET balance = balance - 80 WHERE id = 1")
    return "paid"


def test_a_sum_made_in_python_is_lost_and_one_made_in_the_database_is_not() -> None:
    lost = check_sql(ACCOUNT, [deposit_in_python, deposit_in_python])
    assert lost.answer is Answer.NOT_ISOLATED
    assert lost.counterexample is not None
    assert lost.counterexample.pattern == "lost update"
    assert lost.counterexample.reached.facts["account"] == "(1, 150)"
    assert {ending.facts["account"] for ending in lost.sequential} == {"(1, 200)"}
    assert check_sql(ACCOUNT, [deposit_in_sql, deposit_in_sql])


def test_a_locking_read_waits_and_is_isolated(postgres_url: str) -> None:
    unlocked = check_sql(ACCOUNT, [deposit_in_python, deposit_in_python], postgres_url)
    assert unlocked.counterexample is not None
    assert unlocked.counterexample.pattern == "lost update"
    assert check_sql(ACCOUNT, [deposit_locked, deposit_locked], postgres_url)


def test_rows_locked_in_opposite_order_are_given_up_and_tried_again(postgres_url: str) -> None:
    first = ["UPDATE test SET value = value + 1 WHERE id = 1", "UPDATE test SET value = value + 1 WHERE id = 2"]
    verdict = check_sql(SETUP, [first, list(reversed(first))], postgres_url)
    assert verdict.answer is Answer.ISOLATED
    assert any("gave one up" in text for text in verdict.assumed)


def test_what_a_transaction_raises_is_part_of_the_outcome() -> None:
    verdict = check_sql(ACCOUNT, [withdraw_if_covered, withdraw_if_covered], isolation_level="DEFERRED")
    assert verdict
    told = {tuple(ending.facts.values())[:2] for ending in verdict.sequential}
    assert told == {("'paid'", "raised ValueError: not covered"), ("raised ValueError: not covered", "'paid'")}
    overdrawn = check_sql(ACCOUNT, [withdraw_if_covered, withdraw_if_covered])
    assert overdrawn.counterexample is not None
    assert overdrawn.counterexample.reached.facts["account"] == "(1, -60)"


def test_an_invariant_is_asked_at_every_end() -> None:
    setup = [
        "CREATE TABLE doctor (name TEXT PRIMARY KEY, on_call INTEGER)",
        "INSERT INTO doctor VALUES ('a', 1), ('b', 1)",
    ]

    def leave(name: str) -> Any:
        def transaction(connection: Any) -> None:
            (count,) = connection.execute("SELECT count(*) FROM doctor WHERE on_call = 1").fetchone()
            if count >= 2:
                connection.execute("UPDATE doctor SET on_call = 0 WHERE name = ?", (name,))

        return transaction

    somebody = "SELECT count(*) >= 1 FROM doctor WHERE on_call = 1"
    verdict = check_sql(setup, [leave("a"), leave("b")], outcome="SELECT 'anything'", invariant=somebody)
    assert verdict.answer is Answer.BREAKS_INVARIANT
    assert verdict.counterexample is not None
    assert "Write skew" in verdict.counterexample.sentence
    assert check_sql(setup, [leave("a"), leave("b")], isolation_level="IMMEDIATE", invariant=somebody)


def test_an_invariant_that_never_holds_is_the_caller_s_mistake() -> None:
    with pytest.raises(CheckError, match="one after the other"):
        check_sql(ACCOUNT, [deposit_in_sql], invariant="SELECT balance < 0 FROM account")


def test_an_outcome_may_be_a_query_or_a_function() -> None:
    total = "SELECT sum(value) FROM test"
    case = CASES["read skew"]
    assert not check_sql(SETUP, case, outcome=total)  # what the transactions saw still counts
    writers = [["UPDATE test SET value = 11 WHERE id = 1"], ["UPDATE test SET value = 12 WHERE id = 1"]]
    assert check_sql(SETUP, writers, outcome=lambda connection: connection.execute(total).fetchone())


def test_a_token_performs_exactly_that_interleaving() -> None:
    found = check_sql(ACCOUNT, [deposit_in_python, deposit_in_python])
    assert found.token is not None
    again = check_sql(ACCOUNT, [deposit_in_python, deposit_in_python], token=found.token)
    assert again.executions == 1
    assert again.counterexample is not None
    assert found.counterexample is not None
    assert again.counterexample.moments == found.counterexample.moments
    # The mended program has other statements, so the same token says that it does not fit.
    with pytest.raises(ReplayError, match="does not fit"):
        check_sql(ACCOUNT, [deposit_in_sql, deposit_in_sql], token=found.token)
    with pytest.raises(ReplayError, match="no token"):
        check_sql(ACCOUNT, [deposit_in_sql], token="x")


def test_a_budget_that_ends_early_is_never_called_isolated() -> None:
    verdict = check_sql(ACCOUNT, [deposit_in_sql, deposit_in_sql], budget=1)
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "budget" in verdict.reason


def test_three_transactions_in_sqlite() -> None:
    verdict = check_sql(ACCOUNT, [deposit_in_sql] * 3)
    assert verdict
    assert verdict.sequential[0].facts["account"] == "(1, 250)"


def test_a_user_s_rollback_and_savepoint_work() -> None:
    transaction = [
        "UPDATE account SET balance = 1",
        "SAVEPOINT here",
        "UPDATE account SET balance = 2",
        "ROLLBACK TO here",
    ]
    verdict = check_sql(ACCOUNT, [transaction], isolation_level="DEFERRED")
    assert verdict.sequential[0].facts["account"] == "(1, 1)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ACCOUNT, []), "no transactions"),
        ((ACCOUNT, ["SELECT 1"]), "pass a list"),
        ((ACCOUNT, [["SELECT 1", 1]]), "no statement"),
        ((ACCOUNT, [["SELECT * FROM nowhere"], ["SELECT 1"]]), "fails in every order.*no such table"),
        (("CREATE TABLE t (n)", [["SELECT 1"]]), "setup is the string"),
        ((ACCOUNT, [["SELECT 1"]], "mysql://x"), "No database is known"),
        ((ACCOUNT, [["SELECT 1"]], "sqlite:/a/file.db"), "makes its own"),
        ((ACCOUNT, [["SELECT 1"]], "sqlite:", "SNAPSHOT"), "it has READ UNCOMMITTED"),
    ],
)
def test_bad_input_is_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(CheckError, match=message):
        check_sql(*arguments)


def change_and_fail(connection: Any) -> None:
    connection.cursor().execute("UPDATE account SET balance = 0")
    raise LookupError("no such account")


def test_a_function_that_fails_in_every_order_proves_nothing_unless_it_is_meant_to() -> None:
    verdict = check_sql(ACCOUNT, [change_and_fail, deposit_in_sql])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "(change_and_fail) fails in every order" in verdict.reason
    assert "raises=LookupError" in verdict.reason
    assert check_sql(ACCOUNT, [change_and_fail, deposit_in_sql], raises=LookupError)


def test_a_server_out_of_reach_is_named_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(CheckError, match=r"can't be reached at postgresql://me@127\.0\.0\.1:1/x") as caught:
        check_sql(ACCOUNT, [["SELECT 1"]], "postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_nothing_is_left_when_setup_or_a_question_fails() -> None:
    before = set(Path(tempfile.gettempdir()).glob("whilst-sqlite-*"))
    with pytest.raises(sqlite3.OperationalError):
        check_sql(["CREATE TABEL x"], [["SELECT 1"]])
    with pytest.raises(sqlite3.OperationalError):
        check_sql(ACCOUNT, [["SELECT 1"]], invariant="SELECT nothing FROM nowhere")
    with pytest.raises(ZeroDivisionError):
        check_sql(ACCOUNT, [deposit_in_sql], outcome=lambda connection: 1 / 0)
    assert set(Path(tempfile.gettempdir()).glob("whilst-sqlite-*")) == before


def test_no_schema_is_left_on_the_server(postgres_url: str) -> None:
    import psycopg

    check_sql(ACCOUNT, [deposit_in_sql, deposit_in_sql], postgres_url)
    with psycopg.connect(postgres_url) as connection:
        names = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'whilst%'").fetchall()
        connection.rollback()
    connection.close()
    assert names == []


def test_a_unique_violation_is_no_lost_update() -> None:
    def sign_up(connection: Any) -> None:
        if not connection.execute("SELECT * FROM person WHERE name = 'ann'").fetchall():
            connection.execute("INSERT INTO person VALUES ('ann')")

    verdict = check_sql(["CREATE TABLE person (name TEXT UNIQUE)"], [sign_up, sign_up], isolation_level="AUTOCOMMIT")
    assert verdict.counterexample is not None
    assert verdict.counterexample.pattern == "unique violation"
    assert "found no such row" in verdict.counterexample.sentence

    def sign_up_once(connection: Any) -> None:
        connection.execute("INSERT OR IGNORE INTO person VALUES ('ann')")

    assert check_sql(["CREATE TABLE person (name TEXT UNIQUE)"], [sign_up_once, sign_up_once])


def test_a_transaction_that_cleans_up_on_its_way_out_ends() -> None:
    def look(connection: Any) -> object:
        connection.row_factory = sqlite3.Row
        try:
            assert isinstance(connection, sqlite3.Connection)
            return [row["balance"] for row in connection.execute("SELECT balance FROM account")]
        finally:
            connection.rollback()

    assert check_sql(ACCOUNT, [look, look, deposit_in_sql])


def test_psycopg_s_own_blocks_and_questions_are_seen(postgres_url: str) -> None:
    from psycopg.types import TypeInfo

    def deposit(connection: Any) -> None:
        assert TypeInfo.fetch(connection, "text")  # as SQLAlchemy does at first
        connection.execute("SHOW transaction_read_only")
        with connection.transaction():
            balance = connection.execute("SELECT balance FROM account").fetchone()[0]
            connection.execute("UPDATE account SET balance = %s", [balance + 50])

    lost = check_sql(ACCOUNT, [deposit, deposit], postgres_url)
    assert lost.counterexample is not None
    assert lost.counterexample.pattern == "lost update"
    assert check_sql(ACCOUNT, [deposit, deposit], postgres_url, "REPEATABLE READ")
