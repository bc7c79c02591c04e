"""Links of the built site: Sphinx sees only those of its own pages, not those of the page of the story or in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r"""<[^>]*?\b(?:href|src)=["']([^"']+)["']""")


def broken_links(site: Path) -> Iterator[str]:
    """Name each link to a file, or to a place in a page, that is not there."""

    @cache
    def names_in(page: Path) -> frozenset[str]:
        return frozenset(re.findall(r"""\bid=["']([^"']+)["']""", page.read_text(encoding="utf-8")))

    for page in sorted(site.rglob("*.html")):
        for link in sorted(set(_LINK.findall(page.read_text(encoding="utf-8")))):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, name = unquote(link).partition("#")
            target = page.parent / path.partition("?")[0] if path else page
            if not target.exists():
                yield f"{page.relative_to(site)}: {link} leads nowhere"
            elif name and target.suffix == ".html" and name not in names_in(target):
                yield f"{page.relative_to(site)}: there is no #{name} in {path or 'it'}"
