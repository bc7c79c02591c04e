"""What runs inside a process that performs one executor's script."""

from __future__ import annotations

import gc
import os
import pickle
import time

from whilst.comparing.days.frames import read_frame, write_frame
from whilst.comparing.days.loop import Wires, perform_script

__all__ = ["main"]


def main() -> None:
    """Receive the script, say ready, start at the instant told, and send back the spans."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not get between the frames
    try:
        script, inbox, outboxes = pickle.loads(read_frame(0))
        write_frame(answers, pickle.dumps("ready"))
        read_frame(0)
        write_frame(answers, pickle.dumps(time.perf_counter_ns()))
        start_ns = pickle.loads(read_frame(0))
    except EOFError:
        return
    # Copies have low numbers, whatever theirs were in the parent: `select` takes none above 1023.
    inbox, outboxes = os.dup(inbox), {executor: os.dup(end) for executor, end in outboxes.items()}
    # A collection in the middle of a stretch would be measured as if it were the task's.
    gc.disable()
    rows = perform_script(script, Wires(inbox, outboxes, lifeline=0), start_ns)
    write_frame(answers, pickle.dumps(rows))
