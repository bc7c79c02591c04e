"""The server: a bare, single-threaded interpreter that forks workers on demand, each within milliseconds.

A program that has threads must not fork: a lock that another thread holds stays locked in the child for ever. So
the program starts this instead, once, by exec; it has one thread and imports nothing of the user's. It is also the
workers' parent: it learns of a death at once and with its exit code, and kills a worker (with whatever that has
started) without the danger of hitting another process that has got the same number since.

Each back end has a connection of its own; its end is the end of the back end's workers. The end of the first
connection, or of the program, is the end of everything: a worker that is deep in a call dies with the server,
since the kernel sends it SIGKILL when the pipe closes of which only the server holds the writing end.
"""

from __future__ import annotations

# Not `signal`, which imports enum for its constants.
import _signal  # type: ignore[import-not-found]
import os
import select
import sys
import warnings  # noqa: F401 - what a worker needs is read here, once, instead of once per worker
from _socket import MSG_DONTWAIT, socket

from whilst.running.worker.child.after_fork import become_worker, kill
from whilst.running.worker.transport import messages
from whilst.running.worker.transport.messages import Spawn
from whilst.running.worker.transport.wire import FrameReader, encode, send_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Client:
    """A connection of a back end."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock
        self.reader = FrameReader(sock)
        self.pids: dict[int, int] = {}
        """By the token of the worker."""


class _Server:
    def __init__(self, root: socket) -> None:
        self.pid = os.getpid()
        self.root = _Client(root)
        self.clients: dict[int, _Client] = {}
        self.owner: dict[int, tuple[_Client, int, int]] = {}
        """By pid: whose worker it is, its token, and the writing end of its lifeline."""
        self.poll = select.poll()
        self.poll.register(root.fileno(), select.POLLIN)
        self.woken, wakes = os.pipe()
        for fd in (self.woken, wakes):
            os.set_blocking(fd, False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self.wakes = wakes
        self.poll.register(self.woken, select.POLLIN)
        self.program = _watch_parent()
        if self.program >= 0:
            self.poll.register(self.program, select.POLLIN)

    def serve(self) -> None:
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.woken:
                    self._drain()
                elif fd == self.program:
                    return
                elif fd == self.root.sock.fileno():
                    if not self.root.reader.fill():
                        return
                    for frame in self.root.reader.frames():
                        self._connect(frame.fds[0])
                elif fd in self.clients:
                    self._hear(self.clients[fd])
            self._reap()

    def kill_all(self) -> None:
        for pid in self.owner:
            kill(pid)
        for pid in self.owner:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue

    def _drain(self) -> None:
        try:
            while os.read(self.woken, 512):
                pass
        except BlockingIOError:
            pass

    def _connect(self, fd: int) -> None:
        client = _Client(socket(fileno=fd))
        self.clients[fd] = client
        self.poll.register(fd, select.POLLIN)

    def _hear(self, client: _Client) -> None:
        try:
            alive = client.reader.fill(MSG_DONTWAIT)
        except BlockingIOError:
            return
        for frame in client.reader.frames() if alive else ():
            if frame.kind == messages.SPAWN:
                self._spawn(client, Spawn(*frame.envelope), frame.fds)
            elif frame.kind == messages.KILL and (pid := client.pids.get(frame.envelope)) is not None:
                kill(pid)
        if not alive:
            fd = client.sock.fileno()
            self.poll.unregister(fd)
            del self.clients[fd]
            client.reader.close()
            client.sock.close()
            for pid in client.pids.values():
                kill(pid)

    def _spawn(self, client: _Client, spawn: Spawn, fds: tuple[int, ...]) -> None:
        lifeline, held = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(client, encode(messages.FAILED, (spawn.token, str(error))))
            os.close(held)
        else:
            if pid == 0:
                os.close(held)
                self._become_worker(spawn, fds, lifeline)
            client.pids[spawn.token] = pid
            self.owner[pid] = (client, spawn.token, held)
        for fd in (*fds, lifeline):
            os.close(fd)

    def _become_worker(self, spawn: Spawn, fds: tuple[int, ...], lifeline: int) -> None:
        """In the child. Does not return."""
        try:
            _signal.set_wakeup_fd(-1)
            for held in self.owner.values():
                os.close(held[2])
            for other in (self.root, *self.clients.values()):
                other.sock.close()
            for fd in (self.woken, self.wakes, self.program):
                if fd >= 0:
                    os.close(fd)
            self.owner.clear()
            become_worker(spawn, fds, lifeline, self.pid)
        finally:
            os._exit(71)

    def _reap(self) -> None:
        while self.owner:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.owner:
                client, token, held = self.owner.pop(pid)
                os.close(held)
                del client.pids[token]
                self._tell(client, encode(messages.DIED, (token, os.waitstatus_to_exitcode(status))))

    def _tell(self, client: _Client, data: bytes) -> None:
        if client.sock.fileno() >= 0:
            try:
                send_all(client.sock, data)
            except OSError:
                pass


def _watch_parent() -> int:
    """A descriptor that becomes readable when the program ends, where the kernel has such; else -1.

    The end of the connection says the same, unless a process forked by the program has kept it open.
    """
    try:
        return os.pidfd_open(os.getppid())
    except (AttributeError, OSError):
        return -1


def _load_multiprocessing() -> None:
    """Of a program that has loaded it each worker is told a key, and loads it for that: better once, and here."""
    path = sys.path[:]
    sys.path[:] = [each for each in path if each]  # nothing of the directory that this happens to be in
    try:
        import multiprocessing.process  # noqa: F401
    finally:
        sys.path[:] = path


def main(fd: int, loads_multiprocessing: int = 0) -> None:
    """Serve the connection at `fd` until it ends."""
    import faulthandler
    import gc

    os.setsid()
    # Inherited by the workers: a segfault says where it was, with the last lines of a worker's own stderr.
    faulthandler.enable(2)
    # To ignore a signal drops one that is pending; it was blocked from the start.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if loads_multiprocessing:
        _load_multiprocessing()
    server: Any = _Server(socket(fileno=fd))
    gc.freeze()
    try:
        server.serve()
    finally:
        server.kill_all()
        os._exit(0)
