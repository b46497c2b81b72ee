"""Spans whose run failed for good: asked for again until they are decided, after a minute, then less often.

Dagster repeats a run three times, and an outage may last longer. What it left undecided must not wait for the
next event of its partition.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable

import dagster as dg
from sqlalchemy.exc import OperationalError

from margin_platform.contracts.offsets import Span
from margin_platform.orchestration.run_tags import SPAN_TAG, TOPIC_TAG
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from resources.decisions import NOTHING_DECIDED, DecisionsResource

IsDecided = Callable[[Span], bool]
AGAIN_AFTER = dt.timedelta(minutes=1)
_ENDED_WITHOUT = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_RUNS_OF_A_REQUEST = 4  # the run and its three repetitions
_LOOKED_AT = 20  # newest failed runs of a topic


def by_progress(decisions: DecisionsResource, consumer: Consumer) -> IsDecided:
    """Return whether the store's progress of a consumer has passed a span.

    A store that does not answer says that it has: a run would fail on it too.
    """

    def is_decided(span: Span) -> bool:
        try:
            with decisions.reader() as store, store.read() as connection:
                known = progress.of(connection, consumer, span.topic, span.partition)
        except NOTHING_DECIDED:
            return False
        except OperationalError:
            return True
        return known is not None and known.next_offset >= span.end

    return is_decided


def by_runs(instance: dg.DagsterInstance, job: str) -> IsDecided:
    """Return whether a run of the job over a span succeeded: for a job without progress in the store."""

    def is_decided(span: Span) -> bool:
        before = {TOPIC_TAG: span.topic, "kafka/partition": str(span.partition)}
        before["kafka/offsets"] = f"{span.start}-{span.end}"  # as runs were tagged up to 0.1.0
        return any(
            instance.get_runs(
                dg.RunsFilter(job_name=job, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
            )
            for tags in ({SPAN_TAG: str(span)}, before)
        )

    return is_decided


def requests(
    instance: dg.DagsterInstance,
    job: str,
    topic: str,
    topic_id: str | None,
    is_decided: IsDecided,
    *,
    each: bool = False,
) -> list[dg.RunRequest]:
    """Return a request for each partition whose newest failed run left events undecided.

    each: for every such span, where a later one does not decide those before it. A request repeats the failed
    run's config and tags. None is made for a topic of the same name that was deleted.
    """
    now = dt.datetime.now(dt.UTC)
    failed = dg.RunsFilter(job_name=job, tags={TOPIC_TAG: topic}, statuses=_ENDED_WITHOUT)
    newest: dict[Span | int, tuple[Span, dg.RunRecord]] = {}
    tries: Counter[Span] = Counter()
    for record in instance.get_run_records(failed, limit=_LOOKED_AT):
        span = _span_of(record.dagster_run)
        if span is not None and span.topic_id in (None, topic_id):
            tries[span] += 1
            newest.setdefault(span if each else span.partition, (span, record))
    return [
        _again(record.dagster_run, span)
        for span, record in newest.values()
        if now - record.update_timestamp.replace(tzinfo=dt.UTC) >= _pause(tries[span])
        and not is_decided(span)
    ]


def _pause(tries: int) -> dt.timedelta:
    """Wait a minute after the first run and its repetitions, twice as long after each further four."""
    return AGAIN_AFTER * (1 << max(0, tries // _RUNS_OF_A_REQUEST - 1))


def _span_of(run: dg.DagsterRun) -> Span | None:
    """Return the span of a run's config; None for a run that a person launched without one."""
    ops = run.run_config.get("ops")
    for op in ops.values() if isinstance(ops, dict) else ():
        config = op.get("config", {})
        if {"topic", "partition", "start"} <= config.keys() and isinstance(config.get("end"), int):
            return Span(
                config["topic"], config["partition"], config["start"], config["end"], config.get("topic_id")
            )
    return None


def _again(run: dg.DagsterRun, span: Span) -> dg.RunRequest:
    tags = {name: value for name, value in run.tags.items() if name.startswith(("kafka/", "margin/account"))}
    key = f"{span.topic}@{span.topic_id}:{span.partition}:{span.start}-{span.end}:after-{run.run_id}"
    return dg.RunRequest(run_key=key, run_config=dict(run.run_config), tags=tags)
