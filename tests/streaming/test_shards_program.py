"""The driver as its own process: two shards, the firm's totals, volatilities and the tables,
killed in mid-run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from margin_platform.contracts.messages import (
    CORPORATE_ACTIONS,
    DEAD_LETTER,
    FIRM_PARTIALS,
    FIRM_RISK,
    MARGIN_CALC,
    PRICES,
    VOLATILITY,
    Event,
)
from margin_platform.kafka.bus import Bus
from margin_platform.market.instruments import load
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.volatility.engine import VolatilityEngine
from tests.support.driver import driver_command
from tests.support.firm_of_figures import FirmOfFigures
from tests.support.market_day import OPEN, PRICE, seed, send, tick

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.nightly]
POLICY = current_policy()
NEXT_SESSION = OPEN + 3 * 86_400_000
OF_A_RUN = ("calc_id", "inputs", "calc_timestamp", "timestamp")
KEYS = {MARGIN_CALC: "account_id", FIRM_RISK: "scenario", VOLATILITY: "symbol"}
TABLES = {"margin_snapshots": MARGIN_CALC, "firm_exposure": FIRM_RISK, "volatility": VOLATILITY}
Events = Callable[[str], list[Event]]


def prices(at: int, share: float) -> list[tuple[str, Event]]:
    return [(PRICES, {"symbol": s, "price": round(p * share, 4), "timestamp": at}) for s, p in PRICE.items()]


def newest(events: list[Event], topic: str) -> dict[str, Event]:
    """The last event of each key: a key is in one partition."""
    return {event[KEYS[topic]]: event for event in events}


def figures(event: Event) -> Event:
    return {k: v for k, v in event.items() if k not in OF_A_RUN}


def published_is_right(bus: Bus, events_of: Events) -> bool:
    """Whether the newest figures are those of one engine that reads everything, and the firm's their sum."""
    engine = MarginEngine(load(), POLICY)
    engine.process([r for topic in TOPICS_IN_ORDER for r in bus.read_all(topic)], 0)
    calc = newest(events_of(MARGIN_CALC), MARGIN_CALC)
    if set(calc) != set(engine.ledger.account_ids()):
        return False
    expected = {name: engine.account_now(name) for name in calc}
    if any(figures(event) != {k: expected[name][k] for k in figures(event)} for name, event in calc.items()):
        return False
    firm = FirmOfFigures(POLICY)
    firm.update(calc.values())
    rows = newest(events_of(FIRM_RISK), FIRM_RISK)
    return [amounts(rows.get(row["scenario"], {})) for row in firm.events()] == list(
        map(amounts, json.loads(json.dumps(firm.events())))
    )


def amounts(row: Event) -> Event:
    """A row of the firm without the accounts' names: of equal amounts either may stand first."""
    tops = ("top_contributors", "top_exposures")
    return row | {name: [top["amount"] for top in row.get(name, [])] for name in tops}


def table(work: Path, name: str) -> pd.DataFrame:
    return DeltaTable(str(work / "tables" / name)).to_pandas()


def tables_are_right(work: Path, events_of: Events) -> bool:
    """Whether each table ends with what its topic ends with."""
    for name, topic in TABLES.items():
        if not DeltaTable.is_deltatable(str(work / "tables" / name)):
            return False
        key, rows = KEYS[topic], table(work, name)
        last = rows.sort_values("batch_id").drop_duplicates(key, keep="last").set_index(key)
        of_topic = newest(events_of(topic), topic)
        columns = [c for c in last if c != "batch_id"]
        known = last.astype(object).where(last.notna(), None)
        if {k: tuple(known.loc[k, columns]) for k in known.index} != {
            k: tuple(event.get(c) for c in columns) for k, event in of_topic.items()
        }:
            return False
    return True


def rescaled(bus: Bus, work: Path, partitions: int) -> int:
    """The exit code of dividing the shards' state over so many tasks."""
    program = [sys.executable, "-m", "spark.account_shards.rescale", str(partitions)]
    where = ["--checkpoint", str(work / "checkpoints"), "--master", "local[1]", "--bootstrap", bus.bootstrap]
    with (work / "driver.log").open("ab") as log:
        return subprocess.run([*program, *where], stderr=log, check=False).returncode


def test_two_shards_with_totals_volatilities_and_tables_are_right_after_a_kill(
    bus: Bus,
    work: Path,
    start_program: Callable[[list[str]], Any],
    until: Callable[..., Any],
    events_of: Events,
) -> None:
    command = driver_command(bus.bootstrap, work, shards=2)
    driver = start_program(command)
    send(bus, seed(30))
    for step in range(1, 4):
        send(bus, tick(step))
    until(lambda: published_is_right(bus, events_of), "figures and the firm's totals", 300)
    send(bus, tick(4))
    driver.kill()

    send(bus, prices(NEXT_SESSION, 0.9))
    driver = start_program(command)
    until(lambda: published_is_right(bus, events_of), "figures and the totals after a kill", 300)
    until(lambda: len(events_of(VOLATILITY)) == len(PRICE), "volatilities of the session that is over")
    until(lambda: tables_are_right(work, events_of), "the tables", 300)
    beside = start_program([*command, "--only", "firm_exposure"])
    assert beside.process.wait(120) == checkpoint_lock.EXIT_CODE  # two publishers of one topic
    assert rescaled(bus, work, 1) == checkpoint_lock.EXIT_CODE
    assert driver.end_input() == 0

    assert events_of(DEAD_LETTER) == []
    read = [record for topic in (PRICES, CORPORATE_ACTIONS) for record in bus.read_all(topic)]
    one = VolatilityEngine(POLICY).process(read)
    assert newest(events_of(VOLATILITY), VOLATILITY) == newest(one, VOLATILITY)
    ticks = Counter((part["tick"], part["shard"]) for part in events_of(FIRM_PARTIALS))
    assert {shard for _, shard in ticks} == {0, 1}
    # a batch that was repeated after the kill publishes the same events again, and is read as any other
    published = Counter(event["calc_id"] for event in events_of(MARGIN_CALC))
    in_table = Counter(table(work, "margin_snapshots")["calc_id"])
    assert all(published[calc_id] >= n for calc_id, n in in_table.items())

    send(bus, prices(NEXT_SESSION + 30_000, 0.88))
    assert [rescaled(bus, work, partitions) for partitions in (3, 1)] == [1, 0]  # of two shards
    send(bus, prices(NEXT_SESSION + 60_000, 0.85))
    driver = start_program([*command, "--only", "margin_snapshots,firm_exposure"])
    until(lambda: published_is_right(bus, events_of), "figures and the totals of one task", 300)
    assert driver.end_input() == 0
    bodies = {event["calc_id"]: event for event in events_of(MARGIN_CALC)}
    assert all(bodies[event["calc_id"]] == event for event in events_of(MARGIN_CALC))
