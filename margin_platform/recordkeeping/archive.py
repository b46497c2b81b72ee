"""The archive: each anchor as an object that S3 lets no one change or delete before its time (Object Lock,
compliance mode).

The bucket is made with Object Lock by its owner. An object's name follows from the anchor, so that putting it
twice adds a version and changes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import select, update

from margin_platform.audit.anchors import Anchor, document_of, from_document
from margin_platform.audit.entries import canonical
from margin_platform.store.audit_chain import anchor_of
from margin_platform.store.store import Store
from margin_platform.store.tables import audit_anchors

_PREFIX = "audit/anchor-"


class ForeignObject(ValueError):
    """An object of the archive that is no anchor; the message names it."""


def put_missing(store: Store, s3: Any, bucket: str, years: int) -> list[str]:
    """Put each anchor that the bucket does not hold as it is; return the objects. s3: a boto3 client;
    years: kept from the anchor's time.

    The store's word that an anchor is archived is not enough: an object may have been lost or covered by
    another version, and the column written by hand.
    """
    with store.read() as connection:
        rows = connection.execute(select(audit_anchors).order_by(audit_anchors.c.number)).all()
    etags = _etags(s3, bucket)

    def read(name: str) -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content

    placed = []
    for row in rows:
        name, body = _object_of(anchor_of(row))
        if row.archived is not None and _is_there(name, body, etags, read):
            continue
        place = _put(s3, bucket, name, body, _kept_until(anchor_of(row), years))
        with store.write() as connection:
            mark = update(audit_anchors).where(audit_anchors.c.number == row.number).values(archived=place)
            connection.execute(mark)
        placed.append(place)
    return placed


def _object_of(anchor: Anchor) -> tuple[str, bytes]:
    """Return the name and the content of an anchor's object."""
    return f"{_PREFIX}{anchor.number:08d}-{anchor.hash[:16]}.json", canonical(document_of(anchor))


def _etags(s3: Any, bucket: str) -> dict[str, str]:
    """Return the ETag of the newest version of each object; a deleted one has none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_PREFIX)
    return {found["Key"]: found["ETag"].strip('"') for page in pages for found in page.get("Contents", ())}


def _is_there(name: str, body: bytes, etags: Mapping[str, str], read: Callable[[str], bytes]) -> bool:
    """Return whether an object's newest version has this content.

    read: returns an object's content by name. The ETag is the content's MD5, except under a KMS key: then the
    content itself is read.
    """
    if name not in etags:
        return False
    if etags[name] == hashlib.md5(body, usedforsecurity=False).hexdigest():
        return True
    return read(name) == body


def _put(s3: Any, bucket: str, name: str, body: bytes, kept_until: dt.datetime) -> str:
    s3.put_object(
        Bucket=bucket,
        Key=name,
        Body=body,
        ContentType="application/json",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=kept_until,
    )
    return f"s3://{bucket}/{name}"


def _kept_until(anchor: Anchor, years: int) -> dt.datetime:
    made = dt.datetime.fromtimestamp(anchor.statement["at_ms"] // 1000, dt.UTC)
    return _years_later(made, years)


def _years_later(at: dt.datetime, years: int) -> dt.datetime:
    """Return the same day of a later year; of February 29, the day after."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, month=3, day=1)


def anchors_in(s3: Any, bucket: str) -> Iterator[Anchor]:
    """Yield every anchor of the archive, all versions of each object:
    a forged one does not hide the first. ForeignObject where one is no anchor.
    """
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=_PREFIX)
    for page in pages:
        for version in page.get("Versions", ()):
            body = s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])[
                "Body"
            ].read()
            try:
                yield from_document(orjson.loads(body))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                named = f"s3://{bucket}/{version['Key']}, version {version['VersionId']}"
                raise ForeignObject(f"{named}: not an anchor") from error
