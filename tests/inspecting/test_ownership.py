"""Whose code it is, and what its methods change."""

from __future__ import annotations

import logging
import queue

import pytest

from whilst.inspecting import ownership


@pytest.mark.parametrize("value", [[], {}, set(), queue.Queue(), logging.getLogger("a"), logging.NullHandler()])
def test_methods_with_the_names_of_a_containers_change_it(value: object) -> None:
    assert ownership.is_container(value)


@pytest.mark.parametrize("value", [1, (), "", queue.Queue, queue.SimpleQueue(), object()])
def test_methods_of_others_say_nothing_by_their_names(value: object) -> None:
    assert not ownership.is_container(value)
