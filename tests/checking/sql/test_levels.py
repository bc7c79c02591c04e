"""The checker against what is known of each isolation level: it finds what is possible, and nothing else."""

from __future__ import annotations

import pytest

from whilst.checking.sql import check_sql
from whilst.model.verdict import Answer

from .cases import CASES, POSTGRES, SETUP, SQLITE


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("level", SQLITE)
def test_sqlite_lets_happen_what_is_known(level: str, case: str) -> None:
    verdict = check_sql(SETUP, CASES[case], "sqlite:", level)
    if case in SQLITE[level]:
        assert verdict.answer is Answer.NOT_ISOLATED
        assert verdict.counterexample is not None
        assert verdict.counterexample.pattern == case
    else:
        assert verdict.answer is Answer.ISOLATED
        assert "every interleaving" in verdict.guarantee


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("level", POSTGRES)
def test_postgres_lets_happen_what_is_known(postgres_url: str, level: str, case: str) -> None:
    verdict = check_sql(SETUP, CASES[case], postgres_url, level)
    if case in POSTGRES[level]:
        assert verdict.answer is Answer.NOT_ISOLATED
        assert verdict.counterexample is not None
        assert verdict.counterexample.pattern == case
    else:
        assert verdict.answer is Answer.ISOLATED


def test_the_read_only_anomaly_of_snapshots_needs_three_transactions(postgres_url: str) -> None:
    """Fekete, O'Neil, O'Neil, "A read-only transaction anomaly under snapshot isolation" (2004)."""
    setup = ["CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER)", "INSERT INTO test VALUES (1, 0), (2, 0)"]
    reports = ["SELECT * FROM test ORDER BY id"]
    withdraws = ["SELECT * FROM test ORDER BY id", "UPDATE test SET value = -11 WHERE id = 1"]
    deposits = ["UPDATE test SET value = 20 WHERE id = 2"]
    # The report alone makes it one: without it, the withdrawal simply came first.
    assert check_sql(setup, [withdraws, deposits], postgres_url, "REPEATABLE READ")
    verdict = check_sql(setup, [withdraws, deposits, reports], postgres_url, "REPEATABLE READ")
    assert verdict.answer is Answer.NOT_ISOLATED
    assert check_sql(setup, [withdraws, deposits, reports], postgres_url, "SERIALIZABLE")
