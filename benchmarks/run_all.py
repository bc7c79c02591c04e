"""Run every benchmark, one after the other, each in a process of its own.

Usage: python benchmarks/run_all.py [FOLDER or NAME ...]     e.g. planning, run/overhead
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def scripts(wanted: list[str]) -> list[Path]:
    """The benchmarks asked for: files that can be run, in folders that name what they measure."""
    found = sorted(
        path
        for path in HERE.glob("*/*.py")
        if not path.name.startswith("_") and 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
    )
    names = [path.relative_to(HERE).with_suffix("").as_posix() for path in found]
    unknown = [want for want in wanted if not any(name.startswith(want) for name in names)]
    if unknown:
        sys.exit(f"No benchmark is called {', '.join(unknown)}; there are: {', '.join(names)}.")
    if not wanted:
        return found
    return [path for path, name in zip(found, names, strict=True) if name.startswith(tuple(wanted))]


def main() -> int:
    failed = []
    for path in scripts(sys.argv[1:]):
        title = path.relative_to(HERE).as_posix()
        print(f"\n==== {title} " + "=" * max(0, 90 - len(title)), flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, path], check=False).returncode:
            failed.append(title)
        print(f"---- {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
