"""However many shards hold the accounts, the same records lead to the same events, byte for byte: figures,
timestamps, staleness, held bands, dead letters, the moment of a split, every id, and the firm's totals.
"""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform import durable_state
from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    FIRM_PARTIALS,
    PRICES,
    VOLATILITY,
    Event,
    decode,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.firm.totals import FirmTotals
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.outcome import Outcome
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shards_of
from tests.support.engine_feed import through_bytes
from tests.support.market_day import OPEN

POLICY = current_policy()
INSTRUMENTS = [Instrument(symbol=s, beta=1.1) for s in "XYZ"]
MONDAY = OPEN + 3 * 86_400_000
ACCOUNT_IDS = tuple("abcdefgh")
REPLAYED = 10 * 365 * 86_400_000  # how long after its own time a replay's record is produced
Message = tuple[str, bytes, int]  # topic, value, event time

MOMENTS = st.one_of(
    st.integers(0, 40).map(lambda s: OPEN + 1000 * s),
    st.integers(0, 7200).map(lambda s: MONDAY + 1000 * s),
    st.just(OPEN + 7_500_000),  # beyond `max_price_age_seconds`
)
ACCOUNT, SYMBOL = st.sampled_from(ACCOUNT_IDS), st.sampled_from("XYZ")


def _message(topic: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    parts = st.fixed_dictionaries({"timestamp": MOMENTS, **fields})
    return parts.map(lambda event: (topic, encode(event), event["timestamp"]))


FILL = _message(
    FILLS,
    # ids come again: of the same fill, of another one, of another account's
    fill_id=st.integers(0, 30).map(str),
    account_id=ACCOUNT,
    symbol=SYMBOL,
    qty=st.sampled_from((-300, -20, 10, 70.5, 200)),
    price=st.sampled_from((50, 99.5, 100)),
)
TRANSFER = _message(
    CASH,
    transfer_id=st.integers(0, 30).map(str),
    account_id=ACCOUNT,
    amount=st.sampled_from((-900, 250, 6000)),
)
TERMS = _message(ACCOUNTS, account_id=ACCOUNT, margin_type=st.sampled_from(("REG_T", "PORTFOLIO")))
PRINT = _message(PRICES, symbol=SYMBOL, price=st.sampled_from((50, 96, 99, 100, 101, 104, 170)))
BETA = _message(BETAS, symbol=SYMBOL, beta=st.sampled_from((0.8, 1.3)))
SIGMA = _message(
    VOLATILITY,
    symbol=SYMBOL,
    volatility_annual=st.sampled_from((0.3, 0.5)),
    quality=st.just("MEASURED"),
    as_of_date=st.just("2020-02-20"),
)
SPLIT = _message(
    CORPORATE_ACTIONS,
    action_id=st.sampled_from("st"),
    symbol=st.just("X"),
    kind=st.just("SPLIT"),
    ratio=st.sampled_from((2.0, 3.0)),
    ex_date=st.just("2020-02-24"),
)
TICK = MOMENTS.map(lambda at: (CLOCK, b"{}", at))
BAD = st.tuples(
    st.sampled_from((FILLS, CASH, ACCOUNTS, PRICES, CORPORATE_ACTIONS)),
    st.sampled_from(
        (b"", b"[1]", b"no JSON", b'{"account_id": 7}', b'{"account_id": "e"}', b'{"symbol": "NOPE"}')
    ),
    MOMENTS,
)
BATCH = st.lists(st.one_of(PRINT, FILL, FILL, TRANSFER, TERMS, BETA, SIGMA, SPLIT, TICK, BAD), max_size=8)
FEED = st.lists(BATCH, min_size=2, max_size=10)


def _opening() -> list[Message]:
    """Terms of most accounts (the others come later, or never), cash, a holding, and a market."""
    found: list[Message] = []
    for name in ACCOUNT_IDS:
        if name not in "gh":
            found.append(
                (ACCOUNTS, encode({"account_id": name, "margin_type": "REG_T", "timestamp": OPEN}), OPEN)
            )
        cash = {"transfer_id": "first", "account_id": name, "amount": 5_000, "timestamp": OPEN}
        fill = {
            "fill_id": "first",
            "account_id": name,
            "symbol": "X",
            "qty": 90,
            "price": 100,
            "timestamp": OPEN,
        }
        found += [(CASH, encode(cash), OPEN), (FILLS, encode(fill), OPEN)]
    return [*found, *((PRICES, encode({"symbol": s, "price": 100, "timestamp": OPEN}), OPEN) for s in "XYZ")]


def _records(batches: Iterable[list[Message]], delay: int, order: random.Random) -> list[list[Record]]:
    """The batches as Kafka has them; delay: how long after its own time a record is produced."""
    ends = Counter[tuple[str, int]]()
    found = []
    for batch in batches:
        records = []
        for topic, value, at in batch:
            place = topic, order.randrange(2)
            records.append(Record(*place, ends[place], None, value, at + delay))
            ends[place] += 1
        found.append(records)
    return found


def _events(outcomes: Iterable[Outcome]) -> Counter[tuple[str, bytes]]:
    return Counter(
        (kind, encode(event))
        for outcome in outcomes
        for kind in ("status", "calc", "stress", "dead")
        for event in getattr(outcome, kind)
    )


class Totals:
    """The firm's totals from the wire, by another process from some batch on; and what they must be: of each
    account the newest figures that were known, in whole cents.
    """

    def __init__(self, shards: int) -> None:
        self.firm = FirmTotals(POLICY, shards)
        self.known: dict[str, Event] = {}

    def restart(self) -> None:
        saved = through_bytes(self.firm.to_state())
        self.firm = FirmTotals(POLICY, self.firm.shards)
        self.firm.restore(saved)

    def take(self, partials: Iterable[Event]) -> list[Event]:
        read = [decode(FIRM_PARTIALS, encode(partial)) for partial in partials]
        return [row for partial in read for row in self.firm.take(partial)]

    def see(self, engine: MarginEngine) -> None:
        figures = map(engine.account_now, engine.ledger.account_ids())
        self.known |= {event["account_id"]: event for event in figures if event["equity"] is not None}

    def check(self, rows: list[Event]) -> None:
        def total(name: str, scenario: int | None = None) -> float:
            found = (e[name] if scenario is None else e[name][scenario] for e in self.known.values())
            return sum(round(amount * 100) for amount in found) / 100

        for n, row in enumerate(rows):
            assert row["num_accounts"] == len(self.known)
            assert row["firm_beta_weighted_exposure"] == total("beta_weighted_exposure")
            assert row["firm_total_mv"] == total("total_mv")
            assert row["firm_delta_pnl"] == total("stress_pnl", n)
            assert row["firm_loss"] == total("stress_unsecured", n)
            assert row["calls_expected"] == total("stress_calls", n)
            losses = {name: abs(e["stress_unsecured"][n]) for name, e in self.known.items()}
            largest = sorted((-loss, name) for name, loss in losses.items() if loss)[:5]
            found = [(-top["amount"], top["account_id"]) for top in row["top_contributors"]]
            assert found == largest


def _bytes(engine: ShardEngine) -> bytes:
    return b"".join(durable_state.dump(engine.to_state()))


def _run(shards: int, batches: list[list[Record]], order: random.Random) -> list[Any]:
    """What each batch leads to over all shards; one of them, and the firm's totals, are another process from
    some batch on: with a state of before, and the batches since applied again.
    """
    restarted = order.randrange(len(batches))
    saved_before = order.randrange(restarted + 1)
    engines = [ShardEngine(INSTRUMENTS, POLICY, Shard(n, shards)) for n in range(shards)]
    totals, found, saved, since = Totals(shards), [], None, list[tuple[list[Record], int, bytes]]()
    for number, batch in enumerate(batches):
        if number == saved_before:
            saved = through_bytes(engines[-1].to_state())
            since.clear()
        if number == restarted:
            before, engines[-1] = engines[-1], ShardEngine(INSTRUMENTS, POLICY, engines[-1].shard)
            engines[-1].restore(saved)
            for part, n, effects in since:
                engines[-1].replay(part, n, pickle.loads(effects))
            assert _bytes(engines[-1]) == _bytes(before)
            totals.restart()
        parts: list[list[Record]] = [[] for _ in engines]
        for record in batch:
            for n in shards_of(record, shards):
                parts[n].append(record)
        # a shard that reads nothing of a batch is not asked
        outcomes = [e.process(part, number) for e, part in zip(engines, parts, strict=True) if part]
        if parts[-1]:
            since.append((parts[-1], number, pickle.dumps(engines[-1].effects())))
        rows = totals.take(partial for outcome in outcomes for partial in outcome.firm)
        for engine in engines:
            totals.see(engine.engine)
        totals.check(rows)
        found.append((_events(outcomes), rows))
    return found


def _seen(found: list[Any]) -> set[str]:
    """What kinds of event a run led to."""
    kinds = {"firm" for _, rows in found if rows}
    for events, _ in found:
        for kind, raw in events:
            event = json.loads(raw)
            kinds.add(f"dead {event['topic']}" if kind == "dead" else kind)
            if kind == "status":
                kinds |= set(event["band"].split(".")[0].split("+"))
                kinds |= {"held"} if event.get("held") else set()
                kinds |= {"split"} if event.get("share_basis") else set()
    return kinds


def test_one_two_and_seven_shards_publish_the_same_bytes() -> None:
    seen = set[str]()

    @settings(max_examples=6, deadline=None)
    @given(FEED, st.sampled_from((50, REPLAYED)), st.randoms(use_true_random=False))
    def check(batches: list[list[Message]], delay: int, order: random.Random) -> None:
        feed = _records([_opening(), *batches], delay, order)
        one = _run(1, feed, order)
        seen.update(_seen(one))
        for shards in (2, 7):
            assert _run(shards, feed, order) == one

    check()
    kinds = {"calc", "stress", "status", "firm", "held", "split", "STALE", "MARGIN_CALL", "CLEAR"}
    assert kinds | {f"dead {topic}" for topic in (FILLS, CASH, ACCOUNTS, PRICES)} <= seen


@settings(max_examples=6, deadline=None)
@given(FEED, st.sampled_from((50, REPLAYED)), st.randoms(use_true_random=False))
def test_shards_hold_what_one_engine_that_reads_everything_holds(
    batches: list[list[Message]], delay: int, order: random.Random
) -> None:
    """Once the market has passed every event: until then that engine's clock is that of all topics."""
    late = MONDAY + 7_300_000
    last = [(PRICES, encode({"symbol": s, "price": 100, "timestamp": late}), late) for s in "XYZ"]
    feed = _records([_without_ticks(batch) for batch in (_opening(), *batches, last)], delay, order)
    whole = MarginEngine(INSTRUMENTS, POLICY)
    engines = [ShardEngine(INSTRUMENTS, POLICY, Shard(n, 3)) for n in range(3)]
    for number, batch in enumerate(feed):
        whole.process(batch, number)
        for n, engine in enumerate(engines):
            engine.process([record for record in batch if n in shards_of(record, 3)], number)
    for engine in engines:
        for name in engine.engine.ledger.account_ids():
            assert _figures(engine.engine.account_now(name)) == _figures(whole.account_now(name))


def _without_ticks(batch: list[Message]) -> list[Message]:
    """What both kinds of engine read."""
    return [_of_its_account(message) for message in batch if message[0] != CLOCK]


def _of_its_account(message: Message) -> Message:
    """A fill or transfer with an id that no other account has: one engine knows the ids of all accounts."""
    topic, raw, at = message
    name = {FILLS: "fill_id", CASH: "transfer_id"}.get(topic)
    event = json.loads(raw) if raw.startswith(b"{") else {}
    if name is None or name not in event:
        return message
    return topic, encode(event | {name: f"{event['account_id']} {event[name]}"}), at


def _figures(event: Event) -> Event:
    """What does not depend on when an account was last computed."""
    return {k: v for k, v in event.items() if k not in ("inputs", "calc_id", "calc_timestamp", "timestamp")}
