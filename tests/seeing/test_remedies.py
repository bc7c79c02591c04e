"""What a trace has found, and what to do about it. The sentences are those that traces say of programs."""

from __future__ import annotations

import pytest

from whilst.seeing.remedies import CONCURRENT, remedies_for


@pytest.mark.parametrize(
    ("finding", "remedy"),
    [
        (
            "92 % of task time waiting for lock:lock in load (line 20), held by pool-0_7 and 10 others in "
            "request (line 15), sleep.",
            "Hold the lock only around what it protects",
        ),
        (
            "91 % of task time waiting for lock:logging handler in order (line 25), held by pool-0_6 and 15 "
            "others in Collector.emit (line 13), sleep.",
            "QueueHandler",
        ),
        (
            "99 % of task time waiting for lock:lock in store (line 8), held by pool-0_1 in store (line 9), at work.",
            "one for each part",
        ),
        (
            "94 % of task time held off by the event loop, which query (line 11) blocks (sleep)",
            "asyncio.to_thread",
        ),
        (
            "For the last 56 % of the time one worker of 2 is busy alone, in simulate (line 12); the "
            "others wait on an empty queue: one long task came last.",
            "Begin with the longest task",
        ),
        (
            "54 % of all work is handing calls and results over to processes, for main; what is sent (pickled, "
            "written, read, unpickled) is large; largest (line 14) itself does little of it.",
            "Send what the values are made from",
        ),
        (
            "52 % of task time waiting for the network (io:socket) in call (line 31), 22.4 at once.",
            "the other side is the limit",
        ),
        ("60 % of thread time held off by the GIL, in score (line 12).", "Processes would share the work"),
        ("70 % of task time waiting for lock:database in write (line 6), held by Thread-1, sleep.", "one thread write"),
        (
            "All 3 threads of the pool are taken 98 % of the time, and they wait (sleep) in f (line 5): more threads "
            "would overlap more, if that allows it.",
            "more threads",
        ),
        (
            "One by one: main (line 8) waits for each thread (lock:thread) before it starts the next; never two.",
            "before the first is waited for (join)",
        ),
        ("96 % of the time convert (line 4) waits for a child process.", "several child processes at once"),
        ("71 % of task time queued, the executor being full, for handle (line 7).", "max_workers"),
        (
            "80 % of task time in main (line 9) because the queue is full, while t is in store (line 5), sleep.",
            "take from",
        ),
        ("67 % of task time ready, but without a core: 6 tasks want 2, in score (line 7).", "OMP_NUM_THREADS=1"),
        ("52 % of all work is garbage collection (gc), most of it in grow (line 8).", "gc.freeze()"),
    ],
)
def test_each_pattern_has_its_remedy(finding: str, remedy: str) -> None:
    assert remedy in remedies_for([finding])[finding]


def test_what_nobody_can_help_is_not_commented() -> None:
    assert remedies_for(["97 % of task time waiting for a sleep in fetch (line 3)."]) == {}


def test_a_script_that_runs_one_thing_after_another_is_not_traced_for_it() -> None:
    assert CONCURRENT.search("import asyncio\n")
    assert not CONCURRENT.search("import time\nthreading_is_a_word = 1\n")
