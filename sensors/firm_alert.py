"""firm.risk.v1: a run only where a level of the firm's limits changes,
so that a sweep a second does not make a run a second.
"""

import json
from collections.abc import Mapping, Sequence

import dagster as dg

from jobs.firm_alert import firm_alert_job
from margin_platform.contracts.messages import FIRM_RISK
from margin_platform.contracts.offsets import Record, Span
from margin_platform.firm.limits import Levels, alerts_of
from margin_platform.policy.policy import current_policy
from margin_platform.policy.sections import FirmPolicy
from margin_platform.store.undecided import decoded
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors.topic_ticks import earlier_runs, topic_undone
from sensors.topic_ticks.topic_cursor import Cursor
from sensors.topic_ticks.topic_sensor import EVENTS_PER_RUN, WantedRun


def state_of(cursor: str | None) -> tuple[Cursor, Levels]:
    """Read positions and levels from a cursor's text."""
    state = json.loads(cursor or "{}")
    return Cursor.read(json.dumps(state.get("offsets", {}))), dict(state.get("levels", {}))


def text_of(cursor: Cursor, levels: Mapping[str, str]) -> str:
    return json.dumps({"offsets": json.loads(cursor.written()), "levels": dict(levels)}, sort_keys=True)


def changes(
    records: Sequence[Record], levels: Levels, policy: FirmPolicy, topic_id: str | None = None
) -> tuple[WantedRun | None, Levels]:
    """Return the run to start if a level changes within the records (its accounts: those that cause it), and
    the levels after them.
    """
    alerts, after = alerts_of((event for _, event in decoded(records)[0]), levels, policy)
    if not alerts:
        return None, after
    accounts = tuple(dict.fromkeys(a for alert in alerts for a in alert.accounts))
    return WantedRun(
        Span(FIRM_RISK, records[0].partition, records[0].offset, records[-1].offset + 1, topic_id), accounts
    ), after


@dg.sensor(
    job=firm_alert_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="firm.risk.v1: a run where a level of the firm's limits changes, and for no other event.",
)
def firm_alert(context: dg.SensorEvaluationContext, kafka: KafkaResource) -> dg.SensorResult | dg.SkipReason:
    """Fold the levels over the new events of the topic's one partition."""
    cursor, levels = state_of(context.cursor)
    try:
        with kafka.bus() as bus:
            cursor = cursor.opened(bus, FIRM_RISK)
            if undone := _undone(context.instance, cursor.topic_id):
                return dg.SensorResult(run_requests=undone, cursor=context.cursor)
            records = bus.poll(FIRM_RISK, dict(cursor.positions), kafka.poll_seconds, EVENTS_PER_RUN)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    run, after = (
        changes(records, levels, current_policy().firm, cursor.topic_id) if records else (None, levels)
    )
    text = text_of(cursor.after(records), after)
    if run is None:
        return dg.SensorResult(skip_reason=f"no level changed among {len(records)} events", cursor=text)
    config: dict[str, object] = {**run.config, "levels": levels}
    request = dg.RunRequest(
        run_key=run.run_key, run_config={"ops": {"alert": {"config": config}}}, tags=run.tags
    )
    return dg.SensorResult(run_requests=[request], cursor=text)


def _undone(instance: dg.DagsterInstance, topic_id: str | None) -> list[dg.RunRequest]:
    """Alerts of runs that failed for good, while no run of the job works."""
    job = firm_alert_job.name
    if earlier_runs.working(instance, job) is not None:
        return []
    succeeded = topic_undone.by_runs(instance, job)
    return topic_undone.requests(instance, job, FIRM_RISK, topic_id, succeeded, each=True)


SENSORS = [firm_alert]
