"""The parent's side of the server: start it once, connect to it, let it go when nobody needs it any more.

Starting takes a bare interpreter's time (some 15 ms); forking a worker from it a few. The server ends with the last
back end that uses it, and with this process however that ends. A process forked from this one by the user starts a
server of its own.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import time
from _socket import MSG_DONTWAIT, socket, socketpair
from _thread import allocate_lock

from whilst.errors import WhilstError
from whilst.running.calls.bare import code_to_run
from whilst.running.worker.parent import fork
from whilst.running.worker.transport import messages
from whilst.running.worker.transport.messages import Spawn
from whilst.running.worker.transport.wire import FrameReader, FrameWriter, encode, send_all

_FD = 3
_SIGINT = 2
_SERVER = "whilst.running.worker.child.fork_server"
_USUAL_FINDERS = {"_frozen_importlib", "_frozen_importlib_external", "importlib._bootstrap", "_pytest", "six", "whilst"}


class Lease:
    """A back end's connection to the server. Closing it ends the back end's workers."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock
        self._is_open = True
        fork.private.add(sock.fileno())

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            fork.private.discard(self.sock.fileno())
            self.sock.close()
            _let_go()


class Served:
    """The workers that one back end has from the server; told apart by the numbers it gives them."""

    shares_main = False

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._numbers: set[int] = set()
        self._lease: Lease | None = None
        self._reader: FrameReader
        self._writer: FrameWriter

    def start(self, spawn: Spawn, fds: tuple[int, ...]) -> None:
        """Have a worker forked. The descriptors are its own, and closed here.

        Raises:
            OSError, WhilstError: there can be no server.
        """
        if self._lease is None:
            try:
                self._lease = lease()
            except BaseException:
                for fd in fds:
                    os.close(fd)
                raise
            self._reader, self._writer = FrameReader(self._lease.sock), FrameWriter(self._lease.sock)
            self._poll.register(self._lease.sock.fileno(), 1)
        self._numbers.add(spawn.token)
        self._tell(encode(messages.SPAWN, tuple(spawn), (), len(fds)), fds)

    def kill(self, number: int) -> None:
        """End a worker now, with whatever it has started."""
        if self._lease is not None:
            self._tell(encode(messages.KILL, number))

    def hear(self, fd: int) -> list[tuple[int, int | None, str]] | None:
        """Who has ended, by number, with exit code and reason; None if this descriptor is not the server's."""
        if self._lease is None or fd != self._lease.sock.fileno():
            return None
        try:
            is_alive = self._reader.fill(MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if is_alive:
            ended = []
            for frame in self._reader.frames():
                number, what = frame.envelope
                self._numbers.discard(number)
                ended.append((number, what if frame.kind == messages.DIED else None, str(what)))
            return ended
        # The server was killed, and its workers with it.
        lost = [(number, None, "the server process that forks workers is gone") for number in self._numbers]
        self.close()
        return lost  # type: ignore[return-value]  # a list of narrower tuples

    def close(self) -> None:
        """Let go of the server: it kills what is left of these workers, and reaps them."""
        self._numbers.clear()
        if self._lease is not None:
            self._poll.unregister(self._lease.sock.fileno())
            self._lease.close()
            self._lease = None
            self._writer.drop()

    def abandon(self) -> None:
        """In a fork that the user has made: the connection is the parent's."""
        if self._lease is not None:
            self._lease.sock.close()

    def _tell(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        self._writer.write(data, fds)
        while self._writer.is_behind:
            # The server reads as fast as it can and waits for nobody.
            time.sleep(0.0005)
            self._writer.flush()


class _Server:
    def __init__(self) -> None:
        self.root, theirs = socketpair()
        try:
            self.pid = _start(theirs.fileno())
        except BaseException:
            self.root.close()
            raise
        finally:
            theirs.close()
        fork.private.add(self.root.fileno())

    def connect(self) -> socket:
        ours, theirs = socketpair()
        try:
            send_all(self.root, encode(messages.CONNECT, None, (), 1), (theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def hang_up(self) -> None:
        fork.private.discard(self.root.fileno())
        self.root.close()

    def is_alive(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False

    def close(self) -> None:
        self.hang_up()
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:  # somebody else has reaped it (a SIGCHLD handler, SIG_IGN)
            pass


_lock = allocate_lock()
_server: _Server | None = None
_users = 0


def lease() -> Lease:
    """Connect to the server, starting it if there is none.

    Raises:
        OSError, WhilstError: there can be none, or no connection to it.
    """
    global _server, _users
    why: OSError | None = None
    with _lock:
        for _ in range(2):
            if _server is not None and not _server.is_alive():
                _server.hang_up()
                _server = None
            if _server is None:
                _server = _Server()
            try:
                sock = _server.connect()
            except OSError as error:
                why = error
                continue
            _users += 1
            return Lease(sock)
    if why is not None and why.errno not in (errno.EPIPE, errno.ECONNRESET):
        raise why  # it is not the server's fault
    raise WhilstError("The server that forks workers ends as soon as it starts. Pass mode='concurrent' for threads.")


def _let_go() -> None:
    global _server, _users
    with _lock:
        _users -= 1
        if _users > 0 or _server is None:
            return
        server, _server = _server, None
    server.close()


def _forget() -> None:
    """In a child that the user has forked: the server is the parent's."""
    global _lock, _server, _users
    _lock = allocate_lock()
    if _server is not None:
        _server.hang_up()
    _server, _users = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _start(fd: int) -> int:
    """Start the server with `fd` as its connection. Gives its process id."""
    executable = sys.executable
    if not executable:
        raise WhilstError("This Python does not know its own executable (sys.executable is empty): set it.")
    flags = _own_flags()
    if not _needs_site():
        flags.append("-S")
    return os.posix_spawn(
        executable,
        [executable, *flags, "-c", code_to_run(_SERVER, "main", _FD, int("multiprocessing.connection" in sys.modules))],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, fd, _FD),
        ],
        # Ctrl-C in the terminal is not for the server. Blocked until it has a session of its own.
        setsigmask=(_SIGINT,),
    )


def _needs_site() -> bool:
    """Whether `site` has to run there: it takes a third of the start, and matters where it adds import hooks.

    The import path itself travels with each job.
    """
    for finder in sys.meta_path:
        kind = finder if isinstance(finder, type) else type(finder)
        if kind.__module__.partition(".")[0] not in _USUAL_FINDERS:
            return True
    return "sitecustomize" in sys.modules or "usercustomize" in sys.modules


_FLAGS = (
    ("debug", "d"),
    ("dont_write_bytecode", "B"),
    ("no_user_site", "s"),
    ("optimize", "O"),
    ("isolated", "I"),
    ("ignore_environment", "E"),
    ("bytes_warning", "b"),
)


def _own_flags() -> list[str]:
    """The options this interpreter was started with, as far as they change what code means.

    As `subprocess._args_from_interpreter_flags`, which multiprocessing uses, without importing `subprocess`. The
    warning filters (-W) travel with each job.
    """
    flags = [f"-{letter * getattr(sys.flags, name)}" for name, letter in _FLAGS if getattr(sys.flags, name)]
    for name, value in sys._xoptions.items():
        flags += ["-X", name if value is True else f"{name}={value}"]
    return flags
