"""Fetch many pages from a server that takes its time: much waiting, and little work. Which mode pays?

    python examples/crawl.py

The server is started by this script, on this machine, in a process of its own, and ends with it.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import whilst

PAGES = 40
LATENCY_S = 0.03


def fetch(url: str) -> tuple[str, int]:
    """Fetch one page; returns its title and how many links it has."""
    with urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
    title = re.search(r"<title>(.*?)</title>", page)
    return title.group(1) if title else "", len(re.findall(r"<a href=", page))


@contextmanager
def server() -> Iterator[str]:
    """Start the server; yields its address. It ends when its standard input closes, however this script ends."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.terminate()


async def serve() -> None:
    """Answer every request after a while, many at once, until standard input closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        number = int(request.split()[1].rpartition("/")[2])
        await asyncio.sleep(LATENCY_S * (1 + number % 3))
        links = "".join(f'<a href="/page/{number * k % PAGES}">{k}</a>' for k in range(2 + number % 5))
        page = f"<html><title>Page {number}</title>{links}</html>".encode()
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listener.close()


def main() -> None:
    with server() as address:
        whilst.compare(fetch, [f"{address}/page/{number}" for number in range(PAGES)]).show()


if __name__ == "__main__":
    if "--serve" in sys.argv:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the script that started this, which ends it
        asyncio.run(serve())
    else:
        try:
            main()
        except KeyboardInterrupt:
            sys.exit(130)
