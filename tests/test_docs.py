"""Every Python example in the documents runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(name: str) -> str:
    """All Python blocks of a document, in order, each at its own line so that a traceback names the right one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for match in FENCE.finditer(text):
        first = text.count("\n", 0, match.start(1))
        for offset, line in enumerate(match[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["README.md"])
def test_the_examples_of_a_document_run_as_they_stand(name: str) -> None:
    code = examples(name)
    assert "import whilst" in code
    program = f"exec(compile({code!r}, {name!r}, 'exec'), {{'__name__': '__main__'}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
