"""Random small programs that keep state in every place a program can, held against a loop: none differs without a word.

In `auto` results and what is left must be those of the loop. In a mode by name a fragment that differs must be named in
`given_up`, or the run be refused with a remedy. What was found first stands below as tests of its own.
`WHILST_PROGRAMS=300` tries more programs, other ones each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.contract.state_fragments import FRAGMENTS, Fragment
from tests.contract.state_programs import SHAPES, Outcome, Program, Server

MOST = int(os.environ.get("WHILST_PROGRAMS", "0"))
LIBRARIES = ("numpy", "pandas")
FOUND = [
    fragment
    for fragment in FRAGMENTS
    if all(find_spec(name) for name in LIBRARIES if f"import {name}" in f"{fragment.setup} {fragment.call}")
]
BY_NAME = {fragment.name: fragment for fragment in FOUND}

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no worker processes here")

PROGRAMS = st.builds(
    Program,
    fragments=st.lists(st.sampled_from(FOUND), min_size=1, max_size=3, unique_by=lambda each: each.name).map(tuple),
    shape=st.sampled_from(sorted(SHAPES)),
    home=st.sampled_from(["main", "module"]),
    works=st.booleans(),
    is_forked=st.booleans(),
    count=st.just(12),
)


def named(name: str) -> Fragment:
    if name not in BY_NAME:
        pytest.skip("its library is not installed")
    return BY_NAME[name]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


def differing(program: Program, right: Outcome, got: Outcome) -> list[Fragment]:
    """The fragments whose results, or what they left, are not those of the loop."""
    if got.error:
        return list(program.fragments)
    return [
        fragment
        for number, fragment in enumerate(program.fragments)
        if got.results[number] != right.results[number] or got.left[number] != right.left[number]
    ]


def hold(server: Server, program: Program, mode: str) -> None:
    right = server.run(program, "loop")
    if len(program.fragments) > 1:
        assume(not right.error)  # one fragment may take away what another needs
    assert not right.error, right.error
    got = server.run(program, mode)
    spoilt = differing(program, right, got)
    if mode == "auto":
        assert not spoilt, (spoilt, right, got)
        return
    if got.has_error_of_ours or (got.error and got.said):
        return
    for fragment in spoilt:
        assert not fragment.is_told or re.search(f"{fragment.says}|more of this kind", got.said), (fragment, got)


@pytest.mark.timeout(1200)
@settings(
    max_examples=MOST or 24,
    derandomize=not MOST,
    database=None,
    print_blob=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(program=PROGRAMS, mode=st.sampled_from(["auto", "auto", "concurrent", "parallel", "combined"]))
def test_no_program_differs_from_its_loop_without_a_word(server: Server, program: Program, mode: str) -> None:
    hold(server, program, mode)


@pytest.mark.parametrize("works", [True, False], ids=["works", "waits"])
@pytest.mark.parametrize(
    "name",
    [
        "array_", "cache_info", "codec_error", "csv_write", "ctypes_memmove", "exit_stack", "file_taken", "frame_loc",
        "library_thread_option", "logging_disable", "mime_write", "import_write", "level_write", "module_attribute",
        "numpy_out", "set_item", "signal_handler", "slots", "trace_function",
    ],
)  # fmt: skip
def test_what_auto_gave_wrong(server: Server, name: str, works: bool) -> None:
    hold(server, Program((named(name),), works=works), "auto")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("own_add", "parallel"),
        ("folder", "parallel"),
        ("own_len", "concurrent"),
        ("new_counter", "parallel"),
        ("meta_call", "concurrent"),
        ("instances", "parallel"),
        ("map_append", "parallel"),
        ("environment_write", "parallel"),
        ("context_write", "concurrent"),
        ("random_seeded", "parallel"),
        ("decimal_write", "parallel"),
        ("through_super", "parallel"),
        ("semaphore", "parallel"),
        ("semaphore_tried", "parallel"),
        ("lock_tried", "concurrent"),
        ("decimal_flags", "concurrent"),
        ("decimal_flags", "parallel"),
        ("stack_entered", "parallel"),
        ("stack_pushed", "parallel"),
        ("own_hash", "parallel"),
        ("hash_in_set", "parallel"),
        ("hash_in_get", "parallel"),
        ("hash_in_store", "parallel"),
        ("hash_in_test", "parallel"),
        ("method_caller", "parallel"),
        ("method_caller_own", "parallel"),
        ("method_caller_map", "parallel"),
        ("default_dict_read", "concurrent"),
        ("subclass_hook", "parallel"),
        ("subclass_made", "parallel"),
        ("subclass_new_class", "parallel"),
        ("loop_over_two", "parallel"),
        ("numpy_view", "parallel"),
        ("numpy_partition", "parallel"),
        ("frame_loc", "concurrent"),
        ("frame_inplace", "concurrent"),
        ("enum_member", "parallel"),
        ("abc_register", "parallel"),
        ("dispatch_write", "parallel"),
        ("codec_error", "parallel"),
        ("mime_write", "parallel"),
        ("logging_disable", "parallel"),
        ("ctypes_memmove", "parallel"),
        ("view_made", "parallel"),
        ("database_file", "parallel"),
        ("json_encoder", "parallel"),
        ("json_dumps_cls", "parallel"),
        ("instance_hook", "parallel"),
        ("class_getitem", "parallel"),
        ("meta_getitem", "parallel"),
        ("desc_get", "parallel"),
        ("desc_delete", "parallel"),
        ("star_unpack", "parallel"),
        ("double_star", "parallel"),
        ("star_call", "parallel"),
        ("index_", "parallel"),
        ("partial_method", "parallel"),
        ("dispatch_method", "parallel"),
        ("dataclass_default", "parallel"),
        ("eval_text", "parallel"),
        ("attrgetter_call", "parallel"),
        ("getattr_any", "parallel"),
        ("attribute_held", "parallel"),
        ("library_thread_option", "concurrent"),
        ("library_thread_object", "concurrent"),
    ],
)
def test_what_a_mode_by_name_did_not_say(server: Server, name: str, mode: str) -> None:
    hold(server, Program((named(name),)), mode)


@pytest.mark.parametrize("name", ["filters_put_back", "warnings_caught", "decimal_local"])
def test_a_mode_by_name_says_nothing_where_nothing_is_lost(server: Server, name: str) -> None:
    assert server.run(Program((BY_NAME[name],)), "parallel").said == ""
