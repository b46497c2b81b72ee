"""One shard of the accounts: what it reads, what it refuses, and the clock it shares with the others."""

from __future__ import annotations

import pytest

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.firm.totals import FirmTotals
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.events import calc_events
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.outcome import Outcome
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shard_of, shards_of
from tests.support.engine_feed import through_bytes
from tests.support.firm_of_figures import FirmOfFigures
from tests.support.market_day import OPEN, seed, tick

POLICY = current_policy()
SECOND = 1000


class Feed:
    """One shard, fed batch by batch; a record is produced a little after its own time."""

    def __init__(self, shard: Shard, late: int = 50) -> None:
        self.engine, self.late = ShardEngine([Instrument(symbol="X", beta=1.0)], POLICY, shard), late
        self.batches = 0
        self.next: dict[str, int] = {}

    def __call__(self, *messages: tuple[str, Event]) -> Outcome:
        records = []
        for topic, event in messages:
            offset = self.next[topic] = self.next.get(topic, -1) + 1
            produced = event["timestamp"] + (0 if topic == CLOCK else self.late)
            records.append(Record(topic, 0, offset, None, encode(event), produced))
        self.batches += 1
        return self.engine.process(records, self.batches)


def account(name: str) -> list[tuple[str, Event]]:
    return [
        (ACCOUNTS, {"account_id": name, "margin_type": "REG_T", "timestamp": OPEN}),
        (CASH, {"transfer_id": "t", "account_id": name, "amount": 6_000.0, "timestamp": OPEN}),
        fill(name),
    ]


def fill(name: str, at: int = OPEN, fill_id: str = "f") -> tuple[str, Event]:
    event = {"fill_id": fill_id, "account_id": name, "symbol": "X", "qty": 100, "price": 100.0}
    return FILLS, event | {"timestamp": at}


def price(dollars: float, at: int = OPEN) -> tuple[str, Event]:
    return PRICES, {"symbol": "X", "price": dollars, "timestamp": at}


def wall(at: int) -> tuple[str, Event]:
    return CLOCK, {"timestamp": at}


def test_an_accounts_records_are_routed_by_the_id_in_the_message_and_the_rest_to_the_first_shard() -> None:
    named = Record(FILLS, 0, 0, "another key", encode({"account_id": "A0001"}), 0)
    assert list(shards_of(named, 7)) == [shard_of("A0001", 7)] == [3]
    for raw in (None, b"", b"[]", b"{", b"{}", b'{"account_id": 7}'):
        assert list(shards_of(Record(CASH, 0, 0, None, raw, 0), 7)) == [0]
    assert list(shards_of(Record(PRICES, 0, 0, None, b"{}", 0), 7)) == list(range(7))


def test_an_account_of_another_shard_is_refused_by_name() -> None:
    (letter,) = Feed(Shard(0, 7))((ACCOUNTS, account("A0001")[0][1])).dead
    assert (letter["field"], letter["value"]) == ("account_id", "A0001")
    assert "not of shard 0 of 7" in letter["reason"]


def test_an_id_is_one_of_its_account_and_another_account_may_have_it_too() -> None:
    outcome = Feed(Shard())(*account("a"), *account("b"), fill("a"), price(100.0))
    assert {event["account_id"] for event in outcome.calc} == {"a", "b"}
    assert [(d["field"], d["reason"]) for d in outcome.dead] == [("fill_id", "duplicate id")]


def test_the_clock_is_the_markets_a_fill_does_not_move_it() -> None:
    feed = Feed(Shard())
    (event,) = feed(*account("a"), price(100.0), fill("a", OPEN + 9 * SECOND, "later")).calc
    assert event["calc_timestamp"] == OPEN


def test_a_live_markets_clock_goes_on_with_the_ticks_and_a_silent_feed_becomes_stale() -> None:
    feed = Feed(Shard())
    feed(*account("a"), price(100.0))
    silent = int(POLICY.prices.max_price_age_seconds * SECOND)
    assert feed(wall(OPEN + silent + 50)).status == []
    (event,) = feed(wall(OPEN + silent + 51)).status
    assert (event["stale_symbols"], event["calc_timestamp"]) == (["X"], OPEN + silent + 1)


def test_a_replays_clock_stands_until_its_next_price() -> None:
    feed = Feed(Shard(), late=30 * 86_400_000)
    feed(*account("a"), price(100.0))
    assert feed(wall(OPEN + 31 * 86_400_000)).status == []
    assert feed.engine.engine.event_time == OPEN


def test_before_the_markets_first_record_a_tick_does_not_start_the_clock() -> None:
    feed = Feed(Shard(), late=30 * 86_400_000)
    feed(*account("a"), wall(OPEN + 30 * 86_400_000))
    assert feed.engine.engine.event_time == 0
    (event,) = feed(price(100.0), fill("a")).calc
    assert (event["calc_timestamp"], event["stale"]) == (OPEN, False)


def test_nothing_is_published_before_the_markets_first_record_and_every_account_with_it() -> None:
    """An event of before would have no time. One account has no position that the record could touch."""
    feed = Feed(Shard())
    before = feed(*account("a"), *account("b")[:-1], wall(OPEN + SECOND))
    assert [*before.status, *before.calc, *before.firm] == []
    published = feed(price(100.0, OPEN + 2 * SECOND)).calc
    assert {event["account_id"] for event in published} == {"a", "b"}
    assert {event["timestamp"] for event in published} == {OPEN + 2 * SECOND}


def test_a_producer_whose_clock_is_fast_is_held_against_the_newest_tick() -> None:
    feed = Feed(Shard())
    feed(*account("a"), price(100.0), wall(OPEN))
    (letter,) = feed(price(101.0, OPEN + 3600 * SECOND)).dead
    assert (letter["field"], letter["value"]) == ("timestamp", str(OPEN + 3600 * SECOND))


def test_figures_that_wait_go_out_with_the_first_tick_of_a_heartbeat() -> None:
    feed = Feed(Shard())
    feed(*account("a"), price(100.0))
    assert feed(price(100.0001, OPEN + 1)).calc == []  # not material
    (event,) = feed(wall(OPEN + SECOND)).calc
    assert event["inputs"]["offsets"] == {CLOCK: {"0": [0, 1]}}
    assert feed(price(100.0002, OPEN + SECOND + 1), wall(OPEN + SECOND + 2)).calc == []
    assert len(feed(wall(OPEN + 2 * SECOND)).calc) == 1


def test_the_state_of_another_shard_is_refused() -> None:
    saved = ShardEngine([], POLICY, Shard(1, 2)).to_state()
    with pytest.raises(ValueError, match=r"shard: not that of shard 0 of 2, value \[1, 2\]"):
        ShardEngine([], POLICY, Shard(0, 2)).restore(saved)


def test_three_shards_together_hold_what_one_engine_that_reads_everything_holds() -> None:
    events = [*seed(9), *tick(1), *tick(2)]
    records = [
        Record(topic, 0, n, None, encode(event), event["timestamp"])
        for n, (topic, event) in enumerate(events)
    ]
    whole, found = MarginEngine(load(), POLICY), dict[str, Event]()
    whole.process(records, 0)
    for shard in (Shard(n, 3) for n in range(3)):
        engine = ShardEngine(load(), POLICY, shard)
        outcome = engine.process([r for r in records if shard.number in shards_of(r, 3)], 0)
        found |= {event["account_id"]: event for event in outcome.calc}
    book, inputs = whole.ledger.book(whole.code_of), Inputs(0, 0, {}, whole.live.price_time)
    names = ("inputs", "calc_id", "calc_timestamp", "timestamp")
    for event in calc_events(book, whole.market, evaluate(book, whole.market, POLICY), inputs):
        same = found.pop(event["account_id"])
        assert {k: v for k, v in same.items() if k not in names} == {
            k: v for k, v in event.items() if k not in names
        }
    assert found == {}


def test_a_decision_names_the_fills_of_its_account_that_it_knows_also_after_a_restart() -> None:
    """The offset after the account's newest; a fill that is refused is read, and changes nothing."""
    feed = Feed(Shard())
    feed(*account("a"), *account("b"), price(100.0))  # fills.v1 at 0 and 1
    (owing,) = [e for e in feed(price(50.0, OPEN + SECOND)).status if e["account_id"] == "a"]
    assert owing["fills_read"] == 1
    again = ShardEngine([Instrument(symbol="X", beta=1.0)], POLICY, Shard())
    again.restore(through_bytes(feed.engine.to_state()))
    replayed = ShardEngine([Instrument(symbol="X", beta=1.0)], POLICY, Shard())
    replayed.restore(through_bytes(feed.engine.to_state()))
    more = Record(FILLS, 0, 7, None, encode(fill("a", OPEN + 2 * SECOND, "more")[1]), OPEN + 2 * SECOND)
    feed.engine = again
    again.process([more], 9)
    replayed.replay([more], 9, again.effects())
    for engine in (again, replayed):
        known = {name: engine.engine.account_now(name).get("fills_read") for name in ("a", "b")}
        assert known == {"a": 8, "b": 2}


def test_a_state_of_before_names_no_fills_until_the_next_one() -> None:
    feed = Feed(Shard())
    feed(*account("a"), price(100.0))
    state = through_bytes(feed.engine.to_state())
    del state["fills_read"]
    feed.engine = ShardEngine([Instrument(symbol="X", beta=1.0)], POLICY, Shard())
    feed.engine.restore(state)
    assert "fills_read" not in feed.engine.engine.account_now("a")
    feed(fill("a", OPEN + SECOND, "next"))
    assert feed.engine.engine.account_now("a")["fills_read"] == 2


def test_the_firms_totals_are_those_of_every_accounts_newest_figures() -> None:
    firm, totals = FirmOfFigures(POLICY), FirmTotals(POLICY, 1)
    feed = Feed(Shard())
    outcome = feed(*account("a"), *account("b"), price(100.0), wall(OPEN + SECOND))
    firm.update(outcome.calc)
    assert [row for partial in outcome.firm for row in totals.take(partial)] == firm.events()
    again = ShardEngine([Instrument(symbol="X", beta=1.0)], POLICY, Shard())
    again.restore(through_bytes(feed.engine.to_state()))
    feed.engine = again
    outcome = feed(price(90.0, OPEN + 2 * SECOND), wall(OPEN + 2 * SECOND))
    firm.update(outcome.calc)
    (partial,) = outcome.firm
    assert totals.take(partial) == firm.events()
    assert totals.take(partial) == []  # a tick counts once
