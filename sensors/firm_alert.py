"""firm.risk.v1: a run only where a level of the firm's limits changes, so that a sweep a second does not make a run a second."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from jobs.firm_alert import firm_alert_job
from jobs.topic_span import decoded
from margin_platform.bus import Record
from margin_platform.events import FIRM_RISK
from margin_platform.firm_limits import Levels, alerts_of
from margin_platform.policy import current_policy
from margin_platform.policy_sections import FirmPolicy
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors.topic_events import EVENTS_PER_RUN, Span, next_positions, read, start_positions, written


def state_of(cursor: str | None) -> tuple[dict[int, int], Levels]:
    """Positions and levels in a cursor's text."""
    state = json.loads(cursor or "{}")
    return read(json.dumps(state.get("offsets", {}))), dict(state.get("levels", {}))


def text_of(positions: Mapping[int, int], levels: Mapping[str, str]) -> str:
    return json.dumps({"offsets": json.loads(written(positions)), "levels": dict(levels)}, sort_keys=True)


def changes(records: Sequence[Record], levels: Levels, policy: FirmPolicy) -> tuple[Span | None, Levels]:
    """The span to work on if a level changes within it (its accounts: those that cause it), and the levels after it."""
    alerts, after = alerts_of((event for _, event in decoded(records).events), levels, policy)
    if not alerts:
        return None, after
    accounts = tuple(dict.fromkeys(a for alert in alerts for a in alert.accounts))
    return Span(FIRM_RISK, records[0].partition, records[0].offset, records[-1].offset + 1, accounts), after


@dg.sensor(job=firm_alert_job, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def firm_alert(context: dg.SensorEvaluationContext, kafka: KafkaResource) -> dg.SensorResult | dg.SkipReason:
    """Folds the levels over the new events of the topic's one partition."""
    positions, levels = state_of(context.cursor)
    try:
        with kafka.bus() as bus:
            positions = start_positions(bus, FIRM_RISK, positions)
            records = bus.poll(FIRM_RISK, positions, kafka.poll_seconds, EVENTS_PER_RUN)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    span, after = changes(records, levels, current_policy().firm) if records else (None, levels)
    cursor = text_of(next_positions(positions, records), after)
    if span is None:
        return dg.SensorResult(skip_reason=f"no level changed among {len(records)} events", cursor=cursor)
    config: dict[str, Any] = {**span.config, "levels": levels}
    request = dg.RunRequest(run_key=span.run_key, run_config={"ops": {"alert": {"config": config}}}, tags=span.tags)
    return dg.SensorResult(run_requests=[request], cursor=cursor)


SENSORS = [firm_alert]
