"""The margin stream and the tables in one Spark session, on real Kafka:
parity with the kernel, bad input, duplicates, tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pandas as pd
import psutil
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from margin_platform import durable_state
from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    DEAD_LETTER,
    FILLS,
    FIRM_RISK,
    MARGIN_CALC,
    MARGIN_STATUS,
    PRICES,
    STRESS,
    VOLATILITY,
    Event,
    encode,
)
from margin_platform.kernel.evaluate import evaluate
from margin_platform.market.instruments import load
from margin_platform.snapshots import events as snapshots
from margin_platform.snapshots.giving_out.inputs import Inputs
from tests.support.market_day import OPEN, PRICE, seed, send, tick
from tests.support.running import Running

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
SCHEMAS = Path(snapshots.__file__).parents[1] / "contracts" / "schemas"
Events = Callable[[str], list[Event]]


def whole(state: dict[str, Any]) -> bytes:
    """A state as it goes on disk."""
    return b"".join(durable_state.dump(state))


def read_by_all(session: SparkSession, table: Path) -> pd.DataFrame:
    """The rows of a table, which pandas, DuckDB and Spark must agree on."""
    frame, arrow = DeltaTable(str(table)).to_pandas(), DeltaTable(str(table)).to_pyarrow_table()
    # DuckDB finds `arrow` by its name
    total = duckdb.connect().execute("SELECT count(*), sum(batch_id) FROM arrow").fetchall()[0]
    rows = session.read.format("delta").load(str(table)).agg({"*": "count", "batch_id": "sum"}).collect()[0]
    assert len(frame) > 0
    assert total == (len(frame), int(frame["batch_id"].sum()))
    assert sorted(rows.asDict().values()) == sorted(total)
    assert arrow.num_rows == len(frame)
    return frame


def newest(events: list[Event]) -> dict[str, Event]:
    return {
        e["account_id"]: e
        for e in sorted(events, key=lambda e: (e["calc_timestamp"], e["inputs"]["batch_id"]))
    }


def test_every_figure_of_the_stream_is_the_kernels(running: Running, events_of: Events) -> None:
    running.start()
    send(running.bus, seed(40))
    running.drain()
    for step in (1, 2, 3):
        send(running.bus, tick(step))
        running.drain()
    found = newest(events_of(MARGIN_CALC))
    engine = running.engine()
    book = engine.ledger.book(engine.code_of)
    margin = evaluate(book, engine.market, running.policy)
    inputs = Inputs(engine.event_time, 0, {}, engine.live.price_time, engine.live.previous_price)
    expected = {e["account_id"]: e for e in snapshots.calc_events(book, engine.market, margin, inputs)}
    assert len(found) == 40
    own = ("inputs", "calc_id", "calc_timestamp", "timestamp")
    for account, event in found.items():
        assert {k: v for k, v in event.items() if k not in own} == {
            k: v for k, v in expected[account].items() if k not in own
        }
        jsonschema.validate(event, json.loads((SCHEMAS / "margin.calc.v1.json").read_text()))


BAD: list[tuple[str, bytes | None, str, str]] = [  # topic, message, field named, part of the reason
    (PRICES, b"{not json", "value", "not JSON"),
    (PRICES, b"\xff\xfe\x00", "value", "not JSON"),
    (PRICES, b'["AAPL"]', "value", "not a JSON object"),
    (PRICES, b'{"symbol":"AAPL","timestamp":1582295400000}', "price", "missing"),
    (PRICES, b'{"symbol":"AAPL","price":"80","timestamp":1582295400000}', "price", "not a number"),
    (PRICES, b'{"symbol":"AAPL","price":NaN,"timestamp":1582295400000}', "price", "not a finite number"),
    (
        FILLS,
        b'{"fill_id":"x0","account_id":"A0000","symbol":"KO","qty":-Infinity,"price":80}',
        "qty",
        "not a finite number",
    ),
    (PRICES, b'{"symbol":"AAPL","price":0,"timestamp":1582295400000}', "price", "not above zero"),
    (PRICES, b'{"symbol":"AAPL","price":-1,"timestamp":1582295400000}', "price", "not above zero"),
    (PRICES, b'{"symbol":"AAPL","price":true,"timestamp":1582295400000}', "price", "not a number"),
    (PRICES, b'{"symbol":"NOPE","price":1,"timestamp":1582295400000}', "symbol", "unknown symbol"),
    (PRICES, b'{"symbol":"AAPL","price":81,"timestamp":4102444800000}', "timestamp", "2099"),
    (PRICES, b'{"symbol":"AAPL","price":81,"timestamp":1582295400.5}', "timestamp", "epoch"),
    (
        FILLS,
        encode(
            {
                "fill_id": "x1",
                "account_id": "A9999",
                "symbol": "AAPL",
                "qty": 1,
                "price": 80,
                "timestamp": 1582295400000,
            }
        ),
        "account_id",
        "unknown",
    ),
    (
        FILLS,
        encode(
            {
                "fill_id": "x2",
                "account_id": "A0000",
                "symbol": "NOPE",
                "qty": 1,
                "price": 80,
                "timestamp": 1582295400000,
            }
        ),
        "symbol",
        "unknown",
    ),
    (
        FILLS,
        encode(
            {
                "fill_id": "f0-0",
                "account_id": "A0000",
                "symbol": "AAPL",
                "qty": 61,
                "price": 80,
                "timestamp": 1582295400000,
            }
        ),
        "fill_id",
        "something else",
    ),
    (
        FILLS,
        b'{"fill_id":"x3","account_id":"A0000","symbol":"KO","qty":1e300,"price":1e300,"timestamp":1582295400000}',
        "qty",
        "above 1e+09",
    ),
    (
        CASH,
        encode({"transfer_id": "t0", "account_id": "A0000", "amount": 6000, "timestamp": 1582295400000}),
        "transfer_id",
        "something else",
    ),
    (
        CASH,
        encode({"transfer_id": "x4", "account_id": "A0000", "amount": None, "timestamp": 1582295400000}),
        "amount",
        "not a number",
    ),
    (
        ACCOUNTS,
        encode({"account_id": "A0000", "margin_type": "CASH", "timestamp": 1582295400000}),
        "margin_type",
        "not one of REG_T, PORTFOLIO",
    ),
    (
        ACCOUNTS,
        encode({"account_id": "A0000", "margin_type": "REG_T", "contact": "a@b", "timestamp": 1582295400000}),
        "contact",
        "not an object",
    ),
    (ACCOUNTS, b'{"margin_type":"REG_T","timestamp":1582295400000}', "account_id", "missing"),
    (BETAS, b'{"symbol":"NOPE","beta":1,"timestamp":1582295400000}', "symbol", "unknown symbol"),
    (BETAS, b'{"symbol":"AAPL","beta":"high","timestamp":1582295400000}', "beta", "not a number"),
    (
        VOLATILITY,
        encode({"symbol": "AAPL", "volatility_annual": -0.2, "timestamp": 1582295400000}),
        "volatility_annual",
        "below 0",
    ),
    (
        CORPORATE_ACTIONS,
        encode(
            {
                "action_id": "d",
                "symbol": "N",
                "kind": "SPLIT",
                "ratio": 2,
                "ex_date": "2020-02-21",
                "timestamp": 1582295400000,
            }
        ),
        "symbol",
        "unknown",
    ),
    (
        CORPORATE_ACTIONS,
        encode(
            {
                "action_id": "c",
                "symbol": "AAPL",
                "kind": "SPLIT",
                "ex_date": "2020-02-21",
                "timestamp": 1582295400000,
            }
        ),
        "ratio",
        "missing",
    ),
    # as text 9 MB, more than the topic takes; so is the next with its value
    (PRICES, b"\xff" * 3_000_000, "value", "not JSON"),
    (
        PRICES,
        b'{"symbol":"' + b"N" * 4_500_000 + b'","price":1,"timestamp":1582295400000}',
        "symbol",
        "longer than 256 characters",
    ),
    (PRICES, b'{"symbol":"KO","price":58.5,"timestamp":1}', "timestamp", "before 1980"),
    (PRICES, None, "value", "empty message"),
]


def is_of(letter: Event, topic: str, message: bytes | None) -> bool:
    """Whether a dead letter is this message's: it holds it whole, or its beginning and how long it was."""
    raw = message or b""
    text = raw.decode(errors="replace")
    if len(raw) > 65_536:
        return (
            letter["topic"] == topic and letter["raw"] == f"{text[:65_536]}... (cut: {len(raw)} bytes in all)"
        )
    return letter["topic"] == topic and letter["raw"] == text


def test_each_kind_of_bad_message_is_a_dead_letter_and_its_neighbours_are_processed(
    running: Running, events_of: Events, until: Callable[..., Any]
) -> None:
    margin = running.start()
    # accounts first: no early event of the seed may pass for one of the letters below
    for announced in (True, False):
        send(running.bus, [e for e in seed(4) if (e[0] == ACCOUNTS) is announced])
        running.drain()
    before = whole(running.engine().ledger.to_state())
    for topic, raw, _, _ in BAD:
        running.bus.produce_raw(topic, raw, "any key")
    running.bus.flush()
    send(running.bus, tick(1))
    running.drain()
    dead = until(
        lambda: (events_of(DEAD_LETTER)) if len(events_of(DEAD_LETTER)) >= len(BAD) else None,
        "all dead letters",
    )
    schema = json.loads((SCHEMAS / "dead_letter.v1.json").read_text())
    assert len(dead) == len(BAD)
    for letter in dead:
        jsonschema.validate(letter, schema)
    for topic, raw, field, reason in BAD:
        (letter,) = [d for d in dead if is_of(d, topic, raw)]
        assert letter["field"] == field
        assert reason in letter["reason"]
    engine = running.engine()
    assert engine.market.price[engine.code_of["AAPL"]] == pytest.approx(80 * 0.996)
    assert whole(engine.ledger.to_state()) == before
    # of the accounts' shard and of the volatilities'
    assert [margin.shards[n]["event_time"] for n in (0, 1)] == [OPEN + 1000] * 2
    send(running.bus, tick(2))
    running.drain()
    assert running.told[-1]["assets"]["margin_snapshots"]["dead_letters"] == len(dead)


def test_the_age_of_the_oldest_held_price_is_told_in_trading_time(running: Running) -> None:
    """KO's price stands since Friday's open; the night and the weekend until Monday do not age it.

    What no account holds does not count.
    """
    running.start()
    told = running.told
    send(running.bus, [*seed(3), (PRICES, {"symbol": "GE", "price": 12.0, "timestamp": OPEN - 86_400_000})])
    running.drain()
    assert told[-1]["assets"]["margin_snapshots"]["oldest_input_seconds"] == 0
    monday = OPEN + 3 * 86_400_000
    send(
        running.bus,
        [
            (PRICES, {"symbol": s, "price": p * 1.01, "timestamp": monday + 60_000})
            for s, p in PRICE.items()
            if s != "KO"
        ],
    )
    running.drain()
    session_seconds = 6.5 * 3600
    assert told[-1]["assets"]["margin_snapshots"]["oldest_input_seconds"] == session_seconds + 60


def test_its_python_workers_use_no_port(running: Running) -> None:
    """Over TCP a task waited 40 ms for its first rows, and any user of the machine could connect."""
    running.start()
    send(running.bus, seed(1))
    running.drain()
    workers = [p for p in psutil.Process().children(recursive=True) if "pyspark.worker" in p.cmdline()]
    assert workers
    assert [found for worker in workers for found in worker.net_connections("inet")] == []


def test_fills_read_before_their_account_are_reported_and_booked_once_it_is_announced(
    running: Running, events_of: Events, until: Callable[..., Any]
) -> None:
    running.start()
    events = seed(1)
    send(running.bus, [e for e in events if e[0] != "accounts.v1"])
    running.drain()
    dead = until(
        lambda: events_of(DEAD_LETTER) if len(events_of(DEAD_LETTER)) == 4 else None,
        "a dead letter for each early event",
    )
    assert {d["field"] for d in dead} == {"account_id"}
    send(running.bus, [e for e in events if e[0] == "accounts.v1"])
    running.drain()
    assert running.engine().ledger.positions("A0000") == {"AAPL": 60.0, "MSFT": 40.0, "KO": -20.0}
    assert newest(events_of(MARGIN_CALC))["A0000"]["long_mv"] == 60 * 80.0 + 40 * 180.0


def test_duplicates_and_an_older_price_change_nothing(running: Running, events_of: Events) -> None:
    running.start()
    send(running.bus, seed(6))
    send(running.bus, tick(2))
    running.drain()

    def book_and_market() -> list[bytes]:
        engine = running.engine()
        return [whole(part) for part in (engine.ledger.to_state(), engine.live.to_state())]

    before = book_and_market()
    send(running.bus, [e for e in seed(6) if e[0] in (FILLS, CASH)])
    send(running.bus, tick(1))
    running.drain()
    assert book_and_market() == before
    assert newest(events_of(MARGIN_CALC))["A0001"]["calc_timestamp"] == OPEN + 2000


def test_status_follows_bands_and_stress_and_firm_rows_agree_with_the_accounts(
    running: Running, events_of: Events, until: Callable[..., Any]
) -> None:
    running.start()
    send(running.bus, seed(12))
    running.drain()
    for step in (10, 40, 60):
        send(running.bus, tick(step))
        running.drain()
    running.drain()
    calc = newest(events_of(MARGIN_CALC))
    status = events_of(MARGIN_STATUS)
    schema = json.loads((SCHEMAS / "margin.status.v1.json").read_text())
    for event in status:
        jsonschema.validate(event, schema)
    by_id = {e["calc_id"]: e for e in events_of(MARGIN_CALC)}
    assert any(e["status"] == "MARGIN_CALL" for e in status)
    assert all(by_id[e["calc_id"]]["excess"] == e["excess"] for e in status)
    for account in calc:
        bands = [e["band"] for e in status if e["account_id"] == account]
        assert all(a != b for a, b in zip(bands, bands[1:], strict=False)), (
            f"{account} repeats a band: {bands}"
        )
    scenarios = running.policy.stress.scenarios

    def totals() -> dict[str, Event]:
        return {e["scenario"]: e for e in sorted(events_of(FIRM_RISK), key=lambda e: e["timestamp"])}

    def sums(figure: str) -> list[float]:
        return [sum(e[figure][s] for e in calc.values()) for s in range(len(scenarios))]

    def agree(figure: str, of_account: str) -> bool:
        return [totals()[f"{move:+.2f}"][figure] for move in scenarios] == pytest.approx(
            sums(of_account), abs=0.005
        )

    # the firm's rows come with the next tick of the clock, once a second
    until(
        lambda: agree("firm_loss", "stress_unsecured") and agree("firm_delta_pnl", "stress_pnl"),
        "firm rows of all accounts",
    )
    assert {row["num_accounts"] for row in totals().values()} == {12}
    assert {e["account_id"] for e in events_of(STRESS)} == set(calc)


def test_volatility_is_published_once_a_session_and_knows_splits(
    running: Running, work: Path, events_of: Events
) -> None:
    running.start()
    day = 86_400_000
    closes = [
        (PRICES, {"symbol": "KO", "price": 60.0 + (n % 3), "timestamp": OPEN - n * day + 6 * 3_600_000})
        for n in range(60, 0, -1)
    ]
    halved = [
        (t, e | {"symbol": "PEP", "price": e["price"] / (2 if e["timestamp"] > OPEN - 8 * day else 1)})
        for t, e in closes
    ]
    split = {
        "action_id": "s",
        "symbol": "PEP",
        "kind": "SPLIT",
        "ratio": 2.0,
        "ex_date": "2020-02-13",
        "timestamp": OPEN - 60 * day,
    }
    send(running.bus, [(CORPORATE_ACTIONS, split), *closes, *halved])
    running.drain()
    send(running.bus, tick(1))
    running.drain()
    found = {(e["symbol"], e["as_of"]): e for e in events_of(VOLATILITY)}
    assert len(found) == len(events_of(VOLATILITY))
    last = max(as_of for symbol, as_of in found if symbol == "KO")
    assert last == "2020-02-20"
    assert found[("KO", last)]["observations"] == 30
    assert found[("PEP", last)]["volatility_annual"] == pytest.approx(
        found[("KO", last)]["volatility_annual"]
    )
    running.write_tables()
    table = (
        read_by_all(running.session, work / "tables" / "volatility")
        .sort_values("batch_id")
        .groupby("symbol")
        .last()
    )
    assert table.loc["KO", "volatility_annual"] == found[("KO", last)]["volatility_annual"]


def test_the_tables_read_the_same_from_pandas_duckdb_and_spark(
    running: Running, work: Path, events_of: Events
) -> None:
    running.start()
    send(running.bus, seed(10))
    running.drain()
    send(running.bus, tick(5))
    running.drain()
    running.stop()
    running.write_tables()
    session = running.session
    for table in ("margin_snapshots", "firm_exposure"):
        read_by_all(session, work / "tables" / table)
    snapshots_table = (
        DeltaTable(str(work / "tables" / "margin_snapshots")).to_pandas().sort_values("batch_id")
    )
    last = snapshots_table.groupby("account_id").last()
    for account, event in newest(events_of(MARGIN_CALC)).items():
        assert last.loc[account, "calc_id"] == event["calc_id"]
        assert last.loc[account, "excess"] == event["excess"]


def test_all_prices_of_the_small_market_are_known_instruments() -> None:
    assert set(PRICE) <= {instrument.symbol for instrument in load()}
