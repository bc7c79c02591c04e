"""Workers that are forks of this program: the fastest start there is, and they have all that it has loaded and set.

Only for a program that may be forked (`inspecting.fork_safety`), which is looked at again before every fork: the other
way is the clean server (`fork_server_client`). A fork inherits every descriptor, so those that only this program is to
hold are noted in `private`: a worker that kept its neighbour's socket open would hide its end from the neighbour.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import atexit
import contextlib
import faulthandler
import gc
import os
import select
import sys
import time
from _socket import socketpair
from collections.abc import Iterable

from whilst.errors import WhilstError
from whilst.inspecting.descriptors import open_descriptors
from whilst.running import process_role
from whilst.running.process_role import private, why_not_forked

# With all that a worker needs: what is loaded before the fork is not loaded by every one of them.
from whilst.running.worker.child.after_fork import become_worker, kill
from whilst.running.worker.transport.messages import Spawn

__all__ = ["Forks", "private", "wait_for_rest"]

_lifelines: set[int] = set()
_LONGEST_PAUSE_S = 0.128


def wait_for_rest() -> None:
    """Wait until the other threads of this program are at rest, so that it may be forked.

    What the calls use was looked at before it was decided to fork.

    Raises:
        WhilstError: they are not, for as long as a quarter of a second.
    """
    why_not = why_not_forked(tuple)
    pause_s = 0.001
    while why_not:
        if pause_s > _LONGEST_PAUSE_S:
            raise WhilstError(
                f"A worker can't be forked from this program now: {why_not}. "
                f"Pass mode='concurrent', or start the other threads later."
            )
        time.sleep(pause_s)
        pause_s *= 2
        why_not = why_not_forked(tuple)


class Forks:
    """The workers that one back end has forked from this program; told apart by the numbers it gives them.

    A process that has ended makes a descriptor of its own readable (`poll` is told of each), so that neither SIGCHLD
    is needed, which is the program's, nor a socket's end, which a child of the worker may hold open.
    """

    shares_main = True
    """What this program has in `__main__`, these workers have too."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._workers: dict[int, tuple[int, int, int]] = {}
        """By number: its process, the descriptor of that, and the writing end of its lifeline."""
        self._by_fd: dict[int, int] = {}

    def start(self, spawn: Spawn, fds: tuple[int, ...]) -> None:
        """Fork a worker. The descriptors are its own, and closed here.

        Raises:
            OSError: there can't be one more process.
        """
        try:
            lifeline, held = os.pipe()
        except OSError:
            _close(fds)
            raise
        program = os.getpid()
        # A handler of the program's must not run in the child, nor take the child for its own before this is through.
        usual = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        handled = [number for number in range(1, _signal.NSIG) if callable(_signal.getsignal(number))]
        try:
            pid = _fork()
            if pid == 0:
                try:
                    os.close(held)
                    _shed_the_program(handled, fds)
                    _signal.pthread_sigmask(_signal.SIG_SETMASK, usual)
                    become_worker(spawn, fds, lifeline, program)
                finally:
                    os._exit(72)
            ended = _watch(pid)
        except (OSError, RuntimeError):
            os.close(held)
            raise
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, usual)
            _close((*fds, lifeline))
        self._workers[spawn.token] = pid, ended, held
        self._by_fd[ended] = spawn.token
        _lifelines.add(held)
        private.add(ended)
        self._poll.register(ended)

    def kill(self, number: int) -> None:
        """End a worker now, with whatever it has started."""
        pid, ended, _ = self._workers[number]
        with contextlib.suppress(ProcessLookupError):
            # Somebody else may have reaped it (a SIGCHLD handler that takes what comes): its number is free then.
            _signal.pidfd_send_signal(ended, 0)
            kill(pid)

    def hear(self, fd: int) -> list[tuple[int, int | None, str]] | None:
        """Who has ended, by number, with exit code and reason; None if this descriptor is none of these."""
        number = self._by_fd.get(fd)
        return None if number is None else [(number, self._reap(number), "")]

    def close(self) -> None:
        """Kill what is left, and wait for it."""
        for number in self._workers:
            self.kill(number)
        for number in list(self._workers):
            self._reap(number)

    def _reap(self, number: int) -> int | None:
        pid, ended, held = self._workers.pop(number)
        del self._by_fd[ended]
        self._poll.unregister(ended)
        _lifelines.discard(held)
        private.discard(ended)
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:
            return None
        finally:
            os.close(ended)
            os.close(held)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


def _watch(pid: int) -> int:
    """A descriptor that is readable when the process has ended."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        with contextlib.suppress(OSError):
            kill(pid)
            os.waitpid(pid, 0)
        raise


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        # What waits in their buffers is to be written by this process alone.
        with contextlib.suppress(Exception):
            stream.flush()
    if sys.version_info >= (3, 12):
        import warnings

        with warnings.catch_warnings():
            # Native threads are counted too: those of BLAS, which survive a fork by hooks of their own.
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    else:
        return os.fork()


def _shed_the_program(handled: Iterable[int], fds: tuple[int, ...]) -> None:
    """In the child: nothing of what the program would do by itself later is to happen here as well.

    Args:
        handled: the signals for which it has handlers.
        fds: the worker's own descriptors.
    """
    _close(private)
    _part_from_files(fds)
    atexit._clear()
    sys.settrace(None)
    sys.setprofile(None)
    for number in handled:
        _signal.signal(number, _signal.default_int_handler if number == _signal.SIGINT else _signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    faulthandler.enable(2)
    process_role.keep_main()
    # What the program has made is not this process's to collect, nor to copy for looking at it.
    gc.freeze()


def _part_from_files(own_fds: tuple[int, ...]) -> None:
    """In the child: what it reads gets positions of its own, and sockets are as if the other side had hung up.

    Two processes that speak on one connection would garble both; and a connection that the program closes would stay
    open as long as the worker lives.
    """
    dead = None
    for each in open_descriptors(own_fds):
        with contextlib.suppress(OSError):
            if each.is_socket:
                if dead is None:
                    dead, peer = socketpair()
                    peer.close()
                os.dup2(dead.fileno(), each.fd, inheritable=False)
            elif each.is_read_only and not each.is_inherited:
                position = os.lseek(each.fd, 0, os.SEEK_CUR)
                own = os.open(f"/proc/self/fd/{each.fd}", os.O_RDONLY | os.O_CLOEXEC)
                os.lseek(own, position, os.SEEK_SET)
                os.dup2(own, each.fd, inheritable=False)
                os.close(own)
    if dead is not None:
        dead.close()


def _let_go() -> None:
    """In any fork, the user's too: were a lifeline held open there, a worker would outlive the program with it."""
    _close(_lifelines)
    _lifelines.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
