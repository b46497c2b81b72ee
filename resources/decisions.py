"""The decision store as a Dagster resource, and the policy decisions follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from margin_platform.policy.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.store import progress
from margin_platform.store.progress import Progress
from margin_platform.store.store import Store, StoreMissing, StoreOutdated

# the store is not created yet, or not migrated since the upgrade
NOTHING_DECIDED = (StoreMissing, StoreOutdated)


class DecisionsResource(dg.ConfigurableResource):
    """Where decisions are kept: a SQLAlchemy URL, SQLite or Postgres."""

    store_url: str = Field(default="", description="empty takes MARGIN_STORE")

    @property
    def policy(self) -> Policy:
        return current_policy()

    @property
    def url(self) -> str:
        return self.store_url or settings().store_url

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the store for a run, as it is; close it at the end.

        StoreMissing or StoreOutdated where `margin migrate` is due: a run changes no schema.
        """
        with Store(self.url, migrate=False) as store:
            yield store

    def decided(self, consumer: str, topic: str) -> list[Progress]:
        """Return how far a consumer is in a topic, by partition; nothing before the first decision."""
        try:
            with self.reader() as store, store.read() as connection:
                known = progress.everything(connection)
        except NOTHING_DECIDED:
            return []
        return [one for one in known if (one.consumer, one.topic) == (consumer, topic)]

    @contextmanager
    def reader(self) -> Iterator[Store]:
        """Open the store for a sensor, which changes nothing. StoreMissing before the first decision."""
        with Store(self.url, read_only=True) as store:
            yield store
