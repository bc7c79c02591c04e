"""Which anomalies are possible at which isolation level, found by trying every interleaving on a real database.

The cases are those of Berenson et al., "A Critique of ANSI SQL Isolation Levels" (1995), in the form that Martin
Kleppmann's Hermitage gave them.

    python examples/sql_anomalies.py                          SQLite, in a temporary file
    python examples/sql_anomalies.py postgresql://me@host/db  PostgreSQL, in a schema of its own
"""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from whilst.checking.sql import check_sql
from whilst.checking.sql.postgres import PostgreSQL

SETUP = [
    "CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER)",
    "INSERT INTO test VALUES (1, 10), (2, 20)",
]

CASES: dict[str, list[list[str]]] = {
    "dirty write": [
        ["UPDATE test SET value = 11 WHERE id = 1", "UPDATE test SET value = 21 WHERE id = 2"],
        ["UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 22 WHERE id = 2"],
    ],
    "dirty read": [
        ["UPDATE test SET value = 101 WHERE id = 1", "ROLLBACK"],
        ["SELECT * FROM test WHERE id = 1"],
    ],
    "non-repeatable read": [
        ["SELECT value FROM test WHERE id = 1", "SELECT value FROM test WHERE id = 1"],
        ["UPDATE test SET value = 11 WHERE id = 1"],
    ],
    "phantom": [
        ["SELECT * FROM test WHERE value >= 20", "SELECT * FROM test WHERE value >= 20"],
        ["INSERT INTO test VALUES (3, 30)"],
    ],
    "lost update": [
        ["SELECT value FROM test WHERE id = 1", "UPDATE test SET value = 11 WHERE id = 1"],
        ["SELECT value FROM test WHERE id = 1", "UPDATE test SET value = 12 WHERE id = 1"],
    ],
    "read skew": [
        ["SELECT value FROM test WHERE id = 1", "SELECT value FROM test WHERE id = 2"],
        ["UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 18 WHERE id = 2"],
    ],
    "write skew": [
        ["SELECT * FROM test WHERE id IN (1, 2) ORDER BY id", "UPDATE test SET value = 11 WHERE id = 1"],
        ["SELECT * FROM test WHERE id IN (1, 2) ORDER BY id", "UPDATE test SET value = 21 WHERE id = 2"],
    ],
    "write skew by phantoms": [
        ["SELECT * FROM test WHERE value % 3 = 0", "INSERT INTO test VALUES (3, 30)"],
        ["SELECT * FROM test WHERE value % 3 = 0", "INSERT INTO test VALUES (4, 42)"],
    ],
}


SQLITE_LEVELS = ("READ UNCOMMITTED", "PYTHON DEFAULT", "AUTOCOMMIT", "DEFERRED", "DEFERRED WAL", "IMMEDIATE")


def main(url: str = "sqlite:") -> None:
    is_sqlite = url.startswith("sqlite")
    levels = SQLITE_LEVELS if is_sqlite else PostgreSQL.levels
    table = Table(title=f"What {'SQLite' if is_sqlite else 'PostgreSQL'} lets happen", box=box.SIMPLE_HEAD)
    for heading in ("", *levels):
        table.add_column(heading)
    for name, transactions in CASES.items():
        verdicts = [check_sql(SETUP, transactions, url, level) for level in levels]
        table.add_row(name, *("possible" if verdict.counterexample else "-" for verdict in verdicts))
    console = Console()
    console.print(table)
    console.print("- is isolated: every interleaving ends as some order of the transactions one after the other.")


if __name__ == "__main__":
    main(*sys.argv[1:2])
