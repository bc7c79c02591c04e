"""Pictures of what the model holds: terminal text, one self-contained page, Chrome/Perfetto JSON.

The only room that draws. It takes values of the model, or any drawable that offers what `whilst.model.Report` says,
and never measures, plans or runs anything.
"""

from __future__ import annotations

from whilst.showing.renderers import renderers

__all__ = ["renderers"]
