"""A process that outlives what the calls do to theirs: the calls are made in a fork, and this one waits for its end.

Forked before the user's module is imported, so the process that waits is small, has one thread, and may fork again.
The fork writes the results itself: nothing is pickled, and calls run as they would without it. It costs the fork and
the memory that both then touch, once: a command whose calls do nothing takes about a fifth more CPU time. What was done
when a call killed its process is read from memory that both share.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

import click

_FORM: Final = struct.Struct("<QQ??")


class Death(NamedTuple):
    """How a process ended that was not done: `text` completes "the process that makes the calls …"."""

    text: str


class Board:
    """What the process that makes calls has done so far, in memory that is shared by forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FORM.size)

    def read(self) -> tuple[int, int, bool, bool]:
        """How many lines were written, how many of them tell a failure, may calls overlap, is the work over?"""
        done, failed, overlaps, is_over = _FORM.unpack(self._memory[:])
        return done, failed, overlaps, is_over

    def write(self, *, done: int = 0, failed: int = 0, overlaps: bool | None = None, is_over: bool = False) -> None:
        """Add to the counts, and set the rest."""
        before = self.read()
        overlaps = before[2] if overlaps is None else overlaps
        self._memory[:] = _FORM.pack(before[0] + done, before[1] + failed, overlaps, is_over)


def is_possible() -> bool:
    """On Linux: elsewhere nobody says who sent a signal, nor ends the fork when its parent is killed.

    Another program's process, which calls `main`, is not forked either: nobody knows what it holds.
    """
    return sys.platform == "linux" and bool(click.get_current_context().obj == "program")


def leave(code: int) -> NoReturn:
    """End this process at once: what is to be ended was the fork's, and to take it apart costs as much as that."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def survived(work: Callable[[], int], remedy: str) -> int:
    """Do this work in a fork, and return its exit code; 1 with a word where it was killed."""
    ended = supervised(work, Board())
    if isinstance(ended, int):
        return ended
    click.echo(f"whilst: the process that makes the calls {ended.text}. {remedy}", err=True)
    return 1


def supervised(work: Callable[[], int], board: Board) -> int | Death:
    """Do this work in a fork, which then goes on to the end of the program; return here how that ended.

    Signals that a process sends to this one are passed on; those of the terminal reach both. Who kills this process
    ends the fork, too. A fork that ended after this process was told to end is not one that its work has killed, in
    whatever way it ended: one signal may reach it twice, and the second come where the first was being dealt with.

    Raises:
        click.exceptions.Exit: in the fork, with the work's exit code.
        KeyboardInterrupt: the fork had to be ended by Ctrl-C.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    board.write(overlaps=False)
    lifeline, ours = os.pipe()
    parent, child_action = os.getpid(), signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watched = [signal.SIGCHLD, *(each for each in _PASSED_ON if signal.getsignal(each) is not signal.SIG_IGN)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.fork()
    if child == 0:
        try:
            from whilst.running.worker.child.after_fork import end_with

            os.close(ours)
            signal.signal(signal.SIGCHLD, child_action)
            end_with(lifeline)
            if os.getppid() != parent:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what has come since the fork raises here
            raise click.exceptions.Exit(work())
        finally:
            board.write(is_over=True)
    early = signal.sigpending()
    os.close(lifeline)
    try:
        status, received = _waited(child, watched, early)
    finally:
        os.close(ours)  # which ends the fork, if it has not ended
    code, is_over = os.waitstatus_to_exitcode(status), board.read()[3]
    for number in (-code, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if number in received and (code < 0 or not is_over):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.kill(parent, number)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if is_over and code >= 0:
        return code
    if signal.SIGINT in received:
        if code == _INTERRUPTED:  # and has said so
            return code
        raise KeyboardInterrupt
    if is_over:
        return 128 - code
    return Death(f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended itself with exit code {code}")


_PASSED_ON: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
) if sys.platform == "linux" else ()  # fmt: skip
_INTERRUPTED: Final = 130
_INSISTS_S: Final = 1.0
"""Ctrl-C so long after the first one is not the same one."""


def _waited(child: int, watched: Sequence[int], early: Container[int]) -> tuple[int, set[int]]:
    """The status of the child once it has ended, and which signals came meanwhile.

    Args:
        child: its number.
        watched: signals, blocked here.
        early: those that had come when it was just born, or before.
    """
    received: set[int] = set()
    interrupted_s: float | None = None
    while True:
        found = signal.sigwaitinfo(watched)
        if found.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status, received
            continue
        # From a process, or perhaps before the child was there; else the terminal has sent it to the child as well.
        is_passed_on = found.si_code <= 0 or (found.si_signo in early and found.si_signo not in received)
        received.add(found.si_signo)
        if is_passed_on:
            os.kill(child, found.si_signo)
        if found.si_signo == signal.SIGINT:
            interrupted_s = time.monotonic() if interrupted_s is None else interrupted_s
            if time.monotonic() - interrupted_s > _INSISTS_S:  # it has not ended for the first one, and is to
                os.kill(child, signal.SIGKILL)
