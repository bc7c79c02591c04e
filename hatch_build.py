"""Makes the relative links of README.md absolute in the package's metadata.

A package index shows the README without the files beside it. The address is `Source` in `[project.urls]`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCED_OR_LINK = re.compile(r"^```.*?^```|(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)", re.DOTALL | re.MULTILINE)


class AbsoluteLinks(MetadataHookInterface):
    """Gives the project its readme, which `pyproject.toml` declares dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`: pictures by their raw content, everything else by its page."""
        source = metadata["urls"]["Source"]

        def absolute(match: re.Match[str]) -> str:
            picture, text, path = match.groups()
            if path is None:  # a block of code
                return match[0]
            return f"{picture}[{text}]({source}/{'raw' if picture else 'blob'}/HEAD/{path})"

        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": _FENCED_OR_LINK.sub(absolute, readme)}
