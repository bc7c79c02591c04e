"""What these tests need of the process they run in."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def functions_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By clean workers too: once a library has native threads, workers are no forks of this program."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
