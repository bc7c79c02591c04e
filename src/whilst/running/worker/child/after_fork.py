"""From a fork to a worker's first frame: the child's half of a fork, whether of the clean server or of the program.

Descriptors that only the parent is to hold were closed before. From here on the worker is alone: it has a session
of its own (Ctrl-C in the terminal is not for it), dies with its parent, and never returns into the parent's code.
"""

from __future__ import annotations

# Not `signal`, which imports enum for its constants.
import _signal  # type: ignore[import-not-found]
import fcntl
import os
import sys
from _socket import socket

from whilst.running.worker.child.main import enter
from whilst.running.worker.child.resource_tracker import share_tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from whilst.running.worker.transport.messages import Spawn

_inherited: list[object] = []
"""What of the program's must not be collected here: closing it would close what is the program's."""
_F_SETSIG = 10
_FAILED_EXIT = 71


def become_worker(spawn: Spawn, fds: tuple[int, ...], lifeline: int, parent: int) -> None:
    """Be a worker to the end of this process. Does not return.

    Args:
        spawn: what kind of worker.
        fds: its socket, its page, its stderr, its stdout, and where its resource tracker reads.
        lifeline: the reading end of a pipe of which `parent` alone holds the other.
        parent: the process that forked.
    """
    try:
        os.setsid()
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        end_with(lifeline)
        sock_fd, page_fd, stderr_fd, stdout_fd, tracker_fd = fds
        os.dup2(stdout_fd, 1)
        os.dup2(stderr_fd, 2)
        os.close(stdout_fd)
        share_tracker(tracker_fd)
        if os.getppid() != parent:  # it had ended before it could be said that this is to end with it
            os._exit(0)
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random is not None:  # inherited from a program that has loaded it: no two may draw the same
            numpy_random.seed()
        _renew_event_loop()
        enter(spawn, socket(fileno=sock_fd), page_fd, stderr_fd)
    finally:
        os._exit(_FAILED_EXIT)


def _renew_event_loop() -> None:
    """Give this thread a loop of its own where the program had set one: what that waits on belongs to both processes.

    A loop that runs is left: it can't be used by calls in the program either.
    """
    events: Any = sys.modules.get("asyncio.events")
    policy: Any = getattr(events, "_event_loop_policy", None)  # there is one once a loop was set
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    if loop is not None and not loop.is_running():
        _inherited.append(loop)
        policy.set_event_loop(policy.new_event_loop())


def kill(pid: int) -> None:
    """The worker and what it has started. To be called by its parent, before it is reaped."""
    try:
        os.killpg(pid, _signal.SIGKILL)
    except ProcessLookupError:
        # Not yet the leader of a group of its own. It is not reaped, so the number is still its.
        os.kill(pid, _signal.SIGKILL)
    except PermissionError:
        os.kill(pid, _signal.SIGKILL)


def end_with(lifeline: int) -> None:
    """Have the kernel end this process when the other end of the pipe is closed."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, _F_SETSIG, int(_signal.SIGKILL))
    # Without F_SETSIG it is SIGIO, whose default action ends the process as well.
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
