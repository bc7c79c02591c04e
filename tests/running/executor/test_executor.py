"""Executor: what concurrent.futures promises, over every mode."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.errors import InterpreterEndingError, NotPicklableError
from whilst.running.backends.threads import ThreadBackend
from whilst.running.executor.executor import Executor
from whilst.running.executor.thread import ExecutorClosedError
from whilst.running.jobs import Event
from whilst.running.options import Keywords, OptionsError

WAYS: dict[str, Keywords] = {
    "threads": {"mode": "concurrent", "workers": 3},
    "one thread": {"mode": "sequential"},
    "processes": {"mode": "parallel", "workers": 2},
    "combined": {"mode": "combined", "workers": 2},
    "auto": {"mode": "auto"},
}
THREADS: Keywords = {"mode": "concurrent", "workers": 2}


@pytest.fixture(params=[pytest.param(way, id=name.replace(" ", "-")) for name, way in WAYS.items()])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with Executor(**request.param) as made:
        yield made


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0.001)
    return a + b


def test_it_is_an_executor_of_the_standard_library(executor: Executor) -> None:
    assert isinstance(executor, concurrent.futures.Executor)


def test_futures_have_results_and_exceptions(executor: Executor) -> None:
    futures = [executor.submit(divmod, 7, n) for n in (2, 0, 3)]
    assert futures[0].result(30) == (3, 1)
    assert isinstance(futures[1].exception(30), ZeroDivisionError)
    assert futures[2].result(30) == (2, 1)
    assert executor.submit(int, "ff", base=16).result(30) == 255


def test_coroutine_functions_may_be_submitted(executor: Executor) -> None:
    assert executor.submit(add_later, 1, 2).result(30) == 3


def test_waiting_for_several_futures(executor: Executor) -> None:
    futures = [executor.submit(pow, n, 2) for n in range(40)]
    assert {f.result() for f in concurrent.futures.as_completed(futures, 30)} == {n * n for n in range(40)}
    assert not concurrent.futures.wait(futures, 30).not_done


def test_map_keeps_the_order_and_ends_with_the_shortest(executor: Executor) -> None:
    assert list(executor.map(pow, range(10), [2] * 7)) == [n * n for n in range(7)]
    assert list(executor.map(pow, range(10), [2] * 10, chunksize=4)) == [n * n for n in range(10)]
    assert list(executor.map(pow, range(10), [2] * 10, buffersize=2)) == [n * n for n in range(10)]


def test_an_event_loop_can_use_it(executor: Executor) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, pow, n, 2) for n in range(10)))

    assert asyncio.run(main()) == [n * n for n in range(10)]


def test_it_says_how_calls_are_run(executor: Executor) -> None:
    executor.submit(abs, -1).result(30)
    assert executor.decision.backend
    assert len(executor.timeline) >= 1


def test_map_with_a_buffer_reads_no_further_ahead() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with Executor(**THREADS) as executor:
        results = executor.map(abs, endless(), buffersize=3)
        assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
        assert taken <= 8
        results.close()  # type: ignore[attr-defined]


def test_map_checks_its_arguments_and_its_time() -> None:
    gate = threading.Event()
    with Executor(**THREADS) as executor:
        with pytest.raises(ValueError, match="chunksize"):
            executor.map(abs, [1], chunksize=0)
        with pytest.raises(ValueError, match="buffersize"):
            executor.map(abs, [1], buffersize=0)
        with pytest.raises(TimeoutError):
            list(executor.map(lambda _: gate.wait(30), [1], timeout=0.01))
        gate.set()


def test_a_future_that_has_not_begun_can_be_cancelled() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return gate.wait(30)

    with Executor(mode="concurrent", workers=1) as executor:
        first = executor.submit(hold)
        assert begun.wait(30)
        later = [executor.submit(abs, n) for n in range(5)]
        assert later[-1].cancel()
        assert not first.cancel()
        gate.set()
        assert first.result(30)
        assert [f.result(30) for f in later[:-1]] == [0, 1, 2, 3]
        assert later[-1].cancelled()


def test_shutdown_waits_for_what_was_submitted() -> None:
    executor = Executor(**THREADS)
    futures = [executor.submit(pow, n, 2) for n in range(500)]
    executor.shutdown()
    assert [f.result(0) for f in futures] == [n * n for n in range(500)]
    with pytest.raises(ExecutorClosedError):
        executor.submit(abs, 1)
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)
    executor.shutdown()


@pytest.mark.parametrize("way", [THREADS, {"mode": "parallel", "workers": 2}], ids=["threads", "processes"])
def test_many_submits_can_be_cancelled(way: Keywords) -> None:
    executor = Executor(**way)
    futures = [executor.submit(time.sleep, 0.01) for _ in range(20_000)]
    executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) > 10_000


def test_an_executor_that_is_forgotten_ends_its_thread_after_the_last_call() -> None:
    executor = Executor(**THREADS)
    future, gone = executor.submit(pow, 3, 2), weakref.ref(executor)
    del executor
    gc.collect()
    assert future.result(30) == 9
    assert gone() is None


def test_an_executor_that_was_never_used_leaves_nothing() -> None:
    Executor(**THREADS)
    Executor(**THREADS).shutdown()


def test_submitted_calls_are_made_before_the_program_ends() -> None:
    code = (
        "import os, time\nfrom whilst.running.executor.executor import Executor\n"
        "executor = Executor(mode='concurrent', workers=2)\n"
        "for n in range(3): executor.submit(lambda n=n: (time.sleep(0.05), os.write(1, b'done %d\\n' % n)))\n"
    )
    source = str(Path(__file__).parents[3] / "src")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert sorted(ran.stdout.split("\n")) == ["", "done 0", "done 1", "done 2"], ran.stderr


def test_exits_and_interrupts_in_a_call_belong_to_its_future() -> None:
    def leave() -> None:
        sys.exit(3)

    with Executor(**THREADS) as executor:
        error = executor.submit(leave).exception(30)
        assert isinstance(error, SystemExit)
        assert executor.submit(abs, -1).result(30) == 1


def test_an_exception_that_is_returned_is_a_result() -> None:
    with Executor(**THREADS) as executor:
        assert isinstance(executor.submit(ValueError, 1).result(30), ValueError)


def test_a_call_may_submit_another() -> None:
    with Executor(**THREADS) as executor:
        assert executor.submit(lambda: executor.submit(abs, -5)).result(30).result(30) == 5


def test_keywords_are_checked() -> None:
    with pytest.raises(TypeError, match="did you mean 'workers'"):
        Executor(worker=2)  # type: ignore[call-arg]
    with pytest.raises(OptionsError, match="mode must be one of"):
        Executor(mode="fast")  # type: ignore[typeddict-item]


of_the_request: contextvars.ContextVar[str] = contextvars.ContextVar("of_the_request", default="none")


def read_variable(_: int) -> str:
    return of_the_request.get()


def set_variable(value: str) -> str:
    before = of_the_request.get()
    of_the_request.set(value)
    return before


async def read_later(_: int) -> str:
    await asyncio.sleep(0)
    return of_the_request.get()


def test_a_call_sees_the_context_variables_of_its_submit(executor: Executor) -> None:
    def submit_in(value: str, function: Callable[..., Any]) -> list[concurrent.futures.Future[str]]:
        of_the_request.set(value)
        return [executor.submit(function, k) for k in range(3)]

    futures = [executor.submit(read_variable, 0)]
    for value in ("one", "two", "one", "three"):
        futures += contextvars.copy_context().run(submit_in, value, read_variable)
    futures += contextvars.copy_context().run(submit_in, "four", read_later)
    expected = ["none", *(3 * ["one"]), *(3 * ["two"]), *(3 * ["one"]), *(3 * ["three"]), *(3 * ["four"])]
    assert [future.result(30) for future in futures] == expected


def test_what_a_submitted_call_sets_in_its_context_no_other_sees(executor: Executor) -> None:
    futures = [executor.submit(set_variable, f"by {k}") for k in range(10)]
    assert {future.result(30) for future in futures} == {"none"}
    assert of_the_request.get() == "none"


def test_without_a_mode_calls_overlap_and_may_wait_for_each_other() -> None:
    with Executor() as executor:
        gate = threading.Event()
        waiting = executor.submit(gate.wait, 30)
        outer = executor.submit(lambda: executor.submit(gate.set).result(30))
        assert outer.result(30) is None
        assert waiting.result(30) is True
        assert "one by one" in str(executor.decision)


# What programs for the standard executors rely on.


def stay(number: int) -> int:
    time.sleep(0.002)
    return number


def test_a_callback_may_wait_for_another_call(executor: Executor) -> None:
    got: list[int] = []
    done = threading.Event()

    def wait_for_another(_: Any) -> None:
        got.append(executor.submit(stay, 5).result(20))
        done.set()

    executor.submit(stay, 1).add_done_callback(wait_for_another)
    assert done.wait(30)
    assert got == [5]


def test_callbacks_wait_for_each_other_no_more_than_in_a_thread_pool(executor: Executor) -> None:
    both = threading.Barrier(2)
    futures = [executor.submit(stay, number) for number in range(2)]
    met: list[int] = []
    for future in futures:
        future.add_done_callback(lambda _: met.append(both.wait(20)))
    executor.shutdown()
    assert sorted(met) in ([0, 1], [])  # []: the calls were over before, and this thread ran the callbacks


class Leaves:
    """Can't be sent, and says so in the worst way."""

    def __reduce__(self) -> Any:
        raise SystemExit("from __reduce__")


def test_nothing_that_raises_system_exit_costs_another_call(executor: Executor) -> None:
    def leave(_: Any) -> None:
        raise SystemExit("from a callback")

    futures = [executor.submit(stay, number) for number in range(8)]
    futures[7].add_done_callback(leave)
    odd = executor.submit(str, Leaves())
    futures += [executor.submit(stay, number) for number in range(8, 12)]
    assert [each.result(30) for each in futures] == list(range(12))
    assert odd.exception(30) is None or isinstance(odd.exception(), NotPicklableError)
    assert executor.submit(stay, 3).result(30) == 3


class Big:
    pass


def make_big(_: int) -> Big:
    return Big()


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_keeps_no_result_alive(executor: Executor, chunksize: int) -> None:
    for each in executor.map(make_big, range(6), chunksize=chunksize):
        reference = weakref.ref(each)
        del each
        # The executor's thread, which has just handed it over, may not have come to its next line.
        deadline = time.monotonic() + 30
        while reference() is not None and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.001)
        assert reference() is None


def wait_for(path: Path | None) -> bool:
    deadline = time.monotonic() + 60
    while path is not None and not path.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    return path is None or path.exists()


def test_a_result_does_not_wait_for_the_next_call_of_its_worker(tmp_path: Path) -> None:
    path = tmp_path / "read"
    with Executor(mode="parallel", workers=1) as executor:
        assert all(executor.map(wait_for, [None] * 40))  # they are short, so that two go to a worker together
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1)
        try:
            first, second, third = (executor.submit(wait_for, each) for each in (None, None, path))
        finally:
            sys.setswitchinterval(interval)
        assert first.result(30)
        assert second.result(30)
        path.touch()
        assert third.result()


AT_EXIT = """
import atexit
import whilst
executor = whilst.Executor(mode={mode!r})

@atexit.register
def last():
    try:
        executor.submit(print, "worked")
    except RuntimeError as error:
        print("refused:", error)
"""


@pytest.mark.parametrize("mode", ["auto", "concurrent", "parallel"])
def test_what_is_submitted_after_the_end_is_refused(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT.format(mode=mode)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "refused: cannot schedule new futures after interpreter shutdown\n"


def test_max_workers_is_another_name_for_workers() -> None:
    for executor in (Executor(3), Executor(max_workers=3), Executor(workers=3)):
        assert executor._max_workers == 3  # what dask reads
        executor.shutdown()
    with pytest.raises(TypeError, match="not both"):
        Executor(3, workers=2)
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        Executor(0)


_prepared: list[tuple[int, ...]] = []


def prepare(*numbers: int) -> None:
    time.sleep(0.001)
    _prepared.append(numbers)


def how_prepared(_: int) -> tuple[int, list[tuple[int, ...]]]:
    return os.getpid(), list(_prepared)


@pytest.mark.parametrize("mode", ["concurrent", "parallel", "combined"])
def test_the_initializer_comes_first_in_each_worker(mode: Any) -> None:
    _prepared.clear()
    with Executor(2, initializer=prepare, initargs=(1, 2), mode=mode) as executor:
        results = list(executor.map(how_prepared, range(20)))
    for pid, calls in results:
        assert set(calls) == {(1, 2)}
        assert pid == os.getpid() or len(calls) == 1
    assert len(_prepared) <= 2
    _prepared.clear()


def fail_to_prepare() -> None:
    raise ValueError("error in initializer")


def submit_until_refused(executor: Executor) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        executor.submit(stay, 1)


@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
def test_an_initializer_that_fails_breaks_the_executor(mode: Any) -> None:
    with Executor(2, initializer=fail_to_prepare, mode=mode) as executor:
        future = executor.submit(stay, 1)
        with pytest.raises(concurrent.futures.BrokenExecutor, match="error in initializer"):
            future.result(30)
        with pytest.raises(concurrent.futures.BrokenExecutor, match="broken down"):
            submit_until_refused(executor)


def test_threads_have_the_name_that_was_asked_for() -> None:
    with Executor(2, thread_name_prefix="mine", mode="concurrent") as executor:
        names = set(executor.map(lambda _: threading.current_thread().name, range(8)))
    assert names <= {"mine_0", "mine_1"}


@pytest.mark.parametrize("most", [1, 3])
def test_a_worker_process_makes_no_more_calls_than_it_may(most: int) -> None:
    with Executor(2, max_tasks_per_child=most, mode="parallel") as executor:
        pids = [each.result(60) for each in [executor.submit(os.getpid) for _ in range(8)]]
    assert max(map(pids.count, pids)) <= most


def test_odd_numbers_are_refused_as_elsewhere() -> None:
    with Executor() as executor:
        with pytest.raises(TypeError, match="buffersize must be an integer or None"):
            executor.map(stay, range(3), buffersize=1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="buffersize must be None or > 0"):
            executor.map(stay, range(3), buffersize=0)
        with pytest.raises(ValueError, match="chunksize must be >= 1"):
            executor.map(stay, range(3), chunksize=0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Executor(initializer=3)  # type: ignore[arg-type]


def test_it_can_be_a_loops_default_executor() -> None:
    async def main() -> int:
        asyncio.get_running_loop().set_default_executor(Executor(2))
        return await asyncio.get_running_loop().run_in_executor(None, stay, 4)

    assert asyncio.run(main()) == 4


def die() -> None:
    os._exit(3)


def test_a_death_is_caught_as_a_broken_process_pool() -> None:
    with Executor(1, mode="parallel") as executor, pytest.raises(BrokenProcessPool):
        executor.submit(die).result(30)


class Patience:
    """Notes how long the executor's thread is ready to wait for news, each time that it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float | None] = []
        self.looked = threading.Semaphore(0)
        look = ThreadBackend.events

        def events(backend: ThreadBackend, timeout_s: float | None) -> Sequence[Event]:
            self.seconds.append(timeout_s)
            self.looked.release()
            return look(backend, timeout_s)

        monkeypatch.setattr(ThreadBackend, "events", events)


def test_it_does_not_spin_while_its_last_calls_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    patience, gate, begun = Patience(monkeypatch), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait()

    executor = Executor(mode="concurrent", workers=1)
    executor.submit(wait)
    begun.wait()
    executor.shutdown(wait=False)
    before = len(patience.seconds)
    while len(patience.seconds) < before + 3:  # the shutdown wakes it once
        assert patience.looked.acquire(timeout=30)
    waits = patience.seconds[before + 1 :]
    gate.set()
    assert 0 not in waits


def test_a_call_submitted_while_another_is_made_is_begun_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.running.core.driver._LONGEST_WAIT_S", 60)
    begun, gate, second = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait()

    with Executor(mode="concurrent", workers=2) as executor:
        executor.submit(wait)
        begun.wait()
        executor.submit(second.set)
        is_begun = second.wait(30)
        gate.set()
    assert is_begun


def _fails_at_three(number: int) -> int:
    if number == 3:
        raise ValueError(number)
    return number


@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_failed_call_of_map_is_noted_by_the_users_function_and_argument(mode: str, chunksize: int) -> None:
    with Executor(mode=mode, workers=2) as executor, pytest.raises(ValueError, match="3") as caught:
        list(executor.map(_fails_at_three, range(5), chunksize=chunksize))
    assert caught.value.__notes__ == ["whilst: raised by _fails_at_three(3)"]


@pytest.mark.parametrize("way", ["terminate_workers", "kill_workers"])
@pytest.mark.parametrize("mode", ["parallel", "concurrent"])
def test_workers_are_ended_at_once(mode: Any, way: str) -> None:
    """As in 3.14, on every version."""
    gate = threading.Event()
    executor = Executor(mode=mode, workers=1)
    begun, waiting = executor.submit(time.sleep if mode == "parallel" else gate.wait, 30), executor.submit(abs, 1)
    while not begun.running():
        time.sleep(0.001)
    getattr(executor, way)()
    with pytest.raises(BrokenProcessPool, match=way):
        begun.result(20)
    with pytest.raises((BrokenProcessPool, concurrent.futures.CancelledError)):
        waiting.result(20)
    gate.set()
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)


def test_to_end_the_workers_of_an_executor_that_has_none_is_a_shutdown() -> None:
    executor = Executor(mode="parallel")
    executor.kill_workers()
    with pytest.raises(ExecutorClosedError):
        executor.submit(abs, 1)


def test_an_executor_that_can_not_begin_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a function of `atexit`, from 3.12 on."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with Executor(**THREADS) as executor:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            for _ in range(2):
                with pytest.raises(InterpreterEndingError, match="mode='sequential'"):
                    executor.submit(abs, -1)
        assert executor.submit(abs, -1).result() == 1


@pytest.mark.parametrize("keywords", [{"errors": "return"}, {"journal": "calls.db"}, {"progress": True}])
def test_what_is_about_a_whole_list_is_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"Executor\(\) takes no {next(iter(keywords))}="):
        Executor(**keywords)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_that_is_made_while_a_call_is_submitted_ends(tmp_path: Path) -> None:
    """As the processes of a standard pool that a call makes: they are forks of this program, and end as programs do."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, threading, whilst\n"
        "executor = whilst.Executor(mode='concurrent', workers=1)\n"
        "assert executor.submit(abs, -1).result() == 1\n"
        "with executor._thread._lock:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        threading._shutdown()\n"
        "        os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "executor.shutdown()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(whilst.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert (done.stdout, done.returncode) == ("7\n", 0), done.stderr
