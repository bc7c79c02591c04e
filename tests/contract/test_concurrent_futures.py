"""CPython's own tests of `concurrent.futures`, from the interpreter's `test` package, over an Executor in every mode.

The classes of tests are CPython's; only the mixin that makes the executor is ours. What can't hold here stands in
`EXPECTED`, with the reason; each of these must fail, and none may hang.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing.managers
import sys
import threading
import traceback
import types
import unittest
from typing import Any

import pytest

from whilst import Executor

_PACKAGE = "test.test_concurrent_futures"
_MODULES = ("executor", "test_thread_pool", "test_process_pool", "test_wait", "test_as_completed", "test_shutdown")
_MODULES += ("test_init", "test_deadlock", "util")


def _modules() -> list[types.ModuleType]:
    """One module up to Python 3.11, a package since. Many a build leaves it out; Debian has it in a package."""
    test = importlib.import_module("test")
    test.__path__.append(f"/usr/lib/python{sys.version_info[0]}.{sys.version_info[1]}/test")
    found = []
    for name in (_PACKAGE, *(f"{_PACKAGE}.{each}" for each in _MODULES)):
        try:
            found.append(importlib.import_module(name))
        except (ImportError, unittest.SkipTest):
            continue
    return found


MODULES = _modules()
if not any(hasattr(module, "BaseTestCase") for module in MODULES):
    pytest.skip(f"this Python comes without {_PACKAGE}, and there is no such Debian package", allow_module_level=True)


def _cpythons(name: str) -> Any:
    return next((getattr(module, name) for module in MODULES if hasattr(module, name)), None)


class Concurrent(Executor):
    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, mode="concurrent", **keywords)


class Parallel(Executor):
    def __init__(self, *args: Any, mp_context: object = None, **keywords: Any) -> None:
        super().__init__(*args, mode="parallel", **keywords)


class Combined(Executor):
    def __init__(self, *args: Any, mp_context: object = None, **keywords: Any) -> None:
        super().__init__(*args, mode="combined", **keywords)


class Auto(Executor):
    pass


MODES: dict[str, type[Executor]] = {
    "Concurrent": Concurrent,
    "Parallel": Parallel,
    "Combined": Combined,
    "Auto": Auto,
}
EVERYWHERE = ("AsCompletedTests", "InitializerMixin", "FailingInitializerMixin")
IN_THREADS = ("ThreadPoolExecutorTest", "ThreadPoolShutdownTest", "ThreadPoolWaitTests")
IN_PROCESSES = ("WaitTests", "ProcessPoolExecutorTest", "ProcessPoolShutdownTest", "ExecutorDeadlockTest")

_SCRIPT = "its script makes the standard executor, by name; tests/running/test_executor.py has one for ours"
_INNARDS = "it looks into the standard executor (_threads, _processes, _work_queue)"
_KINDER = "one call fails, with the reason; the standard executor breaks down with all its calls"
EXPECTED: dict[tuple[str, str], str] = {
    ("test_interpreter_shutdown", ""): _SCRIPT,
    ("test_submit_after_interpreter_shutdown", ""): _SCRIPT,
    ("test_hang_gh83386", ""): _SCRIPT,
    ("test_saturation", ""): _INNARDS,
    ("test_threads_terminate", ""): _INNARDS,
    ("test_default_workers", ""): "a thread pool has min(32, cores + 4) threads by default, an Executor 32",
    ("test_idle_thread_reuse", ""): _INNARDS,
    ("test_idle_process_reuse_multiple", ""): _INNARDS,
    ("test_idle_process_reuse_one", ""): _INNARDS,
    ("test_killed_child", ""): _INNARDS,
    ("test_processes_terminate", ""): _INNARDS,
    ("test_max_tasks_per_child", ""): _INNARDS,
    ("test_max_tasks_per_child_defaults_to_spawn_context", ""): _INNARDS,
    ("test_shutdown_deadlock_pickle", ""): _INNARDS,
    ("test_terminate_workers", ""): _INNARDS,
    ("test_kill_workers", ""): _INNARDS,
    ("test_force_shutdown_workers_invalid_op", ""): _INNARDS,
    ("test_broken_process_pool_traceback", ""): _INNARDS,
    ("test_gc_during_max_tasks_worker_exit_gh152967", ""): _INNARDS,
    ("test_force_shutdown_during_max_tasks_worker_exit", ""): _INNARDS,
    ("test_failed_worker_replacement_breaks_pool", ""): _INNARDS,
    ("test_traceback", "processes"): "the traceback is a real one here, and no text in a `_RemoteTraceback`",
    ("test_error_at_task_unpickle", ""): _KINDER,
    ("test_exit_at_task_unpickle", ""): _KINDER,
    ("test_exit_during_result_pickle_on_worker", ""): _KINDER,
    ("test_error_during_result_unpickle_in_result_handler", ""): _KINDER,
    ("test_exit_during_result_unpickle_in_result_handler", ""): _KINDER,
}
"""By test and mode ("threads" and "processes" are two each, "" all): why it must fail."""
_NO_FORCE = "an Executor has no terminate_workers and kill_workers"
LEFT_OUT = {
    "test_force_shutdown_workers": _NO_FORCE,
    "test_force_shutdown_workers_dead_workers": _NO_FORCE,
    "test_force_shutdown_workers_not_started_yet": _NO_FORCE,
    "test_force_shutdown_workers_stops_pool": _NO_FORCE,
    "test_shutdown_no_wait_max_tasks_gh119592": _INNARDS,
}
"""What would wait for ever, or fails in subtests, which no expectation covers."""
EXPECTED_OF_KIND = {
    ("FailingInitializerMixin", "threads"): _INNARDS,
    ("FailingInitializerMixin", "processes"): "its queue can only be inherited by processes that the program starts",
}
UNSURE = {
    ("test_cancel_futures_wait_false", "threads"): _SCRIPT + " (by 3.11 alone)",
    ("test_cancel_futures", ""): "where all is cancelled before a worker has started, none need have begun",
    ("test_python_finalization_error", ""): "it patches how the standard executor starts its processes",
}
"""As above, and it may succeed."""


@pytest.fixture(autouse=True, scope="module")
def tracker() -> None:
    """multiprocessing's own book-keeper is started by the first test that makes a semaphore, and stays."""
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()


def _expecting(name: str, test: Any, reason: str, *, is_strict: bool = True) -> Any:
    @functools.wraps(test)
    def run(self: Any) -> None:
        try:
            test(self)
        except Exception as error:
            # It stopped in its midst: its calls must not wait for ever for what it has not come to.
            for frame, _ in traceback.walk_tb(error.__traceback__):
                for value in frame.f_locals.values():
                    if isinstance(value, threading.Semaphore):
                        value.release(1000)
                    elif isinstance(value, threading.Event | multiprocessing.managers.EventProxy):
                        value.set()
            raise

    run.__name__ = name
    # A test that stops in its midst does not clean up. One that hangs has not failed as expected: that is no Exception.
    return pytest.mark.leaves_behind(pytest.mark.xfail(reason=reason, strict=is_strict, raises=Exception)(run))


def _event(_: Any) -> threading.Event:
    return threading.Event()


def _event_of_manager(self: Any) -> Any:
    return self.manager.Event()


def _define() -> None:
    case, mixin = _cpythons("BaseTestCase"), _cpythons("ExecutorMixin")
    for mode, made in MODES.items():
        is_processes = mode in ("Parallel", "Combined")
        own: dict[str, Any] = {"executor_type": made, "create_event": _event_of_manager if is_processes else _event}
        if is_processes:
            own["ctx"] = "spawn"
        ours = type(f"{mode}Mixin", (mixin,), own)
        for kind in EVERYWHERE + (IN_PROCESSES if is_processes else IN_THREADS):
            theirs = _cpythons(kind)
            if theirs is None:
                continue
            bases = (ours, theirs) if issubclass(theirs, case) else (ours, theirs, case)
            body: dict[str, Any] = {"__module__": __name__}
            here = ("", mode, "processes" if is_processes else "threads")
            for expected, is_strict in ((EXPECTED, True), (UNSURE, False)):
                for (test, of), reason in expected.items():
                    if of in here and hasattr(theirs, test):
                        body[test] = _expecting(test, getattr(theirs, test), reason, is_strict=is_strict)
            for test, reason in LEFT_OUT.items():
                if hasattr(theirs, test):
                    body[test] = pytest.mark.skip(reason=reason)(getattr(theirs, test))
            for (name, of), reason in EXPECTED_OF_KIND.items():
                if name == kind and of in here:
                    body["test_initializer"] = _expecting("test_initializer", theirs.test_initializer, reason)
            globals()[f"{mode}{kind}"] = type(f"{mode}{kind}", bases, body)


_define()
