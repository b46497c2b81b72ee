"""Signs the state of all audit chains at the end of each New York day, publishes it, archives it where a
bucket is set, and compares the store with itself and with audit.v1.
"""

import datetime as dt
import time

import dagster as dg
from pydantic import Field

from jobs.span_runs.topic_span import RETRIES
from margin_platform.audit import signing
from margin_platform.audit.verification import verify
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import Policy
from margin_platform.recordkeeping import acts, anchoring, archive, policies, published
from margin_platform.settings import settings
from margin_platform.store import audit_chain
from margin_platform.store.outbox import publish
from margin_platform.store.store import Store
from margin_platform.trading_time.new_york import NEW_YORK
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource

_SHOWN = 5  # findings in the text of a failed run


class AnchorConfig(dg.Config):
    """The day to close. It is config, so that the run repeated closes the same day."""

    day: str = Field(
        default="",
        pattern=r"^(\d{4}-\d\d-\d\d)?$",
        description="the New York day that ends, YYYY-MM-DD; empty takes the last day that has ended",
    )


def ended_before(now: dt.datetime) -> dt.date:
    """Return the last New York day that had ended at a moment."""
    return now.astimezone(NEW_YORK).date() - dt.timedelta(days=1)


@dg.op
def anchor_day(
    context: dg.OpExecutionContext,
    config: AnchorConfig,
    kafka: KafkaResource,
    decisions: DecisionsResource,
    aws: AwsResource,
) -> None:
    """Anchor the day where that is not done yet, publish and archive it, and verify everything."""
    here = settings()
    day = dt.date.fromisoformat(config.day) if config.day else ended_before(dt.datetime.now(dt.UTC))
    with decisions.store() as store:
        key = signing.load(here.audit_key)
        with store.write() as connection:
            acts.record_policy(connection, decisions.policy.version)
        made = anchoring.anchor(store, key, day=day, at_ms=time.time_ns() // 1_000_000, by=anchoring.SCHEDULE)
        said = "anchored already" if made is None else f"anchor {made.number}, root {made.statement['root']}"
        context.log.info(f"{day}: {said}")
        if here.audit.bucket:
            placed = archive.put_missing(
                store, aws.s3(), here.audit.bucket, decisions.policy.records.retention_years
            )
            context.log.info(f"{len(placed)} anchors archived in {here.audit.bucket}")
        with kafka.bus() as bus:
            publish(store, bus)
            _verify(store, bus, signing.public_text(key))
        _check_policy(store, decisions.policy)


def _verify(store: Store, bus: Bus, public_key: str) -> None:
    """Fail the run, which `run_failures` reports, where a record does not hold by itself or against audit.v1.

    A foreign message on audit.v1 stays there for good, so it is named by one night's run. Source: SEC
    17a-4(f)(2)(ii).
    """
    with store.read() as connection:
        found = audit_chain.records(connection)
        waiting = published.pending(connection)  # read before the topic: what is sent meanwhile is on it
    broken = verify(found, trusted=[public_key])
    night_before = found.anchors[-2].statement["at_ms"] if len(found.anchors) > 1 else 0
    broken += published.check(found, published.read(bus, foreign_since=night_before), waiting)
    if broken:
        places = "; ".join(
            f"{place.account_id} {place.kind} at {place.number}: {place.reason}" for place in broken[:_SHOWN]
        )
        raise dg.Failure(
            f"{len(broken)} records do not hold, see `margin audit verify --bootstrap`: {places}"
        )


def _check_policy(store: Store, policy: Policy) -> None:
    """Fail the run where a person activated policies, and not the one in force."""
    with store.read() as connection:
        refused = policies.refusal(connection, policy)
    if refused:
        raise dg.Failure(f"{refused}; see `margin policy`")


@dg.job(name="audit_anchor", executor_def=dg.in_process_executor, tags=RETRIES)
def audit_anchor_job() -> None:
    """Anchor all audit chains of a day, publish the signed anchor on audit.v1, and archive it to S3 where a
    bucket is set."""
    anchor_day()


@dg.schedule(
    job=audit_anchor_job,
    cron_schedule="5 0 * * *",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At 00:05, New York: signs the state of all audit chains at the end of the day before.",
)
def audit_anchor_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request a run for the day that ended five minutes before. One run a day: its key is the day."""
    day = ended_before(context.scheduled_execution_time).isoformat()
    return dg.RunRequest(run_key=day, run_config={"ops": {"anchor_day": {"config": {"day": day}}}})


JOBS = [audit_anchor_job]
SCHEDULES = [audit_anchor_schedule]
