"""What this process has open beyond its standard streams: regular files and sockets."""

from __future__ import annotations

# Not `socket`, which imports more than a fork takes.
import _socket
import fcntl
import os
import stat
from collections.abc import Collection

from whilst._light import Record

_TCP_BYTES = slice(120, 136)
"""Where `struct tcp_info` counts the bytes that were acknowledged and received: two integers of 8 bytes."""


class Descriptor(Record):
    """One open file or _socket."""

    fd: int
    is_socket: bool
    is_inherited: bool
    """It came through `exec`: whoever started this program had it open. What Python opens is closed by `exec`."""

    @property
    def is_read_only(self) -> bool:
        return fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY

    @property
    def is_connection(self) -> bool:
        """Somebody speaks on it: not a socket that listens, nor one end of a nameless pair within this program."""
        if not self.is_socket:
            return False
        sock = _socket.socket(fileno=os.dup(self.fd))
        try:
            if sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
                return False
            return sock.getpeername() not in ("", b"")
        except OSError:  # not connected (any more)
            return False
        finally:
            sock.close()

    @property
    def position(self) -> object:
        """Where it stands: the offset in a file, the bytes that went over a TCP connection; None for others."""
        try:
            if not self.is_socket:
                return os.lseek(self.fd, 0, os.SEEK_CUR)
            sock = _socket.socket(fileno=os.dup(self.fd))
        except OSError:
            return None
        try:
            return sock.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, 256)[_TCP_BYTES]
        except OSError:
            return None
        finally:
            sock.close()


def open_descriptors(private: Collection[int] = ()) -> list[Descriptor]:
    """Return the regular files and sockets that are open, but for the standard streams and those in `private`.

    Raises:
        OSError: this system does not tell.
    """
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib brings half of urllib along
        fd = int(name)
        if fd <= 2 or fd in private:
            continue
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISSOCK(mode) or (stat.S_ISREG(mode) and not _is_memory(fd)):
                found.append(Descriptor(fd, stat.S_ISSOCK(mode), os.get_inheritable(fd)))
        except OSError:  # the one that listed them, closed by now
            continue
    return found


def _is_memory(fd: int) -> bool:
    path = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - as above
    return path.startswith(("/memfd:", "/dev/", "/proc/"))
