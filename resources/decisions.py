"""The decision store as a Dagster resource, and the policy decisions follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from margin_platform.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.store import Store


class DecisionsResource(dg.ConfigurableResource):
    """Where decisions are kept: a SQLAlchemy URL, SQLite or Postgres."""

    store_url: str = Field(default="", description="empty takes MARGIN_STORE")

    @property
    def policy(self) -> Policy:
        return current_policy()

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The opened store, its schema up to date; closed at the end."""
        with Store(self.store_url or settings().store_url) as store:
            yield store
