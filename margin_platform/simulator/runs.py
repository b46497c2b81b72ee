"""Stories played: each in a store of its own, with what it violated."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from margin_platform.contracts.json_object import Json
from margin_platform.simulator.history import digest, healed, history
from margin_platform.simulator.invariants.all import LIVENESS, SAFETY, violations
from margin_platform.simulator.simulation import World
from margin_platform.simulator.story import Story
from margin_platform.simulator.world.decision_store import store_of_a_story


@dataclass
class Played:
    """A story that was played.

    violated: by invariant, what violates it; sha256: of the history; notes: what was done, by time.
    """

    story: Story
    violated: dict[str, list[str]]
    sha256: str
    notes: list[tuple[int, str]] = field(repr=False)
    counts: dict[str, int]
    history: Json = field(repr=False)


def play(story: Story) -> Played:
    """Play a story: its invariants of safety are asked while faults go on, and all of them at the end."""
    with _one_collection():
        with store_of_a_story() as store:
            world = World(story, store)
            world.play_to_the_close()
            early = violations(history(world), SAFETY)
            world.heal()
            found = healed(world)
        violated = early | violations(found, (*SAFETY, *LIVENESS))
        return Played(story, violated, digest(found), world.notes, _counts(found, world), found)


@contextmanager
def _one_collection() -> Iterator[None]:
    """Let Python look for garbage once a story is over: its history is kept whole until then."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _counts(found: Json, world: World) -> dict[str, int]:
    topics, tables = found["topics"], found["tables"]
    return {
        "status_events": len(topics["margin.status.v1"]),
        "decisions": len(tables["audit"]),
        "calls": len(tables["calls"]),
        "orders": len(tables["orders"]),
        "fills": len(topics["fills.v1"]),
        "notices": len(tables["notifications"]),
        "deaths": world.processes.deaths,
        "notes": len(world.notes),
    }
