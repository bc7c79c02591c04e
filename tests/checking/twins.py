"""What many cases of the corpus are made of: a state of any shape with a lock, the twin of a task under that lock."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

__all__ = ["State", "make", "twins", "under_lock"]


class State:
    """Attributes as given; a callable is called for its value."""

    def __init__(self, **held: Any) -> None:
        self.lock = threading.Lock()
        for name, value in held.items():
            setattr(self, name, value() if callable(value) else value)


def make(**held: Any) -> Any:
    """A setup that makes such a state."""
    return partial(State, **held)


def under_lock(task: Any) -> Any:
    """The same with the state's lock held from start to end."""

    def run(state: Any) -> Any:
        with state.lock:
            return task(state)

    run.__name__ = run.__qualname__ = f"locked_{getattr(task, '__name__', 'task')}"
    return run


def twins(name: str, setup: Any, *tasks: Any, **more: Any) -> Any:
    """A racy case and its twin under a lock; both measure the same, if `more` says what."""
    fixed = {key: value for key, value in more.items() if key not in ("expect", "pattern")}
    return name, (
        {"setup": setup, "tasks": list(tasks), **more},
        {"setup": setup, "tasks": [under_lock(task) for task in tasks], **fixed},
    )
