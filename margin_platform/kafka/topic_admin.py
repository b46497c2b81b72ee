"""The topics of the contract on a cluster: created as `messages.TOPICS` declares, and emptied for a test."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError

from margin_platform.contracts.messages import TOPICS, Topic
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka_security import KafkaSecurity

_DAY_MS = 86_400_000
_WAIT_MS = 30_000
_RETENTION = "retention.ms"
log = logging.getLogger(__name__)


def configuration(topic: Topic) -> dict[str, str]:
    """Return Kafka's settings of a topic: it is kept for its days or forever, and never compacted.

    The broker stamps each record with its own clock: a producer whose clock is fast is caught now and on
    every later reading.
    """
    kept = -1 if topic.retention_days is None else topic.retention_days * _DAY_MS
    return {"cleanup.policy": "delete", _RETENTION: str(kept), "message.timestamp.type": "LogAppendTime"}


def create(
    bootstrap: str, names: Iterable[str] = TOPICS, *, replicas: int = 1, security: KafkaSecurity | None = None
) -> list[str]:
    """Create the topics that are not there yet and return their names.

    One that exists keeps its data and gets today's settings. security: how to log in, by default not at all.
    """
    with _Admin(bootstrap, security) as admin:
        existing = set(admin.list_topics())
        absent = [TOPICS[name] for name in names if name not in existing]
        _create(admin, absent, replicas)
        _keep_settings(admin, [TOPICS[name] for name in names if name in existing])
        return [topic.name for topic in absent]


def _keep_settings(admin: KafkaAdminClient, topics: list[Topic]) -> None:
    """Bring topics of an earlier version up to date:
    state topics were compacted, and producers stamped their own records.

    How long records are kept is left as an operator has set it.
    """
    wanted = [
        (topic.name, {key: value for key, value in configuration(topic).items() if key != _RETENTION})
        for topic in topics
    ]
    if wanted:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, settings) for name, settings in wanted]
        )


def recreate(bootstrap: str, names: Iterable[str] = TOPICS) -> None:
    """Empty topics by deleting and creating those that hold records: for tests, which own their broker.

    Offsets start at 0 again.
    """
    wanted = list(names)
    with _Admin(bootstrap) as admin:
        known = set(admin.list_topics())
        used = _used(admin, [name for name in wanted if name in known])
        if used:
            admin.delete_topics(sorted(used), timeout_ms=_WAIT_MS)
            _wait_until_gone(admin, used)
        _create(admin, [TOPICS[name] for name in wanted if name not in known or name in used])


def _used(admin: KafkaAdminClient, names: list[str]) -> set[str]:
    """Return the topics to which something was written, kept or not."""
    partitions = [TopicPartition(name, number) for name in names for number in range(TOPICS[name].partitions)]
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST)) if partitions else {}
    return {partition.topic for partition, end in ends.items() if end.offset > 0}


def _wait_until_gone(admin: KafkaAdminClient, names: set[str]) -> None:
    """Wait until the broker no longer answers for a deleted topic: one created meanwhile would be taken for
    the old one.
    """
    deadline = time.monotonic() + _WAIT_MS / 1000
    while left := names & set(admin.list_topics()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"topics were deleted and are still listed: {', '.join(sorted(left))}")
        time.sleep(0.02)


def _create(admin: KafkaAdminClient, topics: list[Topic], replicas: int = 1) -> None:
    new = [
        NewTopic(
            t.name, num_partitions=t.partitions, replication_factor=replicas, topic_configs=configuration(t)
        )
        for t in topics
    ]
    if not new:
        return
    try:
        admin.create_topics(new, timeout_ms=_WAIT_MS, wait_for_metadata=True)
    except TopicAlreadyExistsError:  # another process created them in between
        log.info("topics exist already")


class _Admin:
    """An admin connection for one piece of work; BrokerUnreachable where none can be opened."""

    def __init__(self, bootstrap: str, security: KafkaSecurity | None = None) -> None:
        self._bootstrap, self._security = bootstrap, security or KafkaSecurity()

    def __enter__(self) -> KafkaAdminClient:
        try:
            self._client = KafkaAdminClient(
                bootstrap_servers=self._bootstrap,
                bootstrap_timeout_ms=10_000,
                **self._security.kafka_python(),
            )
        except KafkaError as error:
            raise BrokerUnreachable(self._bootstrap) from error
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()
