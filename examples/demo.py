"""What `make demo` runs: the story on paper and for real, then two real jobs, in every mode; one HTML report.

python examples/demo.py [REPORT.html]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import crawl
import thumbnails
import whilst
from whilst.cli.status_line import StatusLine
from whilst.model import Drawable

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "out" / "demo.html"


@dataclass(frozen=True)
class Together(Drawable):
    """Several comparisons as one report: what stands in each cell is said once, in the heading."""

    title: str
    parts: dict[str, whilst.Comparison]

    def timelines(self) -> list[whilst.Timeline]:
        return [
            replace(timeline, name=f"{name}, {timeline.name}")
            for name, part in self.parts.items()
            for timeline in part.timelines()
        ]

    def table(self) -> list[list[str]]:
        lines = [["what", "mode", "predicted s", "measured s", "speed-up", "concurrency", "parallelism"]]
        for name, part in self.parts.items():
            for row in part.rows:
                figures = (row.predicted_s, row.seconds, row.speed_up, row.concurrency, row.parallelism)
                lines.append([name, row.name, *("" if each is None else f"{each:.2f}" for each in figures)])
        return lines

    def notes(self) -> list[str]:
        return [f"{name}: {note}" for name, part in self.parts.items() for note in part.notes()]


def main() -> None:
    report = Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT
    report.parent.mkdir(parents=True, exist_ok=True)
    print(
        "\nTwo tasks, one day: get a passport (drive 2 h, stand in line 4 h, drive back 2 h),\n"
        "and make a presentation (draft 3 h, which an assistant could write, then edits 2 h).\n"
        "First on paper, then for real, on real executors: one hour in a tenth of a second.\n"
    )
    parts = {"the story": _show(_story())}
    print("\nNow two real jobs, as many real calls in each mode.")
    print(f"\n{thumbnails.COUNT} pictures to shrink: mostly work.\n")
    parts["thumbnails"] = _show(_thumbnails())
    print(f"\n{crawl.PAGES} pages to fetch from a slow server: mostly waiting.\n")
    parts["crawl"] = _show(_crawl())
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
