"""The code location: a list of what every folder declares. Loading it opens nothing and needs no variable of the environment."""

from __future__ import annotations

import dagster as dg

from assets import end_of_day_margin, topics
from assets import streams as stream_assets
from jobs import firm_alert, streams, table_maintenance
from resources.aws import AwsResource
from resources.kafka import KafkaResource
from resources.spark_session import BatchSpark
from resources.stream_driver import StreamDriver
from resources.tables import TablesResource
from sensors import firm_alert as firm_alert_sensor
from sensors import run_failures, stream_health

definitions = dg.Definitions(
    assets=[*topics.ASSETS, *stream_assets.ASSETS, *end_of_day_margin.ASSETS],
    asset_checks=[*stream_assets.CHECKS],
    jobs=[*streams.JOBS, *firm_alert.JOBS, *table_maintenance.JOBS],
    schedules=[*streams.SCHEDULES, *table_maintenance.SCHEDULES],
    sensors=[*stream_health.SENSORS, *firm_alert_sensor.SENSORS, *run_failures.SENSORS],
    resources={
        "aws": AwsResource(),
        "batch_spark": BatchSpark(),
        "kafka": KafkaResource(),
        "stream_driver": StreamDriver(),
        "tables": TablesResource(),
    },
)
