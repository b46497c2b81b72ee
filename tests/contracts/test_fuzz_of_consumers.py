"""A seeded slice of `python -m tests.support.fuzzing`: damaged messages of every topic stop no consumer."""

from __future__ import annotations

import logging

import pytest

from margin_platform.contracts.messages import MARGIN_CALC, MARGIN_CALLS, BadEvent
from margin_platform.contracts.offsets import Record
from margin_platform.firm.engine import FirmEngine
from margin_platform.firm.limits import START, alerts_of
from margin_platform.policy.policy import current_policy
from tests.support import fuzzing


def test_damaged_messages_of_every_topic_stop_no_consumer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # each is named in a log line
    taken, finds = fuzzing.fuzz(720, seed=12, at_once=40)
    assert [str(find) for find in finds] == []
    assert min(taken.values()) > 10, taken
    assert len(taken) == 16


@pytest.mark.parametrize("name", ["beta_weighted_exposure", "total_mv", "stress_pnl", "stress_calls"])
def test_figures_that_no_account_has_stop_the_firm_stream_by_name_and_not_its_sums(name: str) -> None:
    """Two of 1e308 dollars, or of 1e19 calls, were a sum that cannot be published."""
    good = next(event for event in fuzzing.good_events()[MARGIN_CALC] if event.get("stress_calls"))
    firm = FirmEngine(current_policy())
    assert firm.update([good]) == 1
    huge = [1e19] * len(good[name]) if isinstance(good[name], list) else 1e19
    with pytest.raises(BadEvent) as refused:
        firm.update([good | {"account_id": "B", name: huge}])
    assert refused.value.field == name
    assert {event["num_accounts"] for event in firm.events()} == {1}


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
