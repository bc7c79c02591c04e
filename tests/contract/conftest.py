"""Every mode and back end there is, as parameters of the contract."""

from __future__ import annotations

import pytest

from whilst.running.options import Keywords

WAYS: dict[str, Keywords] = {
    "sequential": {"mode": "sequential"},
    "threads": {"mode": "concurrent", "workers": 3},
    "one thread": {"mode": "concurrent", "workers": 1},
    "processes": {"mode": "parallel", "workers": 2},
    "processes*threads": {"mode": "combined", "workers": 2},
    "auto": {"mode": "auto"},
}
COROUTINE_WAYS: dict[str, Keywords] = {
    "sequential": {"mode": "sequential"},
    "event loop": {"mode": "concurrent"},
    "two in flight": {"mode": "concurrent", "workers": 2},
    "threads": {"backend": "threads", "workers": 3},
    "processes": {"mode": "parallel", "workers": 2},
    "processes*eventloop": {"mode": "combined", "workers": 2},
    "auto": {"mode": "auto"},
}


def _params(ways: dict[str, Keywords]) -> list[object]:
    return [pytest.param(keywords, id=name.replace(" ", "-")) for name, keywords in ways.items()]


@pytest.fixture(params=_params(WAYS))
def way(request: pytest.FixtureRequest) -> Keywords:
    """Keywords that choose one way to run plain functions."""
    return request.param


@pytest.fixture(params=_params(COROUTINE_WAYS))
def coroutine_way(request: pytest.FixtureRequest) -> Keywords:
    """Keywords that choose one way to run coroutine functions."""
    return request.param
