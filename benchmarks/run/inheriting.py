"""Items from 1 B to 64 MiB that workers have in their memory: beside `multiprocessing.Pool`, and a fork by hand.

By hand: a child forked once the list is there takes ranges of indices by a pipe, eight bytes each, and answers with
batches. Two workers; a call reads a few bytes of its item and gives a number back, so that what is measured is how
items get to the calls. Each way has a program of its own, imports and the start of workers included; what counts are
the ratios of interleaved rounds, with their spread. *sent* is what whilst wrote to its workers' sockets and segments.

Usage: python benchmarks/run/inheriting.py [--rounds N] [--kind bytes|array|objects] [--only SIZE]
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CORES = 2
SIZES = [1, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 8 << 20, 64 << 20]
KINDS = ["bytes", "array", "objects"]
Way = Callable[[list[Any], int], list[Any]]
sent_bytes = 0


def look(item: Any) -> int:
    return len(item) + int(item[0]) + int(item[-1])


def make(kind: str, size: int, count: int) -> list[Any]:
    if kind == "bytes":
        return [bytes([k % 256]) * size for k in range(count)]
    if kind == "objects":  # about as many bytes once they are pickled
        return [[f"{k}{j:07}" for j in range(max(1, size // 11))] for k in range(count)]
    import numpy

    return [numpy.full(size, k % 256, numpy.uint8) for k in range(count)]


def count_for(size: int) -> int:
    return max(8, min(4096, (128 << 20) // size))


def chunk_for(size: int, count: int) -> int:
    return max(1, min(count // (2 * CORES), (1 << 16) // size))


def whilst(items: list[Any], _: int) -> list[Any]:
    import whilst
    from whilst.running.worker.parent import task_channel

    write = task_channel._write

    def counted(writer: Any, kind: int, head: Any, parcel: Any) -> None:
        global sent_bytes
        sent_bytes += len(pickle.dumps(head)) + sum(map(len, parcel.payload))
        if parcel.place is not None:
            sent_bytes += parcel.place.payload[1] + sum(size for _, size, _ in parcel.place.buffers)
        write(writer, kind, head, parcel)

    task_channel._write = counted
    return list(whilst.map(look, items, mode="parallel", workers=CORES))


def pool(items: list[Any], chunk: int) -> list[Any]:
    from multiprocessing import get_context

    with get_context("fork").Pool(CORES) as workers:
        return workers.map(look, items, chunk)


def by_hand(items: list[Any], chunk: int) -> list[Any]:
    """No errors, no deaths, no signals, no output: the least that can be done."""
    results: list[Any] = [None] * len(items)
    pipes, children = [], []
    for _ in range(CORES):
        here, theirs = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            for each in (here[1], theirs[0], *(fd for pair in pipes for fd in pair)):
                os.close(each)  # or nobody would see the end
            while data := os.read(here[0], 8):
                start, stop = struct.unpack("<ii", data)
                answer = pickle.dumps([look(item) for item in items[start:stop]])
                os.write(theirs[1], struct.pack("<iii", start, stop, len(answer)) + answer)
                if stop == len(items):
                    break
            os._exit(0)
        os.close(here[0])
        os.close(theirs[1])
        pipes.append((here[1], theirs[0]))
        children.append(child)
    import select

    at, poll = 0, select.poll()
    for to, back in pipes:
        poll.register(back, select.POLLIN)
        os.write(to, struct.pack("<ii", at, at := min(at + chunk, len(items))))
    left = len(items)
    senders = {back: to for to, back in pipes}
    while left:
        for back, _ in poll.poll():
            head = os.read(back, 12)
            if not head:
                poll.unregister(back)
                continue
            start, stop, size = struct.unpack("<iii", head)
            data = b""
            while len(data) < size:
                data += os.read(back, size - len(data))
            results[start:stop] = pickle.loads(data)
            left -= stop - start
            if at < len(items):
                os.write(senders[back], struct.pack("<ii", at, at := min(at + chunk, len(items))))
    for to, back in pipes:
        os.close(to)
        os.close(back)
    for child in children:
        os.waitpid(child, 0)
    return results


WAYS: dict[str, Way] = {"whilst": whilst, "multiprocessing.Pool": pool, "by hand": by_hand}


def alone(way: str, kind: str, size: int) -> None:
    """Print the seconds of one run of this way, and what whilst sent, as JSON."""
    count = count_for(size)
    items = make(kind, size, count)
    start = time.perf_counter()
    got = WAYS[way](items, chunk_for(size, count))
    seconds = time.perf_counter() - start
    assert got == [look(item) for item in items], way
    print(json.dumps([seconds, sent_bytes]))


def measure(kind: str, size: int, rounds: int) -> None:
    runs: dict[str, list[float]] = {way: [] for way in WAYS}
    sent = 0
    for _ in range(rounds):
        for way in WAYS:
            command = [sys.executable, __file__, "--alone", way, kind, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, written = json.loads(done.stdout)
            runs[way].append(seconds)
            sent = written or sent
    line = f"  {f'{count_for(size)} {kind} of {_size(size)}':26}"
    line += "".join(f"{statistics.median(each) * 1e3:10.1f}" for each in runs.values())
    for peer in list(WAYS)[1:]:
        ratios = [ours / theirs for ours, theirs in zip(runs["whilst"], runs[peer], strict=True)]
        line += f"{statistics.median(ratios):10.2f} ({min(ratios):.2f} … {max(ratios):.2f})"
    print(f"{line}{sent:14,}", flush=True)


def _size(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        way, kind, size = sys.argv[2:]
        alone(way, kind, int(size))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--only", type=int, help="one size in bytes")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {CORES} workers, medians of {arguments.rounds} interleaved rounds, ms")
    print(f"  {'':26}{'whilst':>10}{'Pool':>10}{'by hand':>10}{'/ Pool':>12}{'/ by hand':>26}{'bytes sent':>24}")
    for kind in arguments.kind or KINDS:
        for size in SIZES if arguments.only is None else [arguments.only]:
            measure(kind, size, arguments.rounds)


if __name__ == "__main__":
    main()
