"""What a bare interpreter loads: the server at its start, and a worker later, without whilst itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whilst.running.calls import bare

LATER = ("child.threaded", "child.looped", "transport.exceptions", "transport.pickle_errors")
"""Loaded by a worker once it needs them, when nothing stands in for whilst any more."""


@pytest.mark.parametrize("name", LATER)
def test_a_worker_needs_no_whilst_for_what_it_loads_later(name: str) -> None:
    code = f"""
import sys
own = {{"__file__": {bare.__file__!r}, "__name__": "bare"}}
exec(open({bare.__file__!r}, encoding="utf-8").read(), own)
own["boot"]("whilst.running.worker.child.fork_server")
__import__("whilst.running.worker.{name}", fromlist=["_"])
print("whilst" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")
