"""A worker process that grows without end is recycled before the machine has no memory left."""

from __future__ import annotations

import os
from typing import Any

import pytest

import whilst
from whilst.measuring import machine
from whilst.measuring.machine import look_at_machine
from whilst.running import backends
from whilst.running.backends.base import BackendConfig
from whilst.running.verbs import run as mapping

HOARD: list[bytearray] = []


def leak(x: int) -> int:
    HOARD.append(bytearray(b"x" * (64 << 20)))
    end = os.times().user + 0.06  # the worker looks every 50 ms
    while os.times().user < end:
        pass
    return os.getpid()


def double(x: int) -> int:
    end = os.times().user + 0.02
    while os.times().user < end:
        pass
    return 2 * x


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[BackendConfig]:
    """The set-ups with which back ends are opened."""
    seen: list[BackendConfig] = []

    def opened(config: BackendConfig, **keywords: Any) -> Any:
        seen.append(config)
        return backends.open_backend(config, **keywords)

    monkeypatch.setattr(mapping, "open_backend", opened)
    return seen


@pytest.mark.parametrize("mode", ["parallel", "combined", "auto"])
def test_every_worker_process_has_a_limit(mode: Any, configs: list[BackendConfig]) -> None:
    assert whilst.map(double, range(40), mode=mode, workers=2) == [2 * x for x in range(40)]
    limits = [config.memory_limit_bytes for config in configs if config.backend.startswith("processes")]
    memory_bytes = look_at_machine().memory_bytes
    if mode != "auto":  # which may have better ideas than processes
        assert limits
    assert memory_bytes is not None
    assert all(limit == int(memory_bytes * 0.9) // 2 for limit in limits)


def test_threads_have_none(configs: list[BackendConfig]) -> None:
    whilst.map(double, range(4), mode="concurrent", workers=2)
    assert [config.memory_limit_bytes for config in configs] == [None]


def test_workers_that_leak_are_replaced_and_no_call_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "worker_memory_bytes", lambda _workers: 100 << 20)
    pids = whilst.map(leak, range(8), mode="parallel", workers=1)
    assert len(pids) == 8
    assert len(set(pids)) > 2


def test_what_a_fork_was_given_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "worker_memory_bytes", lambda _workers: 50 << 20)
    program = bytearray(b"x" * (150 << 20))
    pids = whilst.map(
        lambda _: double(0) or double(0) or double(0) or os.getpid(), range(6), mode="parallel", workers=1
    )
    assert len(set(pids)) == 1
    del program
