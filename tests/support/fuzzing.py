"""Damaged messages through every consumer: `python -m tests.support.fuzzing MUTANTS [SEED]`.

A consumer may refuse a message by `BadEvent`, which becomes a dead letter or is skipped by name. Any other
error is a find: it would stop the consumer on all that lies behind the message.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from margin_platform.cli import observe
from margin_platform.contracts import messages as e
from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.contracts.offsets import Record, Source, Span
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.demo.monitor import Monitor
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.firm.limits import START, alerts_of
from margin_platform.firm.sums import AccountSums
from margin_platform.kafka import event_clock
from margin_platform.market.instruments import load
from margin_platform.notification import contacts
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import published
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.stack import venue
from margin_platform.store.store import Store
from margin_platform.volatility.engine import VolatilityEngine
from spark.account_shards.totals import TotalsOfFirm
from tests.support import status_events
from tests.support.firm_of_figures import FirmOfFigures

POLICY = current_policy()
NOW = status_events.PRODUCED
T = status_events.MORNING
AT_ONCE = 200  # mutants that a consumer gets in one batch
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 0.5, 1e-300, 1e308, -1e308, 2**53 + 1, 2**63, -(2**63), 10**18),
    *("", " ", "x", "\x1b]0;t\x07", "\u202e", "a\r\nb", "\ud7ff", "x" * 70_000, "NaN", "1e999", "-0"),
    *([], {}, [[]], [{}], [None], [[[[[[]]]]]], {"a": {"b": {"c": {}}}}, ["x"] * 300, {"": None}),
    *(
        "DEEP",
        "NEW",
        "CANCEL",
        "LIQUIDATE",
        "AMENDED",
        "SPLIT",
        "CASH_MERGER",
        "REG_T",
        "-0.06",
        "2020-02-30",
    ),
    *(T, T - 1, NOW, 4_102_444_799_999),
)
DEEP = (b"[" * 300 + b"]" * 300, b"[" * 1000 + b"]" * 1000, b'{"a":' * 900 + b"1" + b"}" * 900)
TOKENS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"\xff", b"[" * 2000, b"{}", b"nul")


def mutant(chance: random.Random, event: Event) -> bytes:
    """Damage one event: one to three values at any depth, then now and then the bytes."""
    damaged = orjson.loads(orjson.dumps(event))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _damage(chance, damaged)
    raw = orjson.dumps(damaged, option=orjson.OPT_NON_STR_KEYS).replace(b'"DEEP"', chance.choice(DEEP))
    if chance.random() < 0.1:
        at = chance.randrange(len(raw))
        replaced = raw[:at] + chance.choice(TOKENS) + raw[at + 1 :]
        return chance.choice((raw[:at], replaced, b"[" + raw, raw * 2))
    return raw


def _damage(chance: random.Random, event: Any) -> None:
    places = list(_places(event))
    inside, key = chance.choice(places) if places else (event, None)
    if key is None:
        return
    what = chance.random()
    if what < 0.15 and isinstance(inside, dict):
        del inside[key]
    elif what < 0.25 and isinstance(inside, dict):
        name = chance.choice(("x", "", "side", "Currency", "timestamp", str(key).upper()))
        inside[name] = _odd(chance)
    elif what < 0.35 and isinstance(inside[key], int | float) and not isinstance(inside[key], bool):
        inside[key] = float(inside[key]) * chance.choice((-1, 1e-9, 1e9, 1000, 0.001))
    else:
        inside[key] = _odd(chance)


def _odd(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(ODD))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


class Silent:
    """A provider that takes everything."""

    name, kind = "EMAIL", "email"

    def send(self, message: Outgoing) -> str:
        return "receipt"


class Given:
    """A bus on which these records stand."""

    bootstrap = "nowhere:9092"

    def __init__(self, records: list[Record]) -> None:
        self._records = records

    def read_all(self, topic: str) -> list[Record]:
        return [record for record in self._records if record.topic == topic]

    def beginning_offsets(self, _: str) -> dict[int, int]:
        return {0: self._records[0].offset}

    def end_offsets(self, _: str) -> dict[int, int]:
        return {0: self._records[-1].offset + 1}

    def read_range(self, topic: str, *_: int) -> list[Record]:
        return self.read_all(topic)


class Consumers:
    """Every consumer of the platform, each with its own state, on one store."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder / 'store.db'}")
        self.engine, self.firm = MarginEngine(load(), POLICY), TotalsOfFirm(POLICY, 1, 0)
        self.volatility, self.levels = VolatilityEngine(POLICY), START
        self.holdings, self.rows = Holdings(POLICY), NewestRows(lambda clock: clock - 60_000)
        self.holdings.ready = True
        self.venue = venue.Venue()
        nothing = Given([Record(e.PRICES, 0, 0, None, None, 0)])
        self.monitor = Monitor(nothing, str(folder))  # type: ignore[arg-type]
        self.enforcer, self.desk = Enforcer(self.store, POLICY), LiquidationDesk(self.store, POLICY)
        self.notifier = Notifier(self.store, POLICY, [Silent()])
        self.batches = 0

    def each(self, topic: str) -> dict[str, Callable[[list[Record]], object]]:
        """Return the consumers of a topic, by name: each takes records as they came."""
        every = {
            "decode": self._decode,
            "observe": lambda records: [
                (observe._as_line(r), orjson.dumps(observe._row(r))) for r in records
            ],
            "monitor": lambda records: [self.monitor._take(topic, event) for _, event in _sourced(records)],
            "page": lambda records: self.rows.apply([(topic, 0, event) for _, event in _sourced(records)]),
        }
        if topic in TOPICS_IN_ORDER:
            every |= {"margin stream": self._stream, "page's book": self.holdings.take}
        own: dict[str, dict[str, Callable[[list[Record]], object]]] = {
            e.MARGIN_STATUS: {"enforcer": lambda r: self.enforcer.handle_many(_for_op(r), span=_span(r))},
            e.MARGIN_CALLS: {"desk": self._liquidate, "notifier": self._notify},
            e.RESTRICTIONS: {"notifier": self._notify},
            e.LIQUIDATION_ORDERS: {"notifier": self._notify, "venue": self._venue},
            e.FILLS: {"venue": self._venue},
            e.PRICES: {
                "venue": self._venue,
                "volatility stream": self.volatility.process,
                "event clock": lambda r: event_clock.event_time(Given(r)),  # type: ignore[arg-type]
            },
            e.CORPORATE_ACTIONS: {"venue": self._venue, "volatility stream": self.volatility.process},
            e.ACCOUNTS: {"contacts": self._contacts},
            e.FIRM_PARTIALS: {"firm stream": self._firm},
            e.FIRM_RISK: {"firm alert": self._alerts},
            e.AUDIT: {"audit reader": lambda r: published.read(Given(r))},  # type: ignore[arg-type]
        }
        return every | own.get(topic, {})

    def _decode(self, records: list[Record]) -> None:
        """A refused message is a dead letter that can be sent and read."""
        for record in records:
            try:
                e.decode(record.topic, record.value)
            except BadEvent as error:
                letter = dead_letter(record.topic, 0, record.offset, record.value, error, record.timestamp_ms)
                e.decode(e.DEAD_LETTER, e.encode(letter))

    def _stream(self, records: list[Record]) -> None:
        self.batches += 1
        outcome = self.engine.process(records, self.batches)
        for letter in (*outcome.dead, *outcome.status, *outcome.calc, *outcome.stress):
            e.encode(letter)

    def _firm(self, records: list[Record]) -> None:
        self.batches += 1
        for _, messages in self.firm.process(records, self.batches):
            assert len(messages.texts) == len(messages.keys)

    def _liquidate(self, records: list[Record]) -> None:
        asked = [(event, source) for source, event in _sourced(records) if event["action"] == "LIQUIDATE"]
        self.desk.handle_many(asked, span=_span(records))

    def _notify(self, records: list[Record]) -> None:
        self.notifier.record(_for_op(records), NOW, span=_span(records))

    def _venue(self, records: list[Record]) -> None:
        handle = {
            e.PRICES: self.venue.on_price,
            e.LIQUIDATION_ORDERS: self.venue.on_order,
            e.FILLS: self.venue.on_fill,
            e.CORPORATE_ACTIONS: self.venue.on_action,
        }
        for _, event in venue.readable(records):
            handle[records[0].topic](event)
        for fill in self.venue.step():
            e.encode(fill)

    def _contacts(self, records: list[Record]) -> None:
        contacts.refresh(self.store, Given(records), self.notifier.readdress)  # type: ignore[arg-type]

    def _alerts(self, records: list[Record]) -> None:
        alerts, self.levels = alerts_of([event for _, event in _sourced(records)], self.levels, POLICY.firm)
        for alert in alerts:
            alert.sentence()


def _sourced(records: list[Record]) -> list[tuple[Source, Event]]:
    """Return the events among the records, as the runs read them: one without a time has the record's."""
    found = []
    for record in records:
        with contextlib.suppress(BadEvent):
            event = {"timestamp": record.timestamp_ms} | e.decode(record.topic, record.value)
            found.append((Source(record.topic, record.partition, record.offset), event))
    return found


def _for_op(records: list[Record]) -> list[tuple[Event, tuple[str, int, int]]]:
    return [(event, source) for source, event in _sourced(records)]


def _span(records: list[Record]) -> Span:
    return Span(records[0].topic, 0, records[0].offset, records[-1].offset + 1)


@functools.cache
def good_events() -> dict[str, list[Event]]:
    """Return what a falling market makes of three accounts, by topic: made by the product itself."""
    feed = status_events.StatusFeed()
    said: dict[str, list[Event]] = {topic: [] for topic in e.TOPICS}
    spoken = feed.say

    def say(*messages: tuple[str, Event]) -> list[Event]:
        for topic, event in messages:
            said[topic].append(event)
        return spoken(*messages)

    feed.say = say  # type: ignore[method-assign]
    status = feed.open("A1", -60_000, 100.0, 1000) + feed.open("A2", -62_000, 100.0, 1000)
    for price, minute in ((95.0, 1), (90.0, 2), (70.0, 35)):
        status += feed.price(price, minute)
    contact = {"email": "a@b.example", "phone": "+12025550100", "name": "A"}
    account = {"account_id": "A1", "margin_type": "REG_T", "timestamp": T, "contact": contact}
    split = {"action_id": "x", "symbol": "AAPL", "kind": "SPLIT", "ratio": 2, "ex_date": "2020-08-31"}
    said[e.ACCOUNTS].append(account)
    said[e.CORPORATE_ACTIONS].append(split | {"timestamp": T, "post_price": 50.5})
    said[e.BETAS].append({"symbol": "AAPL", "beta": 1.2, "timestamp": T})
    said[e.VOLATILITY].append({"symbol": "AAPL", "volatility_annual": 0.3, "timestamp": T})
    said[e.MARGIN_STATUS] += status
    now = feed.engine.process([], 99)
    said[e.MARGIN_CALC] += [*status, *now.calc]
    firm = FirmOfFigures(POLICY)
    firm.update([event for event in status if event.get("stress")])
    said[e.FIRM_RISK] += firm.events()
    said[e.FIRM_PARTIALS].append(AccountSums(POLICY).partial(0, 1, T, T, ["A1"]) | {"accounts": 1})
    with TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/store.db") as store:
        sent = Enforcer(store, POLICY).handle_many(
            [(event, (e.MARGIN_STATUS, 0, n)) for n, event in enumerate(status)], run_id="r"
        )
        asked = [event for topic, event in sent if topic == e.MARGIN_CALLS and event["action"] == "LIQUIDATE"]
        sent += LiquidationDesk(store, POLICY).handle_many(
            [(event, (e.MARGIN_CALLS, 0, n)) for n, event in enumerate(asked)], run_id="r"
        )
        calls = [event for topic, event in sent if topic == e.MARGIN_CALLS]
        sourced = [(event, (e.MARGIN_CALLS, 0, n)) for n, event in enumerate(calls)]
        desk = Notifier(store, POLICY, [Silent()])
        sent += [*desk.record(sourced, NOW), *desk.deliver(NOW)]
    for topic, event in sent:
        said[topic].append(event)
    said[e.STRESS].append({"account_id": "A1", "scenario": "-0.06", "timestamp": T, "underwater": True})
    letter = dead_letter(e.PRICES, 0, 1, b"x", BadEvent("price", -1, "not above zero"), NOW)
    said[e.DEAD_LETTER].append(letter)
    return said


class Find:
    """A consumer that raised: where, on which message."""

    def __init__(self, consumer: str, record: Record, error: Exception) -> None:
        self.consumer, self.record = consumer, record
        last = traceback.extract_tb(error.__traceback__)[-1]
        self.where = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"

    def __str__(self) -> str:
        message = (self.record.value or b"")[:600]
        return f"{self.consumer} on {self.record.topic}: {self.where[:300]}\n  {message!r}"


class Raised:
    """A block of which any error is kept, and no further."""

    error: Exception | None = None

    def __enter__(self) -> Raised:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


def fuzz(count: int, seed: int, at_once: int = AT_ONCE) -> tuple[Counter[str], list[Find]]:
    """Put mutants of every topic through its consumers; return how many each took, and what raised."""
    chance, good, finds = random.Random(seed), good_events(), list[Find]()
    taken: Counter[str] = Counter()
    topics = [topic for topic in good if good[topic]]
    with TemporaryDirectory() as folder:
        consumers = Consumers(Path(folder))
        next_offset: Counter[str] = Counter()

        def put(topic: str, values: list[bytes]) -> None:
            start = next_offset[topic]
            records = [Record(topic, 0, start + n, None, value, NOW + n) for n, value in enumerate(values)]
            next_offset[topic] += len(values)
            for name, consume in consumers.each(topic).items():
                taken[name] += len(records)
                finds.extend(_failures(name, consume, records))

        for topic in topics:
            put(topic, [e.encode(event) for event in good[topic]])
        for number in range(0, count, at_once):
            topic = topics[number // at_once % len(topics)]
            put(topic, [mutant(chance, chance.choice(good[topic])) for _ in range(at_once)])
        consumers.store.close()
    return taken, finds


def _failures(name: str, consume: Callable[[list[Record]], object], records: list[Record]) -> Iterator[Find]:
    """Consume a batch; where it raises, each record alone, so that the find names the message."""
    with Raised() as batch:
        consume(records)
    if batch.error is None:
        return
    for record in records:
        with Raised() as alone:
            consume([record])
        if alone.error is not None:
            yield Find(name, record, alone.error)
            return
    yield Find(name, records[0], batch.error)


def _main() -> bool:
    say = sys.stdout.write
    logging.disable()
    counts, found = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for consumer, number in sorted(counts.items()):
        say(f"{consumer:18} {number:>9,} messages\n")
    for find in {find.where: find for find in found}.values():
        say(f"FOUND {find}\n")
    say(f"{len(found)} finds\n")
    return not found


if __name__ == "__main__":
    sys.exit(not _main())
