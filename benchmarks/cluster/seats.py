"""How much of a cluster's seats a run uses: simulated from 1 to 4,096, and 1,000 real ones whose calls sleep.

    python benchmarks/cluster/seats.py [--real 1000] [--calls 20]

Simulated: the real driver, pool and policy in virtual time, with a round trip of 15 ms and a scheduler that hands on
1,200 batches a second; efficiency is calls times their length over seats times makespan. Goal: at least 0.9 where calls
are long enough. Real: two Dask workers share the seats as threads; whilst beside `Client.map`. Goal: at least its.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import distributed

import whilst
from whilst.running.backends.cluster import batch_s

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.virtual_cluster import VirtualSeats, makespan_s, on_cluster


def simulated(seats: int, calls: int, call_s: float) -> float:
    """The share of the seats' time in which calls were made."""
    virtual = VirtualSeats(
        lambda _: call_s, start_s=0.15, round_trip_s=0.015, batch_s=1 / 1200, limit_s=2 * batch_s(seats)
    )
    return calls * call_s / (seats * makespan_s(on_cluster(seats), range(calls), virtual))


def real(seats: int, calls: int, call_s: float) -> dict[str, float]:
    """The same, of sleeping calls on real seats."""
    found = {}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=seats // 2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        ways: dict[str, Any] = {
            "whilst": lambda: list(whilst.map(time.sleep, [call_s] * calls, on=client)),
            "Client.map": lambda: client.gather(client.map(time.sleep, [call_s] * calls, pure=False)),
        }
        for name, run in ways.items():
            start_s = time.perf_counter()
            assert len(run()) == calls
            found[name] = calls * call_s / (seats * (time.perf_counter() - start_s))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=20, help="of each seat")
    options = parser.parse_args()
    for seats in (1, 4, 16, 64, 256, 1024, 4096):
        print(f"{seats:5} seats, simulated: {simulated(seats, 20 * seats, 10.0):.3f}", flush=True)
    for name, share in real(options.real, options.calls * options.real, 1.0).items():
        print(f"{options.real:5} seats, real: {name:10} {share:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
