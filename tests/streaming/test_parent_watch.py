"""The streams end with the program that started them: by the other end of a pipe on standard input."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from margin_platform.stop_signal import StopSignal
from spark.driver import watch_parent


@pytest.fixture(autouse=True)
def standard_input() -> Iterator[None]:
    """A test may put another file in its place."""
    kept = os.dup(0)
    yield
    os.dup2(kept, 0)
    os.close(kept)


def test_the_end_of_the_parents_pipe_is_a_word_to_stop() -> None:
    ours, parents = os.pipe()
    os.dup2(ours, 0)
    os.close(ours)
    stop = StopSignal()
    watch_parent(stop)
    assert not stop.is_set()
    os.close(parents)
    assert stop.wait(10)


def test_a_container_or_a_service_without_input_runs_on() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    stop = StopSignal()
    watch_parent(stop)
    for thread in threading.enumerate():
        if thread.name == "parent-watch":
            thread.join(10)
    assert not stop.is_set()
