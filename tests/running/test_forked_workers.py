"""Workers that are forks of the program itself: what they share with it, and what they must not hold."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import whilst
from whilst.inspecting.fork_safety import why_not_beside_threads

SOURCE = str(Path(whilst.__file__).parent.parent)
beside_threads = pytest.mark.skipif(
    bool(why_not_beside_threads()), reason="without a GIL no program is forked beside other threads"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


def run(tmp_path: Path, program: str) -> str:
    """Run a script of its own, so that nothing of the test's stands in the way of a fork; return what it printed."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@beside_threads
def test_the_workers_of_a_program_whose_other_threads_are_at_rest_are_its_own_children(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import os, threading, time, whilst
        from whilst.inspecting.fork_safety import why_not_fork
        def parent(k):
            return os.getppid()
        print(set(whilst.map(parent, range(8), mode="parallel", workers=2)) == {os.getpid()})
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        thread.start()
        while why_not_fork(reached=tuple):        # it has just begun
            time.sleep(0.01)
        print(set(whilst.map(parent, range(8), mode="parallel", workers=2)) == {os.getpid()})
        busy = threading.Lock()
        with busy:                                # nobody knows who holds it: workers come from a clean server
            print(os.getpid() in whilst.map(parent, range(8), mode="parallel", workers=2))
        gate.set()
        thread.join()
        with whilst.Executor(mode="parallel", workers=2) as executor:   # its own thread starts the workers
            print(executor.submit(parent, 1).result() == os.getpid())
        """,
    )
    assert said == "True\nTrue\nFalse\nTrue\n"


@beside_threads
def test_a_thread_that_is_busy_by_the_time_a_worker_is_forked_is_noticed(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import os, threading, whilst
        gate = threading.Event()
        busy = threading.Lock()
        thread = threading.Thread(target=gate.wait)
        def parent(k):
            return os.getppid()
        stream = whilst.imap(parent, range(4), mode="parallel", workers=2)
        thread.start()
        busy.acquire()
        try:
            list(stream)
        except whilst.WhilstError as error:
            print(error)
        gate.set()
        thread.join()
        """,
    )
    assert "is held" in said
    assert "mode='concurrent'" in said


def test_what_the_main_module_defines_is_the_same_on_both_sides(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import collections, enum, sys, whilst
        class Colour(enum.Enum):
            RED = 1
        class Box:
            def __init__(self, value):
                self.value = value
        def invert(box):
            assert isinstance(box, Box)
            return Box((Colour.RED, -box.value))
        found = whilst.map(invert, [Box(k) for k in range(10)], mode="parallel", workers=2)
        print([box.value[1] for box in found] == [-k for k in range(10)])
        print(all(type(box) is Box and box.value[0] is Colour.RED for box in found))
        print("cloudpickle" in sys.modules)

        def make(k):
            global Late                       # nobody else has it
            class Late:
                pass
            late = Late()
            late.value = k
            return late
        print([late.value for late in whilst.map(make, range(6), mode="parallel", workers=2)])
        """,
    )
    assert said == "True\nTrue\nFalse\n[0, 1, 2, 3, 4, 5]\n"


def test_workers_hold_nothing_of_their_neighbours(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import os, whilst
        def sockets(k):
            held = []
            for number in os.listdir("/proc/self/fd"):
                try:
                    held.append(os.readlink(f"/proc/self/fd/{number}").partition(":")[0])
                except OSError:
                    pass
            return held.count("socket"), held.count("anon_inode")
        print(set(whilst.map(sockets, range(40), mode="parallel", workers=4)))
        """,
    )
    assert said == "{(1, 0)}\n"


def test_a_fork_of_the_user_s_that_ends_leaves_the_run_alone(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import os, sys, whilst
        def double(k):
            return 2 * k
        stream = iter(whilst.imap(double, range(2000), mode="parallel", workers=2))
        first = next(stream)
        pid = os.fork()
        if pid == 0:
            del stream                        # closes the generator, whose run is the parent's
            sys.exit(0)
        os.waitpid(pid, 0)
        print(first + sum(stream) == sum(2 * k for k in range(2000)))
        """,
    )
    assert said == "True\n"


def test_a_worker_dies_with_a_program_whose_other_children_live_on(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import os, signal, sys, whilst
        reading, writing = os.pipe()
        waiting, gate = os.pipe()
        program = os.fork()
        if program == 0:
            os.close(reading)
            os.close(gate)
            driver = os.getpid()
            def forever(k):
                os.write(writing, f"{os.getpid()}\\n".encode())
                os.kill(driver, signal.SIGALRM)   # now there is a worker
                while True:
                    pass
            def fork(*_):
                if os.fork() == 0:                # has all that the program has open, its ends of lifelines too
                    for fd in (0, 1, 2, writing):
                        os.close(fd)
                    os.read(waiting, 1)           # until the test is over
                    os._exit(0)
                os.kill(os.getpid(), signal.SIGKILL)
            signal.signal(signal.SIGALRM, fork)
            list(whilst.imap(forever, range(2), mode="parallel", workers=2))
        os.close(writing)
        said = b""
        while piece := os.read(reading, 100):     # ends with the last of the workers, who hold the pipe
            said += piece
        os.waitpid(program, 0)
        print(0 < len(said.split()) <= 2)
        """,
    )
    assert said == "True\n"


def test_exceptions_of_the_script_are_the_scripts_own_classes(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import whilst
        class ParseError(ValueError):
            def __init__(self, line, column):
                super().__init__(f"bad at {line}:{column}")
                self.line = line
        def parse(k):
            if k == 5:
                raise ParseError(k, column=3)
            return k
        for mode in ("parallel", "combined"):
            try:
                list(whilst.map(parse, range(8), mode=mode, workers=2))
            except ParseError as error:
                print(error, error.line)
        """,
    )
    assert said == "bad at 5:3 5\n" * 2
