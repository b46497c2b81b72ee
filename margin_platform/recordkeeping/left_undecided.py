"""Events that retention deleted before they were decided: a person leaves them, and that is recorded."""

from __future__ import annotations

from sqlalchemy import Connection

from margin_platform.contracts.offsets import Span
from margin_platform.recordkeeping import acts
from margin_platform.store import progress


def leave_undecided(
    connection: Connection,
    consumer: str,
    topic: str,
    partition: int,
    next_offset: int,
    *,
    who: str,
    at: int | None = None,
) -> Span:
    """Move a consumer to an offset, and record the act; return what stays undecided.

    Nothing else moves a consumer past undecided events. ValueError as `progress.skip` has it. at: epoch
    milliseconds, None for now.
    """
    left = progress.skip(connection, consumer, topic, partition, next_offset)
    acts.record(connection, "PROGRESS_SKIPPED", who=who, what=f"{consumer} leaves {left} undecided", at=at)
    return left
