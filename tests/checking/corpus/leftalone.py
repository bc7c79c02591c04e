"""Effects of library code that is left alone for the rest: handlers, warnings, mocks, and threads that it starts."""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing.dummy
import queue
import sys
import threading
import warnings
from typing import Any
from unittest import mock


class App:
    def __init__(self) -> None:
        self.logger = logging.Logger("app")
        self.mock = mock.Mock()
        self.n = 0
        self.lock = threading.Lock()


def add_handler(app: App) -> None:
    if not app.logger.handlers:
        app.logger.addHandler(logging.NullHandler())


def add_handler_locked(app: App) -> None:
    with app.lock:
        add_handler(app)


def call_mock(app: App) -> None:
    app.mock(1)


def call_mock_locked(app: App) -> None:
    with app.lock:
        app.mock(1)


def hush(_: App) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            warnings.warn("old", stacklevel=1)
        except UserWarning:
            return "raised"
        return "not raised"


def hush_locked(app: App) -> str:
    with app.lock:
        return hush(app)


def bump(app: App) -> None:
    n = app.n
    app.n = n + 1


def bump_locked(app: App) -> None:
    with app.lock:
        bump(app)


def in_two(function: Any) -> Any:
    def start(app: App) -> None:
        both = [multiprocessing.dummy.Process(target=function, args=(app,)) for _ in range(2)]
        for each in both:
            each.start()
        for each in both:
            each.join()

    return start


def look(_: App) -> None:
    return None


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        count = self.count
        self.count = count + 1


RECORD = logging.LogRecord("app", logging.INFO, "app.py", 1, "hello", None, None)


class Line:
    """A handler that a listener's thread calls, and the program itself: by its lock, or without."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.heard = Heard()


def listen(emit: str) -> Any:
    def talk(line: Line) -> None:
        listener = logging.handlers.QueueListener(line.queue, line.heard)
        line.queue.put(RECORD)
        listener.start()
        getattr(line.heard, emit)(RECORD)
        listener.stop()

    return talk


def outcome_of_app(app: App) -> tuple[Any, ...]:
    return len(app.logger.handlers), app.mock.call_count, app.n


def ask(*tasks: Any, **options: Any) -> dict[str, Any]:
    return {"setup": App, "tasks": list(tasks), **options}


PAIRS = {
    "a handler added twice": (ask(add_handler, add_handler), ask(add_handler_locked, add_handler_locked)),
    "warnings caught by two": (
        ask(hush, hush, outcome=lambda _, results: results),
        ask(hush_locked, hush_locked, outcome=lambda _, results: results),
    ),
    "threads of multiprocessing.dummy": (
        ask(in_two(bump), look, outcome=outcome_of_app),
        ask(in_two(bump_locked), look, outcome=outcome_of_app),
    ),
    "a listener's thread": (
        {"setup": Line, "tasks": [listen("emit"), look], "outcome": lambda line: line.heard.count},
        {"setup": Line, "tasks": [listen("handle"), look], "outcome": lambda line: line.heard.count},
    ),
}

if sys.version_info < (3, 14):  # from there on a mock counts under a lock of its own: its racy twin is safe
    PAIRS["a mock counts its calls"] = (
        ask(call_mock, call_mock, outcome=outcome_of_app),
        ask(call_mock_locked, call_mock_locked, outcome=outcome_of_app),
    )
