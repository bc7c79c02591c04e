"""At which level each of the example's anomalies is possible.

Sources: Kleppmann's Hermitage and the manuals of the databases.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_EXAMPLE = Path(__file__).parents[3] / "examples" / "sql_anomalies.py"
_SPEC = importlib.util.spec_from_file_location("sql_anomalies", _EXAMPLE)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)

SETUP: list[str] = _MODULE.SETUP
CASES: dict[str, list[list[str]]] = {
    name: transactions for name, transactions in _MODULE.CASES.items() if name != "write skew by phantoms"
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
