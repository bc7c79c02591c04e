"""Loading a package's names one by one, each when it is first asked for (PEP 562): a short run needs few of them."""

from __future__ import annotations

import sys

# Not from `typing`, whose import takes longer than a run of short calls.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def lazily(package: str, homes: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`, from the modules that its names are defined in.

    A name that was loaded is kept in the package, so that the next look-up does not come here.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    module = sys.modules[package]

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(__import__(home, fromlist=[name]), name)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *home_of})

    return load, names
