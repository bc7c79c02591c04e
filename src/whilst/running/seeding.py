"""Random draws that depend on the seed and the number of the item, and on nothing else.

Before each call the generators of `random` and, where it is imported, `numpy.random` are set from a hash of
(seed, number), so the draws are the same in every mode, in any order and with any number of workers. BLAKE2
rather than `hash()`: it does not change with PYTHONHASHSEED or between versions.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

__all__ = ["draws_kept", "reseed", "seed_of"]


def seed_of(seed: int, number: int) -> int:
    """The 64-bit seed of one item."""
    return int.from_bytes(blake2b(b"%d %d" % (seed, number), digest_size=8).digest(), "little")


def reseed(seed: int, number: int) -> None:
    """Set the global generators for the call of one item."""
    mixed = seed_of(seed, number)
    random.seed(mixed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(mixed & 0xFFFF_FFFF)


@contextmanager
def draws_kept() -> Iterator[None]:
    """Give the caller's generators their state back afterwards, so that a seeded map does not disturb them."""
    state = random.getstate()
    numpy_random = sys.modules.get("numpy.random")
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        yield
    finally:
        random.setstate(state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
