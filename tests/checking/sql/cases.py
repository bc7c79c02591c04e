"""The classic anomalies as pairs of transactions, and at which level each is possible.

Sources: Berenson et al. 1995 for the cases; Kleppmann's Hermitage and the manuals of the databases for the levels.
"""

from __future__ import annotations

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
}

WITHOUT_SNAPSHOT = {"non-repeatable read", "phantom", "lost update", "read skew", "write skew"}

SQLITE = {
    "READ UNCOMMITTED": WITHOUT_SNAPSHOT | {"dirty read"},
    "PYTHON DEFAULT": WITHOUT_SNAPSHOT,
    "PYTHON DEFAULT WAL": WITHOUT_SNAPSHOT,
    "AUTOCOMMIT": WITHOUT_SNAPSHOT | {"dirty write"},
    "DEFERRED": set(),
    "DEFERRED WAL": set(),
    "IMMEDIATE": set(),
    "EXCLUSIVE": set(),
}
POSTGRES = {
    "READ UNCOMMITTED": WITHOUT_SNAPSHOT,
    "READ COMMITTED": WITHOUT_SNAPSHOT,
    "REPEATABLE READ": {"write skew"},
    "SERIALIZABLE": set(),
}
