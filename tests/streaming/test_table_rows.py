"""What the tables' query does with its records: the newest row of each key, appended once."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, encode
from spark.tables import rows
from spark.tables.append import Target, append
from spark.tables.schemas import TABLES

CALC = next(table for table in TABLES if table.topic == MARGIN_CALC)
FIRM = next(table for table in TABLES if table.topic == FIRM_RISK)


def figure(account: str, equity: float) -> bytes:
    return encode(
        {"account_id": account, "equity": equity, "legs": [{"symbol": "AAPL"}], "calc_timestamp": 7}
    )


@pytest.mark.parametrize(
    "bad", [b"", None, b"no JSON", b"[1]", b'{"equity": 1.0}', b'{"account_id": 3}', b"{"]
)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_record_that_is_no_event_costs_no_other_its_row(bad: bytes | None, at: int) -> None:
    texts = [figure("A", 1.5), figure("B", 2.5), figure("A", 3.5), figure("C", 4.5)]
    texts.insert(at, bad)
    found = rows.newest(CALC, [rows.events(CALC, pa.array(texts, pa.binary()))])
    equity = zip(found["account_id"].to_pylist(), found["equity"].to_pylist(), strict=True)
    assert dict(equity) == {"A": 3.5, "B": 2.5, "C": 4.5}
    assert rows.BATCH not in found.column_names
    assert found["stale"].to_pylist() == [None] * 3


def test_the_newest_of_a_key_may_stand_in_a_later_piece() -> None:
    pieces = [pa.array([figure("A", 1.0), figure("B", 2.0)]), pa.array([figure("A", 3.0)])]
    found = rows.newest(CALC, [rows.events(CALC, texts) for texts in pieces])
    assert sorted(zip(found["account_id"].to_pylist(), found["equity"].to_pylist(), strict=True)) == [
        ("A", 3.0),
        ("B", 2.0),
    ]


def batch(topic: str, *texts: bytes) -> pa.RecordBatch:
    return pa.record_batch({"topic": [topic] * len(texts), "value": pa.array(texts, pa.binary())})


def test_each_table_gets_the_records_of_its_topic(tmp_path: Path) -> None:
    targets = [Target(table, str(tmp_path / table.name), 0, {}) for table in (CALC, FIRM)]
    loss = encode({"scenario": "-6%", "firm_loss": 9.0})
    records = [batch(MARGIN_CALC, figure("A", 1.0)), batch(FIRM_RISK, loss), batch("other.v1", loss)]
    (told,) = append(targets, "q", 0, records)
    assert told.to_pylist() == [{"table": CALC.name, "rows": 1}, {"table": FIRM.name, "rows": 1}]
    assert [len(DeltaTable(target.uri).to_pyarrow_table()) for target in targets] == [1, 1]


def test_a_batch_that_two_do_at_once_is_there_once(tmp_path: Path) -> None:
    """A driver that was given up, and the one in its place."""
    target = Target(CALC, str(tmp_path / CALC.name), 0, {})
    target.append(rows.newest(CALC, [rows.events(CALC, pa.array([figure("A", 0.0)]))]), "q", 0)
    for number in range(1, 9):
        found = rows.newest(CALC, [rows.events(CALC, pa.array([figure("A", float(number))]))])
        both = threading.Barrier(2)

        def again(found: pa.Table = found, number: int = number, both: threading.Barrier = both) -> None:
            both.wait()
            with contextlib.suppress(CommitFailedError):
                target.append(found, "q", number)

        threads = [threading.Thread(target=again) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    there = DeltaTable(target.uri).to_pyarrow_table()
    assert sorted(there["batch_id"].to_pylist()) == [*range(9)]
