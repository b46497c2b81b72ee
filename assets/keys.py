"""The asset keys of tables and topics."""

from __future__ import annotations

import dagster as dg

VOLATILITY_TABLE = dg.AssetKey("volatility")
MARGIN_SNAPSHOTS = dg.AssetKey("margin_snapshots")
FIRM_EXPOSURE = dg.AssetKey("firm_exposure")
FIRM_ALERTS = dg.AssetKey("firm_alerts")


def topic_key(topic: str) -> dg.AssetKey:
    """Return the asset key of a topic: prices.v1 is kafka/prices.v1."""
    return dg.AssetKey(["kafka", topic])
