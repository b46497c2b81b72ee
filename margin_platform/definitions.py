"""The code location: a list of what every folder declares. Loading it opens nothing and needs no variable of the environment."""

from __future__ import annotations

import dagster as dg

from assets import streams as stream_assets
from assets import topics
from jobs import streams
from resources.kafka import KafkaResource
from resources.stream_driver import StreamDriver
from resources.tables import TablesResource
from sensors import stream_health

definitions = dg.Definitions(
    assets=[*topics.ASSETS, *stream_assets.ASSETS],
    asset_checks=[*stream_assets.CHECKS],
    jobs=[*streams.JOBS],
    schedules=[*streams.SCHEDULES],
    sensors=[*stream_health.SENSORS],
    resources={"kafka": KafkaResource(), "tables": TablesResource(), "stream_driver": StreamDriver()},
)
