"""The decision store as a Dagster resource, and the policy decisions follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from margin_platform.policy.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreMissing, StoreOutdated

# no run has created the store yet, or migrated it since the upgrade
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
        """Open the store for a run, created or migrated where that is due; close it at the end."""
        with Store(self.url) as store:
            yield store

    @contextmanager
    def reader(self) -> Iterator[Store]:
        """Open the store for a sensor, which changes nothing. StoreMissing before the first decision."""
        with Store(self.url, read_only=True) as store:
            yield store
