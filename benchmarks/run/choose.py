"""How good is the choice? mode="auto" against the best that a person would tune by hand, cold start included.

    python benchmarks/run/choose.py [--rounds 5] [--case NAME ...]

Every case runs all its candidates once a round, interleaved, so that a machine whose speed drifts is fair to all.
Printed: median of the rounds in ms with half the spread between the quartiles; whilst over the best candidate as
the median of the ratios within a round; and the floor that the design's bounds give for two (or however many)
cores. A ratio of 1.05 is the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

import whilst
from whilst.measuring.machine import look_at_machine

CORES = look_at_machine().cores


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def work_30_ms(k: int) -> int:
    burn(0.030)
    return k


def wait_20_ms(k: int) -> int:
    time.sleep(0.020)
    return k


def work_15_ms_wait_30_ms(k: int) -> int:
    time.sleep(0.030)
    burn(0.015)
    return k


def compress(data: bytes) -> int:
    return len(zlib.compress(data, 6))


def transform(array: np.ndarray) -> np.ndarray:
    return array * 2.0


async def coroutine_20_ms(k: int) -> int:
    await asyncio.sleep(0.020)
    return k


def one_long_call_last(seconds: float) -> float:
    burn(seconds)
    return seconds


def tiny(x: int) -> int:
    return (x * 2654435761 + 12345) % 1000003


Run = Callable[[Callable[..., object], Sequence[object]], object]


def loop(fn: Callable[..., object], items: Sequence[object]) -> list[object]:
    return [fn(item) for item in items]


def threads(count: int) -> Run:
    def run(fn: Callable[..., object], items: Sequence[object]) -> list[object]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(fn, items))

    return run


def processes(chunk: int, method: str = "fork", workers: int = CORES) -> Run:
    def run(fn: Callable[..., object], items: Sequence[object]) -> list[object]:
        with ProcessPoolExecutor(workers, mp_context=get_context(method)) as pool:
            return list(pool.map(fn, items, chunksize=chunk))

    return run


def gathered(fn: Callable[..., object], items: Sequence[object]) -> list[object]:
    async def everything() -> list[object]:
        return await asyncio.gather(*(fn(item) for item in items))  # type: ignore[misc,call-overload]

    return asyncio.run(everything())


def chosen(fn: Callable[..., object], items: Sequence[object]) -> object:
    return whilst.map(fn, items)


@dataclass(frozen=True)
class Case:
    name: str
    fn: Callable[..., object]
    items: Callable[[], Sequence[object]]
    peers: dict[str, Run]
    floor_s: float
    """What the bounds allow: max(nw/k, w + u) and their like."""


CASES = [
    Case(
        "64 calls of 30 ms of work",
        work_30_ms,
        lambda: range(64),
        {"fork, chunk 1": processes(1), "fork, chunk 4": processes(4), "fork, halves": processes(32)},
        64 * 0.030 / CORES,
    ),
    Case(
        "400 calls of 20 ms of waiting",
        wait_20_ms,
        lambda: range(400),
        {"64 threads": threads(64), "128 threads": threads(128), "200 threads": threads(200)},
        0.020,
    ),
    Case(
        "64 calls of 15 ms of work, 30 ms of waiting",
        work_15_ms_wait_30_ms,
        lambda: range(64),
        {
            "fork, 4 workers": processes(1, workers=2 * CORES),
            "fork, 8 workers": processes(1, workers=4 * CORES),
            "8 threads": threads(8),
        },
        64 * 0.015 / CORES,
    ),
    Case(
        "64 calls of zlib on 1 MiB",
        compress,
        lambda: [np.random.default_rng(k).integers(0, 64, 1 << 20, dtype=np.uint8).tobytes() for k in range(64)],
        {"threads": threads(CORES), "twice the threads": threads(2 * CORES), "fork, chunk 4": processes(4)},
        0.0,
    ),
    Case(
        "64 arrays of 8 MiB there and back",
        transform,
        lambda: [np.full(1 << 20, float(k)) for k in range(64)],
        {"loop": loop, "threads": threads(CORES), "fork, chunk 4": processes(4)},
        0.0,
    ),
    Case("2,000 coroutines of 20 ms", coroutine_20_ms, lambda: range(2000), {"gather": gathered}, 0.020),
    Case(
        "one call of 1 s last among 100 of 5 ms",
        one_long_call_last,
        lambda: [0.005] * 100 + [1.0],
        {"fork, chunk 1": processes(1), "fork, chunk 8": processes(8), "threads": threads(CORES)},
        max(1.0, 1.5 / CORES),
    ),
    Case("200,000 calls of a third of a microsecond", tiny, lambda: range(200_000), {"loop": loop}, 0.0),
]


def timed(run: Run, case: Case, items: Sequence[object]) -> tuple[float, object]:
    begin = time.perf_counter()
    results = run(case.fn, items)
    return time.perf_counter() - begin, results


def spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    quartiles = statistics.quantiles(values, n=4)
    return (quartiles[2] - quartiles[0]) / 2


def measure(case: Case, rounds: int) -> None:
    items = case.items()
    times: dict[str, list[float]] = {name: [] for name in case.peers}
    ours: list[float] = []
    ratios: list[float] = []
    decision: object = None
    for _ in range(rounds):
        for name, run in case.peers.items():
            times[name].append(timed(run, case, items)[0])
        seconds, results = timed(chosen, case, items)
        ours.append(seconds)
        decision = results.decision
        ratios.append(seconds / min(each[-1] for each in times.values()))
    best = min(times, key=lambda name: statistics.median(times[name]))
    peer = statistics.median(times[best])
    whilst_s = statistics.median(ours)
    floor = f"{whilst_s / case.floor_s:6.2f}" if case.floor_s else "      "
    print(
        f"{case.name:44} {best:17} {peer * 1e3:8.1f} ±{spread(times[best]) * 1e3:<6.1f}"
        f" {whilst_s * 1e3:8.1f} ±{spread(ours) * 1e3:<6.1f} {statistics.median(ratios):6.2f} ±{spread(ratios):<5.2f}"
        f"{floor}  {decision.mode.value}, {decision.workers} {decision.backend}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", nargs="*", help="only cases whose name holds one of these words")
    args = parser.parse_args()
    print(f"{CORES} cores, Python {sys.version.split()[0]}, {args.rounds} rounds")
    print(f"{'case':44} {'best peer':17} {'ms':>8} {'':7} {'whilst':>8} {'':7} {'ratio':>6} {'':5} {'/floor':>6}")
    for case in CASES:
        if not args.case or any(word in case.name for word in args.case):
            measure(case, args.rounds)


if __name__ == "__main__":
    main()
