"""Draw the two pictures at the top of README.md: what `whilst advise` says of a script, and the page of a run.

    python docs/draw_readme.py

Both are of real runs on this machine, so their figures differ a little each time. The page takes a Chromium on PATH.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import tempfile
import time
from html import escape
from pathlib import Path

from PIL import Image

import whilst

ROOT = Path(__file__).parents[1]
SCRIPT = """\
import time


def fetch(number):
    time.sleep(0.05)  # stands for a request
    return number * number


pages = []
for number in range(80):
    page = fetch(number)
    pages.append(page)
print(sum(pages))
"""
WIDTH, HEIGHT = 1120, 714
LINE, LETTER = 19, 7.85
STYLE = """
svg { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre }
.back { fill: #f6f8fa } .text { fill: #1a1f24 } .muted { fill: #5c6670 }
.added { fill: #0067a3 } .removed { fill: #b3400a } .strong { fill: #1a1f24; font-weight: 700 }
@media (prefers-color-scheme: dark) {
  .back { fill: #1c2126 } .text, .strong { fill: #e7ebee } .muted { fill: #9aa6b1 }
  .added { fill: #6fc1f0 } .removed { fill: #f0a36b }
}
"""


def advised() -> list[str]:
    """What the command prints of that script."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pages.py").write_text(SCRIPT, encoding="utf-8")
        with contextlib.chdir(folder):
            text = whilst.advise("pages.py").to_text(width=108)
    lines = ["$ whilst advise pages.py", *text.rstrip().splitlines()]
    return [line for line, before in zip(lines, ["", *lines], strict=False) if line.strip() or before.strip()]


def terminal(lines: list[str], title: str) -> str:
    """Lines of a terminal as SVG, in the reader's light or dark."""
    width, height = max(map(len, lines)) * LETTER + 32, len(lines) * LINE + 28
    drawn = []
    for number, line in enumerate(lines):
        usual = "strong" if number == 1 else "text"
        kind = {"+": "added", "-": "removed", "$": "muted", "@": "muted"}.get(line[:1], usual)
        drawn.append(f'<text xml:space="preserve" x="16" y="{number * LINE + 26}" class="{kind}">{escape(line)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img" '
        f'aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n"
        f'<rect class="back" width="100%" height="100%" rx="8"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def fetch(number: int) -> int:
    """Waits for an answer, and works on it a little."""
    time.sleep(0.06 + 0.02 * (number % 4))
    return sum(each * each for each in range(100_000))


def photograph(page: Path) -> bytes:
    """The top of the page, as a small PNG."""
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tests" / "showing" / "browser.py")
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    program = driver.find_browser()
    if program is None:
        sys.exit(f"There is no browser here: none of {', '.join(driver.NAMES)} is on PATH.")
    with driver.Browser(program) as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.prefer("light")
        browser.open(page)
        shot = browser.photograph()
    small = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> None:
    title = "whilst advise: which loop of a script to change, as a diff that was run on a copy"
    (ROOT / "docs" / "advise.svg").write_text(terminal(advised(), title), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        whilst.map(fetch, range(2))  # what is imported once does not belong into the picture
        whilst.map(fetch, range(40), workers=4).report().to_html(page)
        (ROOT / "docs" / "page.png").write_bytes(photograph(page))
    for name in ("advise.svg", "page.png"):
        print(f"wrote docs/{name} ({(ROOT / 'docs' / name).stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
