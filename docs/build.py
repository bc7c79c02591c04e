"""Build the site into out/docs: Sphinx, warnings are errors; and the page that runs whilst in the browser.

    make docs

The page needs Pyodide, which npm brings. Where it can't be had, this says so and builds the rest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from links import broken_links

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "play"))

import assemble  # noqa: E402 (it lies beside the page)

SITE = ROOT / "out" / "docs"


def main() -> int:
    """Return 0 where all went well."""
    command = [
        sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", "-q",
        "-d", str(ROOT / "out" / "doctrees"), str(ROOT / "docs"), str(SITE),
    ]  # fmt: skip
    done = subprocess.run(command).returncode
    if done:
        return done
    why_not = assemble.fetch_pyodide()
    if why_not:
        print(f"The page of the story shows fixed lengths, without sliders: {why_not}")
    assemble.write_page(SITE / "play")
    broken = list(broken_links(SITE))
    if broken:
        print(*broken, sep="\n")
        return 1
    print(f"The site: {SITE / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
