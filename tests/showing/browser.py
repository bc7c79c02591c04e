"""A headless Chromium, driven over two pipes by its DevTools protocol: enough to open a page, ask it and poke it.

Without a driver to install: the browser reads commands from descriptor 3 and writes answers to 4, each a line of
JSON that ends in a zero byte (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--no-first-run",
    "--window-size=1200,900",
    "--remote-debugging-pipe",
)
# Moves the pipes to the two descriptors that the browser insists on, and becomes the browser.
_LAUNCHER: Final = (
    "import fcntl, os, sys\n"
    "read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])\n"
    "os.dup2(read, 3)\n"
    "os.dup2(write, 4)\n"
    "os.execvp(sys.argv[3], sys.argv[3:])\n"
)


def find_browser() -> str | None:
    """The first Chromium on PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One browser with a profile of its own, which is thrown away; a context manager."""

    def __init__(self, program: str, timeout_s: float = 60.0) -> None:
        self._profile = tempfile.mkdtemp(prefix="profile-")
        self._timeout_s = timeout_s
        self._number = 0
        self._unread = b""
        self._session = ""
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _LAUNCHER,
                    str(read_there),
                    str(write_there),
                    program,
                    *_FLAGS,
                    f"--user-data-dir={self._profile}",
                ],
                pass_fds=(read_there, write_there),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            os.close(read_there)
            os.close(write_there)
        self._read, self._write = read_here, write_here

    def __enter__(self) -> Self:
        try:
            target = self._command("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session = ""
            self._command("Browser.close")
            self._process.wait(20)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._read)
            os.close(self._write)
            shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, page: Path, fragment: str = "") -> dict[str, float]:
        """Open the page from disk and wait until it has drawn; what it says of the time that took, in ms."""
        # By way of an empty page, since another fragment alone would not load the page anew.
        self._command("Page.navigate", url="about:blank")
        self._command("Page.navigate", url=f"{page.as_uri()}#{fragment}")
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            ready = self.ask(
                "document.documentElement?.dataset.ready ?? document.getElementById('failed')?.textContent"
            )
            if ready:
                if not ready.startswith("{"):
                    raise AssertionError(ready)
                return dict(json.loads(ready))
            time.sleep(0.02)
        raise TimeoutError(f"{page} was not drawn in {self._timeout_s} s.")

    def show(self, page: Path) -> None:
        """Open the page and wait until it has loaded, whether or not it runs scripts."""
        self._command("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + self._timeout_s
        while self.ask("location.href + document.readyState") != f"{page.as_uri()}complete":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{page} was not loaded in {self._timeout_s} s.")
            time.sleep(0.02)

    def allow_scripts(self, is_allowed: bool) -> None:
        """Let pages run scripts of their own from the next one on, or not."""
        self._command("Emulation.setScriptExecutionDisabled", value=not is_allowed)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, awaited if it is a promise."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def poke(self, kind: str, **event: Any) -> None:
        """Send a mouse, key or touch event, e.g. poke("Mouse", type="mouseWheel", x=1, y=1, deltaX=0, deltaY=-100)."""
        self._command(f"Input.dispatch{kind}Event", **event)
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def prefer(self, scheme: str) -> None:
        """Let the page think that its reader prefers "light" or "dark"."""
        self._command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def resize(self, width: int, height: int) -> None:
        """Give the page so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **size)

    def photograph(self) -> bytes:
        """What is in sight, as PNG."""
        return base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"])

    def read_aloud(self) -> set[tuple[str, str]]:
        """(role, name) of all that a screen reader finds in the page."""
        tree = self._command("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in tree if not node["ignored"]]
        return {(node["role"]["value"], str(node.get("name", {}).get("value", ""))) for node in seen}

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout_s
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"The browser said nothing for {self._timeout_s} s.")
            part = os.read(self._read, 1 << 16)
            if not part:
                raise EOFError("The browser has gone.")
            self._unread += part
        message, self._unread = self._unread.split(b"\0", 1)
        return dict(json.loads(message))
