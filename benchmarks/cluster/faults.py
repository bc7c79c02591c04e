"""What a cluster does to a run when things go wrong, counted: calls made twice, calls lost, seconds until it is said.

    python benchmarks/cluster/faults.py [--rounds 3] [--case NAME ...]

A scheduler and two workers of one thread each, processes of their own. Every call writes its number into a file. Goals:
no call made twice with retries=0 when a worker is killed, stopped and continued, cut off from the network and joined
again (network namespaces, as root), or restarted by its nanny; one `os._exit` costs one call; a dead scheduler is said
within 2 s, and the journal goes on; Ctrl-C leaves no key and at most one further call a seat; a closure of 40 MB has
the scheduler grow by less than twice that, and outlives whoever holds it; endless input needs no more and more memory.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import psutil

import whilst

TTL_S = 4
"""A worker that says nothing for so long is dead to the scheduler."""
NAMESPACE = "whilst-far"
HERE, THERE = "10.77.5.1", "10.77.5.2"


class Machines:
    """The processes of a cluster. A worker may be in a network namespace of its own."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="whilst-faults-"))
        self._host = host
        self._started: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind((host, 0))
            self.address = f"tcp://{host}:{free.getsockname()[1]}"
        self.scheduler = self._start([], "dask_scheduler", "--host", self.address, "--no-jupyter")

    def start_worker(self, *, has_nanny: bool = False, is_far: bool = False) -> subprocess.Popen[bytes]:
        host = THERE if is_far else self._host
        prefix = ["ip", "netns", "exec", NAMESPACE] if is_far else []
        nanny = "--nanny" if has_nanny else "--no-nanny"
        own = ["--nthreads", "1", nanny, "--host", host, "--death-timeout", "60"]
        return self._start(prefix, "dask_worker", self.address, *own)

    def _start(self, prefix: list[str], what: str, *options: str) -> subprocess.Popen[bytes]:
        folder = self._folder / f"{what}-{len(self._started)}"
        folder.mkdir()
        env = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_S}s"}
        command = [*prefix, sys.executable, "-m", f"distributed.cli.{what}", *options, "--no-dashboard"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self._started):
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
        for process in self._started:
            process.wait()


@contextmanager
def cluster(workers: int = 2, host: str = "127.0.0.1", **kind: bool) -> Iterator[tuple[Machines, Any, list[Any]]]:
    """A cluster, a client, and its workers' processes; of the last one the kind."""
    machines = Machines(host)
    try:
        processes = [machines.start_worker() for _ in range(workers - 1)] + [machines.start_worker(**kind)]
        with distributed.Client(machines.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
            whilst.map(abs, range(20), on=client)
            yield machines, client, processes
    finally:
        machines.end()


def note(log: Path, x: int) -> int:
    with log.open("a") as file:
        file.write(f"{x}\n")
    time.sleep(0.03)
    return x


def lines(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def once_noted(log: Path, count: int, act: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        while len(lines(log)) < count:
            time.sleep(0.003)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def settled(log: Path) -> list[str]:
    """What is written once nothing is added any more."""
    last: list[str] = []
    while (now := lines(log)) != last or not now:
        last = now
        time.sleep(0.4)
    return now


def counted(client: Any, hurt: Callable[[], object], heal: Callable[[], object], count: int = 120) -> str:
    """One run that something happens to; how many calls were made twice, and how many failed."""
    log = Path(tempfile.mkstemp()[1])
    start_s = time.perf_counter()
    thread = once_noted(log, 12, hurt)
    found = whilst.map(partial(note, log), range(count), errors="return", retries=0, on=client)
    took_s = time.perf_counter() - start_s
    thread.join()
    heal()
    made = Counter(settled(log))
    lost = sum(isinstance(each, Exception) for each in found)
    wrong = sum(each != x for x, each in enumerate(found) if not isinstance(each, Exception))
    twice = sum(number > 1 for number in made.values())
    return f"twice {twice}, lost {lost} of {count}, wrong {wrong}, {took_s:.1f} s"


def nothing() -> None:
    pass


def killed() -> str:
    with cluster() as (_, client, processes):
        return counted(client, processes[-1].kill, nothing)


def stopped() -> str:
    with cluster() as (_, client, processes):
        victim = processes[-1]
        return counted(
            client,
            lambda: victim.send_signal(signal.SIGSTOP),
            lambda: (victim.send_signal(signal.SIGCONT), time.sleep(2)),
        )


def restarted() -> str:
    with cluster(has_nanny=True) as (_, client, processes):
        inner = psutil.Process(processes[-1].pid)

        def kill() -> None:
            for child in inner.children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()

        return counted(client, kill, lambda: time.sleep(3))


def sh(command: str) -> None:
    subprocess.run(command, shell=True, check=True)


@contextmanager
def far_away() -> Iterator[None]:
    """Another host, as a network namespace joined to this one by a link."""
    sh(f"ip netns add {NAMESPACE}; ip link add whilst0 type veth peer name whilst1")
    sh(f"ip link set whilst1 netns {NAMESPACE}")
    try:
        sh(f"ip addr add {HERE}/24 dev whilst0; ip link set whilst0 up; ip -n {NAMESPACE} link set lo up")
        sh(f"ip -n {NAMESPACE} addr add {THERE}/24 dev whilst1; ip -n {NAMESPACE} link set whilst1 up")
        yield
    finally:
        sh(f"ip netns del {NAMESPACE}; ip link del whilst0 2>/dev/null || true")


def cut(for_s: float) -> str:
    if os.geteuid():
        return "needs root"
    with far_away(), cluster(host=HERE, is_far=True) as (_, client, __):

        def hurt() -> None:
            sh("ip link set whilst0 down")
            threading.Timer(for_s, sh, [f"ip link set whilst0 up; ip addr replace {HERE}/24 dev whilst0"]).start()

        # The scheduler listens at an address of this link, whose local end goes on while the link is down.
        return counted(client, hurt, lambda: time.sleep(for_s + 3))


def leave_at_100(x: int) -> int:
    if x == 100:
        os._exit(3)
    time.sleep(0.02)
    return x


def exited() -> str:
    with cluster() as (_, client, __):
        start_s = time.perf_counter()
        whilst.map(leave_at_100, range(100), on=client)
        middle_s = time.perf_counter()
        found = whilst.map(leave_at_100, [*range(101), *range(99)], errors="return", on=client)
        end_s = time.perf_counter()
        lost = sum(isinstance(each, Exception) for each in found)
        extra_s = end_s - middle_s - 2 * (middle_s - start_s)
        return f"{lost} call lost of 200; workers left {len(client.scheduler_info()['workers'])}; {extra_s:+.2f} s"


def without_scheduler() -> str:
    log, journal = Path(tempfile.mkstemp()[1]), Path(tempfile.mkdtemp()) / "journal"
    killed_s: list[float] = []
    with cluster() as (machines, client, _):

        def kill() -> None:
            machines.scheduler.kill()
            killed_s.append(time.perf_counter())

        once_noted(log, 30, kill)
        try:
            whilst.map(partial(note, log), range(120), journal=journal, on=client)
            said = "nothing was said"
        except whilst.WhilstError as error:
            said = f"{type(error).__name__} after {time.perf_counter() - killed_s[0]:.2f} s"
    before = Counter(settled(log))
    with cluster() as (_, client, __):
        found = whilst.map(partial(note, log), range(120), journal=journal, on=client)
    again = sum(number > 1 for number in Counter(lines(log)).values())
    return f"{said}; {len(before)} made before, {again} of them again; right: {list(found) == list(range(120))}"


def interrupted() -> str:
    log, then = Path(tempfile.mkstemp()[1]), [0]
    with cluster() as (_, client, __):

        def interrupt() -> None:
            then[0] = len(lines(log))
            os.kill(os.getpid(), signal.SIGINT)  # as a terminal does: it wakes up who waits

        once_noted(log, 20, interrupt)
        with suppress(KeyboardInterrupt):
            whilst.map(partial(note, log), range(2000), on=client)
        further = len(settled(log)) - then[0]
        keys = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        return f"{further} further calls on 2 seats; {keys} keys left"


def scheduler_mb(client: Any) -> float:
    return float(client.run_on_scheduler(lambda: __import__("psutil").Process().memory_info().rss)) / 1e6


def large_closure() -> str:
    data = os.urandom(40_000_000)
    with cluster(3) as (_, client, processes):
        before = scheduler_mb(client)
        start_s = time.perf_counter()
        found = whilst.map(lambda x: (time.sleep(0.002), len(data) + x)[1], range(1000), on=client)
        took_s = time.perf_counter() - start_s
        grown = scheduler_mb(client) - before
        assert list(found) == [40_000_000 + x for x in range(1000)]
        threading.Timer(1.5, processes[0].kill).start()
        found = whilst.map(lambda x: (time.sleep(0.01), len(data) + x)[1], range(1000), retries=2, on=client)
        right = list(found) == [40_000_000 + x for x in range(1000)]
        return f"scheduler {grown:+.0f} MB, {took_s:.1f} s; with a holder killed right: {right}"


def endless() -> str:
    with cluster() as (_, client, __):
        stream = whilst.imap(str, itertools.count(), on=client)
        for _ in range(50_000):
            next(stream)
        here, there = psutil.Process().memory_info().rss / 1e6, scheduler_mb(client)
        for _ in range(400_000):
            next(stream)
        grown = psutil.Process().memory_info().rss / 1e6 - here
        there = scheduler_mb(client) - there
        stream.close()
        return f"client {grown:+.1f} MB, scheduler {there:+.1f} MB over 400,000 results"


CASES: dict[str, Callable[[], str]] = {
    "killed": killed,
    "stopped": stopped,
    "cut for 2 s": partial(cut, 2.0),
    "cut for 20 s": partial(cut, 20.0),
    "restarted": restarted,
    "exited": exited,
    "no scheduler": without_scheduler,
    "interrupted": interrupted,
    "large closure": large_closure,
    "endless": endless,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs="*", default=list(CASES))
    options = parser.parse_args()
    for name in options.case:
        for _ in range(options.rounds):
            print(f"{name:16} {CASES[name]()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
