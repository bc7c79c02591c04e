"""Sub-interpreters: calls side by side on several cores within this one process, each with a GIL of its own.

A worker is a thread that has entered an interpreter of its own and runs there what a worker process runs, over the
same kind of socket: only how it is started and ended differs. It starts faster than a process and shares its
directory, environment and open files with this program; it can't be killed, a crash takes the program along, and
extension modules that were not written for it can't be imported there.

Needs `concurrent.interpreters` (Python 3.14); 3.13 has the same machinery as a private module.
"""

from __future__ import annotations

import _thread
from importlib import import_module
from queue import SimpleQueue
from typing import Any

from whilst.errors import WhilstError
from whilst.running.backends.processes import ProcessBackend, _Worker
from whilst.running.calls.bare import code_to_run

_MAIN = "whilst.running.worker.child.main"


def _machinery() -> Any:
    module = import_module("_interpreters")
    if not hasattr(module, "exec"):
        raise ImportError("_interpreters has no exec")
    return module


class SubinterpreterBackend(ProcessBackend):
    """One worker is one interpreter, in a thread of this process."""

    can_kill = False

    def __init__(self) -> None:
        try:
            self._interpreters = _machinery()
        except ImportError as error:
            raise WhilstError(
                "This Python has no sub-interpreters: they come with 3.14. Pass backend='processes' instead."
            ) from error
        super().__init__()
        self.name = "subinterpreters"
        self._ended: SimpleQueue[tuple[int, int, str]] = SimpleQueue()

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        """It can't be killed: of what it holds, what has not begun never does, and the call that runs is waited for."""
        if kill:
            self.recall(worker)
        super().stop_worker(worker)

    def _starter(self) -> None:
        """Each is started right here."""

    def _launch(self, worker: _Worker, fds: tuple[int, int, int]) -> None:
        _thread.start_new_thread(self._run, (worker.number, fds))

    def _run(self, number: int, fds: tuple[int, int, int]) -> None:
        """The life of a worker, in a thread of its own."""
        code, reason = 1, ""
        try:
            interpreter = self._interpreters.create("isolated")
            try:
                failure = self._interpreters.exec(interpreter, code_to_run(_MAIN, "inhabit", *fds))
                code, reason = (0, "") if failure is None else (1, str(getattr(failure, "formatted", failure)))
            finally:
                self._interpreters.destroy(interpreter)
        except BaseException as error:
            reason = reason or f"{type(error).__name__}: {error}"
        finally:
            self._ended.put((number, code, reason))
            self.wake()

    def _look(self, timeout_s: float | None) -> bool:
        is_woken = super()._look(timeout_s)
        while not self._ended.empty():
            number, code, reason = self._ended.get()
            worker = self._workers.get(number)
            if worker is not None:
                self._bury(worker, code, reason)
        return is_woken and not self._queued

    def _end_workers(self, *, kill: bool) -> None:
        for number in list(self._workers):
            self.stop_worker(number, kill=kill)
        # However long the last call takes: a thread can't be left behind in an interpreter.
        while self._workers:
            self._queued.clear()
            self._look(None)
