"""A story: everything that makes a simulation what it is, as it is printed, kept in a file and replayed."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.refusals import Refused

KINDS = (
    "death",  # of a run, at a place it passes
    "stall",  # of a run, at a place it passes
    "overtaken",  # a run that died or stalls is not waited for
    "repeated",  # a run is started twice
    "stream",  # the margin stream dies in a batch
    "venue",  # the venue dies
    "delivery",  # an input is delivered late, twice, or behind those of other topics
    "broker",  # no broker for some minutes
    "provider",  # no provider takes a notice for some minutes
    "disk",  # the store's disk is full for some minutes
    "clock",  # a host's clock is fast
    "print",  # a bad print, or one that its source corrects
    "retention",  # records are deleted before they were read
    "bust",  # an exchange takes a trade back, or corrects it
)
_LOST_PRICES = "unread prices.v1"
_OWN_CHANCE = ("retention", "bust")  # kinds that change no fault of another kind


class StoryError(Refused):
    """A story that cannot be played."""


@dataclass(frozen=True)
class Fault:
    """One fault. at: seconds from the story's start, or for a run, a batch and a delivery which one it is.

    place: the number of the place where a process dies or stalls, counted from its start; seconds: how long.
    """

    kind: str
    what: str
    at: int
    place: int = 0
    seconds: int = 0


@dataclass(frozen=True)
class Story:
    """A simulation. customers: the numbers of the accounts that take part; faults: in order."""

    seed: int
    days: int
    shards: int
    customers: tuple[int, ...]
    step_minutes: int
    faults: tuple[Fault, ...]
    last_step: int | None = None  # of the market; None: to its end

    def written(self) -> str:
        """Return the story as JSON."""
        return json.dumps(asdict(self), indent=1)

    def with_faults(self, faults: tuple[Fault, ...]) -> Story:
        """Return the story with other faults."""
        return replace(self, faults=faults)


def read(path: Path) -> Story:
    """Read a story from a file. StoryError names what it lacks."""
    try:
        given: Json = json.loads(path.read_text(encoding="utf-8"))
        faults = tuple(Fault(**fault) for fault in given.pop("faults"))
        customers = tuple(given.pop("customers"))
        return Story(**given, customers=customers, faults=faults)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoryError("story", str(path), f"cannot be played: {error}") from error


def drawn(seed: int, purpose: str) -> random.Random:
    """Return the chance of one purpose: what is drawn for one changes nothing of another."""
    return random.Random(f"{seed}:{purpose}")  # noqa: S311 - no secret


RUNS = ("enforcement", "ladder_timers", "liquidation", "notification", "notification_retry")
_DELIVERED = ("fills.v1", "cash.v1", "prices.v1", "accounts.v1", "corporate_actions.v1")


def drawn_story(seed: int, days: int, accounts: int, kinds: tuple[str, ...], step_minutes: int = 30) -> Story:
    """Return the story of a seed: its faults are of these kinds, and some of them do not occur in it."""
    chance = drawn(seed, "faults")
    # with all of them at once, some hide others
    swarm = [kind for kind in KINDS if kind not in _OWN_CHANCE and chance.random() < 0.6]
    faults = [fault for kind in swarm if kind in kinds for fault in _faults(kind, chance, days)]
    for kind in (kind for kind in _OWN_CHANCE if kind in kinds):
        own = drawn(seed, kind)
        faults += _faults(kind, own, days) if own.random() < 0.5 else []
    if any(fault.kind in ("print", "clock") for fault in faults):
        # after a rebuild such a price may be the first: nothing contradicts it
        faults = [fault for fault in faults if (fault.kind, fault.what) != ("retention", _LOST_PRICES)]
    return Story(
        seed=seed,
        days=days,
        shards=drawn(seed, "shards").choice((1, 1, 2, 3)),
        customers=tuple(range(accounts)),
        step_minutes=step_minutes,
        faults=tuple(faults),
    )


def _faults(kind: str, chance: random.Random, days: int) -> list[Fault]:
    """Draw the faults of a kind, more in a longer story."""
    return [_fault(kind, chance, days) for _ in range(chance.randint(1, 2 + 2 * days))]


def _fault(kind: str, chance: random.Random, days: int) -> Fault:
    when = chance.randrange((days - 1) * 86_400 + 7 * 3_600)  # to the last close
    if kind in ("death", "stall", "overtaken"):
        seconds = 0 if kind == "death" or (kind == "overtaken" and chance.random() < 0.5) else 1
        seconds *= chance.choice((5, 60, 900))
        job = chance.choice(RUNS)
        return Fault(kind, job, chance.randrange(12 * days), chance.randint(1, 12), seconds)
    if kind == "repeated":
        return Fault(kind, chance.choice(RUNS), chance.randrange(12 * days))
    if kind == "stream":
        away = chance.choice((5, 30, 900))
        return Fault(kind, "margin_stream", chance.randrange(20 * days), chance.randint(1, 5), away)
    if kind == "venue":
        away = chance.choice((30, 900, 4 * 3_600, 20 * 3_600))
        return Fault(kind, "venue", chance.randrange(20 * days), chance.randint(0, 8), away)
    if kind == "delivery":
        topic = chance.choice(_DELIVERED)
        what = chance.choice(("twice", "late", "held"))
        seconds = chance.choice((1, 40, 300, 1_500))
        return Fault(kind, f"{what} {topic}", chance.randrange(60 * days), chance.randrange(4), seconds)
    if kind == "clock":
        return Fault(kind, "prices.v1", chance.randrange(60 * days), 0, chance.choice((3, 60, 3_500)))
    if kind == "print":
        return Fault(kind, chance.choice(("far", "split", "corrected")), when, chance.randrange(5))
    if kind == "retention":
        what = chance.choice(("unread margin.status.v1", "read margin.status.v1", _LOST_PRICES))
        most = 40 * days if what == _LOST_PRICES else 4 + 4 * days
        return Fault(kind, what, chance.randrange(most), chance.randrange(3), chance.choice((60, 900, 3_600)))
    if kind == "bust":
        whose = chance.choice(("customer", "customer", "venue"))
        most = 2 + days if whose == "venue" else 6 + 2 * days  # trades are few, however long a story is
        how = chance.choice(("late", "twice", "first", "corrected"))
        return Fault(kind, f"{how} {whose}", chance.randrange(most), 0, chance.choice((1, 40, 600, 3_600)))
    return Fault(kind, kind, when, 0, chance.choice((30, 300, 1_800)))
