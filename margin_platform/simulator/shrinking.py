"""A story made short: as few faults, customers and hours as still violate the same invariant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from margin_platform.simulator.runs import Played, play
from margin_platform.simulator.story import Story

_MOST_PLAYS = 200


def shrunk(failed: Played, tried: Callable[[Story], None] = lambda _: None) -> Played:
    """Return the shortest story found that violates an invariant of the failed one. tried: hears of each."""
    names, best, plays = failed.violated.keys(), failed, 0
    improved = True
    while improved and plays < _MOST_PLAYS:
        improved = False
        for story in _shorter(best.story):
            plays += 1
            tried(story)
            played = play(story)
            if played.violated.keys() & names:
                best, improved = played, True
                break
            if plays >= _MOST_PLAYS:
                break
    return best


def _shorter(story: Story) -> Iterator[Story]:
    """Yield stories with less in them, those with much less first."""
    size = len(story.faults)
    while size:
        for start in range(0, len(story.faults), size):
            yield story.with_faults(story.faults[:start] + story.faults[start + size :])
        size //= 2
    size = len(story.customers) - 1
    while size:
        for start in range(0, len(story.customers), size):
            kept = story.customers[:start] + story.customers[start + size :]
            if kept:
                yield replace(story, customers=kept)
        size //= 2
    if story.shards > 1:
        yield replace(story, shards=1)
    steps = story.last_step or story.days * (390 // story.step_minutes + 1)
    for share in (2, 4, 8):
        if steps - steps // share >= 2 and steps // share:
            yield replace(story, last_step=steps - steps // share)
