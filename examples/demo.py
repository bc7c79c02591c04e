"""What `make demo` runs: the story on paper and for real, then two real jobs, in every mode; one HTML report.

python examples/demo.py [REPORT.html]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import crawl
import thumbnails
import whilst
from whilst.cli.progress import Progress
from whilst.showing import renderers

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "out" / "demo.html"


def main() -> None:
    report = Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT
    report.parent.mkdir(parents=True, exist_ok=True)
    print(
        "\nTwo tasks, one day: get a passport (drive 2 h, stand in line 4 h, drive back 2 h),\n"
        "and make a presentation (draft 3 h, which an assistant could write, then edits 2 h).\n"
        "First on paper, then for real, on real executors: one hour in a tenth of a second.\n"
    )
    found = [_show(_story())]
    print("\nNow two real jobs, as many real calls in each mode.")
    print(f"\n{thumbnails.COUNT} pictures to shrink: mostly work.\n")
    with tempfile.TemporaryDirectory() as folder:
        with Progress() as progress:
            paths = thumbnails.make_pictures(Path(folder))
            result = whilst.compare(thumbnails.thumbnail, paths, on_progress=progress)
        found.append(_show(result))
    print(f"\n{crawl.PAGES} pages to fetch from a slow server: mostly waiting.\n")
    with crawl.server() as address:
        pages = [f"{address}/page/{number}" for number in range(crawl.PAGES)]
        with Progress() as progress:
            result = whilst.compare(crawl.fetch, pages, on_progress=progress)
        found.append(_show(result))
    renderers.write_html(found, report)
    print(f"\nThe whole as a page, with timelines to zoom into: {report}")


def _story() -> whilst.Comparison:
    with Progress() as progress:
        return whilst.compare(HERE / "story.toml", on_progress=progress)


def _show(result: whilst.Comparison) -> whilst.Comparison:
    result.show()
    return result


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
