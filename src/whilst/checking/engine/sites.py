"""Sites in the code: one for each hooked instruction, and what the running check has learnt about them.

Sites are constants of rewritten code, which is kept from check to check (see `runtime`). What a check learns about
them is written into them, where the hooks find it fastest; `SiteTable` knows which ones, to make them forget.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from types import CodeType
from typing import Any, Final, NamedTuple
from weakref import ref

from whilst.checking.engine.events import SourceLocation
from whilst.inspecting.c_effects import family
from whilst.inspecting.cpython import Positions

_NOT_YET: Final[frozenset[Any]] = frozenset()


class SiteTemplate(NamedTuple):
    """What a site says of its instruction, whoever watches it."""

    offset: int
    position: Positions
    name: str
    segment: int  # how many instructions that let the GIL go (calls, jumps back) come before it


class Site:
    """One hooked instruction. Its accesses are events if `is_scheduling_point`, else logged; hooks cache by type."""

    __slots__ = (
        "again",
        "code",
        "how",
        "is_scheduling_point",
        "looked_at",
        "memo",
        "name",
        "offset",
        "position",
        "quiet",
        "segment",
        "space",
    )

    def __init__(self, code: CodeType, template: SiteTemplate, space: dict[str, object]) -> None:
        self.code, self.space = code, space
        self.offset, self.position, self.name, self.segment = template
        self.is_scheduling_point = False
        self.memo: tuple[int, int, int] = (-1, -1, -1)  # id, task and execution of the latest access from here
        self.again = 0
        self.quiet: object = (
            None  # the C function called here outside tasks, if it is none of the check's affairs there
        )
        self.how: dict[Any, object] = {}
        self.looked_at = _NOT_YET  # marks of the kinds that it met in earlier checks, see `SiteTable`

    @property
    def key(self) -> str:
        """Its name, the same in every process that runs the same code, wherever in its file that stands.

        Functions may share a qualified name (a property's getter and setter, lambdas): a checksum tells them apart.
        """
        code = self.code
        checksum = zlib.crc32(code.co_code + repr(code.co_names).encode()) & 0xFFFF
        return f"{self.space.get('__name__', '')}:{code.co_qualname}:{checksum:x}:{self.offset}"

    @property
    def location(self) -> SourceLocation:
        """Where it is, for people."""
        line, end_line, column, end_column = self.position
        code = self.code
        return SourceLocation(
            file=code.co_filename,
            line=line or code.co_firstlineno,
            function=code.co_qualname,
            offset=self.offset,
            end_line=end_line or line or code.co_firstlineno,
            column=column or 0,
            end_column=end_column or 0,
        )

    def __repr__(self) -> str:
        return f"<{self.code.co_name}:{self.position[0]} {self.name}>"


class SiteTable:
    """What sites have learnt in the running check: which are scheduling points, which have cached something by type.

    One thing outlives the check: which plain kinds a site has met in executions that were looked at call by call (see
    `unseen_code`), if nothing unseen was found. The next check of the same code need not look at these again.
    """

    def __init__(self) -> None:
        self.named: frozenset[str] = frozenset()  # keys of sites that are scheduling points wherever they turn up
        self.scheduling_points: list[Site] = []
        self._informed: list[Site] = []
        self.count_met = 0  # grows whenever a place meets something of a kind that it has not met yet
        self.count_new = 0  # the same, but for what it has met in earlier checks

    def promote(self, site: Site) -> None:
        """From now on its accesses are events."""
        if not site.is_scheduling_point:
            site.is_scheduling_point = True
            self.scheduling_points.append(site)

    def inform(self, site: Site, kind: Any, how: object) -> Any:
        """Let it remember how something of that kind is accessed there."""
        if not site.how:
            self._informed.append(site)
        site.how[kind] = how
        self.count_met += 1
        if not site.looked_at or (_mark_of(kind) if type(kind) is tuple else ref(kind)) not in site.looked_at:
            self.count_new += 1
        return how

    def meet(self, site: Site, kind: Any) -> None:
        """Something of that kind is used there, of which nothing needs to be remembered."""
        if kind not in site.how:
            self.inform(site, kind, True)

    def forget_kind(self, kind: type) -> None:
        """Things of that kind are accessed in another way from now on."""
        for site in self._informed:
            site.how.pop(kind, None)

    def site_keys(self) -> frozenset[str]:
        """The keys of all scheduling points."""
        return self.named | {site.key for site in self.scheduling_points}

    def promote_named(self, sites: Iterable[Site]) -> None:
        """Promote those whose keys are known."""
        if self.named:
            for site in sites:
                if not site.is_scheduling_point and site.key in self.named:
                    self.promote(site)

    def forget(self, *, was_looked_at: bool) -> None:
        """The check is over. `was_looked_at`: all that was met was met while somebody looked, and nothing found."""
        has_seen_more, self.count_met, self.count_new = was_looked_at and self.count_new > 0, 0, 0
        for site in self.scheduling_points:
            site.is_scheduling_point = False
        for site in self._informed:
            if has_seen_more:
                site.looked_at = site.looked_at.union(_mark_of(kind) for kind in site.how if _are_plain(kind))
            site.how.clear()
        self.named, self.scheduling_points, self._informed = frozenset(), [], []


def is_plain(kind: type) -> bool:
    """Whether C code that works on an instance calls no Python code but that of what lies in it, or of its class."""
    return family(kind) != "opaque"


def _are_plain(kind: Any) -> bool:
    """The same of a type, or of all types in a tuple."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return all(is_plain(each) for each in kinds if isinstance(each, type))


def _mark_of(kind: Any) -> Any:
    """What stands for a type, or for several and a name, without keeping any class alive: equal as long as it lives."""
    if isinstance(kind, tuple):
        return tuple([ref(each) if isinstance(each, type) else each for each in kind])
    return ref(kind)
