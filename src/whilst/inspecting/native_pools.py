"""The thread pools of BLAS and OpenMP libraries that the program has loaded. Loads none of them."""

from __future__ import annotations

import functools
import sys

from whilst.model import NativePool

_MODULES_WITH_NATIVE_POOLS = ("numpy", "scipy", "sklearn", "torch", "mkl", "faiss", "cv2", "numexpr", "xgboost")


def native_pools() -> tuple[NativePool, ...]:
    """Return the thread pools of BLAS and OpenMP libraries that are loaded; empty where none can be."""
    loaded = tuple(name for name in _MODULES_WITH_NATIVE_POOLS if name in sys.modules)
    return _native_pools(loaded) if loaded else ()


@functools.lru_cache(maxsize=4)
def _native_pools(_loaded: tuple[str, ...]) -> tuple[NativePool, ...]:
    """Keyed by what is loaded: walking the process's libraries takes some milliseconds."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:  # pragma: no cover - a required dependency, but nothing here is worth failing for
        return ()
    return tuple(
        NativePool(api=str(pool["user_api"]), threads=int(pool["num_threads"]), path=str(pool["filepath"]))
        for pool in threadpool_info()
    )
