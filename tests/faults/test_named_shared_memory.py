"""The program's named shared memory outlives its workers, whoever of them used it, as it outlives the standard ones."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
import sys, threading
import whilst

def attach(name):
    from multiprocessing import shared_memory
    segment = shared_memory.SharedMemory(name=name)
    value = segment.buf[0]
    segment.close()
    return value

def create(number):
    from multiprocessing import shared_memory
    segment = shared_memory.SharedMemory(create=True, size=64)
    segment.buf[0] = number
    segment.close()
    return segment.name

def run(fn, items):
    if verb == "Executor":
        with whilst.Executor(mode=mode, workers=2) as executor:
            return [each.result() for each in [executor.submit(fn, item) for item in items]]
    return whilst.map(fn, items, mode=mode, workers=2)

def main():
    # Workers first, so that the tracker of the program runs, if at all, only after them.
    names = run(create, range(1, 4))
    from multiprocessing import shared_memory
    assert list(run(attach, names * 10)) == [1, 2, 3] * 10
    for number, name in enumerate(names, 1):
        segment = shared_memory.SharedMemory(name=name)
        assert segment.buf[0] == number
        segment.close()
        segment.unlink()
    own = shared_memory.SharedMemory(create=True, size=64)
    own.buf[0] = 9
    assert list(run(attach, [own.name] * 10)) == [9] * 10
    assert list(run(attach, [own.name] * 10)) == [9] * 10
    own.close()
    own.unlink()
    print("right")

if __name__ == "__main__":
    verb, mode, is_forked = sys.argv[1:]
    if is_forked == "clean":  # a program with a thread is not forked
        done = threading.Event()
        threading.Thread(target=done.wait).start()
        try:
            main()
        finally:
            done.set()
    else:
        main()
"""


@pytest.mark.parametrize("how", ["forked", "clean"])
@pytest.mark.parametrize(("verb", "mode"), [("map", "parallel"), ("map", "combined"), ("Executor", "parallel")])
def test_a_segment_is_there_until_it_is_unlinked(tmp_path: Path, verb: str, mode: str, how: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    done = subprocess.run([sys.executable, program, verb, mode, how], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("right\n", "")
