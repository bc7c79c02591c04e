"""Files: locks on them, and calls that are tried until they succeed."""

# ruff: noqa: PTH102, PTH106, PTH108, PTH123  # these calls are what is tried
from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.mkdtemp(prefix="whilst-corpus-"))
LOCK = str(FOLDER / "lock")


class App:
    def __init__(self) -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        self.n = 0


def bump(app: App) -> None:
    n = app.n
    app.n = n + 1


def by_mkdir(app: App) -> None:
    while True:
        try:
            os.mkdir(LOCK)
            break
        except FileExistsError:
            time.sleep(0.01)
    bump(app)
    os.rmdir(LOCK)


def by_exclusive_file(app: App) -> None:
    while True:
        try:
            descriptor = os.open(LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            break
        except FileExistsError:
            time.sleep(0.01)
    os.close(descriptor)
    bump(app)
    os.unlink(LOCK)


def by_looking_first(app: App) -> None:
    while os.access(LOCK, os.F_OK):
        time.sleep(0.01)
    os.close(os.open(LOCK, os.O_CREAT | os.O_RDWR))
    bump(app)
    os.unlink(LOCK)


def by_flock(operation: int) -> Any:
    def work(app: App) -> None:
        with open(LOCK, "w") as file:
            fcntl.flock(file, operation)
            bump(app)

    return work


def by_flock_given_back_early(app: App) -> None:
    with open(LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        n = app.n
        fcntl.flock(file, fcntl.LOCK_UN)
        app.n = n + 1


def by_flock_tried_again(app: App) -> None:
    with open(LOCK, "w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
        bump(app)


def twice(task: Any) -> dict[str, Any]:
    return {"setup": App, "tasks": [task, task], "outcome": lambda app: app.n}


PAIRS = {
    "a directory as a lock": (twice(bump), twice(by_mkdir)),
    "a file as a lock": (
        {**twice(by_looking_first), "raises": FileNotFoundError, "expect": "raises"},
        twice(by_exclusive_file),
    ),
    "flock, shared or alone": (twice(by_flock(fcntl.LOCK_SH)), twice(by_flock(fcntl.LOCK_EX))),
    "flock given back": (twice(by_flock_given_back_early), twice(by_flock_tried_again)),
}
