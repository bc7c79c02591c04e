"""Calls on a cluster of two Dask workers: processes of their own, in other directories and environments."""

from __future__ import annotations

import _thread
import itertools
import json
import operator
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from tests.cluster import Machines
from tests.running.backends import dask_calls as calls

import whilst
from whilst.cli.run import run
from whilst.errors import (
    ClusterError,
    MissingExtraError,
    NotPicklableError,
    TimeoutExceededError,
    WorkerDiedError,
)
from whilst.running.jobs import Batch, Finished, Job, WorkerDied, WorkerFailed, WorkerReady, next_job_id
from whilst.running.options import OptionsError
from whilst.running.worker.parent import dask_tasks
from whilst.running.worker.transport.status_page import NOTHING

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'whilst[dask]'")

from whilst.running.backends import cluster as connection  # noqa: E402
from whilst.running.backends import dask  # noqa: E402


def keys_of(client: Any) -> list[str]:
    """What the scheduler still has of ours, once what was let go of has had time to arrive."""
    deadline = time.monotonic() + 10
    while (keys := client.run_on_scheduler(_our_keys)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return keys


def _our_keys(dask_scheduler: Any) -> list[str]:
    return [key for key in dask_scheduler.tasks if str(key).startswith("whilst-")]


_our_keys.__module__ = "__main__"  # goes by value


def test_the_verbs_give_what_they_give_here(client: Any) -> None:
    squares = [x * x for x in range(50)]
    assert list(whilst.map(calls.square, range(50), on=client)) == squares
    assert list(whilst.map(calls.square_later, range(50), on=client)) == squares
    assert list(whilst.starmap(calls.add, [(1, 2), (3, 4)], on=client)) == [3, 7]
    assert list(whilst.imap(calls.square, range(50), on=client)) == squares
    assert sorted(whilst.imap_unordered(calls.square, range(50), on=client)) == squares
    assert list(whilst.gather(partial(calls.add, 1, 2), lambda: "two", on=client)) == [3, "two"]
    assert keys_of(client) == []


def test_this_machine_is_weighed_against_the_cluster(client: Any) -> None:
    results = whilst.map(calls.slow_here, range(3000), on=[None, client])
    assert list(results) == list(range(3000))
    assert results.decision.backend == "dask"
    assert "on this machine about" in results.decision.reason
    here = whilst.map(calls.square, range(100), on=(client, None))
    assert here == [x * x for x in range(100)]
    assert here.decision.mode == "sequential"
    with pytest.raises(OptionsError, match=r"pass on=\[None, cluster\], and no mode="):
        whilst.map(calls.square, range(3), on=[client])
    with pytest.raises(
        OptionsError, match=r"Pass on=cluster .* leave out on= .* map\(fn, items, on=\[None, cluster\]\)"
    ):
        whilst.Executor(on=[None, client])
    assert keys_of(client) == []


def test_what_has_waited_for_too_long_behind_others_is_anybodys_again(
    client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask, "batch_s", lambda _: 0.0)
    log = tmp_path / "log"
    assert list(whilst.map(partial(calls.note, log), range(96), on=client)) == list(range(96))
    assert Counter(log.read_text().split()) == Counter(map(str, range(96)))


def test_a_task_is_divided_there(client: Any) -> None:
    assert whilst.reduce(operator.add, range(1000), 0, of=calls.square, on=client) == sum(x * x for x in range(1000))
    squares = whilst.split(calls.squares, list(range(200)), on=client)
    assert squares == [x * x for x in range(200)]


def test_the_command_takes_an_address(client: Any, machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("a\nbb\nccc\n")
    arguments = ["builtins:len", "--items", str(tmp_path / "items.txt"), "--on", machines.address, "--quiet"]
    told = CliRunner().invoke(run, arguments, catch_exceptions=False)
    assert [json.loads(line)["result"] for line in told.stdout.splitlines()] == [1, 2, 3]


def test_an_executor_has_its_calls_made_there(client: Any) -> None:
    with whilst.Executor(on=client) as executor:
        futures = [executor.submit(calls.add, x, b=1) for x in range(5)]
        assert [future.result() for future in futures] == [1, 2, 3, 4, 5]
        assert executor.submit(os.getpid).result() != os.getpid()


def test_an_address_will_do_and_its_connection_is_closed(client: Any, machines: Machines) -> None:
    assert list(whilst.map(calls.square, range(3), on=machines.address)) == [0, 1, 4]


def test_the_decision_and_the_timeline_tell_where_calls_were_made(client: Any) -> None:
    results = whilst.map(calls.square, range(20), on=client)
    assert results.decision.backend == "dask"
    assert "2 seats on 2 Dask workers" in results.decision.reason
    assert {span.executor for span in results.timeline} <= {"seat 1", "seat 2"}


def test_calls_find_what_surrounds_them_here(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHILST_TEST_OWN", "set by the program")
    token = calls.variable.set("the caller's")
    try:
        found = whilst.map(calls.surroundings, range(4), on=client)
    finally:
        calls.variable.reset(token)
    # What the program has set holds there; what it has not, the workers' machine decides. Dask is not in the process.
    assert set(found) == {(str(tmp_path), "set by the program", "theirs", "the caller's", False)}


def test_calls_speak_here_in_order(
    client: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(UserWarning, match="warned") as warned:
        whilst.map(calls.say, range(10), on=client)
    assert capsys.readouterr().out == "".join(f"printed {x}\n" for x in range(10))
    assert [record.message for record in caplog.records] == [f"logged {x}" for x in range(10)]
    assert [str(each.message) for each in warned] == [f"warned {x}" for x in range(10)]


def test_seeded_draws_are_those_of_a_loop(client: Any) -> None:
    there = whilst.map(calls.draw, range(10), seed=7, on=client)
    assert list(there) == list(whilst.map(calls.draw, range(10), seed=7, mode="sequential"))


def test_an_error_comes_back_with_its_note(client: Any) -> None:
    with pytest.raises(LookupError, match="no seven") as raised:
        whilst.map(calls.refuse_7, range(20), on=client)
    assert raised.value.args == ("no seven", 7)
    assert any("call 7" in note for note in raised.value.__notes__)
    assert list(whilst.map(calls.refuse_7, range(7), on=client)) == list(range(7))
    assert keys_of(client) == []


def test_what_cannot_be_sent_back_is_named(client: Any) -> None:
    with pytest.raises(NotPicklableError, match="result"):
        whilst.map(calls.open_file, range(2), on=client)


def test_large_arrays_and_functions_travel(client: Any) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(200_000)
    found = whilst.map(lambda x: array + x, [1, 2, 3], on=client)
    assert all((each == array + x).all() for x, each in zip([1, 2, 3], found, strict=True))
    found[0][0] = 5  # a copy of its own
    doubled = whilst.map(lambda each: (each.__setitem__(0, 9), each)[1], [array, array], on=client)
    assert [each[0] for each in doubled] == [9, 9]
    assert array[0] == 0


def test_endless_input_is_read_no_further_than_needed(client: Any) -> None:
    drawn = itertools.count()
    stream = whilst.imap(calls.square, drawn, on=client)
    assert [next(stream) for _ in range(300)] == [x * x for x in range(300)]
    stream.close()
    assert next(drawn) < 100_000
    assert keys_of(client) == []


def test_a_journal_goes_on_from_there(client: Any, tmp_path: Path) -> None:
    log, journal = tmp_path / "log", tmp_path / "journal"
    for count in (4, 8):
        assert list(whilst.map(partial(calls.note, log), range(count), journal=journal, on=client)) == list(
            range(count)
        )
    assert Counter(log.read_text().split()) == Counter(map(str, range(8)))


def test_a_process_that_ends_costs_the_call_that_ended_it(client: Any) -> None:
    found = whilst.map(calls.leave_at_7, range(20), errors="return", on=client)
    assert isinstance(found[7], WorkerDiedError)
    assert "exit code 3 while it made this call" in str(found[7])
    assert [x for x in found if not isinstance(x, WorkerDiedError)] == [x for x in range(20) if x != 7]


def test_a_call_over_its_time_is_ended(client: Any) -> None:
    found = whilst.map(calls.hang_at_3, range(6), timeout_s=0.5, errors="return", on=client)
    assert isinstance(found[3], TimeoutExceededError)
    assert [x for x in found if x is not found[3]] == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("retries", [0, 1])
def test_a_killed_worker_costs_what_it_held_and_nothing_is_made_twice_unasked(
    client: Any, machines: Machines, tmp_path: Path, retries: int
) -> None:
    log = tmp_path / "log"
    victim = machines.start_worker()
    client.wait_for_workers(3, timeout=60)
    killer = threading.Thread(target=_once_noted, args=(log, 12, victim.kill))
    killer.start()
    found = whilst.map(partial(calls.note, log), range(60), errors="return", retries=retries, on=client)
    killer.join()
    victim.wait()
    lost = [x for x in found if isinstance(x, WorkerDiedError)]
    assert [x for x in found if x not in lost] == [x for x, each in enumerate(found) if each not in lost]
    made = Counter(log.read_text().split())
    if retries:
        assert not lost
        assert set(made) == set(map(str, range(60)))
    else:
        assert max(made.values()) == 1
        assert all("is gone" in str(each) for each in lost)
        assert len(lost) < 30  # two batches of some 200 ms
    assert keys_of(client) == []


def _once_noted(log: Path, count: int, act: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if log.exists() and len(log.read_text().split()) >= count:
            break
        time.sleep(0.005)
    act()


def test_ctrl_c_ends_calls_there_too(client: Any, tmp_path: Path) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("somebody handles Ctrl-C")
    log, counted = tmp_path / "log", []

    def interrupt() -> None:
        counted.append(len(log.read_text().split()))
        _thread.interrupt_main()

    thread = threading.Thread(target=_once_noted, args=(log, 12, interrupt))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        whilst.map(partial(calls.note, log), range(2000), on=client)
    thread.join()
    assert keys_of(client) == []
    left = _settled(lambda: len(log.read_text().split()))
    assert left < 200


def _settled(count: Callable[[], int]) -> int:
    """The number, once it has been the same for a while."""
    last = -1
    while (now := count()) != last:
        last = now
        time.sleep(0.15)
    return last


def test_a_closed_client_is_one_named_error(client: Any, machines: Machines) -> None:
    other = distributed.Client(machines.address, set_as_default=False)
    stream = whilst.imap(calls.square, itertools.count(), on=other)
    next(stream)
    other.close()
    with pytest.raises((WorkerDiedError, ClusterError), match="its client was closed"):
        for _ in stream:
            pass


def test_another_whilst_is_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.dask_tasks, "version", lambda: "99.0")
    with pytest.raises(ClusterError, match=r"has whilst .*, and this program 99.0"):
        whilst.map(calls.square, range(3), on=client)


def test_another_python_is_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "sys", SimpleNamespace(version_info=(3, 99)))
    with pytest.raises(ClusterError, match=r"runs Python 3.*, and this program 3.99"):
        whilst.map(calls.square, range(3), on=client)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ModuleNotFoundError("No module named 'whilst'", name="whilst"), "has no whilst: run pip install"),
        (
            ModuleNotFoundError("No module named 'whilst.far'", name="whilst.far"),
            "has another whilst than this program",
        ),
        (AttributeError("module has no attribute 'introduce'"), "has another whilst than this program"),
        (("id", 1, sys.version_info[:2], whilst.__version__), ""),
    ],
)
def test_what_answers_otherwise_is_refused_and_the_remedy_named(answer: object, why: str) -> None:
    assert connection._why_refused(answer).startswith(why)
    assert bool(connection._why_refused(answer)) == bool(why)


def test_nobody_who_answers_is_an_error_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match="No Dask scheduler answers at"):
            whilst.map(calls.square, range(3), on=address, timeout_s=1)


def test_what_answers_and_is_no_scheduler_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            taken, _ = other.accept()
            with taken, suppress(OSError):
                taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                taken.recv(1 << 16)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ClusterError, match="names no Dask cluster"):
            whilst.map(calls.square, range(3), on=f"tcp://127.0.0.1:{other.getsockname()[1]}", timeout_s=10)
        thread.join()


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"whilst\[dask\]"):
        whilst.map(calls.square, range(3), on="tcp://127.0.0.1:1")


def test_what_names_no_cluster_is_refused() -> None:
    with pytest.raises(ClusterError, match="names no Dask cluster"):
        whilst.map(calls.square, range(3), on="nowhere://x")
    with pytest.raises(OptionsError, match="leave out mode="):
        whilst.map(calls.square, range(3), on="tcp://127.0.0.1:1", mode="concurrent")


def test_without_a_seat_a_task_says_that_one_is_wanted() -> None:
    """A cluster that adapts to its tasks starts a worker for it; it is let go of once there is one."""
    let_go: list[str] = []

    def submit(*_: object, key: str, **__: object) -> SimpleNamespace:
        return SimpleNamespace(release=lambda: let_go.append(key))

    places: list[connection.Place] = []
    there: Any = SimpleNamespace(
        client=SimpleNamespace(submit=submit), address="tcp://nowhere", seats=0, is_lost=False, look=lambda: None,
        listen=lambda _: None, unlisten=lambda _: None, give_back=places.append,
        take=lambda: places.pop() if places else None,
    )  # fmt: skip
    backend = dask.DaskBackend(there)
    backend.start_worker(0)
    assert not backend.events(0)
    assert not let_go
    places.append(connection.Place("tcp://there", "there-1", 0))
    assert [type(event) for event in backend.events(0)] == [WorkerReady]
    assert len(let_go) == 1
    backend.close(kill=False)
    assert len(let_go) == 1


def test_where_no_process_can_be_started_the_run_ends_and_says_why() -> None:
    place = connection.Place("tcp://there", "there-1", 0)
    places = [place]
    loop = SimpleNamespace(add_callback=lambda *_: None, call_later=None)
    there: Any = SimpleNamespace(
        client=SimpleNamespace(loop=loop), address="tcp://nowhere", seats=1, is_lost=False, look=lambda: None,
        listen=lambda _: None, unlisten=lambda _: None, give_back=places.append,
        take=lambda: places.pop() if places else None,
    )  # fmt: skip
    backend = dask.DaskBackend(there)
    job, said = Job(next_job_id(), calls.square), []
    for worker in range(5):
        backend.start_worker(worker)
        said += backend.events(0)
        if type(said[-1]) is not WorkerReady:
            break
        backend.send(worker, Batch(worker, job, range(1), [1]))
        (task,) = backend._seats[worker].tasks.values()
        task.future = SimpleNamespace(release=lambda: None)
        no = dask_tasks._refused(NOTHING, "no worker process can be started there: no memory")
        backend._inbox.put(("answer", worker, 0, no))
        died = backend.events(0)[0]
        assert isinstance(died, WorkerDied)
        assert (died.not_begun, died.running, died.lost) == ((0,), (), ())
    assert isinstance(said[-1], WorkerFailed)
    assert isinstance(said[-1].error, ClusterError)
    assert "The Dask worker tcp://there makes no calls: no worker process can be started there: no memory" in str(
        said[-1].error
    )
    backend.close(kill=True)


def test_an_answer_is_told_in_the_time_of_this_clock() -> None:
    now = time.perf_counter_ns()
    far = Finished(0, 0, [0], [0], 10, 30, starts_ns=[10], ends_ns=[30])
    near = dask._shifted(far, 0, now)  # its clock stands far behind: no sooner than it was sent
    assert (near.start_ns, near.end_ns, near.starts_ns, near.ends_ns) == (now, now + 20, [now], [now + 20])
    late = dask._shifted(
        far._replace(start_ns=now + 10**15, end_ns=now + 10**15 + 20, starts_ns=None, ends_ns=None), 0, now
    )
    assert late.end_ns - late.start_ns == 20
    assert late.end_ns < now + 10**12
