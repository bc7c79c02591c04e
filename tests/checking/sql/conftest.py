"""One PostgreSQL server for all tests that need one, or a printed reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra whilst[postgres])")
    if server.find_programs() is None:
        pytest.skip("no PostgreSQL server is installed here (initdb not found)")
    with server.running() as url:
        yield url
