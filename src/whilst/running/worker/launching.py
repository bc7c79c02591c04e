"""The parent's side of the server: start it once, connect to it, let it go when nobody needs it any more.

Starting takes a bare interpreter's time (some 15 ms); forking a worker from it a few. Where a program has one
thread, the server can be forked from it instead: its workers then have all that the program has loaded and set.
The server ends with the last back end that uses it, and with this process however that ends. A process forked from
this one by the user starts a server of its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from _socket import socket, socketpair
from pathlib import Path

from whilst.errors import WhilstError
from whilst.running.worker import frames
from whilst.running.worker.wire import encode, send_all

__all__ = ["Lease", "lease"]

_ROOT = Path(__file__).parents[2]
_FD = 3
_SIGINT = 2
_BOOT = f"""
import sys
root = sys.argv[1]
for name, path in (("whilst", root), ("whilst.running", root + "/running")):
    module = type(sys)(name)
    module.__path__ = [path]
    sys.modules[name] = module
import whilst.running.worker.server as server
del sys.modules["whilst"], sys.modules["whilst.running"]
server.main({_FD})
"""
_USUAL_FINDERS = {"_frozen_importlib", "_frozen_importlib_external", "importlib._bootstrap", "_pytest", "six"}


class Lease:
    """A back end's connection to the server. Closing it ends the back end's workers."""

    def __init__(self, sock: socket, own: _Server | None = None) -> None:
        self.sock = sock
        self._own = own
        self._is_open = True

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self.sock.close()
            if self._own is not None:
                self._own.close()
            else:
                _let_go()


class _Server:
    def __init__(self, *, is_forked: bool = False) -> None:
        self.root, theirs = socketpair()
        try:
            self.pid = _fork(self.root, theirs) if is_forked else _start(theirs.fileno())
        except BaseException:
            self.root.close()
            raise
        finally:
            theirs.close()

    def connect(self) -> socket:
        ours, theirs = socketpair()
        try:
            send_all(self.root, encode(frames.CONNECT, None, (), 1), (theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def is_alive(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False

    def close(self) -> None:
        self.root.close()
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:  # somebody else has reaped it (a SIGCHLD handler, SIG_IGN)
            pass


_lock = threading.Lock()
_server: _Server | None = None
_users = 0


def lease(*, is_forked: bool = False) -> Lease:
    """Connect to the server, starting it if there is none.

    `is_forked`: to a server of one's own, forked from this program as it stands. The caller vouches for it that no
    other thread is there whose locks would stay locked, and nothing open that two processes must not share.
    """
    global _server, _users
    if is_forked:
        own = _Server(is_forked=True)
        try:
            return Lease(own.connect(), own)
        except OSError as error:
            own.close()
            raise WhilstError("The server forked from this program has ended as soon as it started.") from error
    with _lock:
        for _ in range(2):
            if _server is not None and not _server.is_alive():
                _server.root.close()
                _server = None
            if _server is None:
                _server = _Server()
            try:
                sock = _server.connect()
            except OSError:
                continue
            _users += 1
            return Lease(sock)
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
    _lock = threading.Lock()
    if _server is not None:
        _server.root.close()
    _server, _users = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _fork(ours: socket, theirs: socket) -> int:
    """Fork the server from this program. Gives its process id; the child never returns from here."""
    import warnings

    from whilst.running.worker import server

    for stream in (sys.stdout, sys.stderr):
        # What waits in their buffers is to be written by this process alone.
        with contextlib.suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        # Python 3.12 counts native threads too: those of BLAS, which survive a fork by hooks of their own.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        ours.close()
        _shed_the_program()
        server.main(theirs.fileno())
    finally:
        os._exit(72)


def _shed_the_program() -> None:
    """In the forked server: nothing of what the program would do by itself later is to happen here as well."""
    # Not `signal`, whose enums take longer than all of this.
    import _signal  # type: ignore[import-not-found]
    import atexit

    atexit._clear()
    sys.settrace(None)
    sys.setprofile(None)
    for number in range(1, _signal.NSIG):
        if callable(_signal.getsignal(number)):
            handler = _signal.default_int_handler if number == _signal.SIGINT else _signal.SIG_DFL
            _signal.signal(number, handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


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
        [executable, *flags, "-c", _BOOT, str(_ROOT)],
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
