"""The program's resource tracker, for what a call does with `multiprocessing`'s shared memory and semaphores.

`multiprocessing.resource_tracker` notes named resources in a process of its own, which removes them once nobody is
left who could. A worker with a tracker of its own would have the program's shared memory removed as soon as the worker
ends. So it notes what it uses where the program does, as workers of the standard library do. The module is not imported
for its own sake: where a call imports it, it finds its descriptor set.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = "multiprocessing.resource_tracker"


def share_tracker(fd: int) -> None:
    """Have this process's tracker, whenever it is asked for, be the one that reads what is written to `fd`."""
    module: Any = sys.modules.get(_NAME)
    if module is None:
        sys.meta_path.insert(0, _Finder(fd))
    elif module._resource_tracker._fd is None:
        module._resource_tracker._fd = fd
    else:  # a fork of the program, whose tracker was running
        os.close(fd)


class _Finder:
    """Finds that one module, where the other finders do, and sees it loaded."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _NAME or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = _sharing(spec.loader.exec_module, self._fd)  # type: ignore[method-assign]
                return spec
        return None


def _sharing(load: Any, fd: int) -> Any:
    def load_and_share(module: Any) -> None:
        load(module)
        module._resource_tracker._fd = fd

    return load_and_share
