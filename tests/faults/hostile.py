"""Bad objects and bad functions, as users have them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class DiesPickled:
    """Can't be pickled, and says so in a way of its own."""

    def __reduce__(self) -> Any:
        raise RuntimeError("I don't travel")


class DiesLoaded:
    """Pickles well, and can't be rebuilt anywhere."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


class ExitsLoaded:
    """Ends the process that loads it, unless that is where it was made."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __setstate__(self, state: dict[str, int]) -> None:
        if os.getpid() != state["home"]:
            os._exit(5)


class KilledLoaded:
    """As above, by signal."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __setstate__(self, state: dict[str, int]) -> None:
        if os.getpid() != state["home"]:
            os.kill(os.getpid(), signal.SIGKILL)


class UnbuildableError(Exception):
    """Its pickle can't be loaded: __init__ wants two arguments, `args` has one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class UnpicklableError(Exception):
    """Holds what can't be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class ReduceDiesError(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("no")


class SilentError(Exception):
    """Its text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def segfault() -> None:
    ctypes.string_at(0)


DEATHS: dict[str, Callable[[], Any]] = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "os._exit": lambda: os._exit(3),
    "segfault": segfault,
    "abort": os.abort,
}


def die_at_4(x: int, how: str) -> int:
    if x == 4:
        print("last words", file=sys.stderr)
        DEATHS[how]()
    return x * 10


def die_once(x: int, marker: str) -> int:
    """Dies the first time that it sees a 4."""
    if x == 4:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return x * 10
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 10


def note_and_die_at_9(x: int, path: str) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%d\n" % x)
    os.close(fd)
    if x == 9:
        os._exit(1)
    return x


def raise_at_3(x: int, kind: type[BaseException], *args: Any) -> int:
    if x == 3:
        raise kind(*args)
    return x


def exit_at_3(x: int) -> int:
    if x == 3:
        sys.exit("done here")
    return x


def fork_and_return(x: int) -> int:
    """The child comes back as well, which in a `for` loop would do the rest of the program twice."""
    os.fork()
    return x


def fork_and_exit(x: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(x)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_and_leave_a_child(x: int) -> int:
    """A child that lives on holds every descriptor of the worker."""
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
    if x == 3:
        os._exit(8)
    return x


def run_a_child(x: int) -> str:
    return subprocess.run([sys.executable, "-c", f"print({x})"], capture_output=True, text=True, check=True).stdout


def leave_a_daemon_thread(x: int) -> int:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return x


def use_an_alarm(x: int) -> str:
    """A signal handler of the user's, in the main thread of the worker."""
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        while not rang:
            time.sleep(0.001)
    finally:
        signal.signal(signal.SIGALRM, before)
    return f"{x} rang"


def recurse(x: int) -> int:
    return recurse(x + 1)


def close_stdout(x: int) -> int:
    sys.stdout.close()
    return x


def close_descriptors(x: int) -> int:
    for fd in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(fd)
    return x


def interrupt_itself(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    return x


def leak(x: int) -> int:
    _leaked.append(b"x" * (200 << 20))
    time.sleep(0.06)
    return os.getpid()


_leaked: list[bytes] = []
