"""The code location: a list of what every folder declares."""

from __future__ import annotations

import dagster as dg

import assets.streams
import jobs.backtest
import jobs.enforcement
import jobs.firm_alert
import jobs.ladder_timers
import jobs.liquidation
import jobs.notification
import jobs.outbox_relay
import jobs.streams
import sensors.end_of_day_margin
import sensors.enforcement
import sensors.firm_alert
import sensors.ladder_timers
import sensors.liquidation
import sensors.notification
import sensors.outbox_relay
from assets import backtest_reports, end_of_day_margin, topic_checks, topics
from jobs import audit_anchor, run_history, table_maintenance
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.notifier import NotifierResource
from resources.spark_session import BatchSpark
from resources.stream_driver import StreamDriver
from resources.tables import TablesResource
from sensors import run_failures, stream_health

_ASSETS = (topics, assets.streams, topic_checks, end_of_day_margin, backtest_reports)
_JOBS = (
    jobs.streams,
    jobs.enforcement,
    jobs.ladder_timers,
    jobs.liquidation,
    jobs.notification,
    jobs.outbox_relay,
    jobs.firm_alert,
    audit_anchor,
    table_maintenance,
    run_history,
    jobs.backtest,
)
_SENSORS = (
    stream_health,
    sensors.enforcement,
    sensors.ladder_timers,
    sensors.liquidation,
    sensors.notification,
    sensors.outbox_relay,
    sensors.firm_alert,
    run_failures,
    sensors.end_of_day_margin,
)


definitions = dg.Definitions(
    # a topic of decisions is the asset of the job that writes it
    assets=[one for part in (*_ASSETS, *_JOBS) for one in getattr(part, "ASSETS", ())],
    asset_checks=[one for part in _ASSETS for one in getattr(part, "CHECKS", ())],
    jobs=[one for part in _JOBS for one in part.JOBS],
    schedules=[one for part in _JOBS for one in getattr(part, "SCHEDULES", ())],
    sensors=[one for part in _SENSORS for one in part.SENSORS],
    resources={
        "aws": AwsResource(),
        "batch_spark": BatchSpark(),
        "decisions": DecisionsResource(),
        "kafka": KafkaResource(stay_seconds=10.0),
        "notifier": NotifierResource(aws=AwsResource()),
        "stream_driver": StreamDriver(),
        "tables": TablesResource(),
    },
)
