"""Be told what to change, and have it proved.

From the script's text, `loops` finds the loops, `uses` what a piece of code reads and changes, and `splitting` the part
of a loop's body whose calls may be made in any order, with `guards` (what leaves items out), `carrying` (what goes on
from item to item) and `scratch` (what each call overwrites first); all of these are pure. `runs` runs copies of the
script, with `agent` in the process, on texts that `edits` makes; `judging` says from what was seen which mode is safe
and what it would bring. For programs that overlap already there are the `remedies` beside this room. `api` is the verb,
and `advice` what it gives back.
"""

from __future__ import annotations

from whilst._light import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.seeing.advising.advice import Advice, LoopAdvice
    from whilst.seeing.advising.api import advise
    from whilst.seeing.advising.edits import AdviseError

__all__ = ["Advice", "AdviseError", "LoopAdvice", "advise"]

_HOMES: Final = {
    "whilst.seeing.advising.api": ("advise",),
    "whilst.seeing.advising.advice": ("Advice", "LoopAdvice"),
    "whilst.seeing.advising.edits": ("AdviseError",),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
