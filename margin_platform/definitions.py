"""The code location: a list of what every folder declares."""

from __future__ import annotations

import dagster as dg

from assets import backtest_reports, end_of_day_margin, topic_checks, topics
from assets import streams as stream_assets
from jobs import (
    audit_anchor,
    backtest,
    enforcement,
    firm_alert,
    ladder_timers,
    liquidation,
    notification,
    outbox_relay,
    run_history,
    streams,
    table_maintenance,
)
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.notifier import NotifierResource
from resources.spark_session import BatchSpark
from resources.stream_driver import StreamDriver
from resources.tables import TablesResource
from sensors import enforcement as enforcement_sensor
from sensors import firm_alert as firm_alert_sensor
from sensors import ladder_timers as ladder_timers_sensor
from sensors import liquidation as liquidation_sensor
from sensors import notification as notification_sensor
from sensors import outbox_relay as outbox_relay_sensor
from sensors import run_failures, stream_health

definitions = dg.Definitions(
    assets=[
        *topics.ASSETS,
        *stream_assets.ASSETS,
        *enforcement.ASSETS,
        *liquidation.ASSETS,
        *notification.ASSETS,
        *firm_alert.ASSETS,
        *end_of_day_margin.ASSETS,
        *backtest_reports.ASSETS,
    ],
    asset_checks=[*stream_assets.CHECKS, *topic_checks.CHECKS, *backtest_reports.CHECKS],
    jobs=[
        *streams.JOBS,
        *enforcement.JOBS,
        *ladder_timers.JOBS,
        *liquidation.JOBS,
        *notification.JOBS,
        *outbox_relay.JOBS,
        *firm_alert.JOBS,
        *audit_anchor.JOBS,
        *table_maintenance.JOBS,
        *run_history.JOBS,
        *backtest.JOBS,
    ],
    schedules=[
        *streams.SCHEDULES,
        *table_maintenance.SCHEDULES,
        *run_history.SCHEDULES,
        *backtest.SCHEDULES,
        *audit_anchor.SCHEDULES,
    ],
    sensors=[
        *stream_health.SENSORS,
        *enforcement_sensor.SENSORS,
        *ladder_timers_sensor.SENSORS,
        *liquidation_sensor.SENSORS,
        *notification_sensor.SENSORS,
        *outbox_relay_sensor.SENSORS,
        *firm_alert_sensor.SENSORS,
        *run_failures.SENSORS,
    ],
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
