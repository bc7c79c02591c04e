"""What `make demo` runs: the story on paper and for real, then two real jobs, in every mode; one HTML report.

python examples/demo.py [REPORT.html]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import crawl
import thumbnails
import whilst
from whilst.cli.options import StatusLine
from whilst.model import Drawable

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "out" / "demo.html"


@dataclass(frozen=True)
class Together(Drawable):
    """Several comparisons on one page."""

    title: str
    parts: list[whilst.Comparison]

    def __iter__(self) -> Iterator[whilst.Comparison]:
        return iter(self.parts)


def main() -> None:
    report = Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT
    report.parent.mkdir(parents=True, exist_ok=True)
    print(
        "\nTwo tasks, one day: get a passport (drive 2 h, stand in line 4 h, drive back 2 h),\n"
        "and make a presentation (draft 3 h, which an assistant could write, then edits 2 h).\n"
        "First on paper, then for real, on real executors: one hour in a tenth of a second.\n"
    )
    parts = [_show(_story())]
    print("\nNow two real jobs, as many real calls in each mode.")
    print(f"\n{thumbnails.COUNT} pictures to shrink: mostly work.\n")
    parts.append(_show(_thumbnails()))
    print(f"\n{crawl.PAGES} pages to fetch from a slow server: mostly waiting.\n")
    parts.append(_show(_crawl()))
    Together("The story, and two real jobs: every mode, predicted and measured", parts).to_html(report)
    print(f"\nThe whole as a page, with timelines to zoom into: {report}")


def _thumbnails() -> whilst.Comparison:
    with tempfile.TemporaryDirectory() as folder, StatusLine() as progress:
        progress("drawing the pictures")
        return whilst.compare(thumbnails.thumbnail, thumbnails.make_pictures(Path(folder)), on_progress=progress)


def _crawl() -> whilst.Comparison:
    with crawl.server() as address, StatusLine() as progress:
        pages = [f"{address}/page/{number}" for number in range(crawl.PAGES)]
        return whilst.compare(crawl.fetch, pages, on_progress=progress)


def _story() -> whilst.Comparison:
    with StatusLine() as progress:
        return whilst.compare(HERE / "story.toml", on_progress=progress)


def _show(result: whilst.Comparison) -> whilst.Comparison:
    result.show()
    return result


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
