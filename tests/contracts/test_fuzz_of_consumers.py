"""A seeded slice of `python -m tests.support.fuzzing`: damaged messages of every topic stop no consumer."""

from __future__ import annotations

import logging

import pytest

from margin_platform.contracts.messages import FIRM_PARTIALS, FIRM_RISK, MARGIN_CALLS, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.firm.limits import START, alerts_of
from margin_platform.policy.policy import current_policy
from spark.account_shards.totals import TotalsOfFirm
from tests.support import fuzzing


def test_damaged_messages_of_every_topic_stop_no_consumer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # each is named in a log line
    taken, finds = fuzzing.fuzz(720, seed=12, at_once=40)
    assert [str(find) for find in finds] == []
    assert min(taken.values()) > 10, taken
    assert len(taken) == 16


@pytest.mark.parametrize("flaw", [{"sums": [10**19]}, {"sums": [[]]}, {"top": {}}, {"shard": "x"}])
def test_sums_that_no_shard_has_stop_no_firm_stream(flaw: Event) -> None:
    (good,) = fuzzing.good_events()[FIRM_PARTIALS]
    firm = TotalsOfFirm(current_policy(), 1, 0)
    events = [good | flaw, good | {"tick": good["tick"] + 1}]
    records = [Record(FIRM_PARTIALS, 0, n, None, encode(event), 0) for n, event in enumerate(events)]
    published = dict(firm.process(records, 0))
    assert len(published[FIRM_RISK]) >= len(current_policy().stress.scenarios)


@pytest.mark.parametrize("rows", [None, 5, "x", [{}], [None], [{"account_id": 5}], [[]]])
def test_a_firm_alert_is_due_also_where_its_accounts_cannot_be_read(rows: object) -> None:
    event = {"scenario": "-0.06", "worst": True, "firm_beta_weighted_exposure": 1e12, "firm_loss": 1e12}
    named = {"top_exposures": rows, "top_contributors": rows, "timestamp": None}
    alerts, _ = alerts_of([event | named], START, current_policy().firm)
    assert [(alert.kind, alert.accounts) for alert in alerts] == [("exposure", ()), ("loss", ())]
    assert all(alert.sentence() for alert in alerts)


def test_a_consumer_that_is_stopped_is_found_with_the_message_that_stops_it() -> None:
    def consume(records: list[Record]) -> None:
        for record in records:
            assert record.value != b"3"

    records = [Record(MARGIN_CALLS, 0, n, None, str(n).encode(), 1) for n in range(9)]
    (find,) = fuzzing._failures("the consumer", consume, records)
    assert (find.consumer, find.record.offset) == ("the consumer", 3)
    assert "AssertionError" in find.where
