"""What a machine offers to this process. Unmeasured is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from whilst.errors import WhilstError


@dataclass(frozen=True, slots=True)
class NativePool:
    """A native thread pool inside this process, as BLAS or OpenMP start them."""

    api: str
    threads: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores and memory that this process may use, and what the interpreter can do.

    Args:
        cores: by affinity and cgroup quota, at least 1; a quota of 1.5 cores counts as 2 executors.
        memory_bytes: the smaller of the machine's memory and the cgroup's limit.
        has_gil: one thread at a time holds the interpreter.
    """

    cores: int
    memory_bytes: int | None = None
    has_gil: bool = True
    native_pools: tuple[NativePool, ...] = ()
    python: str = ""

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise MachineError(f"A machine has at least one core, got {self.cores!r}.")


class MachineError(WhilstError, ValueError):
    """A machine that can't be."""
