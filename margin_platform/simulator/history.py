"""The history of a simulation, as plain values: what the invariants read, and two runs are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
from sqlalchemy import select

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import MARGIN_STATUS, TOPICS
from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import Decision, LadderState
from margin_platform.money import cents
from margin_platform.policy.policy import Policy
from margin_platform.simulator.simulation import World
from margin_platform.simulator.world.margin_stream import applied, engines
from margin_platform.store import tables

_TABLES = ("audit", "calls", "orders", "notifications", "outbox", "ladder_states", "progress", "audit_heads")


def history(world: World) -> Json:
    """Return everything that a simulation has left so far, as the invariants of safety ask."""
    topics = {topic: list(world.rows(topic)) for topic in TOPICS}
    status = list(world.read(MARGIN_STATUS))
    return {
        "topics": topics,
        "tables": {name: _rows(world, name) for name in _TABLES},
        "letters": [list(letter) for provider in world.providers for letter in provider.letters],
        "undisturbed": _undisturbed(status, world.commits, world.policy),
        "commits": world.commits,
        "reads": {f"{who} {topic}": sorted(read) for (who, topic), read in sorted(world.jobs.reads.items())},
        "oldest": {MARGIN_STATUS: world.topics.oldest(MARGIN_STATUS, 0)},
        "corrected": world.busts.corrected,
        "truth": world.market.truth,
        "fast": world.deliveries.fast,
        "splits": {s: [when, ratio] for s, (when, _, ratio) in world.market.splits.items()},
        "allowed": world.customers.allowed,
        "notes": world.notes,
        "deaths": world.processes.deaths,
        "now": world.agenda.now,
    }


def healed(world: World) -> Json:
    """Return what a simulation that is over has left, as all invariants ask."""
    found = history(world) | {"standing": _standing(world)}
    if world.stream.has_died:
        found["status_undisturbed"] = _status_undisturbed(world)
    return found


def digest(found: Json) -> str:
    """Return the sha256 of a history: equal for equal bytes."""
    return hashlib.sha256(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS)).hexdigest()


def _rows(world: World, name: str) -> list[Json]:
    table = getattr(tables, name)
    with world.store.read() as connection:
        rows = connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row._mapping) for row in rows]


def _standing(world: World) -> Json:
    """Return cash and positions of each account as the engine's book has them."""
    found: Json = {}
    for shard in world.stream.standing():
        engine = shard.engine
        book, symbols = engine.ledger.book(engine.code_of), engine.market.symbols
        for number, account in enumerate(book.account_ids):
            held = slice(int(book.offsets[number]), int(book.offsets[number + 1]))
            names = [symbols[code] for code in book.symbol[held].tolist()]
            quantities = book.quantity[held].tolist()
            found[account] = {
                "cash": cents(float(book.cash[number])),
                "positions": dict(zip(names, quantities, strict=True)),
            }
    return dict(sorted(found.items()))


def _undisturbed(status: list[Json], commits: Sequence[tuple[str, int, int]], policy: Policy) -> list[Json]:
    """Return what the pure ladder decides on the same events and readings of the clock, one by one."""
    states: dict[str, LadderState] = {}
    found: list[Decision] = []

    def pass_time(account: str, now: int) -> LadderState:
        state = states.setdefault(account, LadderState(account))
        due = ladder.next_deadline(state, policy)
        if due is not None and due <= now:
            states[account], decisions = ladder.tick(state, now, policy)
            found.extend(decisions)
        return states[account]

    decided = 0
    for kind, value, _ in commits:
        if kind == "clock":
            for account in sorted(states):
                pass_time(account, value)
            continue
        if kind == "skip":
            decided = max(decided, value)
            continue
        for event in status[decided:value]:
            state = pass_time(event["account_id"], event["timestamp"])
            seen = Observation.from_status_event(event)
            states[event["account_id"]], decisions = ladder.step(state, seen, policy)
            found.extend(decisions)
        decided = max(decided, value)
    return [
        {
            "account_id": d.account_id,
            "decision": str(d.kind),
            "timestamp": d.timestamp,
            "amount": d.amount,
            "call_id": d.call_id,
            "attempt": d.attempt,
        }
        for d in found
    ]


def _status_undisturbed(world: World) -> list[tuple[str, str, bool]]:
    """Return id and hash of each status event that engines publish which never died, and whether it must be
    there: the batch that a rebuild ended may be published in part.

    They publish no other figures: decisions do not wait for room.
    """
    silent = world.policy.emission.model_copy(update={"calc_per_batch": 0})
    found = []
    for life in world.stream.lives:
        shards = engines(world.policy.model_copy(update={"emission": silent}), world.story.shards)
        for number in range(len(life.batches)):
            records = world.stream.records_of(life, number)
            for outcome in applied(shards, records, number, life.restated):
                for event in outcome.status:
                    raw = orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
                    hashed = hashlib.sha256(raw).hexdigest()
                    found.append((event["calc_id"], hashed, number < life.finished))
    return found
