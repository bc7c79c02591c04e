"""What a first call's waiting is used for: imports, that leave nothing behind and count for no call."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from whilst.measuring.files.auditing import Watch
from whilst.running.core import preload as preloading

pytestmark = pytest.mark.skipif(not hasattr(__import__("time"), "pthread_getcpuclockid"), reason="no clocks of threads")


def run(program):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)


def test_nothing_is_started_where_all_is_loaded(monkeypatch):
    monkeypatch.setattr(preloading, "_MODULES", ("sys", "os"))
    assert preloading.preload() is None


def test_a_call_that_waits_has_the_rest_imported_and_no_thread_is_left():
    done = run("""
        import sys, threading, time
        import whilst

        def wait(k):
            if k == 0:
                deadline = time.monotonic() + 20
                while "whilst.running.backends.threads" not in sys.modules and time.monotonic() < deadline:
                    time.sleep(0.01)
            return k, "whilst.running.backends.threads" in sys.modules

        assert whilst.map(wait, range(3))[0] == (0, True)
        assert len(sys._current_frames()) == 1
        assert threading.main_thread() is threading.current_thread()
    """)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_the_midst_of_a_call_meets_no_half_loaded_module():
    done = run("""
        import os, time
        import whilst

        def forks(k):
            time.sleep(0.005)
            child = os.fork()
            if not child:
                import whilst.running.backends.threads, whilst.running.policies.evidence, whilst.measuring.pilot
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        assert whilst.map(forks, range(3), mode="auto") == [7, 7, 7]
    """)
    assert done.returncode == 0, done.stderr


def test_what_an_overlooked_thread_does_to_files_is_no_calls_doing(tmp_path):
    def touch(name):
        (tmp_path / name).write_text("")

    def aside():
        preloading.overlook(threading.get_ident())
        touch("aside")
        preloading.overlook(threading.get_ident(), is_over=True)

    watch = Watch()
    watch.begin()
    thread = threading.Thread(target=aside)
    thread.start()
    thread.join()
    touch("own")
    assert [os.path.basename(path) for path in watch.end().writes] == ["own"]  # noqa: PTH119
