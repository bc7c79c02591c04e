"""Put the page of the story together: its template, its first picture, and Python with whilst for the browser.

Everything is written into two files that work from disk as from a server. A page that is opened from disk may not
fetch, so Pyodide's files travel in a script, packed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from html import escape
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE)]

import story  # noqa: E402 (it lies beside this file)

VERSION: Final = "314.0.7"
INTEGRITY: Final = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
"""SHA-512 of the npm package, in base64, as npm's lock files have it."""
PYODIDE: Final = ROOT / "out" / f"pyodide-{VERSION}.tgz"
_FILES: Final = ("pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_ROOMS: Final = ("__init__.py", "_light.py", "errors.py", "model", "planning", "showing")
"""Of whilst, what the page needs."""
_HOURS: Final = (
    ("there", "drive there"),
    ("line", "stand in line"),
    ("back", "drive back"),
    ("draft", "draft"),
    ("edits", "edit"),
)
_CALLS: Final = (
    ("n", "calls", 1, 400, 1, ""),
    ("work", "work in a call", 0, 200, 1, " ms"),
    ("wait", "wait in a call", 0, 1000, 5, " ms"),
    ("gil", "of the work with the GIL", 0, 100, 5, " %"),
    ("cores", "cores", 1, 32, 1, ""),
)


def fetch_pyodide() -> str:
    """Have npm bring the package once; return why it can't be had, "" where it is there."""
    if not PYODIDE.exists():
        npm = shutil.which("npm")
        if npm is None:
            return "there is no npm here to bring Pyodide"
        PYODIDE.parent.mkdir(exist_ok=True)
        command = [npm, "pack", f"pyodide@{VERSION}", "--silent", "--pack-destination", str(PYODIDE.parent)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            return "npm did not bring Pyodide within five minutes"
        if done.returncode or not PYODIDE.exists():
            return f"npm could not bring Pyodide: {done.stderr.strip()[:200]}"
    if base64.b64encode(hashlib.sha512(PYODIDE.read_bytes()).digest()).decode() != INTEGRITY:
        return f"{PYODIDE.name} is not the package that it should be; delete it"
    return ""


def write_page(folder: Path) -> None:
    """Write `index.html` and, where Pyodide is there, `python.js` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    has_python = PYODIDE.exists()
    runtime = folder / "python.js"
    if has_python:
        _write_whole(runtime, _runtime())
    else:
        runtime.unlink(missing_ok=True)
    _write_whole(folder / "index.html", _page(has_python=has_python))


def _write_whole(path: Path, text: str) -> None:
    """Nobody who reads it meanwhile sees a half of it."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _page(*, has_python: bool) -> str:
    request = story.first_request()
    answer = json.loads(story.answer(json.dumps(request)))
    figures = [
        f'<article class="mode" id="mode-{mode}" aria-labelledby="h-{mode}">{plan["html"]}</article>'
        for mode, plan in answer["plans"].items()
    ]
    status = "Python is being loaded …" if has_python else "This copy was built without Pyodide: the lengths are fixed."
    parts = {
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "lengths": "\n".join(_slider(name, label, 0, 8, 0.5, " h", story.DAY[name]) for name, label in _HOURS),
        "presentations": _slider("presentations", "presentations", 1, 6, 1, "", story.DAY["presentations"]),
        "calls": "\n".join(_slider(*each, story.CALLS[each[0]]) for each in _CALLS),
        "figures": "\n".join(figures),
        "moral": answer["moral"],
        "answers": answer["calls"],
        "status": status,
        "data": json.dumps({"request": request}),
        "runtime": '<script src="python.js"></script>' if has_python else "",
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda hole: parts[hole[1]], template)


def _slider(name: str, label: str, least: float, most: float, step: float, unit: str, value: float) -> str:
    return (
        f'<label class="slider" for="i-{name}"><span>{escape(label)}</span>'
        f'<output id="o-{name}">{value:g}{unit}</output>'
        f'<input type="range" id="i-{name}" name="{name}" min="{least:g}" max="{most:g}" step="{step:g}" '
        f'value="{value:g}" data-unit="{unit}" aria-valuetext="{value:g}{unit}"></label>'
    )


def _runtime() -> str:
    with tarfile.open(PYODIDE) as archive:

        def member(name: str) -> bytes:
            file = archive.extractfile(f"package/{name}")
            assert file is not None, name
            return file.read()

        files = {name: member(name) for name in _FILES} | {"whilst.zip": _whilst()}
        loader = member("pyodide.js").decode().partition("\n//# sourceMappingURL")[0]
        lock = json.loads(member("pyodide-lock.json"))
    packed = {name: base64.b64encode(gzip.compress(data, 6, mtime=0)).decode() for name, data in files.items()}
    runtime = {"files": packed, "lock": {**lock, "packages": {}}}  # no package is ever loaded
    return f"{loader}\nglobalThis.whilstRuntime = {json.dumps(runtime)};\n"


def _whilst() -> bytes:
    """The rooms of whilst that the page needs, and its own two modules."""
    buffer = io.BytesIO()
    source = ROOT / "src" / "whilst"
    with zipfile.ZipFile(buffer, "w") as archive:
        for room in _ROOMS:
            path = source / room
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.writestr(f"whilst/{file.relative_to(source)}", file.read_bytes())
        for name in ("drawing.py", "story.py"):
            archive.writestr(name, (HERE / name).read_bytes())
    return buffer.getvalue()
