"""The audit trail against its copies elsewhere: audit.v1 of a broker, and the anchors in an S3 bucket."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from margin_platform.cli.broker import address_of
from margin_platform.cli.output import failed
from margin_platform.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from margin_platform.audit.findings import Finding
    from margin_platform.audit.records import Records
    from margin_platform.kafka.bus import Bus
    from margin_platform.store.store import Store


def published_findings(opened: Store, found: Records, bootstrap: str, account: str | None) -> list[Finding]:
    """Return where audit.v1 of a broker differs."""
    from margin_platform.recordkeeping import published

    with _bus(bootstrap) as bus, opened.read() as connection:
        waiting = published.pending(connection)  # first: what is sent meanwhile is then on the topic
        return list(published.check(found, published.read(bus), waiting, account))


@contextmanager
def _bus(bootstrap: str) -> Iterator[Bus]:
    from margin_platform.kafka.bus import BrokerUnreachable, Bus

    try:
        with Bus(address_of(bootstrap)) as bus:
            yield bus
    except (BrokerUnreachable, LookupError, TimeoutError) as error:
        raise failed(error) from error


def archived_findings(found: Records, bucket: str) -> list[Finding]:
    """Return where the anchors of an S3 bucket differ."""
    from margin_platform.audit import comparison
    from margin_platform.recordkeeping import archive

    with _s3() as client:
        try:
            return list(comparison.anchors_of(found, archive.anchors_in(client, bucket), f"s3://{bucket}"))
        except archive.ForeignObject as error:
            raise failed(error) from error


@contextmanager
def _s3() -> Iterator[Any]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    aws = settings().aws
    try:
        yield boto3.client("s3", endpoint_url=aws.s3, region_name=aws.region)
    except (BotoCoreError, ClientError) as error:
        raise failed(f"the archive of anchors: {error}") from error
