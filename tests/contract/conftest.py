"""Every mode and back end there is, as parameters of the contract."""

from __future__ import annotations

import pytest

from whilst.model import Mode
from whilst.running.backends import BACKENDS, Traits
from whilst.running.options import Keywords

OPENED = {name: traits for name, traits in BACKENDS.items() if traits.module and not traits.is_elsewhere}
"""Those that have something to open here: whoever adds a back end to the registry has it tried."""
ELSEWHERE = {name: traits for name, traits in BACKENDS.items() if traits.is_elsewhere}
"""On the cluster of the session: a scheduler and two workers, in directories and environments of their own."""


def _keywords(name: str, traits: Traits) -> Keywords:
    keywords = Keywords(mode=Mode(traits.modes[0]), backend=name)
    if not traits.has_loop:
        keywords["workers"] = 3 if traits.has_threads else 2
    return keywords


WAYS: dict[str, Keywords] = {
    "sequential": {"mode": "sequential"},
    **{name: _keywords(name, traits) for name, traits in OPENED.items() if not traits.awaits},
    "one thread": {"mode": "concurrent", "workers": 1},
    "auto": {"mode": "auto"},
    **{f"{name} on a cluster": {"mode": "parallel", "backend": name} for name in ELSEWHERE},
}
COROUTINE_WAYS: dict[str, Keywords] = {
    "sequential": {"mode": "sequential"},
    **{name: _keywords(name, traits) for name, traits in OPENED.items()},
    "two in flight": {"mode": "concurrent", "workers": 2},
    "auto": {"mode": "auto"},
    **{f"{name} on a cluster": {"mode": "parallel", "backend": name} for name in ELSEWHERE},
}


def _params(ways: dict[str, Keywords]) -> list[object]:
    return [pytest.param(keywords, id=name.replace(" ", "-")) for name, keywords in ways.items()]


def _chosen(request: pytest.FixtureRequest) -> Keywords:
    keywords: Keywords = request.param
    if keywords.get("backend") in ELSEWHERE:
        return Keywords(**keywords, on=request.getfixturevalue("client"))
    return keywords


@pytest.fixture(params=_params(WAYS))
def way(request: pytest.FixtureRequest) -> Keywords:
    """Keywords that choose one way to run plain functions."""
    return _chosen(request)


@pytest.fixture(params=_params(COROUTINE_WAYS))
def coroutine_way(request: pytest.FixtureRequest) -> Keywords:
    """Keywords that choose one way to run coroutine functions."""
    return _chosen(request)
