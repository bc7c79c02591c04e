"""Starts the agent in every Python process of a traced program: this folder stands first on PYTHONPATH.

Any Python may come by here, also one that is older than the agent or not CPython: nothing but names and calls that
all of them know, and never an exception. The sitecustomize that would have been imported otherwise is imported next.
"""

import os
import sys


def _start():
    folder = os.environ.get("WHILST_TRACE_FOLDER", "")
    if not os.path.isdir(folder) or sys.version_info < (3, 11) or sys.implementation.name != "cpython":
        return
    external = sys.modules["_frozen_importlib_external"]  # importlib.machinery takes as long again
    name = "_whilst_trace_agent"
    code = external.SourceFileLoader(name, os.path.join(folder, "agent.py")).get_code(name)
    module = type(sys)(name)
    exec(code, module.__dict__)
    module.start(folder)


def _go_on():
    """Import the sitecustomize that this one hides, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    ours = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours


try:
    _start()
except Exception:  # a program is never harmed by being looked at
    pass
_go_on()
