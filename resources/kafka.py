"""The Kafka cluster as a Dagster resource.

Nothing connects before it is used, so the code location loads without a broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.settings import settings

# no broker, no such topic yet, a broker that stopped answering
UNAVAILABLE = (BrokerUnreachable, LookupError, TimeoutError)


class KafkaResource(dg.ConfigurableResource):
    """Where the brokers are, and how long a sensor or a run waits for events."""

    bootstrap_servers: str = Field(default="", description="host:port,...; empty takes MARGIN_KAFKA")
    poll_seconds: float = Field(
        default=40.0, ge=0, le=50, description="a sensor tick is cut off by its caller after 60 s"
    )
    connect_seconds: float = Field(
        default=5.0, gt=0, description="how long to wait for a broker before it counts as unreachable"
    )
    stay_seconds: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="how long a run that has worked on its events waits for more, before it ends",
    )

    @property
    def address(self) -> str:
        return self.bootstrap_servers or settings().kafka.bootstrap_servers

    @contextmanager
    def bus(self) -> Iterator[Bus]:
        """Yield a bus that is closed at the end. BrokerUnreachable comes from its first use."""
        with Bus(self.address, connect_seconds=self.connect_seconds) as bus:
            yield bus
