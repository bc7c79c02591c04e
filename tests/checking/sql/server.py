"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on loopback, gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def find_programs() -> Path | None:
    """The folder that holds initdb and postgres, or None."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    return folders[-1].parent if folders else None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start a server and yield its URL."""
    programs = find_programs()
    assert programs is not None
    # The server refuses to run as root, so root hands it to the user that the package made.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    # And that user must get there: a TMPDIR of root's own, as mktemp makes it, is closed to it.
    place = "/tmp" if who else None
    with tempfile.TemporaryDirectory(prefix="whilst-postgres-", dir=place) as folder:
        if who:
            shutil.chown(folder, "postgres", "postgres")
        data = Path(folder) / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "whilst", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **who,
        )
        port = free_port()
        server = subprocess.Popen(
            [
                *(programs / "postgres", "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port)),
                *("-c", "fsync=off", "-c", "autovacuum=off", "-c", "logging_collector=off"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **who,
        )
        try:
            wait_until_ready(port, server)
            yield f"postgresql://whilst@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: connections are cut
            server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended while it was starting"
        try:
            psycopg.connect(f"postgresql://whilst@127.0.0.1:{port}/postgres", connect_timeout=1).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not become ready")
